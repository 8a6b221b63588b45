"""Validation samples with the training samples that help and harm them most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.checks import described
from dataval.methods.explanation import Explanations
from dataval.reports.encoding import encoded, scaled
from dataval.reports.labels import column, label_text
from dataval.reports.media import Kind, Media, as_source, make_media, size_of

__all__ = ["Explained", "as_explained"]

_TOP = 20
_MOST_QUERIES = 1000

_OF_PREDICTED = "Values are of the label that the model predicts: what made it predict this."
_OF_OUTPUT = "Values are of the model's output: a helpful sample raises it, a harmful one lowers it."
_OF_GIVEN = (
    "Values are of the validation samples' own labels. For why the model predicts what it does, pass "
    "method.explain(X_val, y_val), whose values are of the predicted label."
)


@dataclass(frozen=True, eq=False)
class Explained:
    """Rankings of the training samples for each validation sample.

    Attributes
    ----------
    values : ndarray of float64, shape (n_val, N)
    predicted, true : list of str or None
        As `label_text` writes them.
    probabilities : list of float or None
        Of the predicted labels.
    about : str
        What the values are of.
    inputs : Any
        The validation samples, or None.
    """

    values: NDArray[np.float64]
    predicted: list[str] | None
    true: list[str] | None
    probabilities: list[float] | None
    about: str
    inputs: Any

    def document(
        self, kind: Kind | None, layout: Any, feature_names: Any, most_bytes: float
    ) -> tuple[Any, Media]:
        """Return what the page shows, and the validation samples as they look."""
        chosen = self._chosen()
        helpful, harmful = self._top(chosen, -1.0), self._top(chosen, 1.0)
        media = self._media(chosen, kind, layout, feature_names, most_bytes)
        found = {
            "about": self.about,
            "indices": chosen.tolist(),
            "n": len(self.values),
            "predicted": None if self.predicted is None else [self.predicted[i] for i in chosen.tolist()],
            "true": None if self.true is None else [self.true[i] for i in chosen.tolist()],
            "probability": None
            if self.probabilities is None
            else [round(self.probabilities[i], 4) for i in chosen.tolist()],
            **{
                f"{side}_indices": encoded(top[0]) for side, top in (("helpful", helpful), ("harmful", harmful))
            },
            **{f"{side}_values": scaled(top[1]) for side, top in (("helpful", helpful), ("harmful", harmful))},
            "top": helpful[0].shape[1],
        }
        return found, media

    def _chosen(self) -> NDArray[np.int64]:
        """Return the validation samples that are shown: of too many, those predicted wrongly first."""
        n = len(self.values)
        if n <= _MOST_QUERIES:
            return np.arange(n)
        right = np.array(
            [p == t for p, t in zip(self.predicted or [""] * n, self.true or [""] * n, strict=True)]
        )
        return np.sort(np.argsort(right, kind="stable")[:_MOST_QUERIES])

    def _top(self, chosen: NDArray[np.int64], sign: float) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Return the largest (sign -1) or lowest values, the most extreme first; -1 for none of the sign."""
        k = min(_TOP, self.values.shape[1])
        indices = np.full((len(chosen), k), -1, dtype=np.int32)
        found = np.zeros((len(chosen), k))
        for row, i in enumerate(chosen.tolist()):
            values = np.nan_to_num(self.values[i]) * sign
            near = np.argpartition(values, k - 1)[:k]
            order = near[np.argsort(values[near], kind="stable")]
            order = order[values[order] < 0]
            indices[row, : len(order)] = order
            found[row, : len(order)] = self.values[i, order]
        return indices, found

    def _media(
        self, chosen: NDArray[np.int64], kind: Kind | None, layout: Any, feature_names: Any, most_bytes: float
    ) -> Media:
        source = as_source(self.inputs, kind, layout, feature_names)
        if source is not None and size_of(source) != len(self.values):
            raise ValueError(f"X_val holds {size_of(source)} samples, but {len(self.values)} are explained")
        return make_media(source, [np.arange(len(self.values))], chosen, chosen, most_bytes)


def as_explained(explanations: Any, X_val: Any, y_val: Any, n: int) -> Explained | None:
    """Take what `explain` or `attribute` returned."""
    if explanations is None:
        if X_val is not None or y_val is not None:
            raise ValueError("X_val and y_val are shown with explanations: pass method.explain(X_val, y_val)")
        return None
    if isinstance(explanations, Explanations):
        return _of_explanations(explanations, X_val, y_val, n)
    try:
        matrix = np.asarray(explanations, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"explanations must be what explain or attribute returns, got {described(explanations)}"
        ) from error
    if matrix.ndim != 2 or matrix.shape[1] != n or not len(matrix):
        raise ValueError(f"explanations must have shape (n_val, {n}), got {matrix.shape}")
    true = (
        None if y_val is None else [label_text(each) for each in column("y_val", y_val, len(matrix)).tolist()]
    )
    return Explained(matrix, None, true, None, _OF_GIVEN, X_val)


def _of_explanations(explanations: Explanations, X_val: Any, y_val: Any, n: int) -> Explained:
    if y_val is not None:
        raise ValueError(
            "y_val is part of the explanations: pass the true labels to explain, and leave it out here"
        )
    if not len(explanations):
        raise ValueError("explanations holds none")
    values = np.stack([each.values for each in explanations])
    if values.shape[1] != n:
        raise ValueError(f"explanations are of {values.shape[1]} training samples, but there are {n} values")
    truths = [each.true for each in explanations]
    are_labels = explanations[0].probabilities is not None
    return Explained(
        values,
        [label_text(each.predicted) for each in explanations],
        None if truths[0] is None else [label_text(truth) for truth in truths],
        [float(each.probability or 0.0) for each in explanations] if are_labels else None,
        _OF_PREDICTED if are_labels else _OF_OUTPUT,
        _inputs(explanations) if X_val is None else X_val,
    )


def _inputs(explanations: Explanations) -> Any:
    """Return the queries where they are one array, and None where they have parts."""
    inputs = explanations.queries.take(slice(None)).inputs
    return inputs if isinstance(inputs, np.ndarray) else None
