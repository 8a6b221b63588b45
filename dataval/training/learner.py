"""A model together with its loss and the way it is trained."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from dataval.backend import Backend
from dataval.backend.losses import Loss, describe_loss, is_same_loss
from dataval.backend.registry import find_model, framework_settings
from dataval.backend.trial import check_single
from dataval.checks import described, flag
from dataval.data import Samples, as_data
from dataval.errors import IgnoredSettingWarning, InvalidDataError, InvalidModelError, RunMismatchError
from dataval.memory_plan import MemoryPlan
from dataval.training.binding import Binding, Source
from dataval.training.checkpoints import Checkpoints
from dataval.training.config import Training
from dataval.training.memory import plan_training
from dataval.training.plan import check_batch_size, make_plan
from dataval.training.program import Program, State
from dataval.training.recording import carry_out
from dataval.training.replay import Replay
from dataval.training.run import TrainingRun
from dataval.training.states import as_rates, as_record, plan_of_states, read_states, training_of_states

__all__ = ["Learner"]

_N_EXAMPLES = 4

Config = TypeVar("Config", Training, Checkpoints)


class Learner(BaseEstimator):
    """What is trained and how: a model, a per-sample loss and a training configuration.

    The model is never changed: its current parameters are where every run starts, and its mode, gradients
    and buffers stay as they were. Given a callable that builds the model, each seed starts from its own
    initialisation instead.

    Parameters
    ----------
    model : torch.nn.Module, or callable without arguments returning one
        The backend is found from its type. Layers that the caller has put into evaluation mode inside a model
        that is in training mode (frozen batch normalisation) stay in it.
    loss : str, NamedLoss or callable, default "cross_entropy"
        ``"cross_entropy"``, ``"binary_cross_entropy"``, ``"mse"``; one of `CrossEntropy`, `BinaryCrossEntropy`,
        `MeanSquaredError` with options; or a function (outputs, targets) -> per-sample losses ``(n,)``, written
        in the model's framework.
    training : Training, optional
        Optimizer, schedule, epochs, batch size, seed. `Training()` by default.
    device : str, default "auto"
        An accelerator where there is one; or a name that the framework knows, such as ``"cpu"``.
    params : callable or sequence of str, optional
        Train only these parameters: a predicate on their names, or names and shell patterns
        (``["head.*"]``). Parameters that the model itself has frozen are left out in any case.
    checkpoints : Checkpoints, optional
        How many states of a run to keep. `Checkpoints()` (up to 1 GiB) by default.
    backend : str, optional
        Name of the backend, where it can't be told from the model.
    progress : bool, optional
        Show progress bars; by default where standard error is a terminal.
    outputs : callable, optional
        Applied to what the model returns, before the loss, objectives and predictions see it: for a model
        that returns a structure, ``outputs=lambda returned: returned.logits``. An exported model is the
        caller's own, and returns what it always did.

    Examples
    --------
    >>> learner = dv.Learner(net, loss="cross_entropy", training=dv.Training(epochs=10))
    >>> run = learner.train(X, y)
    >>> values = dv.HyDRA(learner).fit(X, y, run=run).score(X_val, y_val)
    """

    def __init__(
        self,
        model: Any,
        loss: Loss = "cross_entropy",
        training: Training | None = None,
        *,
        device: str = "auto",
        params: Callable[[str], bool] | Sequence[str] | None = None,
        checkpoints: Checkpoints | None = None,
        backend: str | None = None,
        progress: bool | None = None,
        outputs: Callable[[Any], Any] | None = None,
    ) -> None:
        self.model = model
        self.loss = loss
        self.training = training
        self.device = device
        self.params = params
        self.checkpoints = checkpoints
        self.backend = backend
        self.progress = progress
        self.outputs = outputs

    @framework_settings()
    def train(
        self,
        X: Any,
        y: Any = None,
        weights: ArrayLike | None = None,
        *,
        resume: TrainingRun | None = None,
    ) -> TrainingRun:
        """Train the model, from its current parameters on, and record the run.

        A model that is trained already is trained further. To value the training that it had, write
        ``learner.adopt(X, y)`` instead. A `TrainedModelWarning` says so where the first losses of a classifier
        or a regression show it.

        Parameters
        ----------
        X : array, nested tuples or dicts of arrays, data frame, or data set
            Training inputs; a tuple is passed to the model as positional arguments, a dict as keywords. Or a
            map-style data set of pairs (inputs, target), or of dicts, a ``DataLoader`` of one, or a
            ``tf.data.Dataset``: samples are read when they are needed.
        y : array, shape (N, ...), or nested tuples or dicts of arrays, or str, optional
            Targets; several are handed to a loss of your own as they are. Left out for a data set, or the key
            of the target in samples that are dicts (by default the first of "labels", "label", "y", "target").
        weights : array, shape (N,), optional
            Weight of every sample's loss, >= 0. All 1 by default; 0 leaves a sample out, even one whose loss or
            gradient is not finite (methods that differentiate give it the value NaN).
        resume : TrainingRun, optional
            An interrupted run on the same data to finish instead (`TrainingInterrupted.run`).

        Returns
        -------
        TrainingRun

        Raises
        ------
        InvalidDataError
            If the data don't fit each other, the model or the loss.
        InvalidModelError
            If the model or the loss can't be used.
        RunMismatchError
            If `resume` was recorded with something else.
        InsufficientMemoryError
            If the states to be kept can't fit into memory.
        TrainingDivergedError
            If a loss, a gradient or the last state becomes infinite or NaN. The sample is named where one is to
            blame; where the run has grown, that is said instead.
        TrainingInterrupted
            On Ctrl-C, holding what was done.
        """
        prepared = self.prepare(X, y, weights, run=resume)
        if resume is not None:
            prepared.check_updates("resume")
        carry_out(prepared.program, prepared.run, progress=self.progress)
        return prepared.run

    @framework_settings()
    def plan_memory(self, X: Any, y: Any = None) -> MemoryPlan:
        """Return what `train` will take of memory; nothing is trained.

        Parameters
        ----------
        X, y
            As for `train`.

        Returns
        -------
        MemoryPlan
            `train` raises `InsufficientMemoryError` where it does not fit.

        Examples
        --------
        >>> print(learner.plan_memory(X, y))
        """
        prepared = self.prepare(X, y)
        return plan_training(prepared.program, prepared.run)

    @framework_settings()
    def adopt(
        self,
        X: Any,
        y: Any = None,
        states: Sequence[Any] | None = None,
        learning_rates: ArrayLike | None = None,
        *,
        batch_size: int | None = None,
        losses: ArrayLike | None = None,
        margins: ArrayLike | None = None,
        weights: ArrayLike | None = None,
    ) -> TrainingRun:
        """Take the model as trained, as it is, or checkpoints of its training; nothing is trained.

        The arguments are those of `TrainingRun.from_checkpoints`; without `states`, the learner's model is the
        one state that there is.

        Returns
        -------
        TrainingRun
            Of ``origin="states"``, for methods that need states alone.

        Raises
        ------
        InvalidModelError
            If the learner builds its model anew and no `states` are given.
        InvalidDataError, FileNotFoundError, TypeError, ValueError
            As `TrainingRun.from_checkpoints`.

        Examples
        --------
        >>> run = dv.Learner(trained_net).adopt(X, y)
        >>> values = dv.InfluenceFunction(learner).fit(X, y, run=run).score(X_val, y_val)
        """
        data, given = as_data(X, y), self._training()
        if states is None and find_model(self.model, self.backend, seed=given.seed).build is not None:
            raise InvalidModelError(
                "the learner builds its model anew, untrained: give the trained one, Learner(net).adopt(X, y), "
                "or states=[net]"
            )
        all_weights, n = _as_weights(weights, len(data)), len(data)
        logged = as_record("losses", losses, n), as_record("margins", margins, n)
        backend = self._make_backend(data, all_weights)
        kept = read_states(backend, states)
        training = training_of_states(given, len(kept), n)
        names = [name for name, _ in backend.signature.parameters]
        rates = as_rates(learning_rates, len(kept))
        size = given.batch_size if batch_size is None else batch_size
        plan = plan_of_states(training, names, n, rates, len(kept), size)
        program = Program(backend, data, training, plan, all_weights)
        run = self._run(program, dict(enumerate(kept, 1)), Checkpoints(every=1), logged[0])
        run.origin, run.margins = "states", logged[1]
        return run

    @framework_settings()
    def prepare(
        self,
        X: Any,
        y: Any = None,
        weights: ArrayLike | None = None,
        *,
        run: TrainingRun | None = None,
    ) -> Replay:
        """Check data, model and loss, and return the training program with a run that is still to be done.

        Parameters
        ----------
        X, y, weights
            As for `train`.
        run : TrainingRun, optional
            A recorded run, finished or not, to be joined with the program instead. `weights` may be left out.

        Raises
        ------
        InvalidDataError, InvalidModelError, RunMismatchError
            As `train`.
        """
        data = as_data(X, y)
        if run is not None:
            if not isinstance(run, TrainingRun):
                raise TypeError(f"run must be a dataval.TrainingRun, got {described(run)}")
            return self._join(data, weights, run)
        if self.progress is not None:
            flag("progress", self.progress)
        program = self._program(data, _as_weights(weights, len(data)))
        return Replay(program, self._new_run(program))

    def replay(self, X: Any, y: Any = None, run: TrainingRun | None = None) -> Replay:
        """Join a recorded run with this learner and its data again.

        Raises
        ------
        RunMismatchError
            If the run was recorded with another model, loss, training configuration or data, or is not
            complete.
        TypeError
            If there is no run.
        """
        if run is None:
            raise TypeError("replay needs a recorded run: learner.replay(X, y, run)")
        replay = self.prepare(X, y, run=run)
        replay.check_complete()
        return replay

    def _training(self) -> Training:
        return _checked(Training, self.training, "training")

    def _program(self, data: Samples, weights: NDArray[np.float64]) -> Program:
        training = self._training()
        check_batch_size(training, len(data))
        backend = self._make_backend(data, weights)
        plan = make_plan(training, len(data), [name for name, _ in backend.signature.parameters])
        if plan.has_single_samples:
            check_single(backend, data.take(slice(0, _N_EXAMPLES)), _single_advice(training, len(data)))
        return Program(backend, data, training, plan, weights)

    def _make_backend(self, data: Samples, weights: NDArray[np.float64]) -> Backend:
        """Make the backend, tried on the first samples that are not left out."""
        if not (self.outputs is None or callable(self.outputs)):
            raise TypeError(f"outputs must be a function of what the model returns, got {self.outputs!r}")
        found = find_model(self.model, self.backend, seed=self._training().seed)
        backend = found.backend.create(
            found.model,
            self.loss,
            device=self.device,
            params=self.params,
            seed=self._training().seed,
            example=data.take(_examples(weights)),
            build=found.build,
            outputs=self.outputs,
        )
        backend.check_targets(data)
        return backend

    def _new_run(self, program: Program) -> TrainingRun:
        losses = np.full((program.training.epochs, program.plan.n_samples), np.nan)
        policy = _checked(Checkpoints, self.checkpoints, "checkpoints")
        return self._run(program, {0: program.initial_state()}, policy, losses)

    def _run(
        self,
        program: Program,
        states: dict[int, State],
        policy: Checkpoints,
        losses: NDArray[np.float64],
    ) -> TrainingRun:
        """Return a run of which these states are known, joined with its program."""
        backend = program.backend
        run = TrainingRun(
            training=program.training,
            plan=program.plan,
            weights=program.weights,
            losses=losses,
            checkpoints=states,
            policy=policy,
            n_completed=max(states),
            backend=backend.name,
            loss=describe_loss(self.loss, self.outputs),
            signature=backend.signature,
            environment=backend.environment,
            data_fingerprint=program.data.fingerprint(),
        )
        self._bind(run, program)
        return run

    def _join(self, data: Samples, weights: ArrayLike | None, run: TrainingRun) -> Replay:
        """Join `run` with the program that made it, after checking that it is this learner's."""
        if weights is not None and not np.array_equal(run.weights, _as_weights(weights, len(data))):
            raise RunMismatchError("the run was recorded with other weights: leave them out to use the run's")
        bound = run.binding if run.binding is not None and run.binding.source == self._source() else None
        if bound is not None and bound.is_on(data):
            return Replay(bound.program, run)
        if bound is None:
            if run.origin == "trained":
                _check_same(run, "training", run.training, self._training())
            _check_loss(run, describe_loss(self.loss, self.outputs))
        if run.n_samples != len(data) or run.data_fingerprint not in ("", data.fingerprint()):
            raise RunMismatchError(
                f"the run was recorded on other data ({run.n_samples} samples, fingerprint "
                f"{run.data_fingerprint}): pass the same X and y, in the same order and dtype"
            )
        backend = self._backend_of(run, data) if bound is None else bound.program.backend
        _check_same(run, "backend", run.backend, backend.name)
        _check_same(run, "model", run.signature, backend.signature)
        replay = Replay(Program(backend, data, run.training, run.plan, run.weights), run)
        if run.has_updates:
            _check_environment(run, backend)
            replay.check_recording()
        self._bind(run, replay.program)
        return replay

    def _backend_of(self, run: TrainingRun, data: Samples) -> Backend:
        """Make the backend for a run; a loop of the user's own has not ignored the model's settings."""
        with warnings.catch_warnings():
            if run.origin != "trained":
                warnings.simplefilter("ignore", IgnoredSettingWarning)
            return self._make_backend(data, run.weights)

    def _bind(self, run: TrainingRun, program: Program) -> None:
        """Let methods that adopt the run from this learner, or one like it, use its program again."""
        run.binding = Binding(self._source(), program)

    def _source(self) -> Source:
        return Source(
            self.model, self.loss, self._training(), self.device, self.params, self.backend, self.outputs
        )


