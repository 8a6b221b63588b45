"""Which training samples made a model predict what it does: the answer to one question."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataval.data import Samples

__all__ = ["Explanation", "Explanations", "Ranking"]

FloatArray = NDArray[np.float64]
Indices = NDArray[np.int64]

_MOST_QUERIES = 10  # that are written out


@dataclass(frozen=True, repr=False)
class Ranking:
    """The training samples that speak most for an answer (proponents) and most against it (opponents).

    Attributes
    ----------
    values : ndarray of float64, shape (N,)
        Of all training samples; positive ones speak for the answer.
    helpful, harmful : ndarray of int64, shape (at most k,)
        Indices of the samples with the largest positive and the lowest negative values, the most extreme
        first, of equal ones the first in the data. Samples of weight 0, or without a value (NaN), are never
        among them.
    """

    values: FloatArray
    helpful: Indices
    harmful: Indices

    @classmethod
    def of(cls, values: FloatArray, k: int, counts: NDArray[np.bool_]) -> Ranking:
        """Rank samples ``(N,)``, of which only some count."""
        known = np.where(counts & np.isfinite(values), values, 0.0)
        return cls(values, _largest(known, k), _largest(-known, k))

    @property
    def helpful_values(self) -> FloatArray:
        """Values of the helpful samples, falling."""
        return self.values[self.helpful]

    @property
    def harmful_values(self) -> FloatArray:
        """Values of the harmful samples, rising."""
        return self.values[self.harmful]

    def __repr__(self) -> str:
        """Return two lines to read."""
        return "\n".join(
            f"  {name}: {', '.join(f'{i} ({self.values[i]:+.3g})' for i in indices) or 'none'}"
            for name, indices in (("helpful", self.helpful), ("harmful", self.harmful))
        )


@dataclass(frozen=True, repr=False)
class Explanation:
    """Which training samples speak for one prediction, and which against it.

    Values for a label have the unit of the loss: without the sample, the loss of the query with that label
    would be higher by its value. Those of a regression have the unit of its output: without the sample, the
    output would be lower by its value.

    Attributes
    ----------
    predicted : int or float
        The label that the model gives the query, or a regression's output.
    probabilities : ndarray of float64, shape (classes,), or None
        What a classifier gives each label: the softmax of its outputs, the sigmoid of a single one.
    true : int, float or None
        The label or value that the query has, where it was given.
    for_predicted : Ranking
        For the predicted label, or for a high output.
    for_true : Ranking or None
        For the true label, where it is given; of a regression, for an output near to the true value.
    contrast : Ranking or None
        For the predicted label rather than the true one, the difference of the two: helpful samples moved the
        decision to the predicted label, harmful ones to the true one. Of a regression minus `for_true`: helpful
        samples moved the output away from the true value.
    """

    predicted: int | float
    probabilities: FloatArray | None
    true: int | float | None
    for_predicted: Ranking
    for_true: Ranking | None
    contrast: Ranking | None

    @property
    def probability(self) -> float | None:
        """What a classifier gives the predicted label."""
        return None if self.probabilities is None else float(self.probabilities[int(self.predicted)])

    @property
    def values(self) -> FloatArray:
        """Values ``(N,)`` of all training samples for the prediction."""
        return self.for_predicted.values

    @property
    def helpful(self) -> Indices:
        """Indices of the samples that speak most for the prediction."""
        return self.for_predicted.helpful

    @property
    def harmful(self) -> Indices:
        """Indices of the samples that speak most against it."""
        return self.for_predicted.harmful

    @property
    def helpful_values(self) -> FloatArray:
        """Values of the helpful samples, falling."""
        return self.for_predicted.helpful_values

    @property
    def harmful_values(self) -> FloatArray:
        """Values of the harmful samples, rising."""
        return self.for_predicted.harmful_values

    @property
    def is_wrong(self) -> bool:
        """Whether the true label is known, and another one was predicted; False for a regression."""
        return self.probabilities is not None and self.true is not None and self.true != self.predicted

    def __repr__(self) -> str:
        """Return a few lines to read."""
        lines = [self._heading(), repr(self.for_predicted)]
        if self.is_wrong:
            moved = f"{_short(self.predicted)} rather than {_short(self.true)}"
            lines += [f"  what moved it to {moved}:", repr(self.contrast)]
        return "\n".join(lines)

    def _heading(self) -> str:
        sure = "" if self.probability is None else f" ({self.probability:.0%})"
        truth = "" if self.true is None else f", truly {_short(self.true)}"
        return f"predicted {_short(self.predicted)}{sure}{truth}"


@dataclass(frozen=True, repr=False)
class Explanations:
    """Explanations of several queries, one each; index or iterate.

    Attributes
    ----------
    each : tuple of Explanation
    queries : Samples
        With the predictions as targets.
    training : Samples
        That the indices count.
    """

    each: tuple[Explanation, ...]
    queries: Samples
    training: Samples

    def __len__(self) -> int:
        return len(self.each)

    def __getitem__(self, index: int) -> Explanation:
        return self.each[index]

    def __iter__(self) -> Iterator[Explanation]:
        return iter(self.each)

    def __repr__(self) -> str:
        """Return a few lines for each of the first queries."""
        lines = [f"query {i}: {each!r}" for i, each in enumerate(self.each[:_MOST_QUERIES])]
        more = len(self) - len(lines)
        return "\n".join([*lines, *([f"and {more} more queries"] if more else [])])


def _short(number: int | float | None) -> str:
    return f"{number:.4g}" if isinstance(number, float) else str(number)


def _largest(values: FloatArray, k: int) -> Indices:
    """Return the indices of the k largest positive values, the first of equal ones first."""
    positive = np.flatnonzero(values > 0)
    order = np.argsort(-values[positive], kind="stable")[:k]
    return np.asarray(positive[order], dtype=np.int64)
