r"""Kernel ridge regression whose leave-one-out predictions come in closed form.

With :math:`\alpha = (K+\lambda I)^{-1}Y` the prediction for sample i by a fit to all the others is
:math:`y_i - \alpha_i / [(K+\lambda I)^{-1}]_{ii}`: one decomposition stands for N fits. Where N is large, m
landmarks stand for the kernel (Nyström), and the same holds of the regression on the m features that they give.

Rifkin & Lippert (2007). Notes on regularized least squares. MIT-CSAIL-TR-2007-025.
Williams & Seeger (2001). Using the Nyström method to speed up kernel machines. NIPS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["HeldOut", "kernel_held_out", "laplace_kernel", "softened", "standardised"]

FloatArray = NDArray[np.float64]

WIDTHS = (0.5, 1.0, 2.0)  # of the median distance
RIDGES = tuple(10.0 ** np.arange(-3.0, 2.25, 0.5))
_EXACT = 2000  # samples up to which the kernel is decomposed as it is
_FEW = 600  # samples on which widths are tried
_LANDMARKS = 1000
_LANDMARKS_OF_MANY = 300  # from _MANY samples on, where time goes with N m²
_MANY = 20_000
_CHUNK = 2**22  # entries of the kernel that are held at a time
_JITTER = 1e-10  # relative; eigenvalues of the landmarks' kernel below it are rounding


@dataclass(frozen=True)
class HeldOut:
    """Predictions for every sample without itself, and what they were made with.

    Attributes
    ----------
    predictions : ndarray of float64, shape (N, C)
    width : float
        Of the kernel, as a multiple of the median distance.
    ridge : float
        lambda.
    error : float
        The mean squared error of the predictions.
    n_landmarks : int
    """

    predictions: FloatArray
    width: float
    ridge: float
    error: float
    n_landmarks: int


def standardised(rows: FloatArray) -> FloatArray:
    """Bring every column to mean 0 and standard deviation 1; a constant column becomes 0."""
    spread = rows.std(axis=0)
    return np.asarray((rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def softened(rows: FloatArray) -> FloatArray:
    """Standardise columns, and draw in long tails: ``sign(z) log(1 + |z|)``, standardised once more.

    Of tables with counts, prices or concentrations a few rows would else be all that distances are about.
    """
    z = standardised(rows)
    return standardised(np.sign(z) * np.log1p(np.abs(z)))


def laplace_kernel(left: FloatArray, right: FloatArray, scale: float) -> FloatArray:
    """Return ``exp(-|x - z| / scale)``, shape ``(n, m)``, with Euclidean distances."""
    return np.asarray(np.exp(_distances(left, right) / -scale))


def kernel_held_out(
    rows: FloatArray,
    targets: FloatArray,
    *,
    landmarks: int | None = None,
    widths: Sequence[float] = WIDTHS,
    ridges: Sequence[float] = RIDGES,
    seed: int = 0,
) -> HeldOut:
    """Return leave-one-out predictions by the width and the ridge that predict the targets best.

    Parameters
    ----------
    rows : ndarray, shape (N, d)
        What distances are taken of.
    targets : ndarray, shape (N, C)
        Their means are taken off, and put back.
    landmarks : int, optional
        N or more: exact. By default exact up to 2,000 samples, 1,000 landmarks beyond, 300 from 20,000 on.
    widths, ridges : sequence of float
        What to choose from: multiples of the median distance, tried on at most 600 samples, and lambdas.
    seed : int
        Draws landmarks and the samples that widths are tried on.
    """
    n = len(rows)
    order = np.random.default_rng(seed).permutation(n)
    few = np.sort(order[:_FEW])
    means = targets.mean(axis=0)
    centred = targets - means
    median = _median_distance(rows[few])
    tried = [_exact(rows[few], centred[few], width * median, ridges) for width in widths]
    width = widths[int(np.argmin([each.error for each in tried]))]
    n_landmarks = _default_landmarks(n) if landmarks is None else min(n, landmarks)
    if n_landmarks == n == len(few):
        found = tried[widths.index(width)]
    elif n_landmarks == n:
        found = _exact(rows, centred, width * median, ridges)
    else:
        found = _by_landmarks(rows, centred, np.sort(order[:n_landmarks]), width * median, ridges)
    return HeldOut(found.predictions + means, width, found.ridge, found.error, n_landmarks)


def _default_landmarks(n: int) -> int:
    return n if n <= _EXACT else _LANDMARKS if n < _MANY else _LANDMARKS_OF_MANY


@dataclass(frozen=True)
class _Found:
    predictions: FloatArray
    ridge: float
    error: float


def _exact(rows: FloatArray, targets: FloatArray, scale: float, ridges: Sequence[float]) -> _Found:
    eigenvalues, vectors = np.linalg.eigh(laplace_kernel(rows, rows, scale))
    turned, squares = vectors.T @ targets, vectors**2

    def residuals(ridge: float) -> FloatArray:
        inverse = 1.0 / (np.maximum(eigenvalues, 0.0) + ridge)
        return np.asarray((vectors @ (inverse[:, None] * turned)) / (squares @ inverse)[:, None])

    return _best(targets, ridges, residuals)


def _by_landmarks(
    rows: FloatArray,
    targets: FloatArray,
    chosen: NDArray[np.int64],
    scale: float,
    ridges: Sequence[float],
) -> _Found:
    """Regress on the features ``K_nm K_mm^(-1/2)``, a part of the samples at a time, in two passes."""
    marks = rows[chosen]
    own, basis = np.linalg.eigh(laplace_kernel(marks, marks, scale))
    kept = own > _JITTER * own[-1]
    basis = basis[:, kept] / np.sqrt(own[kept])
    gram, moments = np.zeros((len(marks), len(marks))), np.zeros((len(marks), targets.shape[1]))
    for part in _parts(len(rows), len(marks)):
        kernel = laplace_kernel(rows[part], marks, scale)
        gram += kernel.T @ kernel
        moments += kernel.T @ targets[part]
    eigenvalues, vectors = np.linalg.eigh(basis.T @ gram @ basis)
    turn = basis @ vectors
    inverses = 1.0 / (np.maximum(eigenvalues, 0.0)[:, None] + np.asarray(ridges))  # (m, ridges)
    turned = turn.T @ moments
    predictions = np.empty((len(ridges), *targets.shape))
    leverage = np.empty((len(rows), len(ridges)))
    for part in _parts(len(rows), len(marks)):
        features = laplace_kernel(rows[part], marks, scale) @ turn
        leverage[part] = features**2 @ inverses
        for k in range(len(ridges)):
            predictions[k, part] = features @ (inverses[:, k, None] * turned)

    def residuals(ridge: float) -> FloatArray:
        k = ridges.index(ridge)
        return np.asarray((targets - predictions[k]) / np.maximum(1.0 - leverage[:, k], 1e-12)[:, None])

    return _best(targets, ridges, residuals)


def _best(targets: FloatArray, ridges: Sequence[float], residuals: Callable[[float], FloatArray]) -> _Found:
    """Return the predictions under the ridge whose leave-one-out error is least."""
    errors = [float((residuals(ridge) ** 2).mean()) for ridge in ridges]
    best = int(np.argmin(errors))
    return _Found(targets - residuals(ridges[best]), ridges[best], errors[best])


def _parts(n: int, width: int) -> Iterator[slice]:
    size = max(1, _CHUNK // width)
    for start in range(0, n, size):
        yield slice(start, min(n, start + size))


def _distances(left: FloatArray, right: FloatArray) -> FloatArray:
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2.0 * (left @ right.T)
    if left is right:
        np.fill_diagonal(squares, 0.0)
    return np.asarray(np.sqrt(np.maximum(squares, 0.0, out=squares), out=squares))


def _median_distance(rows: FloatArray) -> float:
    distances = _distances(rows, rows)[np.triu_indices(len(rows), 1)]
    positive = distances[distances > 0]
    return float(np.median(positive)) if len(positive) else 1.0
