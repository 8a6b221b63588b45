"""BM25: how many rare tokens two sequences share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from dataval.checks import described, flag, real_number, whole_numbers
from dataval.data import Data, Samples, leaves
from dataval.errors import InvalidDataError
from dataval.methods.similarity import SimilarityValuator, parts_of
from dataval.training.learner import Learner
from dataval.training.run import TrainingRun

__all__ = ["BM25"]

FloatArray = NDArray[np.float64]

_KNOWN = ("input_ids", "tokens", "ids")
_MASK = "attention_mask"


class BM25(SimilarityValuator):
    r"""Okapi BM25 of token sequences: training samples are documents, validation samples queries.

    .. math:: \mathrm{value}_j = \sum_{t} n_t(q)\,\log\Big(1 + \frac{N - N_t + \frac12}{N_t + \frac12}\Big)\,
              \frac{n_t(j)\,(k_1 + 1)}{n_t(j) + k_1\,(1 - b + b\,|j|/\overline{|\cdot|})}

    over the tokens t of the query, with :math:`n_t` how often a sequence has t, :math:`N_t` how many of the N
    training sequences have it, and :math:`|j|` the length. No model and no training: what a search engine
    finds, and what a method for language models has to beat. Values are from 0, have no unit, and say that a
    sample is alike, not that it helps; with `signed`, those of another label than the query's are negative.

    Parameters
    ----------
    learner : Learner, optional
        What `verify` retrains; nothing else needs it.
    k1 : float, default 1.2
        How soon more of the same token counts no more, from 0.
    b : float, default 0.75
        How much long documents are discounted, in [0, 1].
    tokens : str, optional
        The array of token ids among inputs that are a dict; by default the only one of whole numbers, or
        ``input_ids``. With an ``attention_mask`` beside it, tokens at 0 don't count.
    ignore : sequence of int, default ()
        Tokens that don't count: padding, separators.
    signed : bool, default False

    Attributes
    ----------
    run_ : TrainingRun or None

    References
    ----------
    Robertson & Zaragoza (2009). The probabilistic relevance framework: BM25 and beyond. Foundations and Trends
    in Information Retrieval.

    Examples
    --------
    >>> values = dv.BM25(ignore=[0]).fit(tokens, y).score(tokens_val, y_val)
    """

    def __init__(
        self,
        learner: Learner | None = None,
        *,
        k1: float = 1.2,
        b: float = 0.75,
        tokens: str | None = None,
        ignore: Sequence[int] = (),
        signed: bool = False,
    ) -> None:
        self.learner = learner
        self.k1 = k1
        self.b = b
        self.tokens = tokens
        self.ignore = ignore
        self.signed = signed

    def fit(self, X: Any, y: Any = None, *, run: TrainingRun | None = None) -> Self:
        """Take the training samples, as `DataOnlyValuator.fit`, and count their tokens.

        Raises
        ------
        InvalidDataError
            If the inputs are no token ids.
        """
        real_number("k1", self.k1, minimum=0)
        real_number("b", self.b, minimum=0, maximum=1)
        flag("signed", self.signed)
        if self.tokens is not None and not isinstance(self.tokens, str):
            raise TypeError(f"tokens must be the name of an array of the inputs, got {described(self.tokens)}")
        if not isinstance(self.ignore, list | tuple) or self.ignore:
            whole_numbers("ignore", self.ignore)
        super().fit(X, y, run=run)
        self._vocabulary = np.zeros(0, dtype=np.int64)
        for part in parts_of(self._data):
            self._vocabulary = np.union1d(self._vocabulary, self._ids(part)[0])
        self._weights = self._weighted(self._counts(self._data))
        return self

    def _similarities(self, data: Samples, validation: Samples) -> FloatArray:
        return np.asarray((self._counts(validation) @ self._weights.T).toarray())

    def _weighted(self, counts: Any) -> Any:
        """Return what a token of a query is worth in every document, ``(N, V)``."""
        n, lengths = counts.shape[0], counts.sum(axis=1)
        having = np.bincount(counts.indices, minlength=counts.shape[1])
        rarity = np.log1p((n - having + 0.5) / (having + 0.5))
        rows = np.repeat(np.arange(n), np.diff(counts.indptr))
        relative = lengths / max(lengths.mean(), np.finfo(float).tiny)
        discount = self.k1 * (1 - self.b + self.b * relative[rows])
        found = counts.copy()
        found.data = rarity[counts.indices] * counts.data * (self.k1 + 1) / (counts.data + discount)
        return found

    def _counts(self, data: Samples) -> Any:
        """Return how often every sequence has each known token, ``(n, V)``."""
        return csr_array(vstack([self._counted(part) for part in parts_of(data)]))

    def _counted(self, data: Data) -> Any:
        ids, rows = self._ids(data)
        at = np.searchsorted(self._vocabulary, ids)
        is_known = at < len(self._vocabulary)
        is_known[is_known] = self._vocabulary[at[is_known]] == ids[is_known]
        shape = len(data), len(self._vocabulary)
        found = csr_array((np.ones(is_known.sum()), (rows[is_known], at[is_known])), shape=shape)
        found.sum_duplicates()
        return found

    def _ids(self, data: Data) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the tokens that count, and the number of the sample that each is of."""
        ids = self._token_array(data)
        counts = ~np.isin(ids, np.asarray(self.ignore, dtype=np.int64))
        mask = data.inputs.get(_MASK) if isinstance(data.inputs, dict) else None
        if mask is not None and mask.shape == ids.shape:
            counts &= mask != 0
        return ids[counts].astype(np.int64), np.nonzero(counts)[0]

    def _token_array(self, data: Data) -> NDArray[Any]:
        found = dict(leaves(data.inputs, "X"))
        whole = {name: array for name, array in found.items() if array.dtype.kind in "iu"}
        wanted = (self.tokens,) if self.tokens is not None else _KNOWN
        named = [array for name, array in whole.items() if name in {f"X['{key}']" for key in wanted}]
        if self.tokens is None and len(whole) == 1:
            named = list(whole.values())
        if not named:
            raise InvalidDataError(
                f"BM25 compares token ids, whole numbers: the inputs X hold {', '.join(found)}"
                + (
                    f", and tokens={self.tokens!r} is none of whole numbers"
                    if self.tokens
                    else "; name one by tokens="
                )
            )
        found_ids: NDArray[Any] = named[0].reshape(len(data), -1)
        return found_ids
