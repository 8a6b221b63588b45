"""Estimators of scikit-learn are trained again under the same checks as learners."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import dataval as dv
from dataval.errors import InvalidDataError, RetrainingWarning
from dataval.retraining.again import RetrainingOptions
from dataval.retraining.estimators import EstimatorRetraining
from dataval.retraining.random_states import fixed, random_states

N = 12
RNG = np.random.default_rng(0)
X, X_VAL = RNG.normal(size=(N, 3)), RNG.normal(size=(6, 3))
Y, Y_VAL = np.arange(N) % 3, np.arange(6) % 3


class CountedRidge(Ridge):
    """Counts its fits."""

    fits = 0

    def fit(self, X, y, sample_weight=None):
        CountedRidge.fits += 1
        return super().fit(X, y, sample_weight)


class Needing(LogisticRegression):
    """Can't be fitted without the samples whose first feature is marked."""

    needed = (5.0,)

    def fit(self, X, y, sample_weight=None):
        if missing := [mark for mark in self.needed if mark not in X[:, 0]]:
            raise ArithmeticError(f"where is\n{missing[0]}?")
        return super().fit(X, y, sample_weight)


class Helpless(Needing):
    needed = tuple(range(N))


def values(estimator, X=X, y=Y, X_val=X_VAL, y_val=Y_VAL, **options):
    return dv.LeaveOneOut(estimator, **options).fit(X, y).score(X_val, y_val)


@pytest.mark.parametrize(
    ("X_val", "y_val", "match"),
    [
        (X_VAL, Y_VAL[:3], "validation X and y don't fit each other: .*6, 3"),
        (X_VAL, np.array([0, 1, 2, 0, 1, 7]), "validation label 7 of sample 5 never occurs in training"),
        (X_VAL, Y_VAL.astype(str), "validation label '0' of sample 0 never occurs"),
        (X_VAL[:, :2], Y_VAL, r"validation X has shape \(6, 2\), the training X \(12, 3\)"),
        (X_VAL, np.array([0, 1, 2, 0, 1, np.nan]), "validation y contains NaN.*sample 5"),
        (X_VAL, np.array([0, 1, None, 0, 1, 2]), "validation y contains NaN.*sample 2"),
        (X_VAL[:0], Y_VAL[:0], "validation set is empty"),
        (None, Y_VAL, "validation X must be an array, a data frame or a list, got None"),
        (X_VAL, None, "validation y must be"),
        ((row for row in X_VAL), Y_VAL, "validation X must be .*, got a generator"),
        (np.where(X_VAL > 1, np.nan, X_VAL), Y_VAL, "failed on the validation samples: .*NaN"),
    ],
)
def test_bad_validation_samples(X_val, y_val, match):
    with pytest.raises(InvalidDataError, match=match):
        values(LogisticRegression(), X_val=X_val, y_val=y_val)


def test_what_cannot_be_judged_costs_one_fit():
    CountedRidge.fits = 0
    with pytest.raises(InvalidDataError, match="failed on the validation samples"):
        values(CountedRidge(), y=X[:, 0], X_val=np.full((6, 3), np.nan), y_val=X_VAL[:, 0])
    assert CountedRidge.fits == 1


@pytest.mark.parametrize(
    ("X_train", "y_train", "match"),
    [
        (X, Y[:5], "training X and y don't fit each other"),
        (X, np.where(Y == 2, np.nan, Y), "training y contains NaN.*sample 2"),
        (X[:1], Y[:1], "at least two training samples"),
        (X, None, "training y must be"),
    ],
)
def test_bad_training_samples(X_train, y_train, match):
    with pytest.raises(InvalidDataError, match=match):
        dv.LeaveOneOut(LogisticRegression()).fit(X_train, y_train)


def test_training_samples_that_the_estimator_refuses():
    with pytest.raises(
        InvalidDataError, match=r"LogisticRegression can't be fitted on the training samples: .*NaN"
    ):
        values(LogisticRegression(), X=np.where(X > 1, np.nan, X))


RANDOM = {
    "forest": RandomForestClassifier(3),
    "pipeline": make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss")),
    "vote": VotingClassifier(
        [("a", DecisionTreeClassifier(max_features=1)), ("b", LogisticRegression())], voting="soft"
    ),
}


@pytest.mark.parametrize("name", RANDOM)
def test_random_states_are_held_fixed(name):
    """Equal to the bit, from call to call and in worker processes."""
    estimator = RANDOM[name]
    first = values(estimator, indices=[0, 3])
    np.testing.assert_array_equal(values(estimator, indices=[0, 3]), first)
    assert set(random_states(fixed(estimator, None))) == set(random_states(estimator))
    assert all(estimator.get_params()[key] is None for key in random_states(estimator))


