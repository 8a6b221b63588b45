"""What comparing methods gave: values, metrics, time and memory, as a table and on disk."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from dataval.metrics.agreement import LeaveOneOutAgreement
from dataval.metrics.fidelity import LinearDatamodelingScore
from dataval.metrics.noise_detection import NoiseDetectionReport
from dataval.metrics.stability import RankStability

__all__ = ["Comparison", "MethodResult", "Outcome"]

FloatArray = npt.NDArray[np.float64]

_RECORD, _VALUES = "comparison.json", "values.npz"
_RANDOM = "random order"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Outcome(_Frozen):
    """What one method gave for one seed.

    Attributes
    ----------
    seed : int
    error : str or None
        Why there are no values.
    seconds : float or None
        Time to value all samples, given the trained run; None for values that were passed in.
    training_seconds : float or None
        Time to train the run, which all methods of the same learner share; None where none was trained.
    peak_memory : int or None
        Bytes by which resident memory rose meanwhile; None where it can't be known.
    noise : NoiseDetectionReport or None
    fidelity : LinearDatamodelingScore or None
    agreement : LeaveOneOutAgreement or None
        What the values were judged by; None where there was nothing to judge them by, or no values.
    """

    seed: int
    error: str | None = None
    seconds: float | None = None
    training_seconds: float | None = None
    peak_memory: int | None = None
    noise: NoiseDetectionReport | None = None
    fidelity: LinearDatamodelingScore | None = None
    agreement: LeaveOneOutAgreement | None = None


class MethodResult(_Frozen):
    """What one method gave.

    Attributes
    ----------
    name : str
    outcomes : tuple of Outcome
        One a seed.
    stability : RankStability or None
        How far the seeds agree; None for fewer than two.
    """

    name: str
    outcomes: tuple[Outcome, ...]
    stability: RankStability | None = None

    @property
    def errors(self) -> tuple[str, ...]:
        """The errors of all seeds, each once."""
        return tuple(dict.fromkeys(outcome.error for outcome in self.outcomes if outcome.error))


class _Record(_Frozen):
    format: int = 1
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
_STABILITY = {"seeds Spearman": "spearman", "seeds overlap": "overlap"}
_FORMATS = {
    **dict.fromkeys([*_NOISE, "LDS", *_AGREEMENT], ".3f"),
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
        order" holds what a random order gets in expectation.
        """
        rows = [self._row(method) for method in self.methods]
        return [*rows, *self._random_row()]

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

    def table(self) -> Any:
        """Return `rows` as a pandas DataFrame, or as aligned text where pandas is not installed."""
        if importlib.util.find_spec("pandas") is None:
            return str(self)
        import pandas as pd

        return pd.DataFrame(self.rows()).set_index("method")

    def __str__(self) -> str:
        rows, used = self.rows(), self.metrics()
        lines = [["", *used], *([row["method"], *(_cell(row, name) for name in used)] for row in rows)]
        notes = [f"{method.name} failed: {error}" for method in self.methods for error in method.errors]
        return "\n".join([*_aligned(lines), *notes, *self.problems])

    def save(self, folder: str | Path) -> Path:
        """Write the comparison into a folder: ``comparison.json`` and ``values.npz``, no pickle.

        Parameters
        ----------
        folder : path
            Made if needed; an earlier comparison in it is replaced.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        record = _Record(seeds=self.seeds, methods=self.methods, problems=self.problems)
        arrays = {f"method_{i}": self.values[method.name] for i, method in enumerate(self.methods)}
        with (folder / _VALUES).open("wb") as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
        (folder / _RECORD).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Comparison:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError
            If the folder holds no comparison.
        ValueError
            If it is damaged.
        """
        folder = Path(folder)
        try:
            record = _Record.model_validate_json((folder / _RECORD).read_text(encoding="utf-8"))
            with np.load(folder / _VALUES, allow_pickle=False) as arrays:
                values = {method.name: arrays[f"method_{i}"] for i, method in enumerate(record.methods)}
        except (ValidationError, KeyError, ValueError, EOFError) as error:
            raise ValueError(f"the comparison in {folder} is damaged: {error}") from error
        return cls(record.seeds, record.methods, values, record.problems)

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
        if any(outcome.agreement for outcome in outcomes):
            row |= {"LOO Pearson": 0.0, "LOO Spearman": 0.0}
        for stability in [method.stability for method in self.methods if method.stability][:1]:
            row |= {"seeds Spearman": 0.0, "seeds overlap": stability.overlap_random}
        if row:
            yield {"method": _RANDOM, **row}


def _metrics(outcome: Outcome) -> dict[str, float]:
    """Return all numbers that an outcome holds, by their name in the table."""
    found: dict[str, float] = {}
    if outcome.noise is not None:
        found |= {name: getattr(outcome.noise, read).value for name, read in _NOISE.items()}
    if outcome.fidelity is not None:
        found["LDS"] = outcome.fidelity.score
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


def _cell(row: dict[str, Any], name: str) -> str:
    value, spread = row.get(name), row.get(f"{name} sd")
    if value is None:
        return "-"
    text = f"{value:{_FORMATS[name]}}"
    return text if spread is None else f"{text} ± {spread:{_FORMATS[name]}}"


def _aligned(lines: list[list[str]]) -> list[str]:
    """Lay cells out in columns: the first to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    ]
