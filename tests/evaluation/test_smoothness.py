"""The check of smoothness against the same by hand, through the public interface."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

import dataval as dv
from dataval.data import as_data
from dataval.evaluation import Smoothness, smoothness
from dataval.evaluation.smoothness_calibration import probability_of
from tests.runs import make_learner, make_samples, shared, trained

SEED, STEP, FRACTION = 3, 0.05, 0.1
N, SIZE = 20, 2


@pytest.fixture
def validation():
    return make_samples("mlp", 8, seed=2)


@shared
def checked(zoo):
    """Return the check of a run that tests share."""
    learner, samples, run = trained(zoo)
    return smoothness(
        learner, *samples, *make_samples("mlp", 8, seed=2), run=run, step=STEP, fraction=FRACTION, seed=SEED
    )


def parameters(run):
    return np.asarray(run.final.parameters, dtype=np.float64)


def loss(learner, samples, run, validation):
    """Return the validation loss by softmax and logarithm."""
    replay = learner.replay(*samples, run)
    program = replay.program
    batch = program.backend.batches(as_data(*validation)).take(np.arange(len(validation[1])))
    state = replay.final
    logits = program.backend.arrays.to_numpy(program.backend.predict(state.parameters, state.buffers, batch))
    largest = logits.max(axis=1, keepdims=True)
    logs = logits - largest - np.log(np.exp(logits - largest).sum(axis=1, keepdims=True))
    return -logs[np.arange(len(logits)), validation[1]].mean()


def test_metasmoothness_by_hand(zoo, validation):
    learner, samples, run = trained(zoo)
    signs = np.random.default_rng([SEED, 5]).choice([-1.0, 1.0], N)
    ends = [learner.train(*samples, 1 + k * STEP * signs) for k in (1, 2)]
    one, two = (parameters(end) for end in ends)
    first, second = one - parameters(run), two - one
    found = checked(zoo)
    assert found.metasmoothness == np.mean(np.sign(first) == np.sign(second))
    assert found.bend == pytest.approx(np.linalg.norm(second - first) / np.linalg.norm(first), rel=1e-9)
    values = [loss(learner, samples, each, validation) for each in (run, *ends)]
    # The second difference loses what F has in common at three points: 1e-16 / h^2 = 4e-14.
    assert found.curvature == pytest.approx((values[2] - 2 * values[1] + values[0]) / STEP**2, abs=1e-10)


def test_mask_and_values_by_hand(zoo, validation):
    learner, samples, run = trained(zoo)
    mask = np.zeros(N, dtype=bool)
    mask[np.random.default_rng([SEED, 6]).choice(N, SIZE, replace=False)] = True
    masked = learner.train(*samples, np.where(mask, 0.0, 1.0))
    plain, other = (
        dv.HyDRA(learner, hessian=True).fit(*samples, run=each).score(*validation) for each in (run, masked)
    )
    found = checked(zoo)
    moved = np.linalg.norm(parameters(masked) - parameters(run)) / np.linalg.norm(parameters(run))
    assert found.displacement == pytest.approx(moved, rel=1e-12)
    assert found.agreement == pytest.approx(spearmanr(plain, other).statistic, abs=1e-12)
    assert found.predicted == pytest.approx(plain[mask].sum(), rel=1e-12)
    change = loss(learner, samples, masked, validation) - loss(learner, samples, run, validation)
    assert found.actual == pytest.approx(change, abs=1e-12)


def test_only_what_is_asked_for_is_done(zoo, validation):
    learner, samples, run = trained(zoo)
    full = checked(zoo)
    for parts, names in (
        ([], set()),
        (["mask"], {"displacement", "actual"}),
        (["values"], set()),
        (("weights",), {"metasmoothness", "bend", "curvature"}),
    ):
        found = smoothness(
            learner, *samples, *validation, run=run, parts=parts, step=STEP, fraction=FRACTION, seed=SEED
        )
        optional = {"metasmoothness", "bend", "curvature", "displacement", "actual", "predicted", "agreement"}
        assert {name for name in optional if getattr(found, name) is not None} == names
        assert all(getattr(found, name) == getattr(full, name) for name in names)
        assert (found.run.growth is not None) == ("values" in parts)
        assert (found.probability is None) == (not names)
        assert (found.verdict == "not asked") == (not names)


def test_trains_the_run_where_none_is_given(zoo, validation):
    learner, samples, _ = trained(zoo)
    found = smoothness(learner, *samples, *validation, parts=["mask"], fraction=FRACTION, seed=SEED)
    assert found.displacement == checked(zoo).displacement


def test_the_run_is_left_as_it_was(zoo):
    checked(zoo)
    _, _, run = trained(zoo)
    assert (run.weights == 1).all()
    assert run.is_complete
    assert run.binding is not None


def test_printed_and_stored(zoo):
    found = checked(zoo)
    assert Smoothness.model_validate_json(found.model_dump_json()) == found
    for said in ("metasmoothness", "masked", "Spearman", "effective rate", found.verdict):
        assert said in str(found)


def test_weights_of_zero_stay_out(zoo, validation):
    learner, samples = make_learner(zoo, epochs=1), make_samples()
    weights = np.where(np.arange(N) < 15, 0.0, 2.0)
    run = learner.train(*samples, weights)
    found = smoothness(learner, *samples, *validation, run=run, fraction=0.2, parts=["mask"])
    mask = np.random.default_rng([0, 6]).choice(np.arange(15, N), 1)
    without = learner.train(*samples, np.where(np.arange(N) == mask, 0.0, weights))
    moved = np.linalg.norm(parameters(without) - parameters(run)) / np.linalg.norm(parameters(run))
    assert found.displacement == pytest.approx(moved, rel=1e-12)


@pytest.mark.slow_on_tensorflow
def test_a_linear_model_is_smooth_and_a_wild_one_is_not(zoo):
    samples, validation = make_samples("mlp", 60), make_samples("mlp", 30, seed=2)
    calm = make_learner(zoo, "softmax_regression", optimizer=dv.SGD(learning_rate=0.02), batch_size=20)
    wild = make_learner(zoo, "mlp", optimizer=dv.SGD(learning_rate=3.0, momentum=0.9), batch_size=5, epochs=12)
    found = smoothness(calm, *samples, *validation)
    assert found.verdict == "smooth"
    assert found.metasmoothness > 0.98
    assert found.agreement > 0.98
    assert smoothness(wild, *samples, *validation).verdict == "chaotic"


def test_probability_falls_with_every_sign():
    assert probability_of({}) is None
    for name, good, bad in (
        ("metasmoothness", 0.999, 0.6),
        ("displacement", 1e-3, 0.2),
        ("agreement", 0.999, 0.2),
    ):
        assert probability_of({name: good}) > 0.7
        assert probability_of({name: bad}) < 0.3
        assert 0 < probability_of({name: 1.0}) < 1


def test_bad_input_is_refused(zoo, validation):
    learner, samples, run = trained(zoo)
    for bad, match in (
        ({"parts": "mask"}, r"parts=\['mask'\]"),
        ({"parts": ["masks"]}, "parts must be"),
        ({"step": 0.5}, "step must be above 0"),
        ({"fraction": 1.0}, "fraction"),
        ({"fraction": 0.99}, "masks all"),
        ({"seed": -1}, "seed"),
    ):
        with pytest.raises((ValueError, TypeError), match=match):
            smoothness(learner, *samples, *validation, run=run, **bad)
    with pytest.raises(TypeError, match=r"must be a dataval\.Learner"):
        smoothness(None, *samples, *validation)
    states = learner.adopt(*samples)
    with pytest.raises(dv.errors.RunMismatchError, match="states of one"):
        smoothness(learner, *samples, *validation, run=states)
