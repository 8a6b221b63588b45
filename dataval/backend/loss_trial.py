"""What a loss of the caller's own does, found out on fixed outputs, apart from the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dataval.errors import InvalidDataError, InvalidModelError

__all__ = ["check_closed", "check_loss_alone", "run_loss"]

Losses = TypeVar("Losses")
LossesOf = Callable[[NDArray[np.int64]], NDArray[Any]]


def run_loss(find: Callable[[], Losses]) -> Losses:
    """Call a caller's loss for the first time, explaining what may be wrong where it fails.

    Raises
    ------
    InvalidModelError
    """
    try:
        return find()
    except (InvalidDataError, InvalidModelError):
        raise
    except Exception as error:
        raise InvalidModelError(
            f"the loss failed on the outputs and targets of the first samples: {type(error).__name__}: "
            f"{' '.join(str(error).split())}. It is called as loss(outputs, targets), and gives one number a "
            "sample"
        ) from error


def check_loss_alone(losses_of: LossesOf, n: int) -> None:
    """Raise if a loss doesn't repeat itself, or a sample's loss depends on other samples.

    Half of the samples are replaced by copies of the other half, whose losses must stay what they are.

    Parameters
    ----------
    losses_of : callable
        Evaluates the loss on the outputs and targets of the samples at some indices, held fixed.
    n : int
        Number of samples.

    Raises
    ------
    InvalidModelError
    """
    every = np.arange(n)
    losses = losses_of(every)
    if losses.shape != (n,):
        return
    if not _agree(losses, losses_of(every)):
        raise InvalidModelError(
            "the loss gives other values when it is called again on the same outputs and targets: it draws "
            "random numbers, or keeps a state. Put what is random or has a state into the model"
        )
    if any(
        not _agree(losses[kept], losses_of(_only(kept, n))[kept]) for kept in np.array_split(every, 2) if n > 1
    ):
        raise InvalidModelError(
            "the loss of a sample depends on its neighbours: an outer difference of shapes (n, 1) and (n,), or "
            "an average over the batch, mixes the samples. Give outputs and targets the same shape, and "
            "average over a sample's own outputs only"
        )


def check_closed(strangers: list[str], what: str) -> None:
    """Raise if something is computed from trainable arrays that are no trained parameters.

    Parameters
    ----------
    strangers : list of str
        Their names or shapes.
    what : {"loss", "model"}
        What uses them.

    Raises
    ------
    InvalidModelError
    """
    if not strangers:
        return
    advice = {
        "loss": "they would never be trained, nor hold the values of a run. Make them a part of the model, or "
        "freeze them",
        "model": "they are not where the framework looks for parameters (attributes of modules), so they would "
        "never be trained. Register them, or freeze them",
    }
    raise InvalidModelError(
        f"the {what} uses parameters that are none of the model's, {strangers}: {advice[what]}"
    )


def _only(kept: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return indices that have the kept samples in their places, and copies of these elsewhere."""
    rows = np.resize(kept, n)
    rows[kept] = kept
    return rows


def _agree(losses: NDArray[Any], again: NDArray[Any]) -> bool:
    """Whether losses are equal up to rounding, half the digits."""
    tolerance = np.finfo(losses.dtype if losses.dtype.kind == "f" else np.float64).eps ** 0.5
    return bool(np.allclose(losses, again, rtol=tolerance, atol=tolerance, equal_nan=True))
