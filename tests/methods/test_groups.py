"""Groups of validation samples, each asked about as one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import dataval as dv
from dataval.errors import InvalidDataError
from dataval.methods.groups import Groups
from dataval.objectives.validation import ValidationObjective
from tests.runs import BATCH_NORM, N, make_learner, make_samples

NAMES = ["cat", "ant", "cat", "bee", "ant", "cat", "cat"]
UNIQUE, OF_SAMPLE = np.unique(NAMES, return_inverse=True)
SAMPLES, VALIDATION = make_samples(), make_samples(n=len(NAMES), seed=2)

METHODS = {
    "exact": lambda learner, **o: dv.HyDRA(learner, hessian=True, **o),
    "hessian-free": lambda learner, **o: dv.HyDRA(learner, **o),
    "one question a sweep": lambda learner, **o: dv.HyDRA(learner, hessian=True, chunk_size=1, **o),
    "influence": lambda learner, **o: dv.InfluenceFunction(learner, solver="exact", **o),
    "relative influence": lambda learner, **o: dv.InfluenceFunction(
        learner, solver="exact", normalize="loss", **o
    ),
    "checkpoints": lambda learner, **o: dv.TracIn(learner, **o),
    "updates": lambda learner, **o: dv.TracIn(learner, checkpoints="updates", **o),
    "leave-one-out": lambda learner, **o: dv.LeaveOneOut(learner, indices=[1, 4], **o),
    "random": lambda learner: dv.RandomValues(learner),
}
TAKES_OBJECTIVE = ["hessian-free", "influence", "checkpoints", "leave-one-out"]


def group_means(rows):
    return np.stack([rows[number == OF_SAMPLE].mean(axis=0) for number in range(len(UNIQUE))])


def assert_same(found, expected):
    # Sums of float64 in another order, over the updates of a run.
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10 * np.nanmax(np.abs(expected)))


@pytest.mark.parametrize("name", METHODS)
def test_rows_are_the_means_of_their_samples(zoo, name):
    method = METHODS[name](make_learner(zoo)).fit(*SAMPLES)
    found = method.attribute(*VALIDATION, groups=NAMES)
    assert found.shape == (3, N)
    assert found.dtype == np.float64
    assert_same(found, group_means(method.attribute(*VALIDATION)))
    assert_same(np.average(found, axis=0, weights=np.bincount(OF_SAMPLE)), method.score(*VALIDATION))


@pytest.mark.parametrize("model", [BATCH_NORM])
def test_running_statistics(zoo, model):
    samples, validation = make_samples(model), make_samples(model, len(NAMES), seed=2)
    exact = dv.HyDRA(make_learner(zoo, model, epochs=1), hessian=True).fit(*samples)
    assert_same(exact.attribute(*validation, groups=NAMES), group_means(exact.attribute(*validation)))


def test_rows_of_cosines_are_the_means_of_cosines(zoo):
    cosine = dv.InfluenceFunction(make_learner(zoo), solver="identity", normalize=True).fit(*SAMPLES)
    assert_same(cosine.attribute(*VALIDATION, groups=NAMES), group_means(cosine.attribute(*VALIDATION)))


@pytest.mark.parametrize("name", ["exact", "hessian-free", "influence", "checkpoints", "updates"])
def test_it_costs_what_there_are_groups(zoo, name, monkeypatch):
    method = METHODS[name](make_learner(zoo)).fit(*SAMPLES)

    def every_sample(*_):
        pytest.fail("the gradient of every single validation sample")

    for gradients in ("gradients", "layer_gradients"):
        monkeypatch.setattr(ValidationObjective, gradients, every_sample)
    method.attribute(*VALIDATION, groups=NAMES)


@pytest.mark.parametrize("name", TAKES_OBJECTIVE)
def test_objectives(zoo, name):
    method = METHODS[name](make_learner(zoo, epochs=1), objective=lambda outputs, targets: outputs[:, 0] ** 2)
    method.fit(*SAMPLES)
    assert_same(method.attribute(*VALIDATION, groups=NAMES), group_means(method.attribute(*VALIDATION)))
    method = METHODS[name](make_learner(zoo, epochs=1), objective=lambda outputs, targets: outputs[0, 0] ** 2)
    with pytest.raises(TypeError, match="single number"):
        method.fit(*SAMPLES).attribute(*VALIDATION, groups=NAMES)


@pytest.mark.parametrize(
    "groups",
    [
        np.array(NAMES),
        tuple(NAMES),
        pd.Series(NAMES),
        OF_SAMPLE,
        OF_SAMPLE.astype(float),
        [("a", int(number)) for number in OF_SAMPLE],
        pd.Categorical(NAMES),
    ],
    ids=["array", "tuple", "series", "integers", "floats", "pairs", "categorical"],
)
def test_names_of_any_kind(groups):
    found = Groups.of(groups, len(NAMES))
    assert [members.tolist() for members in found.members] == [[1, 4], [3], [0, 2, 5, 6]]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (NAMES[:3], r"each of the 7 validation samples, shape \(7,\), got shape \(3,\)"),
        ([], "got shape"),
        (np.zeros((7, 2)), "got shape"),
        (5, "got shape"),
        ("animals", "must be an array of the 7"),
        (dict.fromkeys(NAMES), "must be an array of the 7"),
        ([*NAMES[:6], None], "sample 6 has no group"),
        ([0, 1, np.nan, 0, 1, 0, 1], "sample 2 has no group"),
        (pd.Series([*NAMES[:6], pd.NA]), "sample 6 has no group"),
        ([*NAMES[:6], 1], "can't be sorted"),
    ],
)
def test_what_names_no_groups_is_refused(groups, message):
    with pytest.raises(InvalidDataError, match=message):
        Groups.of(groups, len(NAMES))


@pytest.mark.parametrize("name", ["hessian-free", "influence", "checkpoints", "leave-one-out", "random"])
def test_it_is_refused_before_long_work(zoo, name, monkeypatch):
    method = METHODS[name](make_learner(zoo, epochs=1)).fit(*SAMPLES)
    for work in ("_attribute", "_of_each"):
        monkeypatch.setattr(type(method), work, lambda *_: pytest.fail("this is the long work"), raising=False)
    with pytest.raises(InvalidDataError, match="each of the 7 validation samples"):
        method.attribute(*VALIDATION, groups=NAMES[:3])


def test_methods_without_single_samples(zoo):
    with pytest.raises(TypeError, match="use score"):
        dv.MeanLoss(make_learner(zoo, epochs=1)).fit(*SAMPLES).attribute(*VALIDATION, groups=NAMES)
    X, y = SAMPLES.X.reshape(N, -1), SAMPLES.y
    with pytest.raises(TypeError):
        dv.LeaveOneOut(LogisticRegression(), indices=[0]).fit(X, y).attribute(X[:2], y[:2], groups=[0, 1])
