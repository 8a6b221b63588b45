"""Values through Lightning's Trainer, against finite differences of the user's script."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import dataval as dv
from dataval.errors import InvalidDataError, InvalidModelError, RecordingWarning, RunMismatchError
from dataval_torch import LightningRecorder
from tests.backends.torch.user_loop import SAMPLES, X_VAL, Y_VAL, N, X, Y

pl = pytest.importorskip("lightning.pytorch")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:The 'val_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:lightning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


class Module(pl.LightningModule):
    def __init__(self, weights=None, decay=0.0, manual=False):
        super().__init__()
        torch.manual_seed(3)
        self.net = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()
        self.weights, self.decay = weights, decay
        self.automatic_optimization = not manual

    def training_step(self, batch, _):
        x, y = batch
        losses = nn.functional.cross_entropy(self.net(x), y, reduction="none")
        if self.weights is None:
            return losses.mean()
        at = [int(np.flatnonzero((row.numpy() == X).all(1))[0]) for row in x]
        return (losses * torch.tensor(self.weights[at])).mean()

    def validation_step(self, batch, _):
        x, y = batch
        self.log("val_loss", nn.functional.cross_entropy(self.net(x), y))

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.02)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.03, total_steps=20)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_batch_end(self, *_):
        if self.decay:
            with torch.no_grad():
                self.net[0].weight.mul_(1 - self.decay)


def fit(module, folder, callbacks=(), package=pl, ckpt_path=None, **options):
    generator = torch.Generator().manual_seed(1)
    loader = DataLoader(TensorDataset(torch.tensor(X), torch.tensor(Y)), 6, shuffle=True, generator=generator)
    validation = DataLoader(TensorDataset(torch.tensor(X_VAL), torch.tensor(Y_VAL)), 8)
    settings = {"max_epochs": 3, "gradient_clip_val": 0.5, "enable_checkpointing": False} | options
    trainer = package.Trainer(
        callbacks=list(callbacks),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        default_root_dir=folder,
        **settings,
    )
    trainer.fit(module, loader, validation, ckpt_path=ckpt_path)
    return module


class Forward(Module):
    """Trains through a forward of its own, which does more than its child."""

    def forward(self, x):
        return self.net(x + 0.1)

    def training_step(self, batch, _):
        x, y = batch
        return nn.functional.cross_entropy(self(x), y)


class ForInference(Module):
    """Defines a forward that training doesn't call."""

    def forward(self, x):
        return self.net(x).softmax(dim=1)


def recorded(module, folder, callbacks=(), **options):
    """Return the recorder's learner and its run."""
    recorder = LightningRecorder()
    fit(module, folder, [recorder, *callbacks], **options)
    run = recorder.finish()
    return recorder.learner, run


def validation_loss(module):
    with torch.no_grad():
        return float(nn.functional.cross_entropy(module.net(torch.tensor(X_VAL)), torch.tensor(Y_VAL)))


