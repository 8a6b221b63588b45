"""Least squares over random coalitions, with errors that hold whatever was left out of the model."""

from __future__ import annotations

import numpy as np

from dataval.methods.shapley.game import FloatArray

__all__ = ["least_squares"]

_RANK = 1e-10


def least_squares(design: FloatArray, targets: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return coefficients ``(P, C)`` and their standard errors of designs ``(M, P)`` and targets ``(M, C)``.

    The errors are those of MacKinnon & White (1985), HC3: the design is random, and what it can't explain is no
    noise but the rest of the game, of a size that differs between coalitions.

    Raises
    ------
    ValueError
        If the coalitions can't tell the samples apart.
    """
    orthogonal, triangle = np.linalg.qr(design)
    diagonal = np.abs(np.diag(triangle))
    if len(design) < design.shape[1] or diagonal.min() <= _RANK * diagonal.max():
        raise ValueError(
            f"{len(design)} coalitions can't tell all {design.shape[1]} unknowns apart: raise n_coalitions"
        )
    inverse = np.linalg.solve(triangle, orthogonal.T)
    coefficients = inverse @ targets
    left = np.maximum(1.0 - (orthogonal**2).sum(axis=1), 1e-12)
    residuals = (targets - design @ coefficients) / left[:, None]
    return coefficients, np.sqrt(inverse**2 @ residuals**2)
