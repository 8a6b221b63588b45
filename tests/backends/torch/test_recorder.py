"""Values through a loop of the user's own, against differences of that loop; what deviates is named."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import dataval as dv
from dataval.errors import RunMismatchError
from tests.backends.torch.user_loop import SAMPLES, X_VAL, Y_VAL, N, Script, X, Y, mlp


def sgd(groups):
    return torch.optim.SGD(groups, lr=0.05, momentum=0.9, nesterov=True)


def adam(groups):
    return torch.optim.Adam(groups, lr=0.02)


class WithBatchNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))

    def forward(self, x):
        return self.net(x)


def unfreezing(model, epoch, moment, **_):
    """Train the last layer alone in the first epoch."""
    if moment == "after":
        for name, p in model.named_parameters():
            p.requires_grad_(epoch > 0 or name.startswith("3."))


def unfrozen_later():
    model = mlp()
    for name, p in model.named_parameters():
        p.requires_grad_(name.startswith("3."))
    return model


SCRIPTS = {
    "groups, OneCycle, short batches": Script(),
    "Nesterov, clipped": Script(optimizer=sgd, clip_norm=0.5),
    "accumulation beyond an epoch": Script(optimizer=adam, accumulate=3, peaks=None),
    "class weights": Script(class_weights=(0.5, 1.0, 3.0), clip_norm=0.3, accumulate=2),
    "batch normalisation": Script(build=WithBatchNorm, optimizer=adam, accumulate=2),
    "frozen at first": Script(build=unfrozen_later, each=unfreezing),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_values_equal_differences_of_the_script(name):
    """Central differences of step 1e-4 are good to 1e-6, of Adam's roots near 0 somewhat worse."""
    script = SCRIPTS[name]
    expected = script.differences()
    found = script.values()[SAMPLES]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert np.abs(expected).min() > 1e-4


@pytest.fixture(scope="module")
def recorded():
    script = replace(
        Script(), each=lambda step, recorder=None, **_: recorder and step == 7 and recorder.mark("best")
    )
    return script.run(recorder=True)


def test_what_is_recorded(recorded):
    model, recorder, run = recorded
    assert (run.origin, run.n_steps, run.n_samples, run.evidence.grade) == ("recorded", 12, N, "rounding")
    np.testing.assert_array_equal(run.plan.coefficients[-4:], 1 / 4)
    np.testing.assert_array_equal(np.sort(run.plan.order), np.repeat(np.arange(N), 3))
    assert run.evidence.is_proved.sum() >= 6
    rates = run.plan.hyperparameters.values
    assert len(np.unique(rates["learning_rate"])) > 10
    assert len(np.unique(rates["beta1"])) > 5
    final = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    assert torch.equal(final, run.final.parameters)
    assert np.isfinite(run.losses).all()
    exported = recorder.learner.replay(X, Y, run).export()
    torch.testing.assert_close(exported(torch.tensor(X)), model(torch.tensor(X)), rtol=0, atol=0)


def test_all_updates_are_proved_by_the_first_sweep(recorded):
    _, recorder, run = recorded
    dv.HyDRA(recorder.learner).fit(X, Y, run=run).score(X_VAL, Y_VAL)
    assert run.evidence.is_proved.all()
    assert np.nanmax(run.evidence.deviations) < 1e-10


def test_values_at_a_mark_are_those_of_a_script_that_ends_there(recorded):
    _, recorder, run = recorded
    assert run.marks == {"best": 7}
    best = run.until("best")
    found = dv.HyDRA(recorder.learner, hessian=True).fit(X, Y, run=best).score(X_VAL, Y_VAL)

    class Enough(Exception):
        pass

    def stop(step, moment, **_):
        if step == 7 and moment == "after":
            raise Enough

    stopped = replace(Script(), each=stop)

    def loss(weights):
        kept = {}
        stopping = replace(stopped, each=lambda **now: kept.update(model=now["model"]) or stop(**now))
        with pytest.raises(Enough):
            stopping.run(weights)
        with torch.no_grad():
            return float(nn.functional.cross_entropy(kept["model"](torch.tensor(X_VAL)), torch.tensor(Y_VAL)))

    move = 1e-4 * np.eye(N)[3]
    assert found[3] == pytest.approx((loss(1 - move) - loss(1 + move)) / 2e-4, rel=1e-5)
    with pytest.raises(ValueError, match="no mark 'last': it has \\['best'\\]"):
        run.until("last")


