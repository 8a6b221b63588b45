"""Carrying a program out: against plain loops, interrupted and taken up again, diverging."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.errors import TrainingDivergedError
from dataval.training.program import Program
from tests.runs import TRANSFORMER, N, assert_same_run, assert_same_state, make_learner, make_samples

# ---- against torch's own optimizers and schedulers -----------------------------------------------

STEPS, PER_EPOCH = 50, 5
FACTORS = tuple(np.random.default_rng(0).uniform(0.2, 1.5, STEPS).tolist())
NO_SCHEDULE = (dv.ConstantSchedule(), None, 1)
SCHEDULES = {
    "constant": NO_SCHEDULE,
    "step": (dv.StepSchedule(every_epochs=3, gamma=0.5), ("StepLR", {"step_size": 3, "gamma": 0.5}), PER_EPOCH),
    "cosine": (dv.CosineSchedule(), ("CosineAnnealingLR", {"T_max": STEPS}), 1),
    "warmup": (
        dv.ConstantSchedule(warmup_steps=9),
        ("LinearLR", {"start_factor": 0.1, "total_iters": 9}),
        1,
    ),
    "lambda": (
        dv.ExplicitSchedule(values=FACTORS),
        ("LambdaLR", {"lr_lambda": lambda t: FACTORS[min(t, STEPS - 1)]}),
        1,
    ),
}
OPTIMIZERS = {
    "sgd": (dv.SGD(learning_rate=0.2), "SGD", {"lr": 0.2}),
    "nesterov": (
        dv.SGD(learning_rate=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    ),
    "dampening": (
        dv.SGD(learning_rate=0.1, momentum=0.9, dampening=0.2),
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.2},
    ),
    "adam": (
        dv.Adam(learning_rate=0.01, weight_decay=0.01),
        "Adam",
        {"lr": 0.01, "weight_decay": 0.01},
    ),
    "adamw": (
        dv.AdamW(learning_rate=0.01, weight_decay=0.1),
        "AdamW",
        {"lr": 0.01, "weight_decay": 0.1},
    ),
}


@pytest.mark.parametrize("clip_norm", [None, 0.3])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_fifty_updates_agree_with_a_loop_in_torch(optimizer, schedule, clip_norm):
    torch = pytest.importorskip("torch")
    from tests.zoo import torch_models

    mine, torch_class, options = OPTIMIZERS[optimizer]
    factors, scheduler_options, every = SCHEDULES[schedule]
    X, y = make_samples(n=30)
    learner = make_learner(
        torch_models, optimizer=mine, schedule=factors, clip_norm=clip_norm, epochs=STEPS // PER_EPOCH
    )
    run = learner.train(X, y)

    model = torch_models.mlp()
    theirs = getattr(torch.optim, torch_class)(model.parameters(), **options)
    scheduler = None
    if scheduler_options:
        name, arguments = scheduler_options
        scheduler = getattr(torch.optim.lr_scheduler, name)(theirs, **arguments)
    for step in range(STEPS):
        batch = run.plan.batch(step)
        loss = torch.nn.functional.cross_entropy(model(torch.tensor(X[batch])), torch.tensor(y[batch]))
        theirs.zero_grad()
        loss.backward()
        if clip_norm:
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
            assert step or norm > clip_norm
        theirs.step()
        if scheduler and (step + 1) % every == 0:
            scheduler.step()
    expected = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    assert run.n_steps == STEPS
    # The same arithmetic in another order: rounding of float64 over 50 updates of numbers of order 1.
    np.testing.assert_allclose(run.final.parameters, expected, rtol=0, atol=1e-10)


# ---- against a plain loop over per-sample gradients ----------------------------------------------


def plain_loop(learner, samples, weights):
    """Train by adding up per-sample gradients one by one."""
    program = learner.prepare(*samples).program
    backend, plan, training = program.backend, program.plan, program.training
    batches, state = backend.batches(program.data), program.initial_state()
    parameters, slots = (
        backend.arrays.to_numpy(state.parameters),
        tuple(map(backend.arrays.to_numpy, state.slots)),
    )
    losses = np.full((training.epochs, len(weights)), np.nan)
    for step in range(plan.n_steps):
        batch, at = plan.batch(step), backend.arrays.from_numpy(parameters)
        arguments = (at, state.buffers, batches.take(batch), int(plan.seeds[step]))
        rows = backend.arrays.to_numpy(backend.loss.rows(*arguments))
        losses[plan.epochs[step], batch] = backend.arrays.to_numpy(backend.loss.losses(*arguments))
        gradient = sum(weights[j] * row for j, row in zip(batch, rows, strict=True)) / training.batch_size
        parameters, slots = training.optimizer.update(parameters, slots, gradient, program.update.factors(step))
    return parameters, losses


@pytest.mark.parametrize("model", ["mlp", "dropout", TRANSFORMER])
@pytest.mark.parametrize("kind", ["ones", "zeros_and_ones", "any"])
def test_equals_a_plain_loop_with_weights(zoo, model, kind):
    rng = np.random.default_rng(3)
    weights = {"ones": np.ones(N), "zeros_and_ones": rng.integers(0, 2, N), "any": rng.uniform(0, 2, N)}[kind]
    learner, samples = make_learner(zoo, model), make_samples(model)
    run = learner.train(*samples, weights)
    parameters, losses = plain_loop(learner, samples, weights)
    np.testing.assert_array_equal(run.weights, weights)
    # Sums in another order: rounding of float64 over 12 updates of numbers of order 1.
    np.testing.assert_allclose(run.final.parameters, parameters, rtol=0, atol=1e-12)
    np.testing.assert_allclose(run.losses, losses, rtol=1e-11)
    assert np.isfinite(run.losses).all()


def test_a_sample_of_weight_zero_is_absent(zoo):
    """What it holds makes no difference, and the batch is still divided by its nominal size."""
    learner, (X, y) = make_learner(zoo), make_samples()
    weights = np.ones(N)
    weights[4] = 0
    changed = X.copy()
    changed[4] += 3
    run, other = learner.train(X, y, weights), learner.train(changed, y, weights)
    np.testing.assert_allclose(run.final.parameters, other.final.parameters, rtol=0, atol=1e-14)  # rounding
    assert not np.array_equal(run.losses[:, 4], other.losses[:, 4])
    full = learner.train(X, y)
    assert np.abs(np.asarray(run.final.parameters) - np.asarray(full.final.parameters)).max() > 1e-3


def test_losses_of_samples_that_an_epoch_left_out_are_nan(zoo):
    run = make_learner(zoo, drop_last=True).train(*make_samples())
    assert run.losses.shape == (3, N)
    for epoch in range(3):
        seen = np.concatenate([run.plan.batch(t) for t in range(3 * epoch, 3 * epoch + 3)])
        np.testing.assert_array_equal(np.flatnonzero(~np.isnan(run.losses[epoch])), np.sort(seen))
    assert np.isnan(run.losses).sum() == 3 * 2


# ---- interruption --------------------------------------------------------------------------------

POLICIES = {
    "all": dv.Checkpoints(every=1),
    "some": dv.Checkpoints(every=5),
    "few": dv.Checkpoints(max_bytes=1),
}


def interrupt_at(monkeypatch, at, *, after_update=False):
    """Make update number `at` raise KeyboardInterrupt, as Ctrl-C does."""
    step_of = Program.step

    def step(self, state, number):
        if number == at and not after_update:
            raise KeyboardInterrupt
        result = step_of(self, state, number)
        if number == at:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(Program, "step", step)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("at", [0, 1, 5, 7, 11])
@pytest.mark.parametrize("saved", [False, True])
def test_an_interrupted_run_is_finished_bit_for_bit(zoo, tmp_path, monkeypatch, policy, at, saved):
    learner = make_learner(zoo, "dropout", optimizer=dv.Adam(learning_rate=0.01), checkpoints=POLICIES[policy])
    samples = make_samples("dropout")
    whole = learner.train(*samples)
    with monkeypatch.context() as patch:
        interrupt_at(patch, at)
        with pytest.raises(dv.TrainingInterrupted, match=f"after {at} of 12 updates.*resume") as caught:
            learner.train(*samples)
    run = caught.value.run
    assert run.n_completed == at
    assert not run.is_complete
    assert np.isfinite(run.losses).sum() == sum(len(run.plan.batch(step)) for step in range(at))
    if saved:
        run = dv.TrainingRun.load(run.save(tmp_path / "part"))
        assert run.n_completed == at
    finished = learner.train(*samples, resume=run)
    assert_same_run(finished, whole)


def test_an_update_that_was_cut_short_leaves_no_trace(zoo, monkeypatch):
    learner, samples = make_learner(zoo), make_samples()
    whole = learner.train(*samples)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 6, after_update=True)
        with pytest.raises(dv.TrainingInterrupted) as caught:
            learner.train(*samples)
    assert caught.value.run.n_completed == 6
    assert_same_run(learner.train(*samples, resume=caught.value.run), whole)


def test_a_run_can_be_interrupted_twice(zoo, monkeypatch):
    learner, samples = make_learner(zoo, checkpoints=dv.Checkpoints(every=4)), make_samples()
    whole, run = learner.train(*samples), None
    for at in (3, 9):
        with monkeypatch.context() as patch:
            interrupt_at(patch, at)
            with pytest.raises(dv.TrainingInterrupted) as caught:
                learner.train(*samples, resume=run)
        run = caught.value.run
    assert_same_run(learner.train(*samples, resume=run), whole)


def test_resuming_a_finished_run_does_nothing(zoo):
    learner, samples = make_learner(zoo), make_samples()
    run = learner.train(*samples)
    final = run.final
    assert learner.train(*samples, resume=run) is run
    assert run.final is final


class LossThatIsInterrupted:
    """Squared distance of two outputs from the target; one call of it is interrupted by Ctrl-C."""

    dataval_identity = "squared distance"  # the calls that are counted don't change what it gives

    def __init__(self) -> None:
        self.calls = 0
        self.fails_at = -1

    def __call__(self, outputs, targets):
        self.calls += 1
        if self.calls == self.fails_at:
            raise KeyboardInterrupt
        return (outputs[:, 0] - targets) ** 2 + outputs[:, 1] ** 2


def test_ctrl_c_inside_the_loss():
    """In torch: TensorFlow calls a loss to trace it, and then no more."""
    pytest.importorskip("torch")
    from tests.zoo import torch_models

    loss = LossThatIsInterrupted()
    learner, (X, y) = (
        make_learner(torch_models, loss=loss, optimizer=dv.SGD(learning_rate=0.01)),
        make_samples(),
    )
    whole = learner.train(X, y.astype(float))
    before = loss.calls - whole.n_steps
    loss.calls, loss.fails_at = 0, before + 5
    with pytest.raises(dv.TrainingInterrupted) as caught:
        learner.train(X, y.astype(float))
    assert caught.value.run.n_completed == 4
    assert_same_run(learner.train(X, y.astype(float), resume=caught.value.run), whole)


def test_a_method_that_is_interrupted_hands_the_run_over(zoo, monkeypatch):
    learner, samples = make_learner(zoo), make_samples()
    hydra = dv.HyDRA(learner)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 4)
        with pytest.raises(KeyboardInterrupt) as caught:
            hydra.fit(*samples)
    assert not hasattr(hydra, "run_")
    with pytest.raises(dv.errors.RunMismatchError, match=r"interrupted after 4 of 12.*resume=run"):
        hydra.fit(*samples, run=caught.value.run)
    hydra.fit(*samples, run=learner.train(*samples, resume=caught.value.run))
    assert_same_state(hydra.run_.final, learner.train(*samples).final)


# ---- divergence ----------------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [4, 40])
def test_diverging_training_says_when(zoo, epochs):
    learner, (X, y) = (
        make_learner(
            zoo, "softmax_regression", loss="mse", optimizer=dv.SGD(learning_rate=1e30), epochs=epochs
        ),
        make_samples("softmax_regression"),
    )
    targets = np.eye(3)[y]
    with pytest.raises(TrainingDivergedError, match=r"became (inf|nan) at update \d+ of .*smaller learning"):
        learner.train(X, targets)


def test_divergence_is_reported_at_the_first_update_that_shows_it(zoo, monkeypatch):
    learner, samples = make_learner(zoo, epochs=50), make_samples()
    step_of = Program.step

    def step(self, state, number):
        after, losses = step_of(self, state, number)
        return after, losses * (float("nan") if number >= 70 else 1.0)

    monkeypatch.setattr(Program, "step", step)
    with pytest.raises(TrainingDivergedError, match="became nan at update 70 of 200"):
        learner.train(*samples)


def test_same_seed_same_run_other_seed_other_run(zoo):
    samples = make_samples("dropout")
    one, again = (make_learner(zoo, "dropout").train(*samples) for _ in range(2))
    assert_same_run(one, again)
    other = make_learner(zoo, "dropout", seed=2).train(*samples)
    assert not np.array_equal(one.final.parameters, other.final.parameters)
