"""Recording a PyTorch loop that is the user's own, by hooks of the module and of the optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn
from torch.utils.data import DataLoader

from dataval import Learner, TrainingRun
from dataval.backend.losses import Loss
from dataval.data.parts import split
from dataval.errors import InvalidDataError, InvalidModelError
from dataval.training.checkpoints import Checkpoints
from dataval_torch.model.functional import own_module
from dataval_torch.model.settings import say_recorded
from dataval_torch.recorder.loader import NotedBatch, Reading
from dataval_torch.recorder.optimizers import Watched, unwrapped
from dataval_torch.recorder.session import Session

__all__ = ["Recorder"]


class Recorder:
    r"""Records a training loop as it runs, so that its updates can be differentiated.

    One line before the loop, one around its loader, one after it:

    >>> recorder = dataval_torch.Recorder(net, optimizer, loss="cross_entropy")
    >>> for x, y in recorder.batches(loader):
    ...     loss = criterion(net(x), y)
    ...     loss.backward()
    ...     optimizer.step()
    ...     optimizer.zero_grad()
    >>> run = recorder.finish()
    >>> values = dv.HyDRA(recorder.learner).fit(loader.dataset, run=run).score(X_val, y_val)

    What the loop minimises must be :math:`\sum_j c_{t,j}\,\ell_j`, a sum over the samples of an update with
    coefficients that may be anything: means over a batch that may be short, accumulation, class weights, token
    counts. They are read off the gradient that reaches the model's outputs. Rates, betas, decay and groups are
    read off the optimizer at every step, so that any scheduler works; so are frozen parameters.

    While it records, the recorder does some updates again (the first ones, the first of each epoch, new
    combinations of batch sizes, and a random share) and holds them against the loop's. Where something
    differs it warns and names it, and values that need the updates (`HyDRA`, `TracIn` at updates) are refused
    for the run, while those that need its states alone (`InfluenceFunction`, `TracIn` at epochs, `GraNd`,
    ...) work. All other updates are held against their digests when they are first replayed.

    The choice of what to train on (early stopping, the best checkpoint) is held fixed: it isn't differentiated.

    Parameters
    ----------
    net : torch.nn.Module
        What the loop calls. It is not changed; a copy is used to do updates again.
    optimizer : torch.optim.Optimizer
        One of PyTorch's own classes, see the guide for which.
    loss : str, NamedLoss or callable, default "cross_entropy"
        The loss of each sample, as for `Learner`.
    clip_norm : float, optional
        What the loop clips the norm of the gradients to (``clip_grad_norm_``).
    outputs : callable, optional
        Applied to what the model returns before the loss, as for `Learner`.
    target : str, optional
        Key of the target where the loader yields dicts; ``"labels"``, ``"label"``, ``"y"`` and ``"target"`` are
        tried by default.
    checkpoints : Checkpoints, optional
        How many states to keep. `Checkpoints()` (up to 1 GiB) by default.
    scaler : torch.amp.GradScaler, optional
        The loop's, whose scale is taken out. Under autocast updates can't be done again exactly.
    proved : float, default 0.01
        Share of the updates, in [0, 1], that are done again at random moments.
    seed : int, default 0
        Draws these, and the seeds of dropout and augmentation.

    Notes
    -----
    Dropout: each forward pass is made under a seed of the recorder's, and the generators are put back after
    it, so the loop draws other masks than it would alone. Augmentation that draws from the global generators
    (of Python, NumPy and PyTorch) in the data set is read under a seed for each visit of a sample, with any
    number of workers.
    """

    def __init__(
        self,
        net: nn.Module,
        optimizer: torch.optim.Optimizer,
        loss: Loss = "cross_entropy",
        *,
        clip_norm: float | None = None,
        outputs: Callable[[Any], Any] | None = None,
        target: str | None = None,
        checkpoints: Checkpoints | None = None,
        scaler: Any = None,
        proved: float = 0.01,
        seed: int = 0,
    ) -> None:
        inner = unwrapped(optimizer)
        _check(net, inner, clip_norm, proved)
        updated = {id(p) for group in inner.param_groups for p in group["params"]}
        self._names = [name for name, p in net.named_parameters() if id(p) in updated]
        _check_parameters(net, inner, self._names)
        self._twin = _twin(net, self._names)
        self._loss, self._outputs, self._target = loss, outputs, target
        self._epoch, self._n_samples = -1, 0
        self._reading = Reading(seed)
        named = dict(net.named_parameters())
        watched = Watched(inner, [named[name] for name in self._names])
        self._session = Session(
            net,
            watched,
            self.learner,
            split=self._split,
            clip_norm=clip_norm,
            scaler=scaler,
            policy=checkpoints or Checkpoints(),
            proved=proved,
            rng=np.random.default_rng(seed),
        )

    @property
    def learner(self) -> Learner:
        """A learner of a copy of the model as it was before the loop, for methods that take the run."""
        device = str(next(self._twin.parameters()).device)
        return Learner(
            self._twin, loss=self._loss, params=list(self._names), device=device, outputs=self._outputs
        )

    @property
    def has_passes(self) -> bool:
        """Whether a forward pass was recorded yet."""
        return self._session.has_passes

    def batches(self, loader: DataLoader[Any]) -> Iterator[Any]:
        """Yield one epoch of a loader's batches, noting which samples they are made of.

        Parameters
        ----------
        loader : DataLoader
            Of a map-style data set. Its order, workers and collating are its own.

        Yields
        ------
        What the loader yields.

        Raises
        ------
        InvalidDataError
            If it is no such loader, or of another data set than before.
        """
        noted = self._reading.noted(loader)
        self.begin_epoch(len(loader.dataset))  # type: ignore[arg-type]
        for item in noted:
            self.next(noted.read.popleft())
            yield item
        self.next(None)

    def begin_epoch(self, n_samples: int) -> None:
        """Count an epoch of so many samples; for those who call `next` themselves."""
        if self._n_samples and n_samples != self._n_samples:
            raise InvalidDataError(
                f"the loader's data set has {n_samples} samples, that of the epoch before had "
                f"{self._n_samples}: record one data set"
            )
        self._n_samples = n_samples
        self._epoch += 1

    def next(self, noted: NotedBatch | None) -> None:
        """Say which samples the next forward pass is of; none, so that it isn't recorded."""
        self._session.next(noted, self._epoch)

    def samples(self, indices: ArrayLike, targets: Any, *, n_samples: int, epoch: int = 0) -> None:
        """Say which samples the next forward pass is of, in a loop that has no loader.

        Parameters
        ----------
        indices : array of int, shape (n,)
            Their numbers among all.
        targets : Tensor
            As the loss takes them.
        n_samples : int
            Of all.
        epoch : int, default 0
            Which epoch it is of.
        """
        self._epoch, self._n_samples = epoch, n_samples
        self.next(NotedBatch(_indices(indices, n_samples), None, (None, targets)))

    def mark(self, name: str) -> None:
        """Give the present moment a name, such as "best": ``run.until(name)`` is the run up to there."""
        if not isinstance(name, str) or not name:
            raise TypeError(f"a mark needs a name, got {name!r}")
        self._session.mark(name)

    def doubt(self, problem: str) -> None:
        """Say before the first update what of the loop can't be done again, in words."""
        self._session.doubts.append(problem)

    def stop(self) -> None:
        """Stop recording: the module and the optimizer are as they were."""
        self._session.stop()

    def finish(self) -> TrainingRun:
        """Stop recording, and return the run.

        Where the model has the parameters of an earlier update again, as after its best state was loaded, the
        run has a mark "best" there.

        Raises
        ------
        InvalidDataError
            If no update was recorded.

        Warns
        -----
        RecordingWarning
            If the loop did what can't be done again.
        """
        self.stop()
        return self._session.run(self._n_samples)

    def _split(self, item: Any) -> tuple[Any, Any]:
        return split(item, self._target, "loop's")


