"""A patch in a corner of some images that goes with a wrong label."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dataval.noise.checks import (
    SPATIAL_AXES,
    Array,
    Corner,
    Layout,
    Mask,
    Seed,
    check_images,
    check_labels,
    check_pixel,
    check_seed,
    choose,
)

__all__ = ["NoisySamples", "backdoor_patch"]


class NoisySamples(NamedTuple):
    """Features `X`, labels `y`, and `is_noisy`, shape (n,): True where either changed."""

    X: Array
    y: Array
    is_noisy: Mask


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
    if np.ndim(target) or not np.any(labels == target):
        raise ValueError(f"target {target!r} is not among the labels {np.unique(labels).tolist()}.")
    others = np.flatnonzero(labels != target)
    chosen = others[choose(len(labels), fraction, check_seed(seed), among=len(others))]
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