@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 2}], ids=["plain", "accumulated"])
def test_values_equal_differences_of_the_script(tmp_path, options):
    recorder = LightningRecorder()
    fit(Module(), tmp_path, [recorder], **options)
    run = recorder.finish()
    assert run.evidence.grade == "rounding"
    values = dv.HyDRA(recorder.learner, hessian=True).fit(X, Y, run=run).score(X_VAL, Y_VAL)[SAMPLES]
    expected = []
    for move in 1e-4 * np.eye(N)[SAMPLES]:
        ends = [validation_loss(fit(Module(1 + sign * move), tmp_path, **options)) for sign in (-1, 1)]
        expected.append((ends[0] - ends[1]) / 2e-4)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_recording_changes_nothing_and_the_best_is_marked(tmp_path):
    recorder = LightningRecorder()
    best = pl.callbacks.ModelCheckpoint(dirpath=tmp_path, monitor="val_loss")
    recorded = fit(Module(), tmp_path, [recorder, best], enable_checkpointing=True)
    alone = fit(Module(), tmp_path)
    for mine, theirs in zip(recorded.parameters(), alone.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    run = recorder.finish()
    assert 0 < run.marks["best"] <= run.n_steps
    kept = torch.load(best.best_model_path, weights_only=False)["state_dict"]
    found = run.until("best").final.parameters
    torch.testing.assert_close(found, torch.cat([p.reshape(-1) for p in kept.values()]), rtol=0, atol=0)


@pytest.mark.parametrize("kind", [Forward, ForInference])
def test_what_training_calls_is_found_out(tmp_path, kind):
    """A replay of what isn't called would miss by far; the copy of an MLP is bit-exact up to rounding."""
    learner, run = recorded(kind(), tmp_path)
    assert run.evidence.grade == "rounding"
    assert (type(learner.model) is kind) == (kind is Forward)
    dv.HyDRA(learner).fit(X, Y, run=run).score(X_VAL, Y_VAL)
    assert np.nanmax(run.evidence.deviations) < 1e-10


def test_the_other_package_name(tmp_path):
    """pytorch_lightning's classes are not those of lightning.pytorch."""
    other = pytest.importorskip("pytorch_lightning")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    kind = type("Other", (other.LightningModule,), dict(vars(Module)))
    kind.__init__ = lambda self: (other.LightningModule.__init__(self), _build(self))[0]
    recorder = LightningRecorder()
    fit(kind(), tmp_path, [recorder], package=other)
    run = recorder.finish()
    assert (run.n_steps, run.evidence.grade) == (12, "rounding")


def _build(module):
    module.net = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    module.weights, module.decay = None, 0.0


def test_a_tie_does_not_move_the_best(tmp_path):
    """All models are equally good, so that the first is kept; the last is saved, too."""

    class Tied(Module):
        def validation_step(self, batch, _):
            self.log("val_loss", torch.tensor(1.0))

    checkpoint = pl.callbacks.ModelCheckpoint(dirpath=tmp_path, monitor="val_loss", save_last=True)
    _, run = recorded(Tied(), tmp_path, [checkpoint], enable_checkpointing=True)
    assert run.marks == {"best": 4}


def test_a_fit_that_is_taken_up_again(tmp_path):
    """AdamW has done 8 updates before, and its moments are those of the checkpoint."""
    checkpoint = pl.callbacks.ModelCheckpoint(dirpath=tmp_path)
    fit(Module(), tmp_path, [checkpoint], enable_checkpointing=True, max_epochs=2)
    _, run = recorded(Module(), tmp_path, ckpt_path=checkpoint.best_model_path)
    assert (run.n_steps, run.evidence.grade) == (4, "rounding")
    assert (run.plan.hyperparameters.counts[0] == 8).all()


def test_clipping_by_value_is_named(tmp_path):
    options = {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"}
    with pytest.warns(RecordingWarning, match="clipped by value"):
        recorded(Module(), tmp_path, **options)


def test_what_deviates_is_named_and_refused(tmp_path):
    recorder = LightningRecorder()
    with pytest.warns(RecordingWarning, match=r"weight were changed .* multiplied by 0\.99"):
        fit(Module(decay=0.01), tmp_path, [recorder])
    run = recorder.finish()
    with pytest.raises(RunMismatchError, match=r"multiplied by 0\.99"):
        dv.HyDRA(recorder.learner).fit(X, Y, run=run)


def test_refusals(tmp_path):
    with pytest.raises(InvalidModelError, match="manual optimization"):
        fit(Module(manual=True), tmp_path, [LightningRecorder()], gradient_clip_val=None)
    with pytest.raises(InvalidModelError, match="overfit_batches changes the loader's order"):
        fit(Module(), tmp_path, [LightningRecorder()], overfit_batches=1)
    with pytest.raises(InvalidModelError, match=r"net='gone' is no submodule: there are .*'net'"):
        fit(Module(), tmp_path, [LightningRecorder(net="gone")])
    with pytest.raises(InvalidModelError, match="updates 2 parameters that are not the module's"):
        fit(Module(), tmp_path, [LightningRecorder(net="net.0")])

    class TwoParts(Module):
        def __init__(self):
            super().__init__()
            self.net, self.head = self.net[:2], self.net[2:]

    with pytest.raises(InvalidModelError, match=r"say by net= which of \['net', 'head'\]"):
        fit(TwoParts(), tmp_path, [LightningRecorder()])

    class Uncalled(TwoParts):
        forward = Forward.forward

        def training_step(self, batch, _):
            return nn.functional.cross_entropy(self.head(self.net(batch[0])), batch[1])

    with pytest.raises(InvalidModelError, match=r"doesn't call the module's forward .* \['net', 'head'\]"):
        fit(Uncalled(), tmp_path, [LightningRecorder()])
    recorder = LightningRecorder()
    fit(Module(), tmp_path, [recorder], max_epochs=1)
    with pytest.raises(InvalidDataError, match="has recorded a fit already"):
        fit(Module(), tmp_path, [recorder], max_epochs=1)
    with pytest.raises(InvalidDataError, match="nothing was recorded"):
        LightningRecorder().finish()
