"""What a run tells of how smooth its training was, by hand."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.training.stability import RunStability, effective_rates, plateau_end, run_stability, update_losses
from tests.runs import make_learner, make_samples, trained


def stability(**changed):
    calm = {"effective_rate": 0.04, "last_rate": 0.0, "plateau": 0.02, "growth": 1.0, "kinks": ()}
    return RunStability(**calm | changed)


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (dv.SGD(learning_rate=0.1), 0.1),
        (dv.SGD(learning_rate=0.1, momentum=0.9), 1.0),
        (dv.SGD(learning_rate=0.1, momentum=0.9, dampening=0.9), 0.1),
        (dv.SGD(learning_rate=0.1, groups={"*": {"momentum": 0.5}}), 0.2),
        (dv.Adam(learning_rate=0.1), None),
    ],
)
def test_effective_rate(optimizer, expected):
    replay = make_learner(torch_zoo(), optimizer=optimizer).prepare(*make_samples())
    found = effective_rates(replay.run)
    assert (
        (found is None) if expected is None else found == pytest.approx(np.full(replay.run.n_steps, expected))
    )


def torch_zoo():
    pytest.importorskip("torch")
    from tests.zoo import torch_models

    return torch_models


def test_plateaus_by_hand():
    falling = np.linspace(2, 1, 60)
    flat = np.full(40, 2.0)
    # The mean of 4 updates falls below 1.9 of 2 once its middle does, 6 updates after the fall began.
    assert plateau_end(np.concatenate([flat, falling])) == pytest.approx(0.46, abs=0.03)
    assert plateau_end(falling) == pytest.approx(0.08, abs=0.04)
    assert plateau_end(np.full(100, 2.0)) == 1.0
    assert plateau_end(np.linspace(2, 1, 19)) is None
    assert plateau_end(np.full(100, np.nan)) is None
    noisy = np.log(10) + 0.05 * np.random.default_rng(0).normal(size=200)
    assert plateau_end(noisy) == 1.0


def test_losses_of_updates_leave_out_what_has_no_weight(zoo):
    learner, samples = make_learner(zoo), make_samples()
    run = learner.train(*samples, np.arange(20) % 2)
    found = update_losses(run)
    batch = run.plan.batch(1)
    assert found[1] == pytest.approx(run.losses[0, batch[batch % 2 == 1]].mean(), rel=1e-12)


@pytest.mark.parametrize(("model", "expected"), [("mlp", False), ("cnn_max_pool", True)])
def test_kinks_are_named(zoo, model, expected):
    learner = make_learner(zoo, model)
    found = run_stability(learner.prepare(*make_samples(model))).kinks
    assert any("Max" in kind for kind in found) == expected


def test_of_a_run(zoo):
    learner, samples, run = trained(zoo)
    found = run_stability(learner.replay(*samples, run), growth=2.0)
    assert found.effective_rate == pytest.approx(1.0)
    assert (found.last_rate, found.plateau, found.growth) == (1.0, None, 2.0)
    assert RunStability.model_validate_json(found.model_dump_json()) == found


def test_risks_name_cause_and_cure():
    assert stability().risks == ()
    assert not stability().is_chaotic
    causes = {
        "effective rate.*smaller learning rate": {"effective_rate": 0.5},
        "does not fall to 0.*CosineSchedule": {"last_rate": 1.0},
        "for 40% of the updates.*He": {"plateau": 0.4},
        "never left its start.*standardise": {"plateau": 1.0},
        r"kinks \(ReLU\).*GELU": {"kinks": ("ReLU",)},
    }
    for expected, changed in causes.items():
        (risk,) = stability(**changed).risks
        assert np.all([part in risk for part in expected.replace("\\", "").split(".*")])
        assert f"- {risk}" in str(stability(**changed))


def test_chaos_is_growth_beyond_measure():
    assert stability(growth=2e3).is_chaotic
    assert stability(growth=float("inf")).is_chaotic
    assert not stability(growth=None).is_chaotic
    again = RunStability.model_validate_json(stability(growth=float("inf")).model_dump_json())
    assert again.growth == float("inf")


@pytest.mark.slow_on_tensorflow
def test_exact_hydra_reports_it(zoo):
    learner, samples, run = trained(zoo)
    exact, free = (
        dv.HyDRA(learner, hessian=True).fit(*samples, run=run),
        dv.HyDRA(learner).fit(*samples, run=run),
    )
    validation = make_samples("mlp", 8, seed=2)
    exact.score(*validation)
    found = exact.diagnostics_["stability"]
    assert found.growth == exact.diagnostics_["growth"]
    assert "effective rate" in found.risks[0]
    free.score(*validation)
    assert "stability" not in free.diagnostics_
