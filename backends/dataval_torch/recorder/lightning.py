"""Recording what a Lightning Trainer trains."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from dataval import Learner, TrainingRun
from dataval.backend.losses import Loss
from dataval.errors import InvalidDataError, InvalidModelError
from dataval.training.checkpoints import Checkpoints
from dataval_torch.recorder.loader import NotedLoader, Reading
from dataval_torch.recorder.recorder import Recorder

__all__ = ["LightningRecorder"]

_STRATEGY = "SingleDeviceStrategy"
_PACKAGES = ("lightning", "pytorch_lightning")  # two names of one library
pl: Any = import_module("lightning.pytorch" if find_spec("lightning") else "pytorch_lightning")


class LightningRecorder(pl.Callback):
    """A callback that records the training of a LightningModule.

    >>> recorder = dataval_torch.LightningRecorder(loss="cross_entropy")
    >>> trainer = Trainer(callbacks=[recorder], ...)
    >>> trainer.fit(module, loader)
    >>> run = recorder.finish()
    >>> values = dv.HyDRA(recorder.learner).fit(loader.dataset, run=run).score(X_val, y_val)

    Automatic optimization with one optimizer on one device is followed; accumulation, schedules and clipping
    by norm are those of the trainer. What else is recorded, proved and refused is as for `Recorder`. Where a
    `ModelCheckpoint` monitors something, the run has a mark "best" at its best model. One callback records
    one fit.

    Parameters
    ----------
    loss : str, NamedLoss or callable, default "cross_entropy"
        The loss of each sample, as for `Learner`.
    net : str, optional
        Name of the submodule that maps inputs to outputs. By default it is what ``training_step`` calls: the
        LightningModule itself (``self(x)``), or the one child that holds all parameters (``self.model(x)``).
    clip_norm : float, optional
        The norm that gradients are clipped to where the module does so itself
        (``configure_gradient_clipping``); the trainer's ``gradient_clip_val`` by default.
    outputs, target, checkpoints, proved, seed
        As for `Recorder`.

    Raises
    ------
    InvalidModelError
        From ``fit``, before the first update or after it: if the trainer or the module does what can't be
        followed (manual optimization, several optimizers or devices, sharding strategies,
        ``overfit_batches``), or nothing that holds all parameters is called.
    InvalidDataError
        From ``fit``: if the training data aren't one DataLoader whose samples have numbers.
    """

    def __init__(
        self,
        loss: Loss = "cross_entropy",
        *,
        net: str | None = None,
        clip_norm: float | None = None,
        outputs: Callable[[Any], Any] | None = None,
        target: str | None = None,
        checkpoints: Checkpoints | None = None,
        proved: float = 0.01,
        seed: int = 0,
    ) -> None:
        self._loss, self._net, self._clip_norm = loss, net, clip_norm
        self._options: dict[str, Any] = {
            "outputs": outputs,
            "target": target,
            "checkpoints": checkpoints,
            "proved": proved,
            "seed": seed,
        }
        self._reading = Reading(seed)
        self._loaders: list[NotedLoader] = []
        self._recorders: list[Recorder] = []  # one for each module that may be what is called, until one is
        self._best: Any = None
        self._undo: list[Callable[[], None]] = []

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
        if self._recorders:
            raise InvalidDataError("this callback has recorded a fit already: make a new one for each")
        _check(trainer, pl_module)
        _candidates(pl_module, self._net)
        source = trainer.fit_loop._data_source
        given = source.instance
        if hasattr(given, "train_dataloader"):
            own = given.train_dataloader
            given.train_dataloader = lambda: self._noted(own())
            self._undo.append(lambda: delattr(given, "train_dataloader"))
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
        nets = _candidates(pl_module, self._net)
        self._recorders = [self._recorder(net, trainer) for net in nets]
        if len(nets) == 2:  # where the module itself is called, its child is so within
            self._undo.append(nets[0].register_forward_pre_hook(self._leave_out_child).remove)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Count epochs."""
        for recorder in self._recorders:
            recorder.begin_epoch(len(self._loaders[-1].dataset))  # type: ignore[arg-type]

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Say which samples the step is of."""
        noted = self._loaders[-1].read.popleft()
        for recorder in self._recorders:
            recorder.next(noted)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop noting, as what follows may be validation, and find out which module is called."""
        for recorder in self._recorders:
            recorder.next(None)
        called = [recorder for recorder in self._recorders if recorder.has_passes]
        if not called and trainer.global_step:
            raise InvalidModelError(_uncalled(pl_module, self._net))
        for other in self._recorders if called else ():
            if other is not called[0]:
                other.stop()
        self._recorders = called[:1] or self._recorders

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: Any) -> None:
        """Mark the model where a checkpoint is kept because it is the best so far."""
        best = trainer.checkpoint_callback
        if not getattr(best, "monitor", None) or not self._recorders or best.best_model_score is None:
            return
        now = best.best_model_path, float(best.best_model_score)
        if now != self._best:
            self._best = now
            self.mark("best")

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Put the loader back."""
        self._put_back()

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Put the loader back."""
        self._put_back()

    def _put_back(self) -> None:
        while self._undo:
            self._undo.pop()()

    def _recorder(self, net: nn.Module, trainer: Any) -> Recorder:
        by_norm = trainer.gradient_clip_algorithm in (None, "norm")
        return Recorder(
            net,
            trainer.optimizers[0],
            self._loss,
            clip_norm=self._clip_norm or ((trainer.gradient_clip_val or None) if by_norm else None),
            scaler=getattr(trainer.precision_plugin, "scaler", None),
            **self._options,
        )

    def _leave_out_child(self, module: nn.Module, args: Any) -> None:
        if torch.is_grad_enabled() and len(self._recorders) == 2:
            self._recorders[1].next(None)

    def _noted(self, loader: Any) -> NotedLoader:
        if not isinstance(loader, DataLoader):
            raise InvalidDataError(f"one DataLoader can be recorded, the trainer has a {type(loader).__name__}")
        self._loaders.append(self._reading.noted(loader))
        return self._loaders[-1]

    def _recorded(self) -> Recorder:
        if not self._recorders:
            raise InvalidDataError("nothing was recorded: pass the callback to the Trainer, and call fit")
        return self._recorders[0]


