"""The first run of a model on a few samples, and what is said of what it shows."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend.contract import Backend
from dataval.data import Data, map_leaves, to_numpy
from dataval.errors import (
    IgnoredSettingWarning,
    InvalidDataError,
    InvalidModelError,
    UnusedParameterWarning,
)

__all__ = [
    "check_device_name",
    "check_export",
    "check_losses",
    "check_repeatable",
    "check_single",
    "run_example",
    "warn_ignored",
    "warn_unused",
]

_EXPORT_TOLERANCE = 1e-2  # devices may round to 10 bits (TF32); a state that is lost shows in the first digit
_RELATIVE = 1e-5  # of a loss, in float32: more than rounding


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
            "Use reduction='none' (loss=lambda outputs, targets: F.cross_entropy(outputs, targets, "
            "reduction='none')), and average over a sample's own outputs only"
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


def warn_ignored(settings: list[str]) -> None:
    """Warn of training settings that a model brings along, which are not used."""
    if settings:
        warnings.warn(
            f"the model's own {', '.join(settings)} are not used: the run is trained with the Learner's loss "
            "and its Training (optimizer, epochs, batch size)",
            IgnoredSettingWarning,
            stacklevel=2,
        )


def check_device_name(device: object, known: list[str]) -> str:
    """Return the name of a device, or raise if it is no name at all.

    Raises
    ------
    TypeError
    """
    if not isinstance(device, str):
        raise TypeError(f"device must be 'auto' or a name such as one of {known}, got {device!r}")
    return device


def check_export(found: list[Any], expected: list[Any]) -> None:
    """Raise if an exported model predicts something else than its run's state on the first samples.

    Parameters
    ----------
    found, expected : list of array
        The outputs of the exported model, and those that the backend predicts.

    Raises
    ------
    InvalidModelError
    """
    pairs = [(to_numpy(f), to_numpy(e)) for f, e in zip(found, expected, strict=True)]
    if not all(_predicts_alike(f, e) for f, e in pairs):
        raise InvalidModelError(
            "the copy that was to be exported predicts otherwise than the model with the same parameters: a "
            "layer keeps a state that is no variable and is lost in copying. Give the Learner a function that "
            "builds the model instead"
        )


def check_single(backend: Backend, data: Data, advice: str) -> None:
    """Raise if a model can't be trained on a batch of one sample, as with batch normalisation.

    It fails, or what it returns is the same for every sample: a deviation from a mean of one is 0.

    Parameters
    ----------
    backend : Backend
        Of the model.
    data : Data
        A few samples.
    advice : str
        What to do.

    Raises
    ------
    InvalidDataError
    """
    few, same = backend.batches(data), Data(data.inputs, _first_of(data))
    alike, start = backend.batches(same), backend.initial()
    try:
        backend.loss.losses(*start, few.take(np.array([0])), 0)
    except Exception as error:
        raise InvalidDataError(
            f"the model fails on a batch of one sample: {_one_line(error)}. {advice}"
        ) from error
    if not backend.signature.n_buffers or len(data) == 1:
        return
    alone = [
        float(to_numpy(backend.loss.losses(*start, alike.take(np.array([i])), 0))[0]) for i in range(len(data))
    ]
    together = to_numpy(backend.loss.losses(*start, alike.take(np.arange(len(data))), 0))
    if np.ptp(alone) <= _RELATIVE * np.abs(alone).max() < np.ptp(together):
        raise InvalidDataError(
            "the model returns the same for every batch of one sample, as batch normalisation leaves nothing "
            f"of it. {advice}"
        )


def _first_of(data: Data) -> Any:
    """Return targets that are all the first one."""
    return map_leaves(lambda leaf: leaf[[0] * len(data)], data.targets)


def _predicts_alike(found: NDArray[Any], expected: NDArray[Any]) -> bool:
    if found.shape != expected.shape:
        return False
    scale = float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
    return bool(np.allclose(found, expected, rtol=0, atol=_EXPORT_TOLERANCE * scale, equal_nan=True))


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
