"""Keeping the factors of a curvature: found once for a state, saved, loaded, and refused where stale."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Self

from sklearn.utils.validation import check_is_fitted

from dataval.backend.registry import framework_settings
from dataval.checks import flag, some_folder
from dataval.curvature.kronecker.estimate import find_spectra, is_covered
from dataval.curvature.kronecker.fisher import FisherGradients
from dataval.curvature.kronecker.options import Kronecker, as_curvature
from dataval.curvature.kronecker.storage import KroneckerFactors, origin_of
from dataval.errors import CurvatureWarning
from dataval.memory_plan import Need
from dataval.methods.of_states import States, StateValuator
from dataval.progress import progress_bar
from dataval.training.replay import Replay

__all__ = ["FactoredValuator"]


_BYTES_EACH = 16  # in double precision, and a copy where the framework computes


class FactoredValuator(StateValuator):
    """Base of the methods whose curvature may have factors."""

    curvature: Any
    chunk_size: int | None

    _factor_entries: int = 0
    """How many numbers the factors are, where `fit` has looked at the layers."""

    _kept: tuple[States, KroneckerFactors] | None = None

    @framework_settings()
    def save_factors(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Keep the factors of ``curvature="kfac"`` or ``"ekfac"`` in a folder: JSON and safetensors, no pickle.

        They are found first, where nothing has asked for them yet. They don't depend on the damping.

        Parameters
        ----------
        folder : path
            Made if needed.
        overwrite : bool, default False
            Replace factors that were saved there.

        Returns
        -------
        Path

        Raises
        ------
        ValueError
            If the curvature has no factors.
        FileExistsError
            If the folder holds factors and `overwrite` is False, or something else.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        check_is_fitted(self, "run_")
        where, replace = some_folder("folder", folder), flag("overwrite", overwrite)
        factors = self._factors_at(self._replay, self._kronecker())
        factors.save(where, overwrite=replace)
        return where

    @framework_settings()
    def load_factors(self, folder: str | Path) -> Self:
        """Take factors that `save_factors` kept, instead of finding them again.

        Parameters
        ----------
        folder : path
            Where they were saved.

        Returns
        -------
        self

        Raises
        ------
        RunMismatchError
            If they were found with other options, or from another model, state, loss, data or weights.
        DamagedFileError
            If a file is not what was written.
        FileNotFoundError
            If there are none.
        ValueError
            If the curvature has no factors.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        check_is_fitted(self, "run_")
        options, where = self._kronecker(), some_folder("folder", folder)
        found = KroneckerFactors.load(where)
        found.check(options, origin_of(self._replay.program, self._replay.final, self.run_.loss), where)
        self._kept = self._replay, found
        return self

    def _memory_needs(self, replay: Replay, n_questions: int) -> list[Need]:
        needs = super()._memory_needs(replay, n_questions)
        if not isinstance(as_curvature(self.curvature), Kronecker):
            return needs
        cure = "train and value fewer parameters (Learner(params=...))"
        return [*needs, Need("the factors of the curvature", _BYTES_EACH * self._factor_entries, cure)]

    def _factors_at(self, states: States, options: Kronecker) -> KroneckerFactors:
        """Return the factors at the final parameters, which are found once."""
        if self._kept is not None and self._kept[0] is states and self._kept[1].are_of(options):
            return self._kept[1]
        program = states.program
        gradients = FisherGradients(program, states.final, self.learner.loss, options, self.chunk_size)
        with progress_bar("factors of the curvature", None, self.learner.progress) as bar:
            spectra = find_spectra(gradients, program.backend.arrays, options, bar.update)
        uncovered = [spectrum.name for spectrum in spectra if not is_covered(spectrum)]
        if uncovered:
            warnings.warn(_uncovered_message(uncovered, options), CurvatureWarning, stacklevel=8)
        found = KroneckerFactors(options, origin_of(program, states.final, self.run_.loss), spectra)
        self._kept = states, found
        return found

    def _kronecker(self) -> Kronecker:
        curvature = as_curvature(self.curvature)
        if not isinstance(curvature, Kronecker):
            raise ValueError(
                f"curvature={curvature!r} has no factors to keep: those of 'kfac' and 'ekfac' can be saved"
            )
        return curvature


def _uncovered_message(names: list[str], options: Kronecker) -> str:
    return (
        f"no Kronecker factors are known for {', '.join(map(repr, names))}: the curvature there is as "
        f"uncovered={options.uncovered!r} says"
    )
