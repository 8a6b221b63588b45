"""What a model says of each sample instead of its label."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.metrics.statistics import as_array
from dataval.reports.encoding import encoded
from dataval.reports.labels import Labels, column, label_text

__all__ = ["suggestions"]


def suggestions(predictions: Any, labels: Labels | None, n: int) -> dict[str, Any] | None:
    """Return the suggested labels as the page reads them.

    Parameters
    ----------
    predictions : array, shape (N,) or (N, n_classes), or None
        Labels, or probabilities of the classes in their order; numbers where labels are amounts.
    labels : Labels or None
        The given ones.
    n : int
        Number of samples.
    """
    if predictions is None:
        return None
    if labels is None:
        raise ValueError("predictions are held against labels: pass y too")
    if not labels.classes:
        numbers = column("predictions", predictions, n).astype(np.float64)
        return {"texts": [label_text(float(f"{number:.6g}")) for number in numbers.tolist()]}
    array = as_array(predictions, "predictions")
    if array.ndim == 2 and array.shape[1] > 1:
        return _of_probabilities(array, labels, n)
    texts = [label_text(each) for each in column("predictions", predictions, n).tolist()]
    return {"codes": encoded(labels.codes(texts, "predictions"))}


def _of_probabilities(given: NDArray[Any], labels: Labels, n: int) -> dict[str, Any]:
    if given.shape != (n, len(labels.classes)) or given.dtype.kind not in "fiu":
        raise ValueError(
            f"predictions must be labels, or probabilities of shape ({n}, {len(labels.classes)}), got "
            f"{given.dtype}{given.shape}"
        )
    if not np.isfinite(given).all() or given.min() < 0 or given.max() > 1 + 1e-6:
        raise ValueError("predictions of several columns must be probabilities, finite and between 0 and 1")
    best = given.argmax(axis=1)
    own = given[np.arange(n), labels.codes(labels.texts, "y")]
    return {
        "codes": encoded(best.astype(np.int32)),
        "probability": encoded(given.max(axis=1).astype(np.float32)),
        "given_probability": encoded(own.astype(np.float32)),
    }
