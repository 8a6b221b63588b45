"""Which weights are 0 in each of the runs that values are averaged over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from itertools import cycle
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dataval.checks import described, share

__all__ = ["RemovedShares", "check_shares", "draw_masks"]

RemovedShares = float | Literal["uniform"] | Sequence[float]
Generator = np.random.Generator

_GOLDEN = (5**0.5 - 1) / 2


def check_shares(removed: Any) -> tuple[float, ...] | None:
    """Return the shares that runs take in turn; None for all shares from 0 to 1 alike.

    Raises
    ------
    TypeError, ValueError
        If it is no share, no list of shares and not ``"uniform"``.
    """
    if isinstance(removed, str):
        if removed != "uniform":
            raise ValueError(f"removed must be a share, shares or 'uniform', got {described(removed)}")
        return None
    if not isinstance(removed, Sized) or isinstance(removed, dict | set | bytes):
        return (share("removed", removed),)
    shares = tuple(share(f"removed[{i}]", each) for i, each in enumerate(removed))  # type: ignore[var-annotated, arg-type]
    if not shares:
        raise ValueError("removed must be at least one share: it is empty")
    return shares


def draw_masks(
    removed: RemovedShares, weights: NDArray[np.float64], n_runs: int, seed: int
) -> NDArray[np.bool_]:
    """Draw the samples whose weights are 0 in each run.

    Each mask by itself is a random subset of its size. Together they are drawn without replacement, as from a
    deck that is shuffled again when all samples have come: in the same number of runs as any other is each
    sample left out (up to one), and for a share of 1/2 every second mask is the complement of the one before.
    With ``"uniform"``, numbers of samples come in pairs that add up to all, each pair's from a sequence that
    fills [0, 1] evenly. More runs have the masks of fewer, and others after them.

    Parameters
    ----------
    removed : float, "uniform" or sequence of float
        As `check_shares` takes it.
    weights : ndarray, shape (N,)
        Of the plain run: samples of weight 0 are out already, and no share of them is taken.
    n_runs : int
        K.
    seed : int
        Of the generator.

    Returns
    -------
    ndarray of bool, shape (K, N)

    Raises
    ------
    ValueError
        If a share of the samples is none of them, or all.
    """
    shares, there = check_shares(removed), np.flatnonzero(weights)
    rng = np.random.default_rng([seed, 5])
    sizes = _even_sizes(len(there), rng) if shares is None else cycle(_sizes(shares, len(there)))
    deck = _Deck(there, rng)
    masks = np.zeros((n_runs, len(weights)), dtype=bool)
    for mask, size in zip(masks, sizes, strict=False):
        mask[deck.draw(size)] = True
    return masks


def _sizes(shares: tuple[float, ...], n: int) -> list[int]:
    sizes = [round(each * n) for each in shares]
    for each, size in zip(shares, sizes, strict=True):
        if not 0 < size < n:
            raise ValueError(
                f"removed={each} leaves out {size} of {n} samples: choose a share that leaves out at least one "
                "and keeps at least one"
            )
    return sizes


def _even_sizes(n: int, rng: Generator) -> Iterator[int]:
    """Yield numbers from 0 to n, all alike, but for n itself, as one sample at least is kept."""
    place = rng.random()
    while True:
        place = (place + _GOLDEN) % 1
        size = int(place * (n + 1))
        yield min(size, n - 1)
        yield min(n - size, n - 1)


class _Deck:
    """Samples in a random order, shuffled again when all have come."""

    def __init__(self, samples: NDArray[np.int64], rng: Generator) -> None:
        self._samples, self._rng = samples, rng
        self._rest = rng.permutation(samples)

    def draw(self, size: int) -> NDArray[np.int64]:
        """Return the next samples, each once."""
        drawn, self._rest = self._rest[:size], self._rest[size:]
        if len(drawn) < size:
            again = self._rng.permutation(self._samples)
            is_drawn = np.isin(again, drawn)
            again = np.concatenate([again[~is_drawn], again[is_drawn]])
            n_more = size - len(drawn)
            drawn, self._rest = np.concatenate([drawn, again[:n_more]]), again[n_more:]
        return drawn
