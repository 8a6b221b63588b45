"""What influence functions ask of a Kronecker-factored curvature."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend.arrays import Array
from dataval.backend.layers import LayerGradients
from dataval.curvature.kronecker.estimate import is_covered
from dataval.curvature.kronecker.inverse import Damping, KroneckerInverse
from dataval.curvature.kronecker.spectrum import FloatArray, Spectrum
from dataval.curvature.operator import coupled_decay
from dataval.objectives.training import TrainingSamples
from dataval.training.program import Program

__all__ = ["KroneckerSystem"]

_BLOCK_BYTES = 2**28  # of solutions that are held while the training samples go by


class KroneckerSystem:
    """Answers as `LinearSystem` does, in closed form.

    Parameters
    ----------
    spectra : sequence of Spectrum
        Of all layers.
    program : Program
        Gives the coupled weight decay.
    damping : float, "layer" or dict of str to float
    samples : TrainingSamples
    scale : float
        The factor s of a sample's loss.
    """

    def __init__(
        self,
        spectra: Sequence[Spectrum],
        program: Program,
        damping: Damping,
        samples: TrainingSamples,
        scale: float,
    ) -> None:
        self._inverse = KroneckerInverse(spectra, program.backend.arrays, coupled_decay(program), damping)
        self._arrays, self._samples, self._scale = program.backend.arrays, samples, scale
        self._spectra = spectra
        self.problems = set(_problems(self._inverse.singular))

    def values(self, parts: Sequence[Array]) -> FloatArray:
        r"""Return :math:`s\,v^\top A^{-1}\nabla\ell_j` for vectors in parts ``(k, P)`` and all samples.

        For few of them: gradients of single validation samples go by `answers`.
        """
        solutions = [self._samples.numpy(self._inverse.apply(part)) for part in parts]
        return self._scale * self._samples.slopes(np.concatenate(solutions))

    def query(self, blocks: Sequence[LayerGradients]) -> list[Array]:
        """Return what `answers` needs of k gradients."""
        return self._inverse.queries(blocks)

    def answers(self, queries: Sequence[list[Array]]) -> FloatArray:
        r"""Return :math:`s\,g_k^\top A^{-1}\nabla\ell_j` for queries in parts of some and all samples.

        One pass over the training samples, whatever the number of queries.
        """
        return self._scale * self._samples.by_layer(partial(self._inverse.products, queries))

    def own(self) -> tuple[FloatArray, FloatArray]:
        r"""Return :math:`\nabla\ell_j^\top A^{-1}\nabla\ell_j` and :math:`\lVert A^{-1}\nabla\ell_j\rVert`.

        NaN for samples of weight 0 without a finite gradient.
        """
        energies, norms = self._samples.by_layer(self._inverse.own)
        return energies, norms

    def blocks(self, n: int) -> Iterator[NDArray[np.int64]]:
        """Split n right-hand sides so that their solutions stay within a memory budget."""
        itemsize = np.dtype(self._arrays.dtype).itemsize
        size = max(1, _BLOCK_BYTES // (itemsize * self._samples.n_parameters))
        for start in range(0, n, size):
            yield np.arange(start, min(n, start + size))

    def diagnostics(self) -> dict[str, Any]:
        """Return the layers by how they are handled, and their dampings."""
        return {
            "covered": [each.name for each in self._spectra if is_covered(each)],
            "uncovered": [each.name for each in self._spectra if not is_covered(each)],
            "damping": dict(self._inverse.dampings),
            "converged": not self.problems,
        }


def _problems(singular: Sequence[str]) -> Iterator[str]:
    if singular:
        yield (
            f"the curvature of the layer {singular[0]!r}"
            + (f" (and {len(singular) - 1} more)" if len(singular) > 1 else "")
            + " is singular: directions without curvature are left out; use a positive damping"
        )
