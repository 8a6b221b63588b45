"""Methods that meet a sample without finite derivatives: it is named, or has no value at weight 0."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest

import dataval as dv
from dataval.errors import InvalidDataError, SolverWarning, TrainingDivergedError
from tests.faults.models import BAD, WITHOUT, N, learner, samples

METHODS = {
    "hydra": lambda one: dv.HyDRA(one),
    "hydra_exact": lambda one: dv.HyDRA(one, hessian=True),
    "tracin": lambda one: dv.TracIn(one),
    "tracin_updates": lambda one: dv.TracIn(one, checkpoints="updates"),
    "influence": lambda one: dv.InfluenceFunction(one),
    "influence_exact": lambda one: dv.InfluenceFunction(one, solver="exact", damping=1.0),
    "influence_lissa": lambda one: dv.InfluenceFunction(one, solver="lissa", damping=1.0),
    "influence_arnoldi": lambda one: dv.InfluenceFunction(one, solver="arnoldi", damping=1.0),
    "influence_identity": lambda one: dv.InfluenceFunction(one, solver="identity"),
    "hydra_projected": lambda one: dv.HyDRA(one, projection=3),
    "grad_dot": dv.GradDot,
    "grad_cos": dv.GradCos,
    "grad_dot_projected": lambda one: dv.GradDot(one, dimension=3),
    "trak": dv.TRAK,
    "logra": dv.LoGra,
}


@pytest.fixture(scope="module")
def fitted():
    """Return methods fitted on good samples, each made once a framework."""
    made = {}

    def get(framework, name):
        if framework not in made:
            one = learner(framework)
            made[framework] = one, one.train(*samples(bad=None))
        one, run = made[framework]
        return METHODS[name](one).fit(*samples(bad=None), run=run)

    return get


@pytest.mark.parametrize("name", METHODS)
def test_a_validation_sample_without_a_gradient_is_named(fitted, framework, name):
    method, validation = fitted(framework, name), samples(5, bad=2, seed=1)
    with pytest.raises(
        InvalidDataError, match="validation sample 2: the gradient of its objective is not finite"
    ):
        method.score(*validation)
    for chunk_size in (1, 2, None):
        if hasattr(method, "chunk_size"):
            method.set_params(chunk_size=chunk_size)
        with pytest.raises(InvalidDataError, match="validation sample 2: the gradient of its objective"):
            method.attribute(*validation)


def weighted(framework, **options):
    one, (X, y) = learner(framework, **options), samples()
    return one, X, y, one.train(X, y, WITHOUT)


@pytest.fixture(scope="module")
def left_out():
    """Return runs that leave the bad sample out, with runs of a finite sample in its place."""
    made = {}

    def get(framework):
        if framework not in made:
            one, X, y, run = weighted(framework)
            other = X.copy()
            other[BAD] = 1
            made[framework] = (one, X, y, run), (one, other, y, one.train(other, y, WITHOUT))
        return made[framework]

    return get


@pytest.mark.filterwarnings("ignore::dataval.errors.SolverWarning")
@pytest.mark.parametrize("name", METHODS)
def test_a_sample_of_weight_zero_has_no_value_and_spoils_no_other(left_out, framework, name):
    values = []
    for one, X, y, run in left_out(framework):
        values.append(METHODS[name](one).fit(X, y, run=run).score(*samples(5, bad=None, seed=1)))
    assert np.flatnonzero(np.isnan(values[0])).tolist() == [BAD]
    others = np.arange(N) != BAD
    # float32 sums in another order, over 6 updates and up to 200 iterations of a solver
    np.testing.assert_allclose(values[0][others], values[1][others], rtol=1e-3, atol=1e-5)


def test_neither_has_it_a_value_of_its_own(left_out, framework):
    (one, X, y, run), _ = left_out(framework)
    for found in (
        dv.GraNd(one).fit(X, y, run=run).score(X, y),
        dv.TracIn(one).fit(X, y, run=run).self_scores(),
        dv.InfluenceFunction(one, damping=1.0).fit(X, y, run=run).self_scores(),
    ):
        assert np.flatnonzero(np.isnan(found)).tolist() == [BAD]
    assert np.isfinite(dv.EL2N(one).fit(X, y, run=run).score(X, y)).all()  # its outputs are finite


@pytest.mark.parametrize("group_size", [1, 4])
def test_leaving_others_out_leaves_it_out_too(left_out, framework, group_size):
    values = [
        dv.LeaveOneOut(one, indices=[0, 1, 7], group_size=group_size)
        .fit(X, y, run=run)
        .score(*samples(5, bad=None, seed=1))[[0, 1, 7]]
        for one, X, y, run in left_out(framework)
    ]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-2, atol=1e-6)  # differences of float32 losses
    assert np.abs(values[0]).max() > 1e-4


def test_a_retraining_that_fails_is_named_and_the_others_are_kept(framework, tmp_path, monkeypatch):
    """Only the run without sample 1 fails, as one learning rate does for one of two weights."""
    one, data, validation = learner(framework, power=2.0), samples(bad=None), samples(5, bad=None, seed=1)
    method = dv.LeaveOneOut(one, indices=[0, 1, 2], folder=tmp_path, group_size=1).fit(*data)
    from dataval.retraining import retrain

    train, failing = retrain._train, [True]

    def spoilt(shared, changes):
        found = train(shared, changes)
        return found * np.nan if failing[0] and changes.samples[0].tolist() == [1] else found

    monkeypatch.setattr(retrain, "_train", spoilt)
    with pytest.raises(
        TrainingDivergedError, match=rf"without sample 1 .*1 of 4.*kept in {re.escape(str(tmp_path))}"
    ):
        method.score(*validation)
    failing[0], trained = False, []
    monkeypatch.setattr(retrain, "_train", lambda *args: trained.append(args) or train(*args))
    assert np.isfinite(method.score(*validation)[:3]).all()
    assert len(trained) == 1


def test_a_second_derivative_that_is_not_finite_is_no_chaos(framework):
    one, data = learner(framework, power=1.5), samples()
    data[0][:5] += 0.5  # the first samples are what the check before training looks at
    with pytest.raises(
        InvalidDataError, match=rf"training sample {BAD}: the second derivative .*hessian=False"
    ):
        dv.HyDRA(one, hessian=True).fit(*data).score(*samples(5, bad=None, seed=1))
    assert np.isfinite(dv.HyDRA(one).fit(*data).score(*samples(5, bad=None, seed=1))).all()


def test_an_overflowing_row_of_attribute_takes_no_other_along(framework):
    """Chaos is no fault of a sample: the row is NaN whatever the chunk, and a warning says so."""
    one, data = learner(framework, power=2.0), samples(bad=None)
    run = one.train(*data)
    (X, _), y = samples(4, bad=None, seed=1), np.array([1.0, 1.0, 1e30, 1.0], "float32")
    options = {"hessian": True, "objective": lambda outputs, targets: outputs[:, 0] * targets}
    rows = []
    for chunk_size in (1, 4):
        method = dv.HyDRA(one, chunk_size=chunk_size, **options).fit(*data, run=run)
        with pytest.warns(dv.errors.ChaoticTrainingWarning, match="overflowed"):
            rows.append(method.attribute(X, y))
    assert np.isnan(rows[0]).all(axis=1).tolist() == [False, False, True, False]
    np.testing.assert_allclose(rows[1], rows[0], rtol=1e-4, atol=1e-7)  # float32 in other batches


class Matrix:
    """A dense operator, one of whose entries isn't a number."""

    size = 3

    def __init__(self, entry: float) -> None:
        self._matrix = np.diag([1.0, 2.0, entry])

    def __call__(self, vectors):
        return vectors @ self._matrix

    def fisher_diagonal(self):
        return np.diag(self._matrix)


@pytest.mark.parametrize("name", ["cg", "exact", "lissa", "arnoldi", "identity"])
def test_no_solver_takes_nan_for_converged(name):
    from dataval.solvers import as_solver

    good, right = np.ones((2, 3)), np.array([[1.0, 1, 1], [1, np.nan, 1]])
    with warnings.catch_warnings():
        warnings.simplefilter("error", SolverWarning)
        inverse = as_solver(name).prepare(Matrix(3.0))
    with pytest.raises(ValueError, match="right-hand side 1 is not finite"):
        inverse.apply(right)
    if name != "identity":
        with pytest.raises(ValueError, match="product of the matrix with vector 0 is not finite"):
            as_solver(name).prepare(Matrix(np.nan)).apply(good)


def test_an_estimators_utility_must_be_a_number():
    from sklearn.linear_model import LinearRegression

    X, y = samples(bad=None)
    scorer = lambda estimator, X, y: np.nan if len(estimator.coef_) else 0.0  # noqa: E731
    with pytest.raises(InvalidDataError, match="utility of the estimator fitted on all samples is nan"):
        dv.LeaveOneOut(LinearRegression(), utility=scorer).fit(X, y.astype(float)).score(X, y)
