"""``dataval detect``: the rows of a file whose labels look wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dataval.cli.choices import DetectMethod
from dataval.cli.console import say
from dataval.cli.samples import Samples, Wanted, read_samples
from dataval.cli.suspicion import Suspicion, suspicion

__all__ = ["Ranking", "run_detect"]

_RANKED = ["rank", "row", "label", "value", "probability_wrong"]
_CLASS, _NUMBER = ["suggested_label", "confidence"], ["suggested_value"]
_EPOCHS = 20
_PART_CELLS = 100_000


def run_detect(
    path: Path,
    wanted: Wanted,
    *,
    method: DetectMethod | None = None,
    model: str | None = None,
    epochs: int | None = None,
    seed: int = 0,
    top: int | None = None,
) -> Ranking:
    """Value every row of a file; say on standard error what it was taken for, left out, filled in or guessed.

    Parameters
    ----------
    path : Path
        See `dataval.cli.samples.read_samples`.
    wanted : Wanted
        What was said about the file.
    method, model, epochs
        As for `dataval.cli.networks`. A table is judged without a network (`dataval.cli.suspicion`) unless one
        of them is given.
    seed : int, default 0
        Draws folds, and what models draw.
    top : int, optional
        Return so many rows only.

    Raises
    ------
    UsageError
        If the file can't be used.
    """
    samples = read_samples(path, wanted)
    if samples.are_images or method or model or epochs:
        found = _by_network(samples, method or "mean-loss", model, epochs or _EPOCHS, seed)
    else:
        _say(samples)
        found = suspicion(samples, seed)
    expected, n = float(found.probability_wrong.sum()), len(samples.labels)
    say(f"note: judged by {found.by}; about {expected:.0f} of {n} labels are expected to be wrong")
    return Ranking(samples, found, np.argsort(found.values, kind="stable")[:top])


def _by_network(samples: Samples, method: DetectMethod, model: str | None, epochs: int, seed: int) -> Suspicion:
    from dataval.cli.networks import make_learner, network_suspicion  # a framework, which takes seconds

    learner = make_learner(samples, model, epochs, seed)
    learner.prepare(samples.X, samples.y)  # so that what doesn't fit ends before anything is said
    _say(samples)
    return network_suspicion(learner, samples, method, seed)


def _say(samples: Samples) -> None:
    say(f"note: {samples.understood}")
    for note in samples.notes:
        say(f"note: {note}")


@dataclass(frozen=True, eq=False)
class Ranking:
    """Rows of a file, the most suspicious first; iterating yields the names of the columns, and then the rows.

    ``rank`` (from 1), ``row`` (of the file, from 0, without the header), ``label``, ``value``,
    ``probability_wrong``, then what models say that have not seen the row: ``suggested_label`` and the
    ``confidence`` in it, or ``suggested_value``; then the row's own columns. One whose name is taken is called
    ``input_`` and that.

    Attributes
    ----------
    samples : Samples
        What was judged.
    suspicion : Suspicion
        What is thought of it.
    order : ndarray of int64
        The samples' numbers, the most suspicious first.
    """

    samples: Samples
    suspicion: Suspicion
    order: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.order) + 1

    def __iter__(self) -> Iterator[list[object]]:
        yield list(self.names())
        step = max(1, _PART_CELLS // len(self.names()))
        for start in range(0, len(self.order), step):
            yield from self._rows(start, self.order[start : start + step])

    def names(self) -> list[str]:
        """Return the names of the columns."""
        names = dict.fromkeys([*_RANKED, *(_CLASS if self.samples.classes else _NUMBER)])
        for name in self.samples.columns:
            while name in names:
                name = f"input_{name}"
            names[name] = None
        return list(names)

    def frame(self) -> Any:
        """Return all as a data frame, numbers as numbers and the row's own columns as they were read."""
        from dataval.cli.table import pandas

        order = self.order
        columns = [np.arange(1, len(order) + 1), *self._judged(order)]
        own = [_taken(self.samples.columns[name], order, as_text=False) for name in self.samples.columns]
        return pandas("Parquet").DataFrame(dict(zip(self.names(), [*columns, *own], strict=True)))

    def _judged(self, order: npt.NDArray[np.int64]) -> list[Any]:
        found, samples = self.suspicion, self.samples
        judged = [
            samples.rows[order],
            [samples.labels[i] for i in order],
            found.values[order],
            found.probability_wrong[order],
        ]
        if found.confidence is None:
            return [*judged, found.suggested[order]]
        return [*judged, [samples.classes[i] for i in found.suggested[order]], found.confidence[order]]

    def _rows(self, start: int, order: npt.NDArray[np.int64]) -> Iterator[list[object]]:
        rows, labels, values, wrong, *suggested = self._judged(order)
        shown = (
            [suggested[0], [f"{each:.4f}" for each in suggested[1]]]
            if suggested[1:]
            else [[f"{each:.6g}" for each in suggested[0]]]
        )
        columns: list[Any] = [
            range(start + 1, start + 1 + len(order)),
            rows.tolist(),
            labels,
            [f"{each:.6g}" for each in values],
            [f"{each:.4f}" for each in wrong],
            *shown,
            *(_taken(self.samples.columns[name], order, as_text=True) for name in self.samples.columns),
        ]
        for row in zip(*columns, strict=True):
            yield list(row)


def _taken(column: Any, order: npt.NDArray[np.int64], *, as_text: bool) -> Any:
    """Return some of a column's cells; as text with nothing for what is missing."""
    if not hasattr(column, "iloc"):
        return [column[i] for i in order.tolist()]
    taken = column.iloc[order]
    if not as_text:
        return taken.to_numpy() if taken.dtype == object else taken.array
    missing = taken.isna().to_numpy()
    if not missing.any():
        return taken.tolist()
    return ["" if is_one else cell for cell, is_one in zip(taken.tolist(), missing.tolist(), strict=True)]
