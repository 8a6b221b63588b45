"""Removal and addition curves against trainings on the rows that are kept."""

from __future__ import annotations

import numpy as np
import pytest

from dataval.data import as_data
from dataval.evaluation import RemovalCurve, addition_curve, removal_curve
from dataval.objectives.validation import ValidationObjective
from tests.runs import N, make_learner, make_samples

VALUES = np.random.default_rng(0).permutation(N) - 5.0


@pytest.fixture
def samples():
    return (*make_samples(), *make_samples("mlp", 30, seed=2))


def trained(zoo, kept, samples, seed, **options):
    """The validation loss after training on some rows alone."""
    X, y, X_val, y_val = samples
    learner = make_learner(zoo, seed=seed, **options)
    replay = learner.replay(X[kept], y[kept], learner.train(X[kept], y[kept]))
    return float(ValidationObjective(replay.program.backend, as_data(X_val, y_val), None).value(replay.final))


@pytest.mark.parametrize("order", ["lowest", "highest"])
def test_removal_is_training_on_what_is_left(zoo, samples, order):
    options = {"shares": [0.5, 0.2], "order": order, "utility": "loss", "seeds": [3, 5]}
    curve = removal_curve(VALUES, make_learner(zoo), *samples, **options)
    assert curve.shares == (0.0, 0.2, 0.5)
    first = VALUES.argsort() if order == "lowest" else VALUES.argsort()[::-1]
    for row, seed in zip(curve.by_value, (3, 5), strict=True):
        expected = [trained(zoo, np.sort(first[round(share * N) :]), samples, seed) for share in curve.shares]
        np.testing.assert_allclose(row, expected, rtol=1e-12)
    assert [row[0] for row in curve.at_random] == [row[0] for row in curve.by_value]
    assert [row[2] for row in curve.at_random] != [row[2] for row in curve.by_value]


def test_addition_is_training_on_the_first_alone(zoo, samples):
    curve = addition_curve(VALUES, make_learner(zoo), *samples, shares=[0.4, 1.0], utility="loss", seeds=[2])
    highest = np.sort(VALUES.argsort()[::-1][:8])
    expected = [trained(zoo, highest, samples, 2), trained(zoo, np.arange(N), samples, 2)]
    np.testing.assert_allclose(curve.by_value[0], expected, rtol=1e-12)
    assert curve.kind == "addition"
    assert curve.by_value[0][1] == curve.at_random[0][1]


def test_values_of_each_seed(zoo, samples):
    options = {"shares": [0.3], "utility": "loss"}
    both = removal_curve(np.stack([VALUES, -VALUES]), make_learner(zoo), *samples, seeds=[0, 1], **options)
    first = removal_curve(VALUES, make_learner(zoo), *samples, seeds=[0], **options)
    second = removal_curve(-VALUES, make_learner(zoo), *samples, seeds=[1], **options)
    assert both.by_value == (first.by_value[0], second.by_value[0])
    assert both.at_random == (first.at_random[0], second.at_random[0])


def test_finished_trainings_are_looked_up(zoo, samples, tmp_path, monkeypatch):
    options = {"shares": [0.3], "seeds": [0, 1], "folder": tmp_path}
    first = removal_curve(VALUES, make_learner(zoo), *samples, **options)
    monkeypatch.setattr("dataval.retraining.retrain._train", None)
    assert removal_curve(VALUES, make_learner(zoo), *samples, **options) == first


def test_utilities(zoo, samples):
    options = {"shares": [0.3], "seeds": [0]}
    accuracy = removal_curve(VALUES, make_learner(zoo), *samples, **options)
    assert (accuracy.utility, accuracy.greater_is_better) == ("accuracy", True)
    assert all(0 <= number <= 1 for number in accuracy.by_value[0])
    loss = removal_curve(VALUES, make_learner(zoo), *samples, utility="loss", **options)
    assert (loss.utility, loss.greater_is_better) == ("loss", False)


def test_ties_are_broken_at_random_and_not_by_position(zoo, samples):
    curve = removal_curve(np.zeros(N), make_learner(zoo), *samples, shares=[0.3], utility="loss", seeds=[0])
    kept = np.arange(round(0.3 * N), N)
    assert curve.by_value[0][1] != pytest.approx(trained(zoo, kept, samples, 0), rel=1e-9)


def make_curve(by_value, at_random, shares=(0.0, 0.2, 0.4)):
    return RemovalCurve(
        kind="removal",
        order="lowest",
        utility="accuracy",
        greater_is_better=True,
        confidence=0.95,
        shares=shares,
        seeds=tuple(range(len(by_value))),
        by_value=by_value,
        at_random=at_random,
    )


def test_area_by_hand():
    curve = make_curve([(0.5, 0.7, 0.9), (0.5, 0.6, 0.7)], [(0.5, 0.5, 0.5), (0.5, 0.5, 0.5)])
    # Triangles of heights 0.4 and 0.2: mean heights 0.2 and 0.1.
    assert curve.area_between.mean == pytest.approx(0.15)
    assert [each.mean for each in curve.difference] == pytest.approx([0, 0.15, 0.3])
    assert [each.mean for each in curve.gain] == pytest.approx([0, 0.15, 0.3])
    assert [each.mean for each in curve.mean] == pytest.approx([0.5, 0.65, 0.8])
    assert [each.mean for each in curve.random_mean] == pytest.approx([0.5] * 3)


def test_printed_and_stored():
    curve = make_curve([(0.5, 0.7, 0.9), (0.5, 0.6, 0.7)], [(0.5, 0.5, 0.5), (0.5, 0.5, 0.5)])
    assert len(str(curve).splitlines()) == 6
    assert "area between: 0.15" in str(curve)
    assert "area between: 0.2000" in str(make_curve([(0.5, 0.7, 0.9)], [(0.5, 0.5, 0.5)]))
    assert RemovalCurve.model_validate_json(curve.model_dump_json()) == curve


def test_bad_input_is_refused(zoo, samples):
    for options, message in [
        ({"shares": [0.0]}, "shares"),
        ({"shares": [1.0]}, "shares"),
        ({"shares": []}, "shares"),
        ({"order": "up"}, "order"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"confidence": 1}, "confidence"),
        ({"utility": "nonsense"}, "unknown utility"),
        ({"shares": [0.9]}, "batch"),
    ]:
        with pytest.raises(ValueError, match=message):
            removal_curve(VALUES, make_learner(zoo), *samples, **options)
    for values, message in [(VALUES[1:], "values must have shape"), (VALUES * np.nan, "NaN")]:
        with pytest.raises(ValueError, match=message):
            addition_curve(values, make_learner(zoo), *samples)
