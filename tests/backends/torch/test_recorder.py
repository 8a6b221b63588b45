"""Values through a loop of the user's own, against differences of that loop; what deviates is named."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import dataval as dv
from dataval.errors import InvalidDataError, InvalidModelError, RecordingWarning, RunMismatchError
from dataval_torch import Recorder
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


# ------------------------------------------------------------------- what deviates


def cycled_betas(optimizer, moment, step, **_):
    """The betas are others while the step is done."""
    if step == 1 and moment == "before":

        def swap(optimizer, *_):
            for group in optimizer.param_groups:
                group["betas"] = (0.7, 0.999)

        optimizer.register_step_pre_hook(swap)


def decay_by_hand(model, moment, **_):
    if moment == "after":
        with torch.no_grad():
            model[0].weight.mul_(0.99)


def decay_in_gradients(model, moment, **_):
    if moment == "before":
        model[0].weight.grad.add_(model[0].weight.detach(), alpha=0.1)


def averaged(model, moment, step, **_):
    """An average of the weights is written back."""
    if moment == "after":
        average = model.__dict__.setdefault("average", copy.deepcopy(model.state_dict()))
        for name, p in model.state_dict().items():
            average[name].lerp_(p, 0.5)
        if step == 2:
            model.load_state_dict(average)


def divided(model, moment, **_):
    if moment == "before":
        for p in model.parameters():
            p.grad /= 2


def clipped(model, moment, **_):
    if moment == "before":
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)


def clipped_by_value(model, moment, **_):
    if moment == "before":
        nn.utils.clip_grad_value_(model.parameters(), 0.01)


class Quiet(torch.optim.SGD):
    """A subclass may do anything."""


plain = replace(Script(), peaks=None)
DEVIATIONS = {
    "betas": (
        replace(plain, each=cycled_betas),
        r"beta1: the updates of all parameters are those of beta1=0\.7,",
    ),
    "decay by hand": (
        replace(plain, each=decay_by_hand),
        r"0\.weight were changed .* multiplied by 0\.99 \(weight decay",
    ),
    "decay of a group": (
        replace(plain, each=decay_in_gradients),
        r"weight decay: 0\.1 times .* gradients of 0\.weight",
    ),
    "averaging": (replace(plain, each=averaged), "averaging of weights .EMA, SWA. that is written back"),
    "divisor": (replace(plain, each=divided), r"a divisor: the gradients of all parameters are divided by 2"),
    "clipping": (replace(plain, each=clipped), r"pass clip_norm \(here they have a norm of 0\.0999"),
    "clipping by value": (replace(plain, each=clipped_by_value), "clipped by value .to 0.01."),
    "no clipping": (
        replace(plain, clip_norm=None, options={"clip_norm": 0.01}),
        "the loop does not clip so",
    ),
    "another loss": (
        replace(plain, options={"loss": dv.CrossEntropy(label_smoothing=0.2)}),
        "not a weighted sum of the losses",
    ),
    "unknown optimizer": (
        replace(plain, optimizer=lambda groups: Quiet(groups, lr=0.1)),
        "optimizer Quiet isn't known",
    ),
    "amsgrad": (
        replace(plain, optimizer=lambda groups: torch.optim.Adam(groups, lr=0.1, amsgrad=True)),
        "amsgrad=True",
    ),
}


@pytest.mark.parametrize("name", DEVIATIONS)
def test_what_deviates_is_named_and_refused(name):
    script, cause = DEVIATIONS[name]
    if name == "no clipping":
        script = replace(script, options={})
        recording = _recorded_under(script, clip_norm=0.01, match=cause)
    else:
        with pytest.warns(RecordingWarning, match=cause):
            recording = script.run(recorder=True)
    _, recorder, run = recording
    assert run.evidence.grade == "states"
    with pytest.raises(RunMismatchError, match=cause):
        dv.HyDRA(recorder.learner).fit(X, Y, run=run)


def _recorded_under(script, clip_norm, match):
    """Record a script that doesn't clip with a recorder that was told so."""
    torch.manual_seed(3)
    model = mlp().double()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    loader = DataLoader(TensorDataset(torch.tensor(X), torch.tensor(Y)), 6)
    recorder = Recorder(model, optimizer, clip_norm=clip_norm)

    def loop():
        for xs, ys in recorder.batches(loader):
            nn.functional.cross_entropy(model(xs), ys).backward()
            optimizer.step()
            optimizer.zero_grad()

    with pytest.warns(RecordingWarning, match=match):
        loop()
    return model, recorder, recorder.finish()


def test_methods_of_states_work_for_a_loop_that_cannot_be_done_again():
    with pytest.warns(RecordingWarning):
        _, recorder, run = DEVIATIONS["unknown optimizer"][0].run(recorder=True)
    for method in (dv.InfluenceFunction(recorder.learner, damping=1.0), dv.GraNd(recorder.learner)):
        assert np.isfinite(method.fit(X, Y, run=run).score(X_VAL, Y_VAL)).all()


