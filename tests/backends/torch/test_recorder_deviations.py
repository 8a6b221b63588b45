"""What of a loop can't be done again is named and refused, and so is misuse."""

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
from tests.backends.torch.user_loop import X_VAL, Y_VAL, Script, X, Y, mlp


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
