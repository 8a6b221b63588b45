"""What comparing methods gave: values, metrics, time and memory, as a table and on disk."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import numpy.typing as npt

from dataval.checks import described, some_folder
from dataval.evaluation.outcomes import MethodResult, Outcome, Record
from dataval.evaluation.tables import aligned, as_csv, as_html, as_latex, as_markdown
from dataval.files.folder import Layout, check_target, read_folder, write_folder
from dataval.files.npz import read_npz, write_npz
from dataval.metrics.context import attainable
from dataval.metrics.stability import ValueDistribution, value_distribution

__all__ = ["Comparison", "MethodResult", "Outcome", "check_folder"]

FloatArray = npt.NDArray[np.float64]

_LAYOUT = Layout(
    what="comparison",
    manifest="comparison.json",
    entries=frozenset({"format", "seeds", "methods", "problems"}),
    suffixes={"values": ".npz"},
    former={"values": "values.npz"},
    shared=True,
)
_RANDOM = "random order"
_OUTCOMES = "outcomes of other seeds"


class _Record(Record):
    seeds: tuple[int, ...]
    methods: tuple[MethodResult, ...]
    problems: tuple[str, ...]


_NOISE = {
    "AUROC": "auroc",
    "average precision": "average_precision",
    "F1 at noise rate": "f1_at_noise_rate",
    "F1 two-means": "f1_two_means",
    "area under recall": "area_under_recall",
}
_AGREEMENT = {
    "LOO Pearson": "pearson",
    "LOO Spearman": "spearman",
    "LOO same sign": "same_sign",
    "LOO relative error": "mean_relative_error",
}
_ACROSS = {"LDS other seed": "fidelity_other_seeds", "LDS averaged": "fidelity_averaged"}
_STABILITY = {"seeds Spearman": "spearman", "seeds overlap": "overlap"}
_FORMATS = {
    **dict.fromkeys([*_NOISE, "LDS", *_ACROSS, *_AGREEMENT], ".3f"),
    "LOO relative error": ".3g",
    "seconds": ".3g",
    "peak MiB": ".0f",
    **dict.fromkeys(_STABILITY, ".3f"),
}


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several methods side by side. Made by `dataval.compare`; ``print`` it for a table.

    Attributes
    ----------
    seeds : tuple of int
        The training seeds.
    methods : tuple of MethodResult
        What each method gave, in the order it was passed in.
    values : dict of str to ndarray of float64, shape (n_seeds, N)
        The values of each method; NaN for seeds that failed.
    problems : tuple of str
        What else went wrong, such as a ground truth that couldn't be retrained.
    """

    seeds: tuple[int, ...]
    methods: tuple[MethodResult, ...]
    values: dict[str, FloatArray]
    problems: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> MethodResult:
        for method in self.methods:
            if method.name == name:
                return method
        raise KeyError(f"{name!r} is not one of {[method.name for method in self.methods]}")

    def rows(self) -> list[dict[str, Any]]:
        """Return one dict a method: its name, the mean of every metric over the seeds, and their spread.

        The standard deviation over several seeds is under the metric's name followed by "sd". The row "random
        order" holds what a random order gets in expectation, "outcomes of other seeds" how well
        what happened to another seed predicts, and, as "LDS averaged", about the most that any values can.
        """
        rows = [self._row(method) for method in self.methods]
        return [*rows, *self._outcomes_row(), *self._random_row()]

    def metrics(self) -> list[str]:
        """Return the names of the metrics that at least one method has, as in `table`."""
        rows = self.rows()
        return [name for name in _FORMATS if any(row.get(name) is not None for row in rows)]

    def numbers(self, method: str, metric: str) -> list[float]:
        """Return a metric of a method for every seed that has it; for stability across seeds the one number."""
        result = self[method]
        if metric in _STABILITY:
            return [] if result.stability is None else [getattr(result.stability, _STABILITY[metric])]
        found = (_metrics(outcome).get(metric) for outcome in result.outcomes)
        return [number for number in found if number is not None]

    def distribution(self, method: str, quantiles: Sequence[float] = (0.05, 0.5, 0.95)) -> ValueDistribution:
        """Return how a method's values are spread over the seeds that have any; see `value_distribution`."""
        rows = self.values[self[method].name]
        return value_distribution(rows[~np.isnan(rows).all(axis=1)], quantiles=quantiles)

    def table(self) -> Any:
        """Return `rows` as a pandas DataFrame, or as aligned text where pandas is not installed.

        Columns that hold nothing are left out.
        """
        if importlib.util.find_spec("pandas") is None:
            return str(self)
        import pandas as pd

        rows = self.rows()
        used = [name for name, known in _known(rows).items() if known]
        return pd.DataFrame(rows)[used].set_index("method")

    def to_markdown(self) -> str:
        """Return the table that is printed, mean ± standard deviation over the seeds, in Markdown."""
        return as_markdown(self._lines())

    def to_latex(self) -> str:
        r"""Return the same as a ``tabular`` in LaTeX; it needs ``\usepackage{booktabs}``."""
        return as_latex(self._lines())

    def to_csv(self) -> str:
        """Return `rows` as comma-separated values, unrounded, without columns that hold nothing."""
        rows = self.rows()
        used = [name for name, known in _known(rows).items() if known]
        cells = [["" if row.get(name) is None else str(row[name]) for name in used] for row in rows]
        return as_csv([used, *cells])

    def __str__(self) -> str:
        notes = [f"{method.name} failed: {error}" for method in self.methods for error in method.errors]
        return "\n".join([aligned(self._lines()), *notes, *self.problems])

    def __repr__(self) -> str:
        names = described([method.name for method in self.methods])
        return f"Comparison(methods={names}, seeds={list(self.seeds)})"

    def _repr_html_(self) -> str:
        return as_html(self._lines())

    def _lines(self) -> list[list[str]]:
        used = self.metrics()
        return [["", *used], *([row["method"], *(_cell(row, name) for name in used)] for row in self.rows())]

    def save(self, folder: str | Path) -> Path:
        """Write the comparison into a folder: ``comparison.json`` and a file of values, ``.npz``, no pickle.

        At every moment, also of a crash, the folder holds the earlier comparison or this one, complete. Files
        of others in it stay.

        Parameters
        ----------
        folder : path
            Made if needed; an earlier comparison in it is replaced.

        Raises
        ------
        FileExistsError
            If it holds a ``comparison.json`` of another kind.
        ValueError
            If outcomes and values don't belong together.
        """
        record = _Record(seeds=self.seeds, methods=self.methods, problems=self.problems)
        arrays = {
            f"method_{i}": np.asarray(self.values[method.name], dtype=np.float64)
            for i, method in enumerate(self.methods)
        }
        _check(record, arrays)
        write_folder(
            some_folder("folder", folder),
            _LAYOUT,
            json.loads(record.model_dump_json()),
            {"values": partial(write_npz, arrays=arrays)},
            overwrite=True,
        )
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path) -> Comparison:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError
            If the folder holds no comparison.
        DamagedFileError
            If a file is not what was written, or makes no sense. It is a `ValueError`.
        ValueError
            If the comparison's format is of a later version.
        """
        return cls(**read_folder(some_folder("folder", folder), _LAYOUT, _parse))

    def _row(self, method: MethodResult) -> dict[str, Any]:
        row: dict[str, Any] = {"method": method.name}
        metrics = [_metrics(outcome) for outcome in method.outcomes]
        for name in _FORMATS:
            found = [each[name] for each in metrics if name in each]
            if name not in _STABILITY:
                row |= _mean_and_spread(name, found, several=len(self.seeds) > 1)
        if len(self.seeds) > 1:
            row |= {name: getattr(method.stability, read, None) for name, read in _STABILITY.items()}
        row["error"] = "; ".join(method.errors) or None
        return row

    def _outcomes_row(self) -> Iterator[dict[str, Any]]:
        """Yield how well the outcomes of another seed predict those of one, and those of all seeds together."""
        outcomes = [outcome for method in self.methods for outcome in method.outcomes]
        for known in [o.outcome_correlation for o in outcomes if o.outcome_correlation is not None][:1]:
            yield {"method": _OUTCOMES, "LDS other seed": known, "LDS averaged": attainable(known)}

    def _random_row(self) -> Iterator[dict[str, Any]]:
        """Yield what a random order gets, where there is a metric for which that is known."""
        outcomes = [outcome for method in self.methods for outcome in method.outcomes]
        row: dict[str, Any] = {}
        for report in [outcome.noise for outcome in outcomes if outcome.noise][:1]:
            row |= {
                "AUROC": report.auroc.random,
                "average precision": report.average_precision.random,
                "F1 at noise rate": report.f1_at_noise_rate.random,
                "area under recall": report.area_under_recall.random,
            }
        if any(outcome.fidelity for outcome in outcomes):
            row["LDS"] = 0.0
        if any(outcome.fidelity_other_seeds is not None for outcome in outcomes):
            row |= dict.fromkeys(_ACROSS, 0.0)
        if any(outcome.agreement for outcome in outcomes):
            row |= {"LOO Pearson": 0.0, "LOO Spearman": 0.0}
        for stability in [method.stability for method in self.methods if method.stability][:1]:
            row |= {"seeds Spearman": 0.0, "seeds overlap": stability.overlap_random}
        if row:
            yield {"method": _RANDOM, **row}


def check_folder(folder: Path) -> None:
    """Raise the `FileExistsError` that `Comparison.save` would, before anything is compared."""
    check_target(folder, _LAYOUT, overwrite=True)


def _parse(document: dict[str, Any], paths: dict[str, Path]) -> dict[str, Any]:
    """Return the fields of a comparison from its files, or say what makes no sense."""
    record = _Record.model_validate({key: value for key, value in document.items() if key != "format"})
    arrays = read_npz(paths["values"])
    _check(record, arrays)
    values = {method.name: arrays[f"method_{i}"] for i, method in enumerate(record.methods)}
    return {"seeds": record.seeds, "methods": record.methods, "values": values, "problems": record.problems}


def _check(record: _Record, arrays: dict[str, FloatArray]) -> None:
    """Check that record and values belong together."""
    names = [f"method_{i}" for i in range(len(record.methods))]
    if arrays.keys() != set(names):
        raise ValueError(f"its values are {sorted(arrays)}, for {len(names)} methods")
    if len({method.name for method in record.methods}) < len(names):
        raise ValueError("two of its methods have the same name")
    for method, name in zip(record.methods, names, strict=True):
        _check_values(record.seeds, method, arrays[name], arrays[names[0]].shape)


def _check_values(
    seeds: tuple[int, ...], method: MethodResult, values: FloatArray, shape: tuple[int, ...]
) -> None:
    """Check that a method has values for each seed, of some samples at least, and NaN for those that failed."""
    if tuple(outcome.seed for outcome in method.outcomes) != seeds:
        raise ValueError(f"the outcomes of {method.name} are not those of the seeds {seeds}")
    if values.dtype != np.float64 or values.shape != shape or shape[:1] != (len(seeds),) or len(shape) != 2:
        raise ValueError(f"the values of {method.name} are {values.dtype}{values.shape}")
    for outcome, row in zip(method.outcomes, values, strict=True):
        if np.isinf(row).any() or (np.isnan(row).all() and outcome.error is None):
            raise ValueError(f"the values of {method.name} for seed {outcome.seed} are not finite")


def _metrics(outcome: Outcome) -> dict[str, float]:
    """Return all numbers that an outcome holds, by their name in the table."""
    found: dict[str, float] = {}
    if outcome.noise is not None:
        found |= {name: getattr(outcome.noise, read).value for name, read in _NOISE.items()}
    if outcome.fidelity is not None:
        found["LDS"] = outcome.fidelity.score
    found |= {name: value for name, read in _ACROSS.items() if (value := getattr(outcome, read)) is not None}
    if outcome.agreement is not None:
        found |= {name: getattr(outcome.agreement, read) for name, read in _AGREEMENT.items()}
    if outcome.seconds is not None:
        found["seconds"] = outcome.seconds
    if outcome.peak_memory is not None:
        found["peak MiB"] = outcome.peak_memory / 2**20
    return found


def _mean_and_spread(name: str, found: list[float], *, several: bool) -> dict[str, float | None]:
    row: dict[str, float | None] = {name: fmean(found) if found else None}
    if several:
        row[f"{name} sd"] = stdev(found) if len(found) > 1 else None
    return row


def _known(rows: list[dict[str, Any]]) -> dict[str, bool]:
    """Return for each column whether a row has something in it, in the order of the columns."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: any(row.get(name) is not None for row in rows) for name in names}


def _cell(row: dict[str, Any], name: str) -> str:
    value, spread = row.get(name), row.get(f"{name} sd")
    if value is None:
        return "-"
    text = f"{value:{_FORMATS[name]}}"
    return text if spread is None else f"{text} ± {spread:{_FORMATS[name]}}"
