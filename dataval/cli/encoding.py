"""Numbers, categories and texts as features with mean 0 and standard deviation 1."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataval.cli.cells import Cells

__all__ = ["one_hot", "standardised", "word_features"]

Block = npt.NDArray[np.float32]

_HUGE = 1e100
_MOST_WORDS = 20_000
_COMPONENTS = 50


def standardised(features: npt.NDArray[np.float64]) -> Block:
    """Return columns with mean 0 and standard deviation 1, or 0 where they are constant."""
    largest = np.abs(features).max(axis=0, initial=0.0)
    features = features / np.where(largest > _HUGE, largest, 1.0)  # whose squares would overflow
    spread = features.std(axis=0)
    spread[spread == 0.0] = 1.0
    return np.asarray((features - features.mean(axis=0)) / spread, dtype=np.float32)


def one_hot(cells: Cells, most: int) -> tuple[Block, bool]:
    """Return one column a category, and whether a last one holds the rarer of more than so many.

    Everything that stands for nothing is one category.
    """
    levels = np.array(
        ["" if is_one else level for level, is_one in zip(cells.levels, cells.missing.tolist(), strict=True)]
    )
    names, merged = np.unique(levels, return_inverse=True)
    codes = merged[cells.codes]
    counts = np.bincount(codes, minlength=len(names))
    is_cut = len(names) > most
    if is_cut:
        place = np.empty(len(names), dtype=np.int64)
        place[np.argsort(-counts, kind="stable")] = np.minimum(np.arange(len(names)), most)
        codes = place[codes]
        counts = np.bincount(codes)
    shares = counts / len(codes)
    spread = np.sqrt(shares * (1.0 - shares))
    block = np.tile((-shares / spread).astype(np.float32), (len(codes), 1))
    block[np.arange(len(codes)), codes] = ((1.0 - shares) / spread)[codes]
    return block, is_cut


def word_features(cells: Cells) -> Block | None:
    """Return the leading components of texts' weighted words, or None where no word tells texts apart.

    Deerwester et al. (1990). Indexing by latent semantic analysis. JASIS 41.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [
        "" if is_one else level for level, is_one in zip(cells.levels, cells.missing.tolist(), strict=True)
    ]
    frequent = 2 if len(texts) > _COMPONENTS else 1
    vectorizer = TfidfVectorizer(
        max_features=_MOST_WORDS,
        min_df=frequent,
        sublinear_tf=True,
        token_pattern=r"(?u)\b\w+\b",
        dtype=np.float32,
    )
    try:
        weights = vectorizer.fit_transform(texts)
    except ValueError:  # an empty vocabulary
        return None
    width = min(_COMPONENTS, weights.shape[1] - 1, weights.shape[0] - 1)
    if width < 1:
        return standardised(weights.toarray().astype(np.float64)[cells.codes])
    components = TruncatedSVD(width, random_state=0).fit_transform(weights)
    return standardised(np.asarray(components, dtype=np.float64)[cells.codes])
