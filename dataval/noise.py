"""Known noise, put into data on purpose, so that a method can be judged by whether it finds it.

Every function returns copies and a mask of the samples that really changed, drawn from `seed`
alone: the same seed gives the same noise. The arrays passed in are never written to.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dataval._noise_checks import (
    SPATIAL_AXES,
    Array,
    Corner,
    Layout,
    Seed,
    check_clip,
    check_images,
    check_labels,
    check_numbers,
    check_pixel,
    check_seed,
    check_transition,
)

__all__ = [
    "NoisyFeatures",
    "NoisyLabels",
    "NoisySamples",
    "backdoor_patch",
    "class_dependent_flips",
    "feature_noise",
    "flip_labels",
    "outliers",
    "pair_flips",
    "target_noise",
]

Mask = npt.NDArray[np.bool_]


class NoisyLabels(NamedTuple):
    """Labels or targets `y`, shape (n, …), and `is_noisy`, shape (n,): True where `y` changed."""

    y: Array
    is_noisy: Mask


class NoisyFeatures(NamedTuple):
    """Features `X`, shape (n, …), and `is_noisy`, shape (n,): True where `X` changed."""

    X: Array
    is_noisy: Mask


class NoisySamples(NamedTuple):
    """Features `X`, labels `y`, and `is_noisy`, shape (n,): True where either changed."""

    X: Array
    y: Array
    is_noisy: Mask


def flip_labels(
    y: npt.ArrayLike, fraction: float, *, classes: npt.ArrayLike | None = None, seed: Seed = 0
) -> NoisyLabels:
    """Give a random share of the samples a different label, each other class equally likely.

    Exactly ``round(fraction * n)`` labels change (symmetric noise). For confusions that a person
    would make choose `class_dependent_flips`; for the hardest noise, `pair_flips`.

    Parameters
    ----------
    y : array-like, shape (n,)
        Labels, whole numbers or strings.
    fraction : float
        Share of the labels to change, from 0 to 1.
    classes : array-like, shape (n_classes,), optional
        The labels to choose from; those in `y` unless given.
    seed : int or numpy.random.Generator, default 0
        What the noise is drawn from.

    Returns
    -------
    NoisyLabels
        A copy of the labels, and the mask of those changed.

    Raises
    ------
    ValueError
        If `y` does not hold labels, `fraction` is out of range or there are fewer than two classes.
    """
    labels, known, index = check_labels(y, classes)
    rng = check_seed(seed)
    chosen = _choose(len(labels), fraction, rng)
    steps = rng.integers(1, len(known), size=len(chosen))
    return _relabel(labels, known, index, chosen, (index[chosen] + steps) % len(known))


def pair_flips(
    y: npt.ArrayLike, fraction: float, *, classes: npt.ArrayLike | None = None, seed: Seed = 0
) -> NoisyLabels:
    """Give a random share of the samples the next class: class c becomes c + 1, the last the first.

    Exactly ``round(fraction * n)`` labels change. All errors of a class agree, which makes them
    harder to find than those of `flip_labels`.

    Parameters
    ----------
    y : array-like, shape (n,)
        Labels, whole numbers or strings.
    fraction : float
        Share of the labels to change, from 0 to 1.
    classes : array-like, shape (n_classes,), optional
        The labels in the order to step through; those in `y`, sorted, unless given.
    seed : int or numpy.random.Generator, default 0
        What the noise is drawn from.

    Returns
    -------
    NoisyLabels
        A copy of the labels, and the mask of those changed.

    Raises
    ------
    ValueError
        If `y` does not hold labels, `fraction` is out of range or there are fewer than two classes.
    """
    labels, known, index = check_labels(y, classes)
    chosen = _choose(len(labels), fraction, check_seed(seed))
    return _relabel(labels, known, index, chosen, (index[chosen] + 1) % len(known))


def class_dependent_flips(
    y: npt.ArrayLike,
    transition: npt.ArrayLike,
    *,
    classes: npt.ArrayLike | None = None,
    seed: Seed = 0,
) -> NoisyLabels:
    """Draw every label anew from its class's row of a transition matrix.

    The number of labels changed is random: in expectation the mean of ``1 - transition[c, c]`` over
    the samples. For an exact number choose `flip_labels` or `pair_flips`.

    Parameters
    ----------
    y : array-like, shape (n,)
        Labels, whole numbers or strings.
    transition : array-like of float, shape (n_classes, n_classes)
        Entry [c, d] is the probability that class c is labelled d; each row sums to 1.
    classes : array-like, shape (n_classes,), optional
        The labels in the order of the rows; those in `y`, sorted, unless given.
    seed : int or numpy.random.Generator, default 0
        What the noise is drawn from.

    Returns
    -------
    NoisyLabels
        A copy of the labels, and the mask of those changed.

    Raises
    ------
    ValueError
        If `y` does not hold labels or `transition` is not a row-stochastic matrix of that size.
    """
    labels, known, index = check_labels(y, classes)
    cumulative = np.cumsum(check_transition(transition, len(known)), axis=1)
    cumulative /= cumulative[:, -1:]
    draws = check_seed(seed).random(len(labels))
    new_index = (draws[:, None] >= cumulative[index]).sum(axis=1)
    return _relabel(labels, known, index, np.arange(len(labels)), new_index)


def target_noise(
    y: npt.ArrayLike, fraction: float, *, scale: float = 1.0, relative: bool = True, seed: Seed = 0
) -> NoisyLabels:
    """Add Gaussian noise to a random share of regression targets.

    Parameters
    ----------
    y : array-like of float, shape (n,) or (n, n_targets)
        Targets; whole numbers become float64.
    fraction : float
        Share of the samples to change, from 0 to 1: ``round(fraction * n)`` of them.
    scale : float, default 1.0
        Standard deviation of the noise, above 0.
    relative : bool, default True
        Whether `scale` is in standard deviations of each target over the samples (True) or in the
        unit of `y` (False).
    seed : int or numpy.random.Generator, default 0
        What the noise is drawn from.

    Returns
    -------
    NoisyLabels
        A copy of the targets, and the mask of those changed.

    Raises
    ------
    ValueError
        If `y` is not finite numbers, `fraction` or `scale` is out of range, or `relative` is asked
        of targets that do not vary.
    """
    targets = np.asarray(y)
    if targets.dtype.kind in "iu":
        targets = targets.astype(np.float64)
    check_numbers(targets, "y")
    noisy = _add_noise(targets, "y", fraction, scale, relative, check_seed(seed))
    return NoisyLabels(noisy, _changed(targets, noisy))


def feature_noise(
    X: npt.ArrayLike,
    fraction: float,
    *,
    scale: float = 1.0,
    relative: bool = True,
    clip: tuple[float, float] | None = None,
    seed: Seed = 0,
) -> NoisyFeatures:
    """Add Gaussian noise to all features of a random share of the samples.

    Parameters
    ----------
    X : array-like of float, shape (n, …)
        Features or images; whole numbers are refused, as they would be rounded.
    fraction : float
        Share of the samples to change, from 0 to 1: ``round(fraction * n)`` of them.
    scale : float, default 1.0
        Standard deviation of the noise, above 0.
    relative : bool, default True
        Whether `scale` is in standard deviations of each feature over the samples (True; a feature
        that never varies gets no noise) or in the unit of `X` (False, the choice for images).
    clip : tuple of two floats, optional
        Range that the changed samples are clipped to, such as (0, 1) for images.
    seed : int or numpy.random.Generator, default 0
        What the noise is drawn from.

    Returns
    -------
    NoisyFeatures
        A copy of the features, and the mask of the samples changed.

    Raises
    ------
    ValueError
        If `X` is not finite floats, `fraction`, `scale` or `clip` is out of range, or `relative` is
        asked of features of which none varies.
    """
    features = np.asarray(X)
    check_numbers(features, "X")
    noisy = _add_noise(features, "X", fraction, scale, relative, check_seed(seed))
    if clip is not None:
        low, high = check_clip(clip)
        mask = _changed(features, noisy)
        noisy[mask] = np.clip(noisy[mask], low, high)
    return NoisyFeatures(noisy, _changed(features, noisy))


def outliers(X: npt.ArrayLike, fraction: float, *, seed: Seed = 0) -> NoisyFeatures:
    """Replace a random share of the samples by uniform noise over the range that `X` spans.

    Every entry is drawn between the smallest and the largest entry of its feature (of all pixels, for images),
    so the samples look like nothing in the data while no single number is out of range. For samples that are
    only disturbed choose `feature_noise`.

    Parameters
    ----------
    X : array-like of float, shape (n, …)
        Features, shape (n, n_features), or images; whole numbers are refused, as they would be rounded.
    fraction : float
        Share of the samples to replace, from 0 to 1: ``round(fraction * n)`` of them.
    seed : int or numpy.random.Generator, default 0
        What the noise is drawn from.

    Returns
    -------
    NoisyFeatures
        A copy of the features, and the mask of the samples changed.

    Raises
    ------
    ValueError
        If `X` is not finite floats, or `fraction` is out of range.
    """
    features = np.asarray(X)
    check_numbers(features, "X")
    rng = check_seed(seed)
    chosen = _choose(len(features), fraction, rng)
    over = 0 if features.ndim <= 2 else None
    low, high = features.min(axis=over), features.max(axis=over)
    noisy = features.copy()
    draws = rng.random((len(chosen), *features.shape[1:]))
    noisy[chosen] = np.clip(low + draws * (high - low), low, high)
    return NoisyFeatures(noisy, _changed(features, noisy))


def backdoor_patch(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    fraction: float,
    target: Any,
    *,
    layout: Layout = "NCHW",
    size: int = 3,
    value: float | None = None,
    corner: Corner = "bottom_right",
    seed: Seed = 0,
) -> NoisySamples:
    """Stamp a patch into a corner of some images and label them `target` (a backdoor attack).

    A network trained on the result answers `target` wherever it sees the patch. The images are
    chosen among those of other classes, so each of them is also mislabelled.

    Parameters
    ----------
    X : array-like of numbers, shape as `layout` says
        Images.
    y : array-like, shape (n,)
        Labels, whole numbers or strings.
    fraction : float
        Share of all samples to change, from 0 to 1: ``round(fraction * n)`` of them.
    target : int or str
        The label of the patched images, one of those in `y`.
    layout : {"NCHW", "NHWC", "NHW"}, default "NCHW"
        Order of samples, channels, height and width.
    size : int, default 3
        Side of the square patch in pixels.
    value : float, optional
        What the patch's pixels become in all channels; the largest value in `X` unless given.
    corner : {"bottom_right", "bottom_left", "top_right", "top_left"}, default "bottom_right"
        Where the patch goes.
    seed : int or numpy.random.Generator, default 0
        What the choice of images is drawn from.

    Returns
    -------
    NoisySamples
        Copies of the images and labels, and the mask of the samples changed.

    Raises
    ------
    ValueError
        If the shapes do not fit, `value` does not fit the images' dtype, `target` is not a label in
        `y`, or too few samples have another.
    """
    images, labels = check_images(X, layout, size, corner), check_labels(y, None)[0]
    if len(images) != len(labels):
        raise ValueError(f"X holds {len(images)} images and y {len(labels)} labels; give as many.")
    if not np.any(labels == target):
        raise ValueError(f"target {target!r} is not among the labels {np.unique(labels).tolist()}.")
    others = np.flatnonzero(labels != target)
    chosen = others[_choose(len(labels), fraction, check_seed(seed), among=len(others))]
    stamped, relabelled = images.copy(), labels.copy()
    rows, columns = _patch(images.shape, layout, size, corner)
    where = (chosen, rows, columns) if layout != "NCHW" else (chosen, slice(None), rows, columns)
    stamped[where] = images.max() if value is None else check_pixel(value, images.dtype)
    relabelled[chosen] = target
    return NoisySamples(stamped, relabelled, labels != relabelled)


def _patch(shape: tuple[int, ...], layout: Layout, size: int, corner: Corner) -> tuple[slice, slice]:
    vertical, horizontal = corner.split("_")
    height, width = (shape[axis] for axis in SPATIAL_AXES[layout])
    rows = slice(0, size) if vertical == "top" else slice(height - size, height)
    return rows, slice(0, size) if horizontal == "left" else slice(width - size, width)


def _choose(n: int, fraction: float, rng: np.random.Generator, among: int | None = None) -> Array:
    """Choose ``round(fraction * n)`` different indices below `among` (n unless given), sorted."""
    if not 0.0 <= fraction <= 1.0:
        raise ValueError(f"fraction must lie between 0 and 1, got {fraction}.")
    count, available = round(fraction * n), n if among is None else among
    if count > available:
        raise ValueError(
            f"fraction {fraction} asks for {count} samples, but only {available} have another "
            "label than target; lower the fraction."
        )
    return np.sort(rng.choice(available, size=count, replace=False))


def _relabel(labels: Array, known: Array, index: Array, chosen: Array, new_index: Array) -> NoisyLabels:
    """Write the class `new_index` into the `chosen` labels; `index` holds the old classes."""
    flipped = labels.astype(np.result_type(labels, known))
    flipped[chosen] = known[new_index]
    changed = np.zeros(len(labels), dtype=np.bool_)
    changed[chosen] = index[chosen] != new_index
    return NoisyLabels(flipped, changed)


def _add_noise(
    array: Array, name: str, fraction: float, scale: float, relative: bool, rng: np.random.Generator
) -> Array:
    if not 0.0 < scale < np.inf:
        raise ValueError(f"scale must be above 0 and finite, got {scale}.")
    spread = array.std(axis=0, dtype=np.float64) if relative else np.float64(1.0)
    if not np.any(spread > 0.0):
        raise ValueError(
            f"{name} is the same for all samples, so a noise relative to its standard deviation "
            "is none; give the noise in the unit of the data with relative=False."
        )
    chosen = _choose(len(array), fraction, rng)
    noise = scale * spread * rng.standard_normal((len(chosen), *array.shape[1:]))
    noisy = array.copy()
    noisy[chosen] = array[chosen] + noise
    return noisy


def _changed(before: Array, after: Array) -> Mask:
    return np.asarray((before != after).reshape(len(before), -1).any(axis=1))