def _check(trainer: Any, module: Any) -> None:
    strategy = type(trainer.strategy).__name__
    if not module.automatic_optimization:
        raise InvalidModelError(
            "manual optimization calls the optimizer where no callback sees it: record by "
            "dataval_torch.Recorder in training_step, or use automatic optimization"
        )
    if trainer.world_size > 1:
        raise InvalidModelError(
            f"one device can be recorded, the trainer has {trainer.world_size}: use devices=1"
        )
    if strategy != _STRATEGY:
        raise InvalidModelError(
            f"the trainer's strategy {strategy} can't be followed: leave strategy out, which gives {_STRATEGY}"
        )
    if trainer.overfit_batches:
        raise InvalidModelError(
            "overfit_batches changes the loader's order: use limit_train_batches and a loader without shuffling"
        )


def _candidates(module: nn.Module, name: str | None) -> list[nn.Module]:
    """Return what may be what ``training_step`` calls, from the outside in."""
    children = dict(module.named_modules())
    if name is not None:
        if name not in children:
            raise InvalidModelError(f"net={name!r} is no submodule: there are {sorted(children)[1:]}")
        return [children[name]]
    n_all = sum(p.numel() for p in module.parameters())
    whole = [child for child in module.children() if sum(p.numel() for p in child.parameters()) == n_all]
    found = [module] * _defines_forward(module) + whole * (len(whole) == 1)
    if not found:
        raise InvalidModelError(
            "the module has no forward and no one child with all parameters: say by net= which of "
            f"{[name for name, _ in module.named_children()]} maps inputs to outputs"
        )
    return found


def _defines_forward(module: nn.Module) -> bool:
    """Whether a class of the user's own does, in either of the packages that Lightning is called."""
    owner = next(kind for kind in type(module).__mro__ if "forward" in vars(kind))
    return owner.__module__.partition(".")[0] not in _PACKAGES


def _uncalled(module: nn.Module, name: str | None) -> str:
    tried = "net=" + repr(name) if name else "the module's forward or the one child that holds all parameters"
    return (
        f"training_step doesn't call {tried}: say by net= which of "
        f"{[name for name, _ in module.named_children()]} maps inputs to outputs"
    )
