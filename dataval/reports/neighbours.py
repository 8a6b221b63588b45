"""The samples of a class that are most like each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors
from sklearn.random_projection import GaussianRandomProjection

__all__ = ["neighbours"]

_DIMENSIONS = 64
_K = 6
_MOST = 20_000
"""Members of a class that are compared; more are drawn at random."""


def neighbours(
    features: Any, groups: list[NDArray[np.int64]], shown: NDArray[np.int64], seed: int
) -> NDArray[np.int32]:
    """Return for each shown sample its nearest ones within its group, by Euclidean distance.

    Wide features are projected at random, which keeps distances roughly.

    Parameters
    ----------
    features : array or sparse matrix, shape (N, n_features)
        What samples are compared by.
    groups : list of ndarray of int64
        The members of each class.
    shown : ndarray of int64, shape (n,)
        The samples that are asked about.
    seed : int
        Draws the projection.

    Returns
    -------
    ndarray of int32, shape (n, 6)
        -1 where a class has fewer others.
    """
    narrow = _narrowed(features, seed)
    row = {index: i for i, index in enumerate(shown.tolist())}
    found = np.full((len(shown), _K), -1, dtype=np.int32)
    rng = np.random.default_rng(seed)
    for members in groups:
        asked = np.array([index for index in members.tolist() if index in row], dtype=np.int64)
        among = members if len(members) <= _MOST else np.sort(rng.choice(members, _MOST, replace=False))
        if len(asked) and len(among) > 1:
            near = among[_nearest(narrow[among], narrow[asked])]
            for index, others in zip(asked.tolist(), near.tolist(), strict=True):
                kept = [each for each in others if each != index][:_K]
                found[row[index], : len(kept)] = kept
    return found


def _nearest(among: NDArray[Any], asked: NDArray[Any]) -> NDArray[np.int64]:
    k = min(_K + 1, len(among))
    index = NearestNeighbors(n_neighbors=k).fit(among)
    return np.asarray(index.kneighbors(asked, return_distance=False), dtype=np.int64)


def _narrowed(features: Any, seed: int) -> NDArray[np.float32]:
    if features.shape[1] > _DIMENSIONS:
        projection = GaussianRandomProjection(_DIMENSIONS, random_state=seed)
        features = projection.fit_transform(features)
    dense = features.toarray() if hasattr(features, "toarray") else features
    return np.nan_to_num(np.asarray(dense, dtype=np.float32))
