"""The inverse of the damped curvature, layer by layer in the eigenvectors' bases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any, Literal

import numpy as np

from dataval.backend.arrays import Array, Arrays
from dataval.backend.layers import LayerGradients, compact, rows_of
from dataval.checks import described, real_number
from dataval.curvature.kronecker.spectrum import FloatArray, Spectrum
from dataval.curvature.kronecker.turned import energies_of

__all__ = ["Damping", "KroneckerInverse", "check_damping", "check_layer_damping", "check_layer_names"]

Damping = float | Literal["layer"] | Mapping[str, float]

_SHARE = 0.1  # of the mean eigenvalue of a layer, as Grosse et al. (2023) damp
_SINGULAR = 1e-12  # of the largest eigenvalue: below it there is no direction to divide by


def check_damping(damping: Any) -> float:
    """Return a damping that is the same for all parameters.

    Raises
    ------
    TypeError, ValueError
    """
    if isinstance(damping, str | Mapping):
        raise TypeError(
            f"damping must be a number from 0, got {described(damping)}: by layer it can be with "
            "curvature='kfac' or 'ekfac' alone"
        )
    return real_number("damping", damping, minimum=0)


def check_layer_damping(damping: Any) -> None:
    """Raise `TypeError` or `ValueError` if this is no damping of layers."""
    if isinstance(damping, Mapping):
        for name, value in damping.items():
            real_number(f"damping[{name!r}]", value, minimum=0)
    elif isinstance(damping, str):
        if damping != "layer":
            raise ValueError(f"damping must be a number from 0, 'layer', or numbers by layer, got {damping!r}")
    else:
        real_number("damping", damping, minimum=0)


def check_layer_names(damping: Any, names: Sequence[str]) -> None:
    """Raise `ValueError` if dampings by layer don't name each of the model's layers."""
    if not isinstance(damping, Mapping):
        return
    unknown, missing = [n for n in damping if n not in names], [n for n in names if n not in damping]
    if unknown or missing:
        wrong = f"there is no layer {unknown[0]!r}" if unknown else f"the layer {missing[0]!r} has none"
        raise ValueError(f"damping by layer must name every layer, but {wrong}: they are {', '.join(names)}")


def _damping_of(damping: Damping, spectrum: Spectrum) -> float:
    """Return the damping of a layer."""
    if isinstance(damping, Mapping):
        return float(damping[spectrum.name])
    if damping == "layer":
        return _SHARE * float(spectrum.eigenvalues.mean())
    return float(damping)


class KroneckerInverse:
    r"""Applies :math:`(C + D + \delta I)^{-1}` to vectors, with C known by the spectra of its layers.

    D, the run's coupled weight decay, is taken with its diagonal in each layer's basis, which is all of it
    where the layer's parameters decay alike.

    Parameters
    ----------
    spectra : sequence of Spectrum
    arrays : Arrays
    decay : float or ndarray of float64, shape (P,)
    damping : float, "layer" or dict of str to float
    """

    def __init__(
        self, spectra: Sequence[Spectrum], arrays: Arrays, decay: float | FloatArray, damping: Damping
    ) -> None:
        size = sum(size for spectrum in spectra for _, size in spectrum.spans)
        diagonal = np.broadcast_to(np.asarray(decay, dtype=np.float64), (size,))
        self.dampings = {spectrum.name: _damping_of(damping, spectrum) for spectrum in spectra}
        self.singular: list[str] = []
        self._arrays = arrays
        self._layers = []
        for spectrum in spectra:
            shift = spectrum.of_diagonal(diagonal) + self.dampings[spectrum.name]
            factors = self._reciprocal(spectrum.name, spectrum.eigenvalues + shift)
            self._layers.append((spectrum.placed(arrays), factors, arrays.from_numpy(factors)))

    def apply(self, vectors: Array) -> Array:
        """Return the inverse times vectors ``(K, P)``."""
        pieces = []
        for spectrum, _, factors in self._layers:
            coordinates = spectrum.into(self._arrays, vectors) * factors
            pieces += spectrum.out_of(self._arrays, coordinates)
        return self._arrays.concatenate([part for _, part in sorted(pieces, key=lambda piece: piece[0])])

    def queries(self, blocks: Sequence[LayerGradients]) -> list[Array]:
        """Return the inverse times k gradients, layer by layer ``(k, size)`` in the eigenvectors' bases."""
        found = []
        for (_, _, factors), block in zip(self._layers, self._turned(blocks), strict=True):
            ((_, rows),) = block.pieces(self._arrays)
            found.append(rows * self._arrays.reshape(factors, (-1,)))
        return found

    def products(self, queries: Sequence[list[Array]], blocks: Sequence[LayerGradients]) -> FloatArray:
        """Return the inner products ``(K, n)`` of queries, in parts of some, with n gradients."""
        turned, found = compact(self._arrays, self._turned(blocks)), []
        for part in queries:
            slopes = (block.slopes(self._arrays, query) for block, query in zip(turned, part, strict=True))
            found.append(self._double(reduce(add, slopes)))
        return np.concatenate(found)

    def own(self, blocks: Sequence[LayerGradients]) -> FloatArray:
        r"""Return :math:`g_j^\top A^{-1}g_j` and :math:`\lVert A^{-1}g_j\rVert` of n gradients, ``(2, n)``."""
        found = np.zeros((2, len(blocks[0])))
        for (_, factors, _), block in zip(self._layers, self._turned(blocks), strict=True):
            for row, table in enumerate((factors, factors**2)):
                placed = self._arrays.from_numpy(table.reshape(-1))
                found[row] += self._double(energies_of(self._arrays, block, placed))
        return np.stack([found[0], np.sqrt(found[1])])

    def _turned(self, blocks: Sequence[LayerGradients]) -> list[LayerGradients]:
        """Return the gradients of each layer in the basis of its eigenvectors.

        They are turned as rows where an objective has other layers than the loss, as it doesn't depend on some.
        """
        spectra, by_spans = [spectrum for spectrum, _, _ in self._layers], {b.spans: b for b in blocks}
        if all(each.spans in by_spans and each.fits(by_spans[each.spans]) for each in spectra):
            return [each.turned(self._arrays, by_spans[each.spans]) for each in spectra]
        rows = rows_of(self._arrays, blocks)
        return [each.turned_rows(self._arrays, rows) for each in spectra]

    def _double(self, array: Array) -> FloatArray:
        return np.asarray(self._arrays.to_numpy(array), dtype=np.float64)

    def _reciprocal(self, name: str, values: FloatArray) -> FloatArray:
        """Divide 1 by eigenvalues, but for those that are 0: their directions are left out."""
        is_zero = values <= _SINGULAR * values.max(initial=0.0)
        if is_zero.any():
            self.singular.append(name)
        return np.where(is_zero, 0.0, 1.0 / np.where(is_zero, 1.0, values))