def test_recording_changes_nothing():
    alone, _, _ = Script().run()
    model, _, _ = Script().run(recorder=True)
    for mine, theirs in zip(model.parameters(), alone.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert not model._forward_hooks
    assert not model._forward_pre_hooks


def test_parameters_of_an_earlier_update_are_the_best():
    """Not an average that is written back."""
    kept = {}

    def keep_the_best(model, step, moment, **_):
        if moment == "after" and step == 5:
            kept.update(copy.deepcopy(model.state_dict()))
        if moment == "after" and step == 12:
            model.load_state_dict(kept)

    _, _, run = replace(Script(), each=keep_the_best).run(recorder=True)
    assert (run.n_steps, run.marks, run.evidence.grade) == (12, {"best": 5}, "rounding")


def test_dropout_is_drawn_again():
    """Under seeds that the recorder sets, so that the same recorder's seed gives the same script."""
    build = lambda: nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.3), nn.Tanh(), nn.Linear(8, 3))  # noqa: E731
    script = Script(build=build, optimizer=sgd)
    values = script.values()

    def loss(weights):
        model = script.run(weights, recorder=True)[0].eval()
        with torch.no_grad():
            return float(nn.functional.cross_entropy(model(torch.tensor(X_VAL)), torch.tensor(Y_VAL)))

    for j in SAMPLES[:2]:
        move = 1e-4 * np.eye(N)[j]
        assert values[j] == pytest.approx((loss(1 - move) - loss(1 + move)) / 2e-4, rel=1e-5)


def test_an_optimizer_that_is_taken_up_again():
    """Its count and moments are not those of a first update."""

    def warmed(groups):
        optimizer = torch.optim.AdamW(groups, lr=0.02)
        rng = torch.Generator().manual_seed(0)
        for _ in range(3):
            for group in groups:
                for p in group["params"]:
                    p.grad = 0.1 * torch.randn(p.shape, generator=rng, dtype=p.dtype)
            optimizer.step()
            optimizer.zero_grad()
        return optimizer

    script = Script(optimizer=warmed, peaks=None, epochs=1)
    _, recorder, run = script.run(recorder=True)
    assert (run.plan.hyperparameters.counts[0] == 3).all()
    found = dv.HyDRA(recorder.learner, hessian=True).fit(X, Y, run=run).score(X_VAL, Y_VAL)[SAMPLES]
    expected = script.differences()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_saved_and_loaded(recorded, tmp_path):
    _, recorder, run = recorded
    found = dv.TrainingRun.load(run.save(tmp_path / "run"))
    assert found.marks == run.marks
    np.testing.assert_array_equal(found.plan.digests, run.plan.digests)
    values = [dv.HyDRA(recorder.learner).fit(X, Y, run=each).score(X_VAL, Y_VAL) for each in (run, found)]
    np.testing.assert_array_equal(*values)


def test_single_precision_and_few_states():
    """Float32 rounds, and states in between are done again."""
    script = Script(dtype=torch.float32, options={"checkpoints": dv.Checkpoints(every=5)})
    _, recorder, run = script.run(recorder=True)
    assert sorted(run.checkpoints) == [0, 5, 10, 12]
    data = X.astype(np.float32), Y
    found = dv.HyDRA(recorder.learner, hessian=True).fit(*data, run=run).score(X_VAL.astype(np.float32), Y_VAL)
    expected = Script().values()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3 * np.abs(expected).max())


def test_other_data_are_refused(recorded):
    _, recorder, run = recorded
    with pytest.raises(RunMismatchError, match="saw other data than these"):
        dv.HyDRA(recorder.learner).fit(X[::-1].copy(), Y, run=run).score(X_VAL, Y_VAL)
    with pytest.raises(RunMismatchError, match="22 samples"):
        dv.HyDRA(recorder.learner).fit(X[:-1], Y[:-1], run=run)
