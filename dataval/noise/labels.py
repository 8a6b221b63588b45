"""Wrong labels, put in on purpose."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dataval.noise.checks import (
    Array,
    Mask,
    Seed,
    check_labels,
    check_seed,
    check_transition,
    choose,
)

__all__ = ["NoisyLabels", "class_dependent_flips", "flip_labels", "pair_flips"]


class NoisyLabels(NamedTuple):
    """Labels or targets `y`, shape (n, …), and `is_noisy`, shape (n,): True where `y` changed."""

    y: Array
    is_noisy: Mask


def flip_labels(
    y: npt.ArrayLike, fraction: float, *, classes: npt.ArrayLike | None = None, seed: Seed = 0
) -> NoisyLabels:
    """Give a random share of the samples a different label, each other class equally likely.

    Exactly ``round(fraction * n)`` labels change (symmetric noise). For confusions that a person
    would make choose `class_dependent_flips`; for the hardest noise, `pair_flips`.

    Parameters
    ----------
    y : array-like, shape (n,)
        Labels, whole numbers or strings.
    fraction : float
        Share of the labels to change, from 0 to 1.
    classes : array-like, shape (n_classes,), optional
        The labels to choose from; those in `y` unless given.
    seed : int or numpy.random.Generator, default 0
        What the noise is drawn from.

    Returns
    -------
    NoisyLabels
        A copy of the labels, and the mask of those changed.

    Raises
    ------
    ValueError
        If `y` does not hold labels, `fraction` is out of range or there are fewer than two classes.
    """
    labels, known, index = check_labels(y, classes)
    rng = check_seed(seed)
    chosen = choose(len(labels), fraction, rng)
    steps = rng.integers(1, len(known), size=len(chosen))
    return _relabel(labels, known, index, chosen, (index[chosen] + steps) % len(known))


def pair_flips(
    y: npt.ArrayLike, fraction: float, *, classes: npt.ArrayLike | None = None, seed: Seed = 0
) -> NoisyLabels:
    """Give a random share of the samples the next class: class c becomes c + 1, the last the first.

    Exactly ``round(fraction * n)`` labels change. All errors of a class agree, which makes them
    harder to find than those of `flip_labels`.

    Parameters
    ----------
    y : array-like, shape (n,)
        Labels, whole numbers or strings.
    fraction : float
        Share of the labels to change, from 0 to 1.
    classes : array-like, shape (n_classes,), optional
        The labels in the order to step through; those in `y`, sorted, unless given.
    seed : int or numpy.random.Generator, default 0
        What the noise is drawn from.

    Returns
    -------
    NoisyLabels
        A copy of the labels, and the mask of those changed.

    Raises
    ------
    ValueError
        If `y` does not hold labels, `fraction` is out of range or there are fewer than two classes.
    """
    labels, known, index = check_labels(y, classes)
    chosen = choose(len(labels), fraction, check_seed(seed))
    return _relabel(labels, known, index, chosen, (index[chosen] + 1) % len(known))


def class_dependent_flips(
    y: npt.ArrayLike,
    transition: npt.ArrayLike,
    *,
    classes: npt.ArrayLike | None = None,
    seed: Seed = 0,
) -> NoisyLabels:
    """Draw every label anew from its class's row of a transition matrix.

    The number of labels changed is random: in expectation the mean of ``1 - transition[c, c]`` over
    the samples. For an exact number choose `flip_labels` or `pair_flips`.

    Parameters
    ----------
    y : array-like, shape (n,)
        Labels, whole numbers or strings.
    transition : array-like of float, shape (n_classes, n_classes)
        Entry [c, d] is the probability that class c is labelled d; each row sums to 1.
    classes : array-like, shape (n_classes,), optional
        The labels in the order of the rows; those in `y`, sorted, unless given.
    seed : int or numpy.random.Generator, default 0
        What the noise is drawn from.

    Returns
    -------
    NoisyLabels
        A copy of the labels, and the mask of those changed.

    Raises
    ------
    ValueError
        If `y` does not hold labels or `transition` is not a row-stochastic matrix of that size.
    """
    labels, known, index = check_labels(y, classes)
    cumulative = np.cumsum(check_transition(transition, len(known)), axis=1)
    cumulative /= cumulative[:, -1:]
    draws = check_seed(seed).random(len(labels))
    new_index = (draws[:, None] >= cumulative[index]).sum(axis=1)
    return _relabel(labels, known, index, np.arange(len(labels)), new_index)


def _relabel(labels: Array, known: Array, index: Array, chosen: Array, new_index: Array) -> NoisyLabels:
    """Write the class `new_index` into the `chosen` labels; `index` holds the old classes."""
    flipped = labels.astype(np.result_type(labels, known))
    flipped[chosen] = known[new_index]
    changed = np.zeros(len(labels), dtype=np.bool_)
    changed[chosen] = index[chosen] != new_index
    return NoisyLabels(flipped, changed)
