"""Recording what a Lightning Trainer trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
from torch import nn
from torch.utils.data import DataLoader

from dataval import Learner, TrainingRun
from dataval.backend.losses import Loss
from dataval.errors import InvalidDataError, InvalidModelError
from dataval_torch.recorder.loader import NotedLoader, Reading
from dataval_torch.recorder.recorder import Recorder

__all__ = ["LightningRecorder"]


class LightningRecorder(pl.Callback):
    """A callback that records the training of a LightningModule.

    >>> recorder = dataval_torch.LightningRecorder(loss="cross_entropy")
    >>> trainer = Trainer(callbacks=[recorder], ...)
    >>> trainer.fit(module, loader)
    >>> run = recorder.finish()
    >>> values = dv.HyDRA(recorder.learner).fit(loader.dataset, run=run).score(X_val, y_val)

    Automatic optimization with one optimizer on one device is followed; clipping by norm is read off the
    trainer. What else is recorded, proved and refused is as for `Recorder`. Where a `ModelCheckpoint`
    monitors something, the run has a mark "best" at its best model.

    Parameters
    ----------
    loss : str, NamedLoss or callable, default "cross_entropy"
        The loss of each sample, as for `Learner`.
    net : str, optional
        Name of the submodule that maps inputs to outputs. By default the LightningModule itself where it
        defines ``forward``, otherwise the one child that holds all parameters.
    outputs, target, checkpoints, proved, seed
        As for `Recorder`.
    """

    def __init__(self, loss: Loss = "cross_entropy", *, net: str | None = None, **options: Any) -> None:
        self._loss, self._net, self._options = loss, net, options
        self._reading = Reading(options.get("seed", 0))
        self._loaders: list[NotedLoader] = []
        self._recorder: Recorder | None = None
        self._undo: Callable[[], None] = lambda: None

    @property
    def learner(self) -> Learner:
        """A learner of a copy of the model as it was before training, see `Recorder.learner`."""
        return self._recorded().learner

    def finish(self) -> TrainingRun:
        """Return the run, see `Recorder.finish`."""
        return self._recorded().finish()

    def mark(self, name: str) -> None:
        """Give the present moment a name, see `Recorder.mark`."""
        self._recorded().mark(name)

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Take the place of the training loader."""
        if stage != "fit":
            return
        _check(trainer, pl_module)
        source = trainer.fit_loop._data_source
        given = source.instance
        if hasattr(given, "train_dataloader"):
            own = given.train_dataloader
            given.train_dataloader = lambda: self._noted(own())
            self._undo = lambda: delattr(given, "train_dataloader")
        else:
            source.instance = self._noted(given)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin to record, now that there is an optimizer."""
        if len(trainer.optimizers) != 1:
            raise InvalidModelError(f"one optimizer can be recorded, the module has {len(trainer.optimizers)}")
        if not self._loaders:
            raise InvalidDataError(
                "the trainer has made its loader before the callback: pass it to the Trainer"
            )
        by_norm = trainer.gradient_clip_algorithm in (None, "norm")
        self._recorder = Recorder(
            _net_of(pl_module, self._net),
            trainer.optimizers[0],
            self._loss,
            clip_norm=(trainer.gradient_clip_val or None) if by_norm else None,
            **self._options,
        )

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Count epochs."""
        self._recorded().begin_epoch(len(self._loaders[-1].dataset))  # type: ignore[arg-type]

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Say which samples the step is of."""
        noted = self._loaders[-1].read.popleft()
        self._recorded().next(noted)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop noting: what follows may be validation."""
        self._recorded().next(None)

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: Any) -> None:
        """Mark the model where a checkpoint is kept because it is the best so far."""
        best = trainer.checkpoint_callback
        if self._recorder is not None and getattr(best, "monitor", None) and _is_best(trainer, best):
            self._recorder.mark("best")

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Put the loader back."""
        self._undo()

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Put the loader back."""
        self._undo()
        self._undo = lambda: None

    def _noted(self, loader: Any) -> NotedLoader:
        if not isinstance(loader, DataLoader):
            raise InvalidDataError(f"one DataLoader can be recorded, the trainer has a {type(loader).__name__}")
        self._loaders.append(self._reading.noted(loader))
        return self._loaders[-1]

    def _recorded(self) -> Recorder:
        if self._recorder is None:
            raise InvalidDataError("nothing was recorded: pass the callback to the Trainer, and call fit")
        return self._recorder


def _check(trainer: Any, module: Any) -> None:
    if not module.automatic_optimization:
        raise InvalidModelError(
            "manual optimization calls the optimizer where no callback sees it: record by "
            "dataval_torch.Recorder in "
            "training_step, or use automatic optimization"
        )
    if trainer.world_size > 1:
        raise InvalidModelError(
            f"one device can be recorded, the trainer has {trainer.world_size}: use devices=1"
        )


def _net_of(module: nn.Module, name: str | None) -> nn.Module:
    if name is not None:
        return module.get_submodule(name)
    if type(module).forward is not pl.LightningModule.forward:
        return module
    n_all = sum(p.numel() for p in module.parameters())
    whole = [child for child in module.children() if sum(p.numel() for p in child.parameters()) == n_all]
    if len(whole) != 1:
        names = [name for name, _ in module.named_children()]
        raise InvalidModelError(
            f"the module has no forward and no one child with all parameters: say by net= which of {names} "
            "maps "
            "inputs to outputs"
        )
    return whole[0]


def _is_best(trainer: Any, checkpoint: Any) -> bool:
    """Whether the monitored value is the best that there was."""
    now, best = trainer.callback_metrics.get(checkpoint.monitor), checkpoint.best_model_score
    if now is None:
        return False
    return best is None or bool(now <= best if checkpoint.mode == "min" else now >= best)
