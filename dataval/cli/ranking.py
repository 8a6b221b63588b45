"""The rows of a file in the order in which to look at them, with what is thought of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dataval.cli.samples import Samples
from dataval.cli.suspicion import Suspicion
from dataval.cli.table import pandas

__all__ = ["Ranking"]

_RANKED = ["rank", "row", "label", "value", "probability_wrong"]
_CLASS, _NUMBER = ["suggested_label", "confidence"], ["suggested_value"]
_PART_CELLS = 100_000


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
        order = self.order
        columns = [np.arange(1, len(order) + 1), *self._judged(order)]
        own = [_taken(self.samples.columns[name], order, as_text=False) for name in self.samples.columns]
        return pandas("Parquet").DataFrame(dict(zip(self.names(), [*columns, *own], strict=True)))

    def _judged(self, order: npt.NDArray[np.int64]) -> list[Any]:
        found, samples = self.suspicion, self.samples
        judged = [samples.rows[order], np.array(samples.labels, dtype=object)[order], found.values[order]]
        judged.append(found.probability_wrong[order])
        if not samples.classes:
            return [*judged, found.outputs[order]]
        best = found.outputs[order].argmax(axis=1)
        return [*judged, np.array(samples.classes, dtype=object)[best], found.outputs[order, best]]

    def _rows(self, start: int, order: npt.NDArray[np.int64]) -> Iterator[list[object]]:
        rows, labels, values, wrong, *suggested = self._judged(order)
        if self.samples.classes:
            suggested[1] = [f"{each:.4f}" for each in suggested[1]]
        else:
            suggested[0] = [f"{each:.6g}" for each in suggested[0]]
        columns: list[Any] = [
            range(start + 1, start + 1 + len(order)),
            rows.tolist(),
            labels,
            [f"{each:.6g}" for each in values],
            [f"{each:.4f}" for each in wrong],
            *suggested,
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
