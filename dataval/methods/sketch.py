r"""The forward form of HyDRA under a projection: what questions that come later are answered from.

:math:`\mathrm d\theta_T/\mathrm dw_j` is a vector of P numbers a sample. Its inner products with k probes
:math:`r_i` are found by pulling the probes back through the run, as the gradients of k questions, and a later
question :math:`F` is a combination of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from dataval.backend import Array, Arrays
from dataval.backend.layers import gradient_of, inner_products
from dataval.checks import described, one_of, whole_number
from dataval.curvature.projections import random_signs
from dataval.errors import InvalidDataError
from dataval.objectives.sample_gradients import ObjectiveGradients
from dataval.training.program import Program, State

__all__ = ["ProbeKind", "Probes", "Sketch", "check_directions", "check_projection", "make_probes"]

FloatArray = NDArray[np.float64]
ProbeKind = Literal["random", "gradients"]

_ROWS = 64  # directions that are made at a time
_TINY = 1e-10  # eigenvalue, relative to the largest, of what is rounding


@dataclass(frozen=True)
class Probes:
    """Directions at the end of a run, in parameters and buffers.

    Attributes
    ----------
    shape : (int, int)
        k and P + S.
    dtype : str
        The model's.
    basis : ndarray, shape (k, P + S), or None
        An orthonormal basis; None for independent signs, which are made when they are needed.
    seed : int
        Of the signs.
    """

    shape: tuple[int, int]
    dtype: str
    basis: NDArray[Any] | None = None
    seed: int = 0

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return some of the directions."""
        if self.basis is not None:
            return self.basis[start:stop]
        signs = [random_signs(self.seed, number, (1, self.shape[1])) for number in range(start, stop)]
        return np.concatenate(signs).astype(self.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def cotangents(self, program: Program, indices: NDArray[np.int64]) -> tuple[Array, Array]:
        """Return some of the directions as gradients ``(n, P)`` and ``(n, S)`` of an objective."""
        rows, n = self.rows(int(indices[0]), int(indices[-1]) + 1), program.backend.signature.n_parameters
        to_array = program.backend.arrays.from_numpy
        return to_array(rows[:, :n]), to_array(rows[:, n:])

    def coordinates(self, gradients: FloatArray) -> FloatArray:
        """Return the inner products of gradients ``(m, P + S)`` with the directions, ``(m, k)``."""
        starts = range(0, self.shape[0], _ROWS)
        parts = [self.rows(start, min(self.shape[0], start + _ROWS)).astype(np.float64) for start in starts]
        return np.concatenate([gradients @ part.T for part in parts], axis=1)


@dataclass(frozen=True)
class Sketch:
    """Probes, and the values of the training samples for each of them.

    Attributes
    ----------
    probes : Probes
    values : ndarray of float64, shape (k, N)
    diagnostics : dict
        What the sweeps of the probes noticed.
    """

    probes: Probes
    values: FloatArray
    diagnostics: dict[str, Any]

    def answer(
        self, arrays: Arrays, gradients: Iterable[tuple[Array, Array]]
    ) -> tuple[FloatArray, dict[str, Any]]:
        """Return the values ``(m, N)`` for gradients in parameters and buffers, some at a time.

        Returns
        -------
        ndarray of float64, shape (m, N)
        dict
            The diagnostics of the probes; with ``"standard_error"`` of random ones, of the values' shape, or
            ``"captured"`` of a basis, the share of each gradient's squared norm that lies in its span.
        """
        name = "standard_error" if self.probes.basis is None else "captured"
        parts = [
            self._answered(np.concatenate([np.atleast_2d(_numpy(arrays, part)) for part in both], axis=1))
            for both in gradients
        ]
        error = np.concatenate([error for _, error in parts])
        return np.concatenate([values for values, _ in parts]), self.diagnostics | {name: error}

    def _answered(self, gradients: FloatArray) -> tuple[FloatArray, FloatArray]:
        coordinates = self.probes.coordinates(gradients)
        found, k = coordinates @ self.values, len(self.values)
        if self.probes.basis is not None:
            squares = (gradients**2).sum(axis=1)
            return found, (coordinates**2).sum(axis=1) / np.where(squares == 0, 1.0, squares)
        mean = found / k
        if k == 1:
            return mean, np.full(mean.shape, np.nan)
        variance = np.maximum(coordinates**2 @ self.values**2 / k - mean**2, 0) / (k - 1)
        return mean, np.sqrt(variance)


def check_projection(projection: Any, probes: Any) -> None:
    """Raise if these say no directions; their shape is checked once the model is known."""
    one_of("probes", probes, ("random", "gradients"))
    if projection is None:
        return
    if not isinstance(projection, np.ndarray):
        if not isinstance(projection, int | np.integer):
            raise TypeError(
                "projection must be a number of probes from 1, or an array of directions (k, P); got "
                f"{described(projection)}"
            )
        whole_number("projection", projection, minimum=1)


def check_directions(directions: NDArray[Any], n_parameters: int) -> None:
    """Raise `ValueError` if an array holds no directions in the parameters."""
    is_fit = directions.ndim == 2 and directions.shape[1] == n_parameters and len(directions) > 0
    if not is_fit or directions.dtype.kind not in "iuf":
        raise ValueError(
            f"projection must be directions (k, {n_parameters}), one number for every trained parameter; got "
            f"{described(directions)}"
        )
    if not np.isfinite(directions).all() or not directions.any():
        raise ValueError("projection must be finite directions, not all of them 0")


def make_probes(program: Program, state: State, projection: Any, kind: ProbeKind, seed: int) -> Probes:
    """Return the probes that the options ask for.

    Parameters
    ----------
    program : Program
        Has the training samples whose gradients "gradients" are.
    state : State
        The final one.
    projection : int or ndarray, shape (k, P)
        How many; or directions of which the span is taken.
    kind : {"random", "gradients"}
        What a number of them is of.
    seed : int
        Draws signs, or samples.
    """
    signature = program.backend.signature
    n, n_buffers, dtype = signature.n_parameters, signature.n_buffers, signature.dtype
    if isinstance(projection, np.ndarray):
        check_directions(projection, n)
        return _basis(projection.astype(np.float64), n_buffers, dtype)
    if kind == "gradients":
        return _basis(_principal(program, state, int(projection), seed), n_buffers, dtype)
    return Probes((int(projection), n + n_buffers), dtype, seed=seed)


def _basis(directions: FloatArray, n_buffers: int, dtype: str) -> Probes:
    """Return an orthonormal basis of the directions' span; buffers play no part in it."""
    _, sizes, rows = np.linalg.svd(directions, full_matrices=False)
    rows = rows[sizes > _TINY * sizes[0]]
    whole = np.concatenate([rows, np.zeros((len(rows), n_buffers))], axis=1).astype(dtype)
    return Probes(whole.shape, dtype, whole)


def _principal(program: Program, state: State, k: int, seed: int) -> FloatArray:
    """Return the leading k principal directions of training samples' gradients, drawn 4 k of them at most."""
    kept = np.flatnonzero(program.weights)
    chosen = np.sort(np.random.default_rng(seed).permutation(kept)[: 4 * k])
    arrays = program.backend.arrays
    blocks = ObjectiveGradients(program.backend, program.data).at(state, chosen)
    gram = _numpy(arrays, inner_products(arrays, blocks, blocks))
    if not np.isfinite(gram).all():
        raise InvalidDataError(
            "a training sample's gradient at the final state is not finite: choose probes='random'"
        )
    sizes, vectors = eigh(gram)
    largest = np.argsort(sizes)[::-1][:k]
    largest = largest[sizes[largest] > _TINY * sizes.max()]
    weights = vectors[:, largest] / np.sqrt(sizes[largest])
    rows: list[Array] = [gradient_of(arrays, blocks, arrays.from_numpy(column)) for column in weights.T]
    return np.stack([_numpy(arrays, row) for row in rows])


def _numpy(arrays: Arrays, array: Array) -> FloatArray:
    return np.asarray(arrays.to_numpy(array), dtype=np.float64)
