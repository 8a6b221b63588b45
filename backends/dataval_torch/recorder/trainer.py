"""Recording what a Trainer of Hugging Face's transformers trains."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import TrainerCallback

from dataval import Learner, TokenCrossEntropy, TrainingRun
from dataval.backend.losses import Loss
from dataval.checks import described
from dataval.errors import InvalidDataError, InvalidModelError
from dataval.training.checkpoints import Checkpoints
from dataval_torch.recorder.loader import NotedCollate, Reading, noted_batch
from dataval_torch.recorder.recorder import Recorder

__all__ = ["TrainerRecorder"]

_KEYS = "dataval_keys"  # of the batch entry that holds the samples' numbers, taken out before the step
_WRAPPED = ("get_train_dataloader", "training_step")


class TrainerRecorder:
    """Records the training of a ``transformers.Trainer``.

    >>> trainer = Trainer(model, args, train_dataset=dataset, ...)
    >>> recorder = dataval_torch.TrainerRecorder(trainer)
    >>> trainer.train()
    >>> run = recorder.finish()
    >>> values = dv.HyDRA(recorder.learner).fit(recorder.loader, run=run).score(validation_loader)

    Clipping is read off the arguments, divisors by numbers of tokens off the gradients. Where the best model
    is kept (``load_best_model_at_end``), the run has a mark "best". What else is recorded, proved and refused
    is as for `Recorder`.

    Parameters
    ----------
    trainer : transformers.Trainer
        Before ``train`` is called.
    loss : str, NamedLoss or callable, optional
        The loss of each sample, as for `Learner`. By default the cross-entropy of a classifier, or for a
        language model that of its tokens, summed: `TokenCrossEntropy`, shifted where the model is causal.
    target : str, default "labels"
        Key of the target in the batches.
    outputs, checkpoints, proved, seed
        As for `Recorder`.

    Raises
    ------
    InvalidModelError
        If the trainer does what can't be followed (label smoothing of its own, several devices, sharding,
        compiling).
    InvalidDataError
        From ``train``: if its samples have no numbers, or a training was recorded already.
    """

    def __init__(
        self,
        trainer: Any,
        loss: Loss | None = None,
        *,
        target: str = "labels",
        outputs: Callable[[Any], Any] | None = None,
        checkpoints: Checkpoints | None = None,
        proved: float = 0.01,
        seed: int = 0,
    ) -> None:
        _check(trainer)
        self._trainer, self._target = trainer, target
        self._options: dict[str, Any] = {
            "outputs": outputs,
            "checkpoints": checkpoints,
            "proved": proved,
            "seed": seed,
        }
        self._loss = _loss_of(trainer.model) if loss is None else loss
        self._reading = Reading(seed)
        self._data: DataLoader[Any] | None = None
        self._recorder: Recorder | None = None
        self._watch = _Watch(self)
        self._wrap()

    @property
    def learner(self) -> Learner:
        """A learner of a copy of the model as it was before training, see `Recorder.learner`."""
        return self._recorded().learner

    @property
    def loader(self) -> DataLoader[Any]:
        """The training data as the model saw them, with the trainer's collating, for ``fit``."""
        if self._data is None:
            raise InvalidDataError("nothing was recorded: call trainer.train()")
        return self._data

    def mark(self, name: str) -> None:
        """Give the present moment a name, see `Recorder.mark`."""
        self._recorded().mark(name)

    def finish(self) -> TrainingRun:
        """Return the run, see `Recorder.finish`."""
        for name in _WRAPPED:
            self._trainer.__dict__.pop(name, None)
        self._trainer.remove_callback(self._watch)
        return self._recorded().finish()

    def begin(self, model: nn.Module, optimizer: Any) -> None:
        """Begin to record, now that there is an optimizer."""
        limit, accelerator = self._trainer.args.max_grad_norm, self._trainer.accelerator
        self._recorder = Recorder(
            model,
            optimizer,
            self._loss,
            clip_norm=limit if limit and limit > 0 else None,
            target=self._target,
            scaler=accelerator.scaler,
            **self._options,
        )
        if accelerator.mixed_precision in ("fp16", "bf16"):
            self._recorder.doubt(
                f"the trainer uses mixed precision ({accelerator.mixed_precision}), whose rounding can't be "
                "differentiated exactly"
            )

    def begin_epoch(self) -> None:
        """Count an epoch."""
        self._recorded().begin_epoch(len(self.loader.dataset))  # type: ignore[arg-type]

    def _wrap(self) -> None:
        """Have the trainer's loader number its samples, and take the numbers out of each batch."""
        loader, step = (getattr(self._trainer, name) for name in _WRAPPED)
        self._trainer.get_train_dataloader = lambda: self._numbered(loader())
        self._trainer.training_step = lambda model, inputs, *given, **named: self._noted_step(
            lambda: step(model, inputs, *given, **named), inputs
        )
        self._trainer.add_callback(self._watch)

    def _numbered(self, loader: DataLoader[Any]) -> DataLoader[Any]:
        """Return the trainer's own loader, made to carry the samples' numbers in its batches."""
        if self._recorder is not None:
            raise InvalidDataError(
                "this recorder has recorded a training already: finish it, and make a new one for each"
            )
        inner = getattr(loader, "base_dataloader", loader)  # inside of what Accelerate puts around it
        self._data = DataLoader(inner.dataset, batch_size=1, collate_fn=inner.collate_fn)
        self._reading.number(inner, _KeyedCollate)
        return loader

    def _noted_step(self, step: Callable[[], torch.Tensor], inputs: MutableMapping[str, Any]) -> torch.Tensor:
        """Do a training step, of which it is known what samples it is of.

        Before losses of the user's own take the targets out of the batch, and other arguments than its keys are
        given to the model.
        """
        keys = inputs.pop(_KEYS)
        recorder = self._recorded()
        recorder.next(noted_batch(keys, dict(inputs)))
        loss = step()
        recorder.next(None)
        return loss

    def _recorded(self) -> Recorder:
        if self._recorder is None:
            raise InvalidDataError("nothing was recorded: call trainer.train()")
        return self._recorder


