"""Tables as columns of numbers and of texts, and which of their cells are unusual."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.checks import described
from dataval.reports.encoding import Encoded, encoded
from dataval.reports.labels import column

__all__ = ["Column", "Grid", "as_grid"]

FloatArray = NDArray[np.float64]
Groups = list[NDArray[np.int64]]

_OUTLYING = 3.5  # robust standard deviations
_NORMAL_QUARTILES = 1.349  # apart, in standard deviations of a normal distribution
_RARE = 0.02
_FEWEST = 20
_LONGEST = 200
_MOST_GROUPS = 50


@dataclass(frozen=True, eq=False)
class Column:
    """One column: its numbers (NaN where there is none), or its texts."""

    name: str
    numbers: FloatArray | None
    texts: list[str]

    def unusual(self, groups: Groups) -> NDArray[np.bool_]:
        """Return which cells are far from the others of their group, or rare among them."""
        n = len(self.texts) if self.numbers is None else len(self.numbers)
        found = np.zeros(n, dtype=bool)
        for members in groups:
            if len(members) >= _FEWEST:
                found[members] = self._unusual_among(members)
        return found

    def _unusual_among(self, members: NDArray[np.int64]) -> NDArray[np.bool_]:
        if self.numbers is None:
            texts = [self.texts[i] for i in members.tolist()]
            counts = Counter(texts)
            return np.array([counts[text] < _RARE * len(texts) for text in texts]) & (
                len(counts) < len(texts) / 2
            )
        low, middle, high = quartiles(self.numbers[members])
        spread = (high - low) / _NORMAL_QUARTILES
        with np.errstate(invalid="ignore", over="ignore"):
            away = np.abs(self.numbers[members] - middle)
            return np.asarray(away > _OUTLYING * spread) if spread > 0 else np.zeros(len(members), dtype=bool)

    def document(self, rows: NDArray[np.int64], groups: Groups) -> dict[str, Any]:
        """Return what the page holds of it: the cells of some rows, and what is usual in each group."""
        if self.numbers is None:
            texts = [self.texts[i] for i in rows.tolist()]
            different = sorted(set(texts))
            position = {text: i for i, text in enumerate(different)}
            codes = np.array([position[text] for text in texts], dtype=np.int32)
            return {"name": self.name, "texts": [clipped(text) for text in different], "codes": encoded(codes)}
        usual = [
            [_short(each) for each in quartiles(self.numbers[members])] for members in groups[:_MOST_GROUPS]
        ]
        return {"name": self.name, "numbers": _numbers(self.numbers[rows]), "usual": usual}


@dataclass(frozen=True, eq=False)
class Grid:
    """A table of N rows."""

    columns: list[Column]
    n: int

    def document(self, rows: NDArray[np.int64], groups: Groups) -> dict[str, Any]:
        """Return what the page holds of some rows; a group is a class, or all rows."""
        marks = np.stack([column.unusual(groups)[rows] for column in self.columns], axis=1)
        columns = [column.document(rows, groups) for column in self.columns]
        return {"columns": columns, "marks": encoded(np.packbits(marks, axis=1, bitorder="little"))}

    def features(self) -> FloatArray:
        """Return numbers with mean 0 and standard deviation 1, texts by which of the frequent ones they are."""
        blocks = [_standardised(column) for column in self.columns]
        return np.concatenate(blocks, axis=1)


def as_grid(X: Any, feature_names: Any) -> Grid:
    """Take a data frame, a dict of columns, or an array of shape (N, n_features)."""
    if isinstance(X, Mapping) or hasattr(X, "columns"):
        named = {str(name): np.asarray(X[name]) for name in X}
        if feature_names is not None:
            raise ValueError("feature_names are those of the data frame: leave them out")
    else:
        named = _named(np.asarray(X), feature_names)
    columns = [_column(name, cells) for name, cells in named.items()]
    sizes = {len(cells) for cells in named.values()}
    if len(sizes) != 1:
        raise ValueError(f"X must hold columns of one length, got {sorted(sizes)}")
    return Grid(columns, sizes.pop())


def quartiles(numbers: FloatArray) -> tuple[float, float, float]:
    """Return the quartiles of the finite numbers; NaN where there is none."""
    finite = numbers[np.isfinite(numbers)]
    if not len(finite):
        return float("nan"), float("nan"), float("nan")
    low, middle, high = np.quantile(finite, [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)


def clipped(text: str, most: int = _LONGEST) -> str:
    """Return a text, or its beginning."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _named(array: NDArray[Any], feature_names: Any) -> dict[str, NDArray[Any]]:
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise ValueError(f"X must be a table of shape (N, n_features), got {described(array)}")
    if feature_names is None:
        feature_names = [f"feature {i}" for i in range(array.shape[1])]
    names = column("feature_names", feature_names).tolist()
    if len(names) != array.shape[1] or len({str(name) for name in names}) != len(names):
        raise ValueError(f"feature_names must be {array.shape[1]} different names, got {len(names)}")
    return {str(name): array[:, i] for i, name in enumerate(names)}


def _column(name: str, cells: NDArray[Any]) -> Column:
    if cells.ndim == 1 and cells.dtype.kind in "iuf":
        return Column(name, cells.astype(np.float64), [])
    texts = ["" if _is_nothing(each) else str(each) for each in cells.tolist()]
    numbers = _all_numbers(texts)
    return Column(name, None, texts) if numbers is None else Column(name, numbers, [])


def _is_nothing(cell: Any) -> bool:
    """Return whether a cell is None, NaN or one of pandas' missing values, which equal nothing."""
    return cell is None or type(cell).__name__ in ("NAType", "NaTType") or bool(cell != cell)


def _all_numbers(texts: list[str]) -> FloatArray | None:
    """Return texts that all are numbers, or empty, as numbers."""
    try:
        numbers = np.array([float(text) if text.strip() else np.nan for text in texts])
    except ValueError:
        return None
    return None if np.isnan(numbers).all() else numbers


def _numbers(numbers: FloatArray) -> Encoded:
    """Return numbers in half the size where that loses nothing."""
    with np.errstate(over="ignore"):
        short = numbers.astype(np.float32)
        is_whole = numbers == np.round(numbers)
        is_close = np.isclose(short, numbers, rtol=1e-7, atol=0.0, equal_nan=True)
    return encoded(short if np.where(is_whole, short == numbers, is_close).all() else numbers)


def _standardised(column: Column) -> FloatArray:
    if column.numbers is None:
        frequent = [text for text, _ in Counter(column.texts).most_common(_FEWEST)]
        return np.array([[float(text == each) for each in frequent] for text in column.texts])
    _, middle, _ = quartiles(column.numbers)
    filled = np.where(np.isfinite(column.numbers), column.numbers, np.nan_to_num(middle))
    spread = filled.std() or 1.0
    return np.asarray((filled - filled.mean()) / spread)[:, None]


def _short(number: float) -> float | None:
    return float(f"{number:.6g}") if np.isfinite(number) else None
