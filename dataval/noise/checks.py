"""What all kinds of noise share: checks of the input, and the choice of the samples."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dataval.checks import described, one_of, real_number, whole_number

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Seed = int | np.random.Generator
Layout = Literal["NCHW", "NHWC", "NHW"]
Corner = Literal["top_left", "top_right", "bottom_left", "bottom_right"]

SPATIAL_AXES = {"NCHW": (2, 3), "NHWC": (1, 2), "NHW": (1, 2)}
CORNERS = ("top_left", "top_right", "bottom_left", "bottom_right")


def check_seed(seed: Seed) -> np.random.Generator:
    """Return the generator given, or one made from the seed given."""
    if isinstance(seed, np.random.Generator):
        return seed
    given: object = seed
    if not isinstance(given, int | np.integer) or isinstance(given, bool) or given < 0:
        raise ValueError(f"seed must be a whole number from 0, or a Generator, got {described(seed)}.")
    return np.random.default_rng(seed)


def as_array(given: npt.ArrayLike, name: str) -> Array:
    """Return what was given as an array, or say that it is none."""
    try:
        return np.asarray(given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} can't be read as an array: {error}.") from error


def check_labels(y: npt.ArrayLike, classes: npt.ArrayLike | None) -> tuple[Array, Array, Array]:
    """Return the labels, the classes in their order, and each label's index among the classes."""
    labels = _plain(y, "y")
    if labels.ndim != 1 or not len(labels):
        raise ValueError(f"y must have shape (n,) with n > 0, got {labels.shape}.")
    if labels.dtype.kind not in "biuSU":
        raise ValueError(
            f"y must hold labels, whole numbers or strings, not {labels.dtype}; convert labels by "
            "y.astype(int), and for regression targets choose target_noise."
        )
    known = _check_classes(labels, classes)
    order = np.argsort(known)
    index = order[np.searchsorted(known, labels, sorter=order).clip(max=len(known) - 1)]
    if np.any(unknown := known[index] != labels):
        raise ValueError(f"y holds {labels[unknown][0].item()!r}, which is not among the classes.")
    return labels, known, index


def _plain(labels: npt.ArrayLike, name: str) -> Array:
    """Return labels of any library as an array of numbers or strings (pandas keeps strings as objects)."""
    array = as_array(labels, name)
    if array.dtype.kind not in "OT":
        return array
    for kind, dtype in ((str, np.str_), (bool, np.bool_), (int | np.integer, np.int64)):
        if all(isinstance(label, kind) for label in array.flat):
            return _cast(array, dtype, name)
    odd = next(label for label in array.flat if not isinstance(label, str))
    raise ValueError(
        f"{name} must hold labels of one kind, whole numbers or strings; it holds {described(odd)}."
    )


def _cast(labels: Array, dtype: type[np.generic], name: str) -> Array:
    try:
        return labels.astype(dtype)
    except OverflowError as error:
        raise ValueError(
            f"{name} holds whole numbers of more than 64 bits: number the classes from 0."
        ) from error


def _check_classes(labels: Array, classes: npt.ArrayLike | None) -> Array:
    known = np.unique(labels) if classes is None else _plain(classes, "classes")
    if known.ndim != 1 or len(np.unique(known)) != len(known):
        raise ValueError(f"classes must be different labels, shape (n_classes,), got {known}.")
    if len(known) < 2:
        raise ValueError(
            f"y holds the one class {known.tolist()}, so no label can change; name the others with classes."
        )
    if labels.dtype.kind in "biu" and known.dtype.kind in "biu":
        return _cast_exactly(known, labels.dtype)
    if labels.dtype.kind != known.dtype.kind:
        raise ValueError(f"classes hold {known.dtype} and y holds {labels.dtype}; use one kind.")
    return known


def _cast_exactly(known: Array, dtype: np.dtype[Any]) -> Array:
    cast = known.astype(dtype)
    if not np.array_equal(cast, known):
        raise ValueError(f"classes {known.tolist()} do not fit the labels' dtype {dtype}.")
    return cast


def check_transition(transition: npt.ArrayLike, n_classes: int) -> npt.NDArray[np.float64]:
    """Return a row-stochastic float64 matrix, shape (n_classes, n_classes)."""
    try:
        matrix = np.asarray(transition, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"transition must be a matrix of probabilities, got {described(transition)}."
        ) from error
    if matrix.shape != (n_classes, n_classes):
        raise ValueError(
            f"transition must have shape {(n_classes, n_classes)}, one row and one column a class, "
            f"got {matrix.shape}; name classes that y lacks with classes."
        )
    if not np.all(matrix >= 0.0):
        raise ValueError("transition must hold probabilities, but some are negative or NaN.")
    sums = matrix.sum(axis=1)
    if not np.allclose(sums, 1.0, rtol=0.0, atol=1e-6):
        raise ValueError(f"each row of transition must sum to 1, they sum to {sums.tolist()}.")
    return matrix


def check_numbers(array: Array, name: str) -> None:
    """Refuse an array that is empty, not of a float dtype, or not finite."""
    if array.ndim < 1 or not array.size:
        raise ValueError(f"{name} must have shape (n, …) with n > 0, got {array.shape}.")
    if array.dtype.kind != "f":
        raise ValueError(
            f"{name} must be of a float dtype, not {array.dtype}, as the noise would be rounded; "
            f"convert it first: {name}.astype(np.float32)."
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinite entries; remove or impute them first.")


def check_clip(clip: tuple[float, float]) -> tuple[float, float]:
    """Return the two ends of a range that is not empty."""
    pair: object = clip
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise ValueError(f"clip must be (low, high) with low < high, got {described(clip)}.")
    low, high = real_number("clip[0]", pair[0]), real_number("clip[1]", pair[1])
    if not low < high:
        raise ValueError(f"clip must be (low, high) with low < high, got {clip}.")
    return low, high


def check_images(X: npt.ArrayLike, layout: Layout, size: int, corner: Corner) -> Array:
    """Return images as an array that fits the layout and holds the patch."""
    images = as_array(X, "X")
    one_of("layout", layout, sorted(SPATIAL_AXES))
    one_of("corner", corner, sorted(CORNERS))
    if images.ndim != len(layout) or not images.size:
        raise ValueError(f"X must have {len(layout)} axes for layout {layout}, got {images.shape}.")
    shortest = min(images.shape[axis] for axis in SPATIAL_AXES[layout])
    if not 1 <= whole_number("size", size) <= shortest:
        raise ValueError(f"size must be from 1 to the images' {shortest} pixels, got {size}.")
    return images


def check_pixel(value: float, dtype: np.dtype[Any]) -> float:
    """Return a pixel value that the images' dtype can hold."""
    real_number("value", value)
    whole = dtype.kind in "iu"
    fits = not whole or (value == int(value) and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max)
    if not np.isfinite(value) or not fits:
        raise ValueError(f"value {value} does not fit images of dtype {dtype}.")
    return value


def choose(n: int, fraction: float, rng: np.random.Generator, among: int | None = None) -> Array:
    """Choose ``round(fraction * n)`` different indices below `among` (n unless given), sorted."""
    if not 0.0 <= real_number("fraction", fraction) <= 1.0:
        raise ValueError(f"fraction must lie between 0 and 1, got {fraction}.")
    count, available = round(fraction * n), n if among is None else among
    if count > available:
        raise ValueError(
            f"fraction {fraction} asks for {count} samples, but only {available} have another "
            "label than target; lower the fraction."
        )
    return np.sort(rng.choice(available, size=count, replace=False))