class _KeyedCollate(NotedCollate):
    """A collator whose batches hold the keys of their samples."""

    def __call__(self, found: list[Any]) -> Any:
        batch = self.collate([sample for _, sample in found])
        if not isinstance(batch, MutableMapping):
            raise InvalidDataError(f"the collator must make a dict of a batch, it made {described(batch)}")
        batch[_KEYS] = torch.tensor([key for key, _ in found])
        return batch


class _Watch(TrainerCallback):
    """Tells a recorder what the trainer does."""

    def __init__(self, recorder: TrainerRecorder) -> None:
        self._recorder = recorder

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self._recorder.begin(given["model"], given["optimizer"])

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self._recorder.begin_epoch()

    def on_save(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        if args.load_best_model_at_end and state.best_global_step == state.global_step:
            self._recorder.mark("best")


def _check(trainer: Any) -> None:
    args = trainer.args
    if args.label_smoothing_factor:
        raise InvalidModelError(
            "the trainer smooths labels itself, over all tokens of a batch together: leave "
            "label_smoothing_factor out"
        )
    if args.world_size > 1 or args.n_gpu > 1:
        raise InvalidModelError("one device can be recorded: set CUDA_VISIBLE_DEVICES to one")
    unlike = {
        "DeepSpeed": trainer.is_deepspeed_enabled,
        "FSDP": trainer.is_fsdp_enabled,
        "torch_compile": args.torch_compile,
    }
    for name in (name for name, is_on in unlike.items() if is_on):
        raise InvalidModelError(f"{name} changes the model where it can't be followed: train without it")


def _loss_of(model: nn.Module) -> Loss:
    """Return the loss that a model of transformers trains with by its name."""
    name = type(model).__name__
    if name.endswith(("LMHeadModel", "ForCausalLM")):
        return TokenCrossEntropy(shift=True)
    if name.endswith(("ForMaskedLM", "ForTokenClassification")):
        return TokenCrossEntropy()
    if not name.endswith(("ForSequenceClassification", "ForImageClassification", "ForMultipleChoice")):
        raise InvalidModelError(
            f"{name} doesn't say what its loss is: pass it, as TrainerRecorder(trainer, loss=...)"
        )
    return "cross_entropy"
