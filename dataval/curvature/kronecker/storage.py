"""The factors of a curvature in a folder: ``factors.json`` and a safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.curvature.kronecker.bases import DenseSpectrum, MatrixSpectrum, TableSpectrum
from dataval.curvature.kronecker.options import EKFAC, KFAC, Kronecker
from dataval.curvature.kronecker.spectrum import EntrySpectrum, Spectrum
from dataval.curvature.operator import sample_scale
from dataval.errors import RunMismatchError
from dataval.files.digests import array_digest, digest
from dataval.files.folder import Layout, read_folder, write_folder
from dataval.files.tensors import read_tensors, write_tensors
from dataval.training.program import Program, State

__all__ = ["KroneckerFactors", "origin_of"]

_LAYOUT = Layout(
    what="set of curvature factors",
    manifest="factors.json",
    entries=frozenset({"format", "options", "origin", "layers"}),
    suffixes={"factors": ".safetensors"},
)
_OPTIONS: dict[str, type[Kronecker]] = {"kfac": KFAC, "ekfac": EKFAC}
_KINDS: dict[str, type[Spectrum]] = {
    kind.kind: kind for kind in (MatrixSpectrum, TableSpectrum, EntrySpectrum, DenseSpectrum)
}
_DIFFERENCES = {
    "model": "for another model: names or shapes of its parameters differ",
    "loss": "for another loss",
    "data": "on other training data",
    "weights": "under other sample weights",
    "state": "at other parameters: of another run, or of another moment of it",
}


@dataclass(frozen=True)
class KroneckerFactors:
    """The spectra of all layers, with what they were found from.

    Attributes
    ----------
    options : Kronecker
    origin : dict of str to str
        As `origin_of` gives it.
    spectra : tuple of Spectrum
    """

    options: Kronecker
    origin: dict[str, str]
    spectra: tuple[Spectrum, ...]

    def are_of(self, options: Kronecker) -> bool:
        """Whether these are what some options ask for."""
        return self.options.model_dump() == options.model_dump()

    def check(self, options: Kronecker, origin: Mapping[str, str], where: Path) -> None:
        """Raise `RunMismatchError` if these are not what is asked for, saying what differs."""
        if not self.are_of(options):
            raise RunMismatchError(
                f"the factors in {where} are those of {self.options!r}, but curvature={options!r}: ask for "
                "the same, or find and save them anew"
            )
        for name, difference in _DIFFERENCES.items():
            if self.origin.get(name) != origin[name]:
                raise RunMismatchError(
                    f"the factors in {where} were found {difference}. Find and save them anew"
                )

    def save(self, folder: Path, *, overwrite: bool) -> None:
        """Write them into a folder; see `write_folder`."""
        document = {
            "options": self.options.model_dump(),
            "origin": self.origin,
            "layers": [spectrum.described() for spectrum in self.spectra],
        }
        arrays = {
            f"{i}.{name}": np.asarray(getattr(spectrum, name), dtype=np.float64)
            for i, spectrum in enumerate(self.spectra)
            for name in ("eigenvalues", *spectrum.bases)
        }
        write_folder(
            folder, _LAYOUT, document, {"factors": partial(write_tensors, arrays=arrays)}, overwrite=overwrite
        )

    @classmethod
    def load(cls, folder: Path) -> KroneckerFactors:
        """Read what `save` wrote; see `read_folder`."""
        return read_folder(folder, _LAYOUT, _parse)


def origin_of(program: Program, state: State, loss: str) -> dict[str, str]:
    """Return what tells apart what factors are found from.

    Parameters
    ----------
    program : Program
        Gives model, data and weights.
    state : State
        Where they are found.
    loss : str
        As `TrainingRun.loss` describes it.
    """
    to_numpy = program.backend.arrays.to_numpy
    signature = program.backend.signature
    at = {"parameters": to_numpy(state.parameters), "buffers": to_numpy(state.buffers)}
    return {
        "model": digest(repr((signature.parameters, signature.dtype)).encode()),
        "loss": loss,
        "data": program.data.fingerprint(),
        "weights": array_digest({"weights": program.weights * sample_scale(program)}),
        "state": array_digest(at),
    }


def _parse(document: dict[str, Any], paths: dict[str, Path]) -> KroneckerFactors:
    options = dict(document["options"])
    kind = _OPTIONS[options["name"]]
    given = {name: value for name, value in options.items() if _is_used(name, options)}
    arrays = read_tensors(paths["factors"])
    spectra = tuple(_spectrum(i, dict(layer), arrays) for i, layer in enumerate(document["layers"]))
    return KroneckerFactors(kind(**given), dict(document["origin"]), spectra)


def _is_used(name: str, options: Mapping[str, Any]) -> bool:
    return options["fisher"] == "sampled" or name not in {"n_draws", "seed"}


def _spectrum(number: int, layer: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Spectrum:
    kind = _KINDS[layer.pop("kind")]
    kept = {name: arrays[f"{number}.{name}"] for name in ("eigenvalues", *kind.bases)}
    return kind(**layer | kept)