@pytest.mark.parametrize("name", RANDOM)
def test_seeds_reach_what_is_inside(name):
    truth = dv.LeaveOneOut(RANDOM[name], indices=[0], seeds=[1, 2, 3, 4]).fit(X, Y)
    truth.score(X_VAL, Y_VAL)
    assert len({*truth.diagnostics_["utility"]}) > 1
    assert all(fixed(RANDOM[name], 5).get_params()[key] == 5 for key in random_states(RANDOM[name]))


def test_a_random_state_that_was_chosen_stays():
    assert fixed(RandomForestClassifier(3, random_state=7), None).random_state == 7


def test_a_fit_that_fails_costs_its_sample_alone():
    marked = np.where(np.arange(N)[:, None] == 4, 5.0, X)
    with pytest.warns(
        RetrainingWarning, match=r"1 of 12 fits of Needing failed; without 4: ArithmeticError: where is 5\.0\?"
    ):
        found = values(Needing(), X=marked)
    assert np.flatnonzero(np.isnan(found)).tolist() == [4]
    expected = values(LogisticRegression(), X=marked)
    np.testing.assert_array_equal(np.delete(found, 4), np.delete(expected, 4))


def test_fits_that_all_fail_are_an_error():
    marked = np.column_stack([np.arange(N), X])
    with pytest.raises(InvalidDataError, match=r"12 of 12 fits of Helpless failed; without 0: .*; \.\.\."):
        values(Helpless(), X=marked, X_val=np.column_stack([Y_VAL, X_VAL]))


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.coo_matrix, sparse.csc_array])
def test_sparse_matrices_stay_sparse(kind):
    class Strict(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            assert sparse.issparse(X)
            return super().fit(X, y, sample_weight)

    found = values(Strict(), X=kind(X), X_val=kind(X_VAL))
    # Two ways through the same optimiser: equal up to its own tolerance of 1e-4 in the gradient.
    np.testing.assert_allclose(found, values(LogisticRegression()), atol=1e-3)


def test_data_frames_stay_frames():
    pandas = pytest.importorskip("pandas")
    frames = [
        pandas.DataFrame(array, columns=list("abc"), index=np.arange(len(array)) + 100) for array in (X, X_VAL)
    ]
    labels = [pandas.Series(y, index=frame.index) for y, frame in zip((Y, Y_VAL), frames, strict=True)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # scikit-learn warns where names of features come and go
        found = values(LogisticRegression(), frames[0], labels[0], frames[1], labels[1])
    np.testing.assert_allclose(found, values(LogisticRegression()), rtol=1e-12)


def test_texts_and_labels_that_are_strings():
    texts = [f"word{i % 4} word{i % 3}" for i in range(N)]
    labels = np.array(["a", "b", "c"], dtype=object)[Y]
    found = values(make_pipeline(CountVectorizer(), LogisticRegression()), texts, labels, texts[:6], labels[:6])
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"objective": lambda z, y: z}, TypeError, r"objective .*pass utility=\(estimator, X, y\) -> number"),
        ({"group_size": 3}, TypeError, "group_size is for learners"),
        ({"folder": "kept"}, TypeError, "folder keeps the runs of learners"),
        ({"seeds": [1]}, ValueError, "KNeighborsClassifier has no random_state that seeds could set"),
        ({"utility": "acuracy"}, ValueError, "unknown utility 'acuracy': choose 'loss'"),
        ({"utility": 3}, TypeError, "utility must be a name or a function, got 3"),
        ({"seeds": 3}, TypeError, r"pass \[3\] for this one seed"),
        ({"n_jobs": "2"}, TypeError, "n_jobs must be a whole number"),
        ({"n_jobs": 0}, ValueError, "n_jobs"),
    ],
)
def test_options_that_an_estimator_cannot_honour(options, error, match):
    with pytest.raises(error, match=match):
        dv.LeaveOneOut(KNeighborsClassifier(), **options).fit(X, Y)


def test_a_utility_of_ones_own():
    found = values(
        DecisionTreeRegressor(), y=X[:, 0], y_val=X_VAL[:, 0], utility=lambda e, X, y: e.predict(X).mean()
    )
    assert np.isfinite(found).all()


def test_other_removals_than_of_one_sample():
    retraining = EstimatorRetraining(LogisticRegression(), X, Y)
    removed = np.arange(N)[None] < np.array([[2], [5]])
    options = RetrainingOptions()
    found = retraining.utilities(removed, retraining.validation(X_VAL, Y_VAL), options).found
    kept = LogisticRegression().fit(X[5:], Y[5:])
    expected = -np.log(kept.predict_proba(X_VAL)[np.arange(6), Y_VAL]).mean()
    assert found.shape == (1, 3)
    assert found[0, 2] == pytest.approx(expected, rel=1e-12)