def _single_advice(training: Training, n_samples: int) -> str:
    size = training.batch_size
    if size == 1:
        return "Training has batch_size=1: choose a larger one"
    return (
        f"The last batch of an epoch has one ({n_samples} samples, batch_size={size}): leave it out by "
        "Training(drop_last=True), or choose another batch_size"
    )


def _examples(weights: NDArray[np.float64]) -> NDArray[np.int64] | slice:
    """Return the first samples, without those of weight 0 unless there are no others."""
    found = np.flatnonzero(weights)[:_N_EXAMPLES]
    return found if len(found) and found[-1] >= len(found) else slice(0, _N_EXAMPLES)


def _check_same(run: TrainingRun, what: str, recorded: object, mine: object) -> None:
    if recorded != mine:
        raise RunMismatchError(f"the run was recorded with another {what}: {recorded}; this learner has {mine}")


def _check_loss(run: TrainingRun, mine: str) -> None:
    if not is_same_loss(run.loss, mine):
        raise RunMismatchError(
            f"the run was recorded with another loss: {run.loss}; this learner has {mine} (what follows # "
            "tells functions of one name apart: their code, settings, and the values that they refer to)"
        )


def _check_environment(run: TrainingRun, backend: Backend) -> None:
    """Raise where a replay could not repeat the run bit for bit, although it could under the run's settings."""
    environment = backend.environment
    for key in backend.replay_conditions:
        recorded, mine = run.environment.get(key), environment[key]
        if recorded != mine:
            raise RunMismatchError(
                f"the run was recorded with {key}={recorded}, now it is {mine}: {backend.name} rounds "
                "otherwise, so the run can't be replayed. Set it back before computing anything, or train again"
            )


def _checked(kind: type[Config], value: Config | None, name: str) -> Config:
    """Return a learner's parameter, or its default for None."""
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a dataval.{kind.__name__}, got {value!r}")
    return value


def _as_weights(weights: ArrayLike | None, n_samples: int) -> NDArray[np.float64]:
    if weights is None:
        return np.ones(n_samples)
    try:
        array = np.asarray(weights)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"weights can't be read as numbers: {error}") from error
    if array.shape != (n_samples,):
        raise InvalidDataError(f"weights must have shape ({n_samples},), got {array.shape}")
    if array.dtype.kind not in "biuf":
        raise InvalidDataError(f"weights must be real numbers, got an array of {array.dtype}")
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise InvalidDataError("weights must be finite and not negative")
    return array.astype(np.float64)
