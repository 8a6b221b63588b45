"""Loops that augment, evaluate or fail on the way, and what is done with them after."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import dataval as dv
from dataval.errors import InvalidDataError, RecordingWarning, TrainingDivergedError
from dataval_torch import Recorder
from tests.backends.torch.user_loop import X_VAL, Y_VAL, N, X, Y, mlp


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


# ------------------------------------------------------- what else a loop does


def looped(build, during=None, seed=3):
    """Record two epochs of a loop that does something else of its own after each update."""
    torch.manual_seed(seed)
    model = build().double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    recorder = Recorder(model, optimizer)
    data = TensorDataset(torch.tensor(X), torch.tensor(Y))
    for _ in range(2):
        for xs, ys in recorder.batches(DataLoader(data, 6)):
            nn.functional.cross_entropy(model(xs), ys).backward()
            optimizer.step()
            optimizer.zero_grad()
            if during is not None:
                during(model, xs, ys)
    return recorder, recorder.finish()


def with_dropout():
    return nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 3))


def looking(model, xs, ys):
    """See how it does on the batch, with gradients on."""
    model.eval()
    nn.functional.cross_entropy(model(xs), ys)
    model.train()


def failing(model, xs, ys):
    """Try a batch that doesn't fit, before which dropout draws."""
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        model(xs[:, :2])


@pytest.mark.parametrize("during", [looking, failing])
def test_passes_that_are_not_of_training_change_nothing(during):
    """Neither the plan nor a draw of the user's own that follows; all updates are proved with them."""
    (_, alone), after_alone = looped(with_dropout), torch.rand(1)
    (recorder, run), after = looped(with_dropout, during), torch.rand(1)
    assert run.evidence.notes == ()
    assert run.n_steps == alone.n_steps == 8
    np.testing.assert_array_equal(run.plan.order, alone.plan.order)
    assert torch.equal(after, after_alone)
    dv.HyDRA(recorder.learner).fit(X, Y, run=run).score(X_VAL, Y_VAL)
    assert run.evidence.is_proved.all()


def test_recorded_loops_are_told_apart_and_done_again_by_weights_alone(tmp_path):
    """Results that were kept of one loop are not those of another of as many samples and updates."""

    def left_out(**options):
        return dv.LeaveOneOut(recorder.learner, indices=[0, 3], **options).fit(X, Y, run=run)

    recorder, run = looped(mlp)
    kept = left_out(folder=tmp_path).score(X_VAL, Y_VAL)[[0, 3]]
    recorder, run = looped(mlp, seed=4)
    found = left_out(folder=tmp_path).score(X_VAL, Y_VAL)[[0, 3]]
    np.testing.assert_array_equal(found, left_out().score(X_VAL, Y_VAL)[[0, 3]])
    assert (kept != found).all()
    with pytest.raises(InvalidDataError, match="by their weights"):
        left_out(mode="removal")
    with pytest.raises(InvalidDataError, match="under other seeds"):
        left_out(seeds=[0, 1])


def test_divergence_ends_the_record_and_not_the_loop():
    """Values are those of the updates before; the loop itself goes on as it would."""
    torch.manual_seed(3)
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    recorder = Recorder(model, optimizer)
    data = TensorDataset(torch.tensor(X, dtype=torch.float32), torch.tensor(Y))

    def loop():
        for k, (xs, ys) in enumerate(recorder.batches(DataLoader(data, 6))):
            optimizer.param_groups[0]["lr"] = 0.05 if k < 2 else 1e38
            nn.functional.cross_entropy(model(xs), ys).backward()
            optimizer.step()
            optimizer.zero_grad()

    with pytest.warns(
        RecordingWarning, match=r"diverged: at update \d .* is not finite.*Nothing from there on"
    ):
        loop()
    run = recorder.finish()
    assert not any(torch.isfinite(p).all() for p in model.parameters())
    assert 2 <= run.n_steps < 4
    assert run.evidence.notes == ()
    assert torch.isfinite(run.final.parameters).all()
    best = run.until(2)
    values = dv.HyDRA(recorder.learner).fit(X.astype(np.float32), Y, run=best)
    assert np.isfinite(values.score(X_VAL.astype(np.float32), Y_VAL)).all()


def test_a_loop_that_diverges_at_once_has_no_run():
    model = nn.Linear(5, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e37)
    recorder = Recorder(model, optimizer)
    data = TensorDataset(torch.tensor(1e3 * X, dtype=torch.float32), torch.tensor(Y))

    def loop():
        for xs, ys in recorder.batches(DataLoader(data, N)):
            nn.functional.cross_entropy(model(xs), ys).backward()
            optimizer.step()

    with pytest.warns(RecordingWarning, match="a parameter after it is not finite"):
        loop()
    with pytest.raises(TrainingDivergedError, match="at update 0 a parameter after it is not finite"):
        recorder.finish()