def _check(net: Any, optimizer: Any, clip_norm: float | None, proved: float) -> None:
    if not isinstance(net, nn.Module):
        raise TypeError(f"net must be a torch.nn.Module, got {type(net).__name__}")
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"optimizer must be a torch.optim.Optimizer, got {type(optimizer).__name__}")
    if clip_norm is not None and not clip_norm > 0:
        raise ValueError(f"clip_norm must be positive, got {clip_norm}")
    if not 0 <= proved <= 1:
        raise ValueError(f"proved must lie in [0, 1], got {proved}")


def _check_parameters(net: nn.Module, optimizer: torch.optim.Optimizer, names: list[str]) -> None:
    own = {id(p) for p in net.parameters()}
    others = sum(id(p) not in own for group in optimizer.param_groups for p in group["params"])
    if others or not names:
        raise InvalidModelError(
            f"the optimizer updates {others} parameters that are not the module's"
            if names
            else "the optimizer updates none of the module's parameters: make it from net.parameters()"
        )


def _twin(net: nn.Module, names: list[str]) -> nn.Module:
    """Return a copy of the module without gradients, in its modes; what the optimizer updates is free."""
    twin = own_module(net, is_ours=False)
    if "_original_forward" in vars(twin):  # Accelerate's mixed precision calls the module that it was made for
        vars(twin).pop("forward")
    say_recorded(twin)
    for mine, theirs in zip(twin.modules(), net.modules(), strict=True):
        mine.training = theirs.training
    for name, parameter in twin.named_parameters():
        parameter.grad = None
        parameter.requires_grad_(name in names)
    return twin


def _indices(indices: ArrayLike, n_samples: int) -> NDArray[np.int64]:
    found = np.asarray(indices)
    if found.ndim != 1 or found.dtype.kind not in "iu" or not ((found >= 0) & (found < n_samples)).all():
        raise InvalidDataError(f"indices must be whole numbers from 0 to {n_samples - 1}, in one dimension")
    return found.astype(np.int64)
