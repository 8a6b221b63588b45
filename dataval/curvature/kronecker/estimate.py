"""Finding the spectra of all layers: one pass for the factors, and for EK-FAC one for the eigenvalues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dataval.backend.arrays import Arrays
from dataval.backend.layers import LayerGradients, LinearGradients, LookupGradients, PlainGradients
from dataval.curvature.kronecker.factors import check_block, check_sides, factors_of
from dataval.curvature.kronecker.fisher import FisherGradients
from dataval.curvature.kronecker.options import EKFAC, Kronecker
from dataval.curvature.kronecker.spectrum import Spectrum
from dataval.curvature.kronecker.turned import squares_of

__all__ = ["check_layers", "find_spectra", "is_covered"]

Tick = Callable[[int], Any]


def find_spectra(
    gradients: FisherGradients, arrays: Arrays, options: Kronecker, tick: Tick
) -> tuple[Spectrum, ...]:
    """Return the spectra of the layers, in the order in which their gradients come.

    Parameters
    ----------
    gradients : FisherGradients
        The gradients that the curvature is made of.
    arrays : Arrays
        The backend's.
    options : Kronecker
        K-FAC's or EK-FAC's.
    tick : callable
        Called with the number of samples that were handled.

    Raises
    ------
    InvalidDataError
        If a factor is not finite; a sample is named where one is to blame.
    """
    first = gradients.probe()
    factors = [factors_of(block, options.sharing, options.uncovered) for block in first]
    for blocks, weights in gradients:
        for layer, block in zip(factors, blocks, strict=True):
            layer.add(arrays, block, weights)
        tick(len(weights))
    if not all(layer.is_finite() for layer in factors):
        raise gradients.fault()
    spectra = tuple(layer.spectrum() for layer in factors)
    return _corrected(spectra, gradients, arrays, tick) if isinstance(options, EKFAC) else spectra


def check_layers(blocks: Sequence[LayerGradients], options: Kronecker) -> list[str]:
    """Return the layers' names, and raise if one of them can't be handled as the options say."""
    for block in blocks:
        if isinstance(block, LinearGradients):
            check_sides(block)
        elif options.uncovered == "block" and not is_covered(block):
            check_block(block)
    return [block.name for block in blocks]


def is_covered(layer: LayerGradients | Spectrum) -> bool:
    """Whether a layer has a curvature of its own, rather than a rule for what isn't known."""
    if isinstance(layer, Spectrum):
        return layer.kind != "block" and getattr(layer, "rule", "elementwise") == "elementwise"
    is_known = isinstance(layer, LinearGradients | LookupGradients)
    return is_known or (isinstance(layer, PlainGradients) and layer.is_elementwise)


def _corrected(
    spectra: tuple[Spectrum, ...], gradients: FisherGradients, arrays: Arrays, tick: Tick
) -> tuple[Spectrum, ...]:
    """Put the mean squares of the gradients in the place of the products of eigenvalues."""
    chosen = [i for i, spectrum in enumerate(spectra) if spectrum.kind in {"matrix", "table"}]
    placed = {i: spectra[i].placed(arrays) for i in chosen}
    totals = {i: np.zeros_like(spectra[i].eigenvalues) for i in chosen}
    for blocks, weights in gradients:
        each = arrays.from_numpy(weights)
        for i in chosen:
            squares = squares_of(arrays, placed[i].turned(arrays, blocks[i]), each)
            totals[i] += np.reshape(arrays.to_numpy(squares), totals[i].shape)
        tick(len(weights))
    return tuple(
        replace(spectrum, eigenvalues=totals[i]) if i in totals else spectrum
        for i, spectrum in enumerate(spectra)
    )
