"""One recording on its way: passes and updates as the hooks report them, noted on the tape and proved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dataval import Learner, TrainingRun
from dataval.backend.losses import describe_loss
from dataval.data import Data, first_leaf, map_leaves, to_numpy
from dataval.errors import InvalidDataError
from dataval.training.checkpoints import Checkpoints
from dataval.training.evidence import digest_of
from dataval.training.program import State
from dataval.training.prover import Observed, ObservedPass, Prover, tolerance_of
from dataval.training.tape import NotedPass, Setting, Tape
from dataval.training.witness import Witness
from dataval_torch.backend import TorchBackend
from dataval_torch.batches import Batch
from dataval_torch.losses import target_dtype
from dataval_torch.model.randomness import generator_states, put_back, seed_all
from dataval_torch.recorder.coefficients import Coefficients, measure
from dataval_torch.recorder.loader import NotedBatch
from dataval_torch.recorder.optimizers import Watched, flat
from dataval_torch.recorder.passes import Pass, PassWatch, batch_of

__all__ = ["Session"]

_N_EXAMPLES = 4


class Session:
    """What happens between the first line of a recording and the last.

    Parameters
    ----------
    net : Module
    watched : Watched
        The optimizer.
    learner : Learner
        Of a copy of the module.
    split : callable
        Returns inputs and targets of what a loader yields.
    clip_norm : float or None
    scaler : GradScaler or None
    policy : Checkpoints
    proved : float
        Share of updates that are proved at random.
    rng : numpy.random.Generator
    """

    def __init__(
        self,
        net: nn.Module,
        watched: Watched,
        learner: Learner,
        *,
        split: Callable[[Any], tuple[Any, Any]],
        clip_norm: float | None,
        scaler: Any,
        policy: Checkpoints,
        proved: float,
        rng: np.random.Generator,
    ) -> None:
        self._net, self._watched, self._learner, self._split = net, watched, learner, split
        self._clip_norm, self._scaler, self._policy, self._proved = clip_norm, scaler, policy, proved
        self._rng = rng
        self.doubts: list[str] = []
        """What of the loop can't be done again, as far as it is known before it starts."""
        self._noted: NotedBatch | None = None
        self._epoch = -1
        self._pending: list[Pass] = []
        self._tape: Tape | None = None
        self._seen: tuple[list[Pass], list[Coefficients], Setting, State, Tensor | None] | None = None
        self._random_state: list[Tensor] | None = None
        self._watch = PassWatch(net, self._begin, self._end, self._read)
        optimizer = watched.optimizer
        self._hooks = [
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
        ]

    @property
    def has_passes(self) -> bool:
        """Whether there was a forward pass yet."""
        return self._tape is not None

    def next(self, noted: NotedBatch | None, epoch: int) -> None:
        """Say which samples the next pass is of."""
        self._noted, self._epoch = noted, epoch

    def mark(self, name: str) -> None:
        """Give the present moment a name."""
        if self._tape is None or not self._tape.n_updates:
            raise InvalidDataError(f"mark({name!r}) comes before the first update")
        self._tape.mark(name)

    def stop(self) -> None:
        """Take the hooks off."""
        self._watch.remove()
        for hook in self._hooks:
            hook.remove()

    def run(self, n_samples: int) -> TrainingRun:
        """Return what was recorded."""
        if self._tape is None:
            raise InvalidDataError(
                "no forward pass was recorded: take the batches from recorder.batches(loader), and call the "
                "very module and optimizer that the recorder was given"
            )
        self._look_back()
        loss = describe_loss(self._learner.loss, self._learner.outputs)
        backend = self._backend
        return self._tape.finish(
            n_samples,
            backend=backend.name,
            loss=loss,
            environment=backend.environment,
            clip_norm=self._clip_norm,
        )

    # ------------------------------------------------------------------ passes

    def _read(self, returned: Any) -> Any:
        return self._backend.model.read(returned)

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Pass | None:
        """Take a training pass down, and set its seed."""
        if self._noted is None or (self._tape is not None and self._net.training != self._modes[0]):
            return None  # of no sample of the loop's, or to see how it does
        inputs, targets = self._split(self._noted.item)
        known = set(inputs) if isinstance(inputs, dict) else None
        batch = batch_of(args, kwargs, targets, known)
        if self._tape is None:
            self._start(batch)
        batch = self._converted(batch)
        self._check_call(batch, inputs)
        self._drop_zeroed()
        seed = int(self._rng.integers(0, 2**62))
        if self._backend.model.is_stochastic:
            device = self._backend.model.device
            self._random_state = generator_states(device)
            seed_all(seed, device)
        return Pass(self._noted, batch, seed, self._buffers())

    def _end(self, current: Pass) -> None:
        if self._random_state is not None:
            put_back(self._random_state, self._backend.model.device)
            self._random_state = None
        if current.outputs is not None:
            self._pending.append(current)

    def _start(self, batch: Batch) -> None:
        """Make a copy of the model work like ours, and take the first state down."""
        twin = self._learner.model
        twin.load_state_dict(self._net.state_dict())
        self._modes = [layer.training for layer in self._net.modules()]
        for mine, mode in zip(twin.modules(), self._modes, strict=True):
            mine.training = mode
        few = batch.map(lambda leaf: leaf[:_N_EXAMPLES])
        example = Data(*_numpy(few))
        self._backend = TorchBackend.create(
            twin,
            self._learner.loss,
            device=self._learner.device,
            params=self._learner.params,
            seed=0,
            example=example,
            outputs=self._learner.outputs,
        )
        self._watched.order([name for name, _ in self._backend.signature.parameters], self._net)
        optimizer = self._watched.described()
        self._n_slots = optimizer.n_slots
        self._counts = self._watched.counts()
        start = self._state()
        self._tape = Tape(self._backend.signature, optimizer, start, self._counts, self._policy)
        prover = Prover(self._backend, optimizer, self._clip_norm)
        self._witness = Witness(self._tape, prover, self._proved, self._rng)
        self._values = start.parameters
        for problem in (*self.doubts, self._watched.problem):
            if problem is not None:
                self._witness.note(problem)

    def _converted(self, batch: Batch) -> Batch:
        dtype, loss = self._backend.model.dtype, self._learner.loss
        inputs = Batch(batch.inputs, batch.targets).map(
            lambda leaf: leaf.detach().to(dtype) if leaf.is_floating_point() else leaf
        )
        return Batch(inputs.inputs, self._converted_targets(batch.targets, loss, dtype))

    def _converted_targets(self, targets: Any, loss: Any, dtype: torch.dtype) -> Any:
        device = self._backend.model.device
        return map_leaves(lambda leaf: leaf.to(device, target_dtype(loss, to_numpy(leaf[:1]), dtype)), targets)

    def _check_call(self, batch: Batch, inputs: Any) -> None:
        """Look at what would make a pass another one when it is done again."""
        assert self._noted is not None
        n = len(first_leaf(batch.inputs))
        if n != len(self._noted.samples):
            raise InvalidDataError(
                f"the model is called with {n} samples, while the loader's batch has "
                f"{len(self._noted.samples)}: let the loader make batches as the model sees them, and "
                "accumulate over several"
            )
        if [layer.training for layer in self._net.modules()] != self._modes:
            self._witness.note("layers change between training and evaluation mode on the way")
        device = self._backend.model.device.type
        if torch.is_autocast_enabled(device):
            self._witness.note(
                "the forward pass runs under autocast, whose rounding can't be differentiated exactly"
            )

    def _drop_zeroed(self) -> None:
        """Forget what passes gave back where it was zeroed without a step, as a scaler's skipped step does."""
        if not any(each.is_back for each in self._pending):
            return
        if all(p.grad is None or not p.grad.any() for p in self._watched.parameters):
            for each in self._pending:
                each.gradients = [None] * len(each.gradients)

    # ----------------------------------------------------------------- updates

    def _before_step(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Take the update down: now, or where the step calls the loop's closure, after that."""
        closures = [each for each in (*args, *kwargs.values()) if callable(each) and each is not optimizer]
        if not closures:
            self._take_down()
            return None

        def then_taken_down() -> Any:
            found = closures[0]()
            self._take_down()
            return found

        def wrapped(each: Any) -> Any:
            return then_taken_down if each is closures[0] else each

        return tuple(map(wrapped, args)), {key: wrapped(each) for key, each in kwargs.items()}

    def _take_down(self) -> None:
        """Take down what the optimizer is about to do."""
        if self._tape is None:
            return
        self._check_unchanged()
        passes = [each for each in self._pending if each.is_back or len(each.buffers)]
        if self._pending and not any(each.is_back for each in self._pending):
            passes = self._pending
            self._witness.note(
                "no gradient came back to what the model returned: its loss is made inside of it of something "
                "else (as under Accelerate's mixed precision), or the outputs were detached"
            )
        self._pending = []
        if not passes:
            self._witness.note(
                "the optimizer steps without a recorded pass: take every batch from recorder.batches"
            )
        found = [self._measured(each) for each in passes]
        sizes = tuple(len(each.noted.samples) for each in passes)
        gradient = self._watched.gradient() if self._witness.is_due(sizes, self._epoch) else None
        before = State(
            self._values,
            self._watched.slots(self._n_slots) if gradient is not None else (),
            passes[0].buffers if passes else self._buffers(),
        )
        self._seen = passes, found, self._watched.setting(), before, gradient

    def _after_step(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._seen is None or self._tape is None:
            return
        (passes, found, setting, before, gradient), self._seen = self._seen, None
        counts = self._counts
        self._counts = [count + is_active for count, is_active in zip(counts, setting.active, strict=True)]
        after = self._state()
        self._values = after.parameters
        noted = [_noted(each, c) for each, c in zip(passes, found, strict=True)]
        if not noted or not self._witness.add_update(noted, setting, self._epoch, after) or gradient is None:
            return
        again = [
            ObservedPass(each.batch, c.values, each.seed, each.buffers)
            for each, c in zip(passes, found, strict=True)
        ]
        self._witness.prove(Observed(again, setting, counts, gradient, before, after))

    def _measured(self, each: Pass) -> Coefficients:
        """Find a pass's coefficients."""
        targets = each.batch.targets
        scale = 1.0 if self._scaler is None else float(self._scaler.get_scale())
        found = measure(self._backend.per_sample, each.outputs, each.arrived(), targets, scale)
        if found.residual > 10 * tolerance_of(to_numpy(self._values)):
            self._witness.note(
                "the loop's loss is not a weighted sum of the losses that the recorder was given: what "
                f"reaches the outputs differs by {found.residual:.1e} (relative)"
            )
        return found

    def _look_back(self) -> None:
        """Look what weights training left: those of an earlier moment are marked "best"."""
        assert self._tape is not None
        now = self._watched.values()
        if not torch.equal(now, self._values) and (step := self._tape.step_of(to_numpy(now))) is not None:
            self._tape.mark("best", step)
            self._values = now
        self._check_unchanged()

    def _check_unchanged(self) -> None:
        """Look whether parameters were written to since the last update."""
        now = self._watched.values()
        if not torch.equal(now, self._values):
            self._witness.note_change(self._values, now)
            self._values = now

    def _state(self) -> State:
        return State(self._watched.values(), self._watched.slots(self._n_slots), self._buffers())

    def _buffers(self) -> Tensor:
        layout = self._backend.model.buffer_layout
        own = dict(self._net.named_buffers()) if layout.names else {}
        dtype = self._backend.model.dtype
        found = [own[name].detach().to(dtype) for name in layout.names]
        return flat(found) if found else torch.zeros(0, dtype=dtype, device=self._backend.model.device)


def _noted(each: Pass, found: Coefficients) -> NotedPass:
    return NotedPass(
        each.noted.samples,
        found.values,
        to_numpy(found.losses).astype(np.float64),
        each.seed,
        digest_of(*each.batch.arrays()),
        each.noted.draws,
    )


def _numpy(batch: Batch) -> tuple[Any, Any]:
    return map_leaves(to_numpy, batch.inputs), map_leaves(to_numpy, batch.targets)