def test_gradients_that_are_not_zeroed():
    torch.manual_seed(3)
    model = mlp().double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    recorder = Recorder(model, optimizer)

    def loop():
        for xs, ys in recorder.batches(DataLoader(TensorDataset(torch.tensor(X), torch.tensor(Y)), 6)):
            nn.functional.cross_entropy(model(xs), ys).backward()
            optimizer.step()

    with pytest.warns(RecordingWarning, match="not zeroed"):
        loop()
    recorder.finish()


def test_a_scaler_and_its_skipped_steps():
    """Steps are skipped where gradients overflow; the scale is taken out."""
    torch.manual_seed(3)
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    recorder = Recorder(model, optimizer, scaler=scaler)
    data = TensorDataset(torch.tensor(X, dtype=torch.float32), torch.tensor(Y))
    for k, (xs, ys) in enumerate(recorder.batches(DataLoader(data, 6))):
        loss = nn.functional.cross_entropy(model(xs), ys)
        scaler.scale(loss * (1e38 if k == 1 else 1)).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    run = recorder.finish()
    assert run.n_steps == 3
    assert run.evidence.notes == ()
    np.testing.assert_array_equal(np.unique(run.plan.coefficients), [1 / 6, 1 / 4])


# --------------------------------------------------------------------- misuse


def test_refusals():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(TypeError, match=r"net must be a torch\.nn\.Module"):
        Recorder(optimizer, model)
    with pytest.raises(TypeError, match=r"optimizer must be a torch\.optim\.Optimizer"):
        Recorder(model, model)
    with pytest.raises(ValueError, match="clip_norm must be positive"):
        Recorder(model, optimizer, clip_norm=0.0)
    with pytest.raises(ValueError, match="proved must lie in"):
        Recorder(model, optimizer, proved=2)
    with pytest.raises(InvalidModelError, match="none of the module's parameters"):
        Recorder(mlp(), optimizer)
    recorder = Recorder(model, optimizer)

    class Endless(IterableDataset):
        def __iter__(self):
            yield 1

    for loader, match in (
        ([1, 2], r"takes a torch DataLoader, got \[1, 2\]"),
        (DataLoader(Endless()), "IterableDataset"),
        (DataLoader(TensorDataset(torch.zeros(3)), batch_size=None), "batch_size=None"),
    ):
        with pytest.raises(InvalidDataError, match=match):
            next(iter(recorder.batches(loader)))
    with pytest.raises(InvalidDataError, match="before the first update"):
        recorder.mark("best")
    with pytest.raises(InvalidDataError, match="no forward pass was recorded"):
        recorder.finish()


def test_other_data_are_refused(recorded):
    _, recorder, run = recorded
    with pytest.raises(RunMismatchError, match="saw other data than these"):
        dv.HyDRA(recorder.learner).fit(X[::-1].copy(), Y, run=run).score(X_VAL, Y_VAL)
    with pytest.raises(RunMismatchError, match="22 samples"):
        dv.HyDRA(recorder.learner).fit(X[:-1], Y[:-1], run=run)


# --------------------------------------------------------------- augmentation


class Noisy(torch.utils.data.Dataset):
    """Every reading of a sample is another."""

    def __len__(self):
        return N

    def __getitem__(self, i):
        noise = torch.randn(5, dtype=torch.float64) + 0.5 * float(np.random.randn())  # noqa: NPY002
        return torch.tensor(X[i]) + 0.1 * noise, int(Y[i])


def augmented(workers=0, weights=None):
    torch.manual_seed(3)
    model = mlp().double()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    generator = torch.Generator().manual_seed(1)
    loader = DataLoader(Noisy(), 6, shuffle=True, num_workers=workers, generator=generator)
    recorder = Recorder(model, optimizer)
    w = torch.ones(N, dtype=torch.float64) if weights is None else torch.tensor(weights)
    for _ in range(2):
        for xs, ys in recorder.batches(loader):
            at = recorder._session._noted.samples
            losses = nn.functional.cross_entropy(model(xs), ys, reduction="none")
            (losses * w[at]).mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    return model, recorder, recorder.finish(), loader


def test_augmented_samples_are_read_again_as_they_were():
    """By any number of workers; values equal differences of the script under the same recorder's seed."""
    _, recorder, run, loader = augmented()
    values = dv.HyDRA(recorder.learner, hessian=True).fit(loader.dataset, run=run).score(X_VAL, Y_VAL)
    *_, with_workers, _ = augmented(workers=2)
    np.testing.assert_array_equal(with_workers.plan.digests, run.plan.digests)

    def loss(weights):
        model = augmented(weights=weights)[0]
        with torch.no_grad():
            return float(nn.functional.cross_entropy(model(torch.tensor(X_VAL)), torch.tensor(Y_VAL)))

    move = 1e-4 * np.eye(N)[5]
    ends = loss(1 - move), loss(1 + move)
    assert values[5] == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-5)
