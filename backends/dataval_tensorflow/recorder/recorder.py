"""Recording a Keras ``fit``: the data get numbers, and what each batch was is read back after it."""

from __future__ import annotations

import inspect
import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from dataval import Checkpoints, Learner, TrainingRun
from dataval.backend.losses import Loss
from dataval.data import Data
from dataval.errors import InvalidDataError, InvalidModelError
from dataval_tensorflow.recorder.session import Session
from dataval_tensorflow.recorder.steps import WatchedSteps

__all__ = ["Recorder"]

_N_EXAMPLES = 4


class Recorder(keras.callbacks.Callback):
    r"""Records the ``fit`` of a compiled Keras model.

    >>> recorder = dataval_tensorflow.Recorder(model)
    >>> model.fit(X, y, batch_size=50, epochs=20, callbacks=[...])
    >>> run = recorder.finish()
    >>> values = dv.HyDRA(recorder.learner).fit(X, y, run=run).score(X_val, y_val)

    Between the first line and the last, the model's ``fit`` gives the samples numbers and the recorder itself
    as a callback; the recorder puts everything back when it finishes. What the model minimises must be a sum
    of the samples' losses with any coefficients (means over short batches, sample and class weights), which
    are read off the gradient that reaches its outputs. Rates are read at every step, so that any schedule
    works.

    Proof, refusal and grades are as for `dataval_torch.Recorder`: some updates are done again while it
    records, the others when they are first replayed; what deviates is named.

    ``tf.data``: a pipeline has no numbers. Give it some before it is shuffled and batched:
    ``recorder.numbered(dataset).shuffle(1000).batch(50)``.

    Parameters
    ----------
    model : keras.Model
        Compiled, with one output. XLA (``jit_compile``) is off while it is recorded.
    loss : str, NamedLoss or callable, optional
        The loss of each sample, as for `Learner`. By default that of ``compile``, where it is a cross-entropy
        of logits or the mean squared error.
    checkpoints : Checkpoints, optional
        How many states to keep. `Checkpoints()` (up to 1 GiB) by default.
    proved : float, default 0.01
        Share of the updates, in [0, 1], that are done again at random moments.
    seed : int, default 0
        Draws these, and the seeds of dropout and augmentation layers.

    Notes
    -----
    Where ``EarlyStopping`` restores the best weights, the run has a mark "best" at them: ``run.until("best")``.
    """

    def __init__(
        self,
        model: keras.Model,
        loss: Loss | None = None,
        *,
        checkpoints: Checkpoints | None = None,
        proved: float = 0.01,
        seed: int = 0,
    ) -> None:
        super().__init__()
        _check(model, proved)
        self._own = model
        self._loss = _loss_of(model) if loss is None else loss
        self._policy, self._proved = checkpoints or Checkpoints(), proved
        self._rng = np.random.default_rng(seed)
        self._session: Session | None = None
        self._n_samples = 0
        self._steps = WatchedSteps(model)
        self._fit = model.fit
        model.fit = self._numbered_fit
        self._jit, model.jit_compile = model.jit_compile, False
        model.train_function = model.test_function = None  # compiled from the methods that were replaced

    @property
    def learner(self) -> Learner:
        """A learner of the model, for methods that take the run."""
        return Learner(self._own, loss=self._loss)

    def numbered(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return a pipeline of single samples, in a known order, that yields their numbers, too."""
        self._n_samples = int(dataset.cardinality())
        if self._n_samples < 0:
            raise InvalidDataError("the pipeline has no known length: give it by assert_cardinality")
        spec = dataset.element_spec
        if not isinstance(spec, tuple) or len(spec) not in (2, 3):
            raise InvalidDataError(f"the pipeline must yield (inputs, target), or a weight besides, got {spec}")
        return dataset.enumerate().map(
            lambda number, sample: (sample[0], self._steps.joined(sample[1], number), *sample[2:])
        )

    def mark(self, name: str) -> None:
        """Give the present moment a name, such as "best": ``run.until(name)`` is the run up to there."""
        self._recorded().mark(name)

    def finish(self) -> TrainingRun:
        """Stop recording, put the model's methods back, and return the run.

        Raises
        ------
        InvalidDataError
            If no update was recorded.
        """
        self._steps.remove()
        self._own.__dict__.pop("fit", None)
        self._own.jit_compile = self._jit
        self._own.train_function = self._own.test_function = None
        return self._recorded().run(self._n_samples)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Count epochs."""
        self._recorded().epoch += 1

    def begin_step(self) -> None:
        """Set the seeds of a step, and take down what all callbacks have told the optimizer."""
        self._recorded().begin()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Note what the step did."""
        self._recorded().end(self._steps.take())

    def _numbered_fit(self, *args: Any, **named: Any) -> Any:
        """Call the model's own fit with numbered samples."""
        options = dict(inspect.signature(self._fit).bind(*args, **named).arguments)
        x, y = options.pop("x", None), options.pop("y", None)
        if options.pop("class_weight", None) is not None:
            raise InvalidModelError("class_weight can't be recorded: pass sample_weight=weights[y] to fit")
        if options.get("steps_per_execution", 1) != 1 or self._own.steps_per_execution != 1:
            raise InvalidModelError("steps_per_execution must be 1 for single steps to be recorded")
        callbacks = [self, *(options.pop("callbacks", None) or []), _Last(self)]
        if isinstance(x, tf.data.Dataset):
            some = next(iter(x.take(1)))
            inputs, targets = some[0], self._steps.targets_of(some[1])
        else:
            x, y, options = self._numbered_arrays(x, y, options)
            inputs, targets = x, self._steps.targets_of(y)
        if self._session is None:
            self._start(*(keras.tree.map_structure(_few, each) for each in (inputs, targets)))
        history = self._fit(x, y, callbacks=callbacks, **options)
        self._recorded().close()  # after all callbacks: early stopping may have restored weights
        return history

    def _start(self, inputs: Any, targets: Any) -> None:
        self._session = Session(
            self._own,
            self._loss,
            Data(inputs, targets),
            policy=self._policy,
            proved=self._proved,
            rng=self._rng,
        )
        self._steps.prepare(inputs, targets, self._session.dtype)

    def _recorded(self) -> Session:
        if self._session is None:
            raise InvalidDataError("nothing was recorded: call model.fit between Recorder(model) and finish()")
        return self._session

    def _numbered_arrays(self, x: Any, y: Any, options: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
        if y is None or isinstance(y, dict | list | tuple):
            raise InvalidDataError("fit is recorded on inputs and one array of targets, or a tf.data.Dataset")
        share = options.pop("validation_split", 0.0) if options.get("validation_data") is None else 0.0
        n = math.floor(len(y) * (1 - share)) if share else len(y)
        if share:
            weights = options.get("sample_weight")
            held = () if weights is None else (weights[n:],)
            options["validation_data"] = keras.tree.map_structure(lambda leaf: leaf[n:], x), y[n:], *held
            options["sample_weight"] = None if weights is None else weights[:n]
            x, y = keras.tree.map_structure(lambda leaf: leaf[:n], x), y[:n]
        self._n_samples = n
        return x, self._steps.joined(y, np.arange(n)), options


class _Last(keras.callbacks.Callback):
    """The last of the callbacks, so that rates which others set for a step are set."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._recorder.begin_step()


def _check(model: Any, proved: float) -> None:
    if not isinstance(model, keras.Model):
        raise TypeError(f"model must be a keras.Model, got {type(model).__name__}")
    if not model.compiled:
        raise InvalidModelError(
            "the model is not compiled: call model.compile(optimizer, loss) before it is recorded"
        )
    if not 0 <= proved <= 1:
        raise ValueError(f"proved must lie in [0, 1], got {proved}")


def _loss_of(model: keras.Model) -> Loss:
    """Return the loss that a model was compiled with, where it is one by name here."""
    loss = model.loss
    of_logits = getattr(loss, "_fn_kwargs", getattr(loss, "fn_kwargs", {})).get("from_logits", False)
    if isinstance(loss, keras.losses.SparseCategoricalCrossentropy) and of_logits:
        return "cross_entropy"
    if isinstance(loss, keras.losses.BinaryCrossentropy) and of_logits:
        return "binary_cross_entropy"
    if isinstance(loss, keras.losses.MeanSquaredError) or loss in ("mse", "mean_squared_error"):
        return "mse"
    raise InvalidModelError(
        f"the model was compiled with the loss {loss!r}, which has no name here: pass each sample's loss, "
        "as in Recorder(model, loss=keras.losses.SparseCategoricalCrossentropy(reduction=None))"
    )


def _few(leaf: Any) -> NDArray[Any]:
    return np.array(leaf[:_N_EXAMPLES])
