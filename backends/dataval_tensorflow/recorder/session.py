"""One recording on its way: steps as the callback reports them, noted on the tape and proved."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from dataval import Checkpoints, TrainingRun
from dataval.backend.losses import Loss, describe_loss
from dataval.data import Data
from dataval.errors import IgnoredSettingWarning, InvalidDataError
from dataval.training.evidence import digest_of
from dataval.training.fitted import fitted_coefficients
from dataval.training.program import State
from dataval.training.prover import Observed, ObservedPass, Prover, tolerance_of
from dataval.training.tape import NotedPass, Tape
from dataval.training.witness import Witness
from dataval_tensorflow.backend import TensorFlowBackend
from dataval_tensorflow.batches import Batch
from dataval_tensorflow.recorder.optimizers import Watched
from dataval_tensorflow.recorder.steps import Seen

__all__ = ["Session"]

_SLACK = 10.0  # Keras clips by the norm itself, without the millionth that others add to it


class Session:
    """What happens between the first step of a recording and the last.

    Parameters
    ----------
    model : keras.Model
        Compiled.
    loss : str, NamedLoss or callable
    example : Data
        A few samples.
    policy : Checkpoints
    proved : float
        Share of updates that are proved at random.
    rng : numpy.random.Generator
    """

    def __init__(
        self,
        model: keras.Model,
        loss: Loss,
        example: Data,
        *,
        policy: Checkpoints,
        proved: float,
        rng: np.random.Generator,
    ) -> None:
        self._loss, self._rng = loss, rng
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", IgnoredSettingWarning
            )  # the model's own settings are what is recorded
            self._backend = TensorFlowBackend.create(
                model, loss, device="auto", params=None, seed=0, example=example
            )
        self.dtype = self._backend.arrays.dtype
        """NumPy's name of the parameters' dtype."""
        self.epoch = -1
        self._caller = self._backend.model.caller
        names = [name for name, _ in self._backend.signature.parameters]
        self._watched = Watched(model.optimizer, [self._caller.trainable[name] for name in names])
        optimizer = self._watched.described()
        self._n_slots, self._n_arrays = optimizer.n_slots, len(names)
        self._last = self._state()
        counts = [self._watched.count()] * len(names)
        self._tape = Tape(self._backend.signature, optimizer, self._last, counts, policy)
        prover = Prover(self._backend, optimizer, self._watched.clip_norm, slack=_SLACK)
        self._witness = Witness(self._tape, prover, proved, rng)
        for problem in [*self._watched.problems, *_problems(model)]:
            self._witness.note(problem)

    def begin(self) -> None:
        """Set the seeds of a step, and take down what the optimizer is told."""
        now = self._watched.values()
        if not np.array_equal(now, self._last.parameters):
            self._witness.note_change(self._last.parameters, now)
            self._last = self._state()
        if self._watched.is_stalled:
            self._witness.note("a learning rate of 0 under momentum, by which Keras goes on moving the weights")
        self._count, self._setting = self._watched.count(), self._watched.setting()
        self._seed = int(self._rng.integers(0, 2**62))
        for name, state in self._caller.seeded(tf.constant(self._seed, tf.int64)).items():
            self._caller.state[name].assign(state)

    def end(self, seen: Seen) -> None:
        """Note what a step did, and do it again where that is due."""
        batch = self._backend.batches(Data(seen.inputs, seen.targets)).take(np.arange(len(seen.numbers)))
        losses, coefficients = self._measured(seen, batch)
        before, after = self._last, self._state()
        is_due = self._witness.is_due(len(losses), self.epoch)
        noted = NotedPass(
            seen.numbers,
            coefficients,
            losses,
            self._seed,
            digest_of(*batch.arrays()),
        )
        self._last = after
        if self._witness.add_update([noted], self._setting, self.epoch, after) and is_due:
            self._prove(batch, coefficients, before, after)

    def close(self) -> None:
        """Look what weights training left: those of an earlier moment are marked "best"."""
        now = self._watched.values()
        if np.array_equal(now, self._last.parameters):
            return
        step = self._tape.step_of(now)
        if step is None:
            self._witness.note_change(self._last.parameters, now)
        else:
            self._tape.mark("best", step)
        self._last = self._state()

    def mark(self, name: str) -> None:
        """Give the present moment a name."""
        if not self._tape.n_updates:
            raise InvalidDataError(f"mark({name!r}) comes before the first update")
        self._tape.mark(name)

    def run(self, n_samples: int) -> TrainingRun:
        """Return what was recorded."""
        return self._tape.finish(
            n_samples,
            backend=self._backend.name,
            loss=describe_loss(self._loss),
            environment=self._backend.environment,
            clip_norm=self._watched.clip_norm,
        )

    def _measured(self, seen: Seen, batch: Batch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Find a step's losses and coefficients."""
        outputs = tf.constant(seen.outputs)
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            losses = self._backend.per_sample(outputs, batch.targets)
        own = tape.gradient(losses, outputs).numpy()
        found, residual = fitted_coefficients(own, seen.gradient)
        if residual > 10 * tolerance_of(own):
            self._witness.note(
                "the loss of fit is not a weighted sum of the losses that the recorder was given: what "
                f"reaches the outputs differs by {residual:.1e} (relative)"
            )
        return losses.numpy().astype(np.float64), found

    def _prove(self, batch: Batch, coefficients: NDArray[np.float64], before: State, after: State) -> None:
        load = self._backend.arrays.from_numpy
        loaded = [
            State(load(each.parameters), tuple(map(load, each.slots)), load(each.buffers))
            for each in (before, after)
        ]
        again = ObservedPass(batch, coefficients, self._seed, loaded[0].buffers)
        counts = [self._count] * self._n_arrays
        self._witness.prove(Observed([again], self._setting, counts, None, *loaded))

    def _state(self) -> State:
        names = self._backend.model.buffer_layout.names
        buffers = [np.asarray(self._caller.state[name]).ravel().astype(self.dtype) for name in names]
        joined = np.concatenate(buffers) if buffers else np.zeros(0, self.dtype)
        return State(self._watched.values(), self._watched.slots(self._n_slots), joined)


def _problems(model: keras.Model) -> list[str]:
    """Return what of a model's training no sum over samples describes."""
    found = []
    if any(layer.dtype_policy.name.startswith("mixed") for layer in model._flatten_layers()):
        found.append("layers compute in mixed precision, whose rounding can't be differentiated exactly")
    return found
