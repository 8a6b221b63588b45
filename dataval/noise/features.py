"""Noise in features and in targets that are numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dataval.checks import flag, real_number
from dataval.noise.checks import (
    Array,
    Mask,
    Seed,
    as_array,
    check_clip,
    check_numbers,
    check_seed,
    choose,
)
from dataval.noise.labels import NoisyLabels

__all__ = ["NoisyFeatures", "feature_noise", "outliers", "target_noise"]


class NoisyFeatures(NamedTuple):
    """Features `X`, shape (n, …), and `is_noisy`, shape (n,): True where `X` changed."""

    X: Array
    is_noisy: Mask


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
    targets = as_array(y, "y")
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
    features = as_array(X, "X")
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
    features = as_array(X, "X")
    check_numbers(features, "X")
    rng = check_seed(seed)
    chosen = choose(len(features), fraction, rng)
    over = 0 if features.ndim <= 2 else None
    low, high = features.min(axis=over), features.max(axis=over)
    noisy = features.copy()
    draws = rng.random((len(chosen), *features.shape[1:]))
    noisy[chosen] = np.clip(low + draws * (high - low), low, high)
    return NoisyFeatures(noisy, _changed(features, noisy))


def _add_noise(
    array: Array, name: str, fraction: float, scale: float, relative: bool, rng: np.random.Generator
) -> Array:
    if not real_number("scale", scale) > 0.0:
        raise ValueError(f"scale must be above 0 and finite, got {scale}.")
    flag("relative", relative)
    spread = array.std(axis=0, dtype=np.float64) if relative else np.float64(1.0)
    if not np.isfinite(spread).all():
        raise ValueError(f"{name} has a standard deviation that is no finite number: rescale it first.")
    if not np.any(spread > 0.0):
        raise ValueError(
            f"{name} is the same for all samples, so a noise relative to its standard deviation "
            "is none; give the noise in the unit of the data with relative=False."
        )
    chosen = choose(len(array), fraction, rng)
    noise = scale * spread * rng.standard_normal((len(chosen), *array.shape[1:]))
    noisy = array.copy()
    noisy[chosen] = array[chosen] + noise
    return noisy


def _changed(before: Array, after: Array) -> Mask:
    return np.asarray((before != after).reshape(len(before), -1).any(axis=1))
