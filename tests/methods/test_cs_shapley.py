"""CS-Shapley against its definition: all subsets of the other classes, all subsets of the own one."""

from __future__ import annotations

from functools import cache
from itertools import combinations
from math import comb

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LinearRegression

import dataval as dv
from dataval.errors import InvalidDataError
from dataval.methods.cs_shapley import class_worth, joined
from tests.runs import make_learner, make_samples, trained

RNG = np.random.default_rng(3)
Y = np.array([0, 1, 0, 1, 2, 1, 0, 2])
X = Y[:, None] * 0.8 + RNG.normal(size=(8, 2))
Y_VAL = np.arange(12) % 3
X_VAL = Y_VAL[:, None] * 0.8 + RNG.normal(size=(12, 2))


class Nearest(ClassifierMixin, BaseEstimator):
    """The label of the nearest sample."""

    def fit(self, X, y):
        self.classes_, self._X, self._y = np.unique(y), X, y
        return self

    def predict(self, X):
        return self._y[np.linalg.norm(X[:, None] - self._X, axis=2).argmin(axis=1)]


def subsets(members):
    return [s for size in range(len(members) + 1) for s in combinations(members, size)]


def enumerated(right, y, y_val):
    """Schoch et al. (2022): the mean over subsets of other classes of Shapley values within the class."""
    values = np.zeros(len(y))
    for c in np.unique(y):
        own, others = np.flatnonzero(y == c).tolist(), np.flatnonzero(y != c).tolist()

        @cache
        def worth(s, c=c):
            hits = right(s) if s else np.zeros(len(y_val))
            return hits[y_val == c].sum() / len(y_val) * np.exp(hits[y_val != c].sum() / len(y_val))

        for there in subsets(others):
            for j in own:
                for s in subsets([i for i in own if i != j]):
                    without = tuple(sorted((*s, *there)))
                    gain = worth(tuple(sorted((*without, j)))) - worth(without)
                    values[j] += gain / len(own) / comb(len(own) - 1, len(s)) / 2 ** len(others)
    return values


def right_of_nearest(subset):
    chosen = list(subset)
    return (Nearest().fit(X[chosen], Y[chosen]).predict(X_VAL) == Y_VAL).astype(float)


def test_values_of_an_estimator_converge_to_enumeration():
    method = dv.CSShapley(Nearest(), n_permutations=250).fit(X, Y)
    found, expected = method.score(X_VAL, Y_VAL), enumerated(right_of_nearest, Y, Y_VAL)
    off = (found - expected) / method.diagnostics_["standard_error"]
    assert np.abs(off).max() < 4  # one in 2,000 goes wrong, of 8
    assert np.corrcoef(found, expected)[0, 1] > 0.97


def test_values_of_a_learner_converge_to_training_on_all_subsets(zoo):
    learner = make_learner(zoo, epochs=4)
    X, y = make_samples(n=6)
    X_val, y_val = make_samples(n=9, seed=2)
    replay = learner.prepare(X, y)
    program, arrays = replay.program, replay.program.backend.arrays
    batch = program.backend.batches(learner.prepare(X_val, y_val).program.data).take(np.arange(9))

    @cache
    def right(subset):
        weights = np.zeros(6)
        weights[list(subset)] = 1
        weighted, state = program.with_weights(weights), replay.initial
        for step in range(program.plan.n_steps):
            state, _ = weighted.step(state, step)
        logits = arrays.to_numpy(program.backend.predict(state.parameters, state.buffers, batch))
        return (logits.argmax(axis=1) == y_val).astype(float)

    method = dv.CSShapley(learner, n_permutations=40).fit(X, y)
    found, expected = method.score(X_val, y_val), enumerated(right, y, y_val)
    error = method.diagnostics_["standard_error"]
    assert (np.abs(found - expected) <= 4 * error + 1e-12).all()


def test_who_is_there_when_members_join():
    members, is_there = np.array([True, False, True, False]), np.array([True, True, False, False])
    rows = joined(members, np.array([2, 0]), is_there)
    np.testing.assert_array_equal(rows, [[0, 1, 0, 0], [0, 1, 1, 0], [1, 1, 1, 0]])


def test_what_a_class_is_worth():
    right, is_own = np.array([1.0, 0.0, 1.0, 1.0]), np.array([True, True, False, False])
    assert class_worth(right, is_own) == pytest.approx(0.25 * np.exp(0.5), rel=1e-15)


@pytest.mark.slow
def test_values_do_not_depend_on_processes():
    one = dv.CSShapley(Nearest(), n_permutations=3).fit(X, Y).score(X_VAL, Y_VAL)
    two = dv.CSShapley(Nearest(), n_permutations=3, n_jobs=2).fit(X, Y).score(X_VAL, Y_VAL)
    np.testing.assert_array_equal(one, two)


def test_a_single_round_has_no_standard_error():
    method = dv.CSShapley(Nearest(), n_permutations=1).fit(X, Y)
    method.score(X_VAL, Y_VAL)
    assert np.isnan(method.diagnostics_["standard_error"]).all()


def test_a_class_that_is_not_asked_about_is_worth_nothing():
    kept = Y_VAL != 2
    values = dv.CSShapley(Nearest(), n_permutations=3).fit(X, Y).score(X_VAL[kept], Y_VAL[kept])
    assert (values[Y == 2] == 0).all()


class Failing(Nearest):
    def fit(self, X, y):
        raise ValueError("not today")


def test_what_it_cannot_do_is_named(zoo):
    with pytest.raises(InvalidDataError, match=r"a model of \d+ samples can't be had: ValueError: not today"):
        dv.CSShapley(Failing()).fit(X, Y).score(X_VAL, Y_VAL)
    with pytest.raises(ValueError, match="CSShapley by 'accuracy' needs a classifier"):
        dv.CSShapley(LinearRegression()).fit(X, Y)
    with pytest.raises(ValueError, match="n_permutations must be at least 1"):
        dv.CSShapley(Nearest(), n_permutations=0).fit(X, Y)
    with pytest.raises(TypeError, match=r"needs a dataval.Learner, or a classifier"):
        dv.CSShapley(None).fit(X, Y)
    learner, samples, run = trained(zoo, epochs=2)
    method = dv.CSShapley(learner, n_permutations=1).fit(*samples, run=run)
    assert method.run_ is run
    with pytest.raises(TypeError, match="CSShapley gives no values for single"):
        method.attribute(*samples)
    one_hot = np.eye(3)[samples.y]
    with pytest.raises(InvalidDataError, match="one target y a sample is needed"):
        dv.CSShapley(make_learner(zoo, loss="mse")).fit(samples.X, one_hot)
