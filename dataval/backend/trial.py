"""The first run of a model on a few samples, and what is said of what it shows."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.errors import InvalidDataError, InvalidModelError, UnusedParameterWarning

__all__ = ["check_losses", "check_repeatable", "run_example", "warn_unused"]


def run_example(explore: Callable[[], Any], inputs: Any, n: int) -> Any:
    """Run a model for the first time, explaining what may be wrong where it can't be run.

    Parameters
    ----------
    explore : callable
        Runs it and returns its outputs.
    inputs
        What it is run on: an array, or a tuple or dict of them.
    n : int
        Number of samples.

    Raises
    ------
    InvalidModelError, InvalidDataError
    """
    try:
        return explore()
    except (InvalidDataError, InvalidModelError):
        raise
    except Exception as error:
        raise InvalidDataError(
            f"the model failed on the first {n} samples, inputs {_describe(inputs)}: {_one_line(error)}. "
            "Check shape and dtype: integer inputs are handed on as they are (for embeddings), so convert "
            "measurements with X.astype('float32')"
        ) from error


def check_losses(losses: NDArray[Any], n: int) -> None:
    """Raise if what a loss gave is not one finite number a sample."""
    if losses.ndim == 0:
        raise InvalidModelError(
            "the loss returned a single number: data valuation needs one loss a sample, shape (n,). "
            "Use reduction='none', and average over a sample's own outputs only"
        )
    if losses.shape != (n,):
        raise InvalidModelError(f"the loss returned shape {losses.shape} for {n} samples: it must be ({n},)")
    if not np.isfinite(losses).all():
        raise InvalidModelError(
            f"the losses of the first {n} samples are {losses.tolist()} before training has begun: look at the "
            "scale of the inputs, or at a logarithm or division in the model or the loss"
        )


def check_repeatable(losses: NDArray[Any], again: NDArray[Any], advice: str) -> None:
    """Raise if the same forward pass done twice differs by more than rounding."""
    tolerance = np.finfo(losses.dtype).eps ** 0.5
    if not np.allclose(losses, again, rtol=tolerance, atol=tolerance):
        raise InvalidModelError(
            "the model gives other losses when it is run again under the same seed: it draws random numbers "
            f"that no seed controls (Python's, NumPy's or a generator of its own), or keeps a state {advice}"
        )


def warn_unused(names: list[str]) -> None:
    """Warn of parameters that get no gradient."""
    if names:
        warnings.warn(
            f"these trained parameters receive no gradient from the loss: {names}. Freeze them, or check that "
            "the model uses them",
            UnusedParameterWarning,
            stacklevel=2,
        )


def _one_line(error: Exception) -> str:
    """Return an error's text without paragraphs and colours."""
    return " ".join(re.sub(r"\x1b\[\d+m", "", str(error)).split())[:400]


def _describe(inputs: Any) -> str:
    if isinstance(inputs, dict):
        return "{" + ", ".join(f"{key!r}: {_describe(leaf)}" for key, leaf in inputs.items()) + "}"
    if isinstance(inputs, tuple):
        return "(" + ", ".join(map(_describe, inputs)) + ")"
    dtype = getattr(inputs.dtype, "name", str(inputs.dtype).removeprefix("torch."))
    return f"{dtype}{tuple(inputs.shape)}"
