"""Texts, cut to what fits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.reports.tables import clipped

__all__ = ["LENGTHS", "as_texts", "looks_like_texts", "shortened", "word_features"]

LENGTHS = (20_000, 2000, 500, 160)
"""Characters of a text that are kept, the first that fits."""

_FEATURES = 2**12


def looks_like_texts(X: Any) -> bool:
    """Return whether inputs are one text a sample."""
    if isinstance(X, list | tuple):
        return bool(X) and all(isinstance(each, str) for each in X)
    if hasattr(X, "columns") or getattr(X, "ndim", 0) != 1:
        return False
    return all(isinstance(each, str) for each in np.asarray(X).tolist())


def as_texts(X: Any) -> list[str]:
    """Return one text a sample."""
    if not looks_like_texts(X):
        raise TypeError("X must hold one text a sample where kind is 'texts'")
    return [str(each) for each in np.asarray(X, dtype=object).tolist()]


def shortened(texts: list[str], rows: NDArray[np.int64], length: int) -> list[str]:
    """Return the texts of some samples as the page holds them."""
    return [clipped(texts[i], length) for i in rows.tolist()]


def word_features(texts: list[str]) -> Any:
    """Return a sparse matrix of words and pairs of words."""
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(n_features=_FEATURES, ngram_range=(1, 2)).transform(texts)
