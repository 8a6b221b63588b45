"""Games of a table, in which nothing is trained."""

from __future__ import annotations

import numpy as np

from dataval.methods.shapley.game import Game, all_coalitions
from dataval.retraining.again import Coalitions


class Table(Coalitions):
    """What coalitions gain, ``(2**n,)`` or ``(2**n, Q)``, by the number whose binary digits say who is in."""

    greater_is_better = True

    def __init__(self, gains):
        self.gains = np.asarray(gains, dtype=float).reshape(len(gains), -1)
        self.asked = []

    def judge(self, kept):
        numbers = kept @ (1 << np.arange(kept.shape[1]))
        self.asked += numbers.tolist()
        return self.gains[numbers][None]


def game_of(gains):
    """Return the game of a table, a new one that has asked for nothing yet."""
    return Game(Table(gains), int(np.log2(len(gains))), progress=False)


def rough_gains(n, seed=0):
    """Return the gains of a saturating game with noise, in which no two samples are alike."""
    rng = np.random.default_rng(seed)
    members = all_coalitions(n)
    return np.tanh(members @ (rng.normal(size=n) + 0.3) / 2) + 0.03 * rng.normal(size=2**n)
