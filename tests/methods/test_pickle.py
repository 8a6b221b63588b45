"""A fitted method travels by pickle, and gives equal values afterwards."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import dataval as dv
from tests.runs import make_learner, make_samples

METHODS = {
    "HyDRA": lambda learner: dv.HyDRA(learner, hessian=True),
    "influence": dv.InfluenceFunction,
    "factors": lambda learner: dv.InfluenceFunction(learner, curvature=dv.EKFAC(fisher="empirical")),
    "leave-one-out": lambda learner: dv.LeaveOneOut(learner, indices=[0, 3]),
    "shapley": lambda learner: dv.DataShapley(learner, n_permutations=2),
    "mean loss": dv.MeanLoss,
    "random": dv.RandomValues,
    "hydra, projected": lambda learner: dv.HyDRA(learner, projection=5),
    "hydra, averaged": lambda learner: dv.HyDRA(learner, removed=0.5, n_runs=2),
    "logra": dv.LoGra,
    "trak": lambda learner: dv.TRAK(learner, dimension=8),
    "grad dot": dv.GradDot,
    "input similarity": dv.InputSimilarity,
    "knn-shapley": lambda learner: dv.KNNShapley(learner, features="hidden"),
    "tknn-shapley": dv.TKNNShapley,
    "lava": dv.LAVA,
    "data-oob": lambda learner: dv.DataOOB(learner, n_models=16),
    "cs-shapley": lambda learner: dv.CSShapley(learner, n_permutations=1),
    "kernel leave-one-out": dv.KernelLeaveOneOut,
    "probability margin": dv.ProbabilityMargin,
}


@pytest.fixture
def trained(zoo):
    learner, samples = make_learner(zoo), make_samples()
    return learner, samples, learner.train(*samples)


@pytest.mark.filterwarnings("ignore:no Kronecker factors are known")
@pytest.mark.parametrize("name", METHODS)
def test_a_fitted_method_gives_equal_values_afterwards(trained, name):
    """On the same machine and thread the same operations are done: equal to the bit."""
    learner, samples, run = trained
    method, validation = METHODS[name](learner).fit(*samples, run=run), make_samples(n=5, seed=2)
    expected = method.score(*validation)
    revived = pickle.loads(pickle.dumps(method))
    np.testing.assert_array_equal(revived.score(*validation), expected)
    assert revived.run_.data_fingerprint == run.data_fingerprint
    np.testing.assert_array_equal(revived.fit(*samples, run=revived.run_).score(*validation), expected)


@pytest.mark.parametrize(
    "method",
    [
        dv.LeaveOneOut(LogisticRegression(), indices=[0, 3]),
        dv.DataBanzhaf(LogisticRegression(), n_coalitions=30, tolerance=None),
    ],
    ids=["leave-one-out", "banzhaf"],
)
def test_methods_of_an_estimator(method):
    samples = make_samples()
    method.fit(*samples)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(method)).score(*samples), method.score(*samples))


@pytest.mark.parametrize("name", METHODS)
def test_a_method_that_is_not_fitted(zoo, name):
    method = METHODS[name](make_learner(zoo))
    assert repr(pickle.loads(pickle.dumps(method)).get_params().keys()) == repr(method.get_params().keys())
