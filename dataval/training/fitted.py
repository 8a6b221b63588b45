"""What a loop multiplies each sample's loss by, read off the gradient that reaches the model's outputs.

A loop that minimises ``sum_j c_j loss_j`` sends ``c_j grad loss_j`` back into the outputs of sample j.
Comparing it with the gradient of the sample's own loss gives every c_j, whatever divisor, class weights,
token counts or accumulation it comes from, and shows where the loop's loss is no such sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["fitted_coefficients"]

_TINY = 1e-20  # relative to the largest: what a sample without a gradient has


def fitted_coefficients(mine: NDArray[Any], theirs: NDArray[Any]) -> tuple[NDArray[np.float64], float]:
    """Fit one coefficient to all samples, or else one to each.

    Parameters
    ----------
    mine : ndarray, shape (n, ...)
        Gradients of the samples' own losses in the outputs.
    theirs : ndarray, shape (n, ...)
        That of the loop's loss.

    Returns
    -------
    ndarray of float64, shape (n,)
    float
        What of the loop's gradient they don't explain, relative to it.
    """
    tolerance = 1e-6 if mine.dtype == np.float64 else 1e-5
    n = len(mine)
    mine, theirs = (array.reshape(n, -1).astype(np.float64) for array in (mine, theirs))
    size, products, squares = np.linalg.norm(theirs), (mine * theirs).sum(1), (mine * mine).sum(1)
    if size == 0 or squares.sum() == 0:
        return np.zeros(n), 0.0 if size == 0 else 1.0
    common = products.sum() / squares.sum()
    residual = float(np.linalg.norm(theirs - common * mine) / size)
    if residual <= tolerance:
        return np.full(n, rounded(float(common), tolerance)), residual
    known = squares > _TINY * squares.max()
    each = np.where(known, products / np.where(known, squares, 1.0), common)
    return each, float(np.linalg.norm(theirs - each[:, None] * mine) / size)


def rounded(value: float, tolerance: float) -> float:
    """Return one over a whole number where that is what was measured."""
    if value <= 0:
        return value
    nearest = round(1 / value)
    return 1 / nearest if nearest and abs(value * nearest - 1) <= 10 * tolerance else value
