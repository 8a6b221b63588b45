"""The backend contract: the loss of one model and its derivatives, and nothing else.

A backend turns a framework's model and a per-sample loss into pure functions of one flat parameter vector.
It needs to know no optimizer, no trajectory and no valuation method, so that adding a framework means writing
this one class. Everything above it does arithmetic on the arrays that a backend returns with ``+ - * / **``
alone and converts the rest through `Backend.to_numpy` and `Backend.from_numpy`.

Conventions
-----------
parameters ``(P,)``
    The selected trainable parameters, flattened and concatenated in the model's own order; a tied
    parameter appears once.
buffers ``(S,)``
    The floating-point state that a training-mode forward pass changes (running statistics of batch
    normalisation), flattened; ``S`` is 0 for most models. Constant buffers are no part of it.
batch
    What `Batches.take` returns. A backend alone looks inside.
weights ``(n,)``
    One weight a sample of the batch; the weighted loss is ``sum_j weights_j * loss_j`` (a sum: dividing by
    the batch size is the caller's).
seed
    An int that determines every random draw of a training-mode forward pass: the same seed, parameters and
    batch give the same result in each of the functions below, batched or not.

Functions marked *training mode* see the batch as a whole: a sample's loss may depend on its neighbours.
All results are detached from the framework's differentiation, in the parameters' dtype, on the device.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from dataval.backend.losses import Loss
from dataval.data import Data
from dataval.training.optimizers import Optimizer, Slots

__all__ = ["Array", "Backend", "Batches", "Ensemble", "Linearization", "Objective", "Signature"]

Array = Any
"""An array of the backend's framework."""

Objective = Callable[[Any, Any], Any] | None
"""A function of (outputs, targets) giving one number a sample ``(n,)``; None stands for the loss."""

Pullback = Callable[[Array, Array], tuple[Array, Array, Array]]


@dataclass(frozen=True)
class Signature:
    """What makes two models interchangeable for a recorded run.

    Attributes
    ----------
    parameters, buffers : tuple of (name, shape)
    dtype : str
        NumPy's name of the parameters' dtype.
    """

    parameters: tuple[tuple[str, tuple[int, ...]], ...]
    buffers: tuple[tuple[str, tuple[int, ...]], ...]
    dtype: str

    @property
    def n_parameters(self) -> int:
        """Length P of the parameter vector."""
        return sum(int(np.prod(shape)) for _, shape in self.parameters)

    @property
    def n_buffers(self) -> int:
        """Length S of the buffer vector."""
        return sum(int(np.prod(shape)) for _, shape in self.buffers)


class Batches(Protocol):
    """Data on its way to the device."""

    def take(self, indices: NDArray[np.int64]) -> Any:
        """Return the batch of the samples at `indices`."""


class Linearization:
    """The gradient of a weighted batch loss, and the pullback of the map that yields it.

    Parameters
    ----------
    gradient : array, shape (P,), or callable
        ``sum_j weights_j * grad loss_j``; or a function that finds it, for a backend whose pullback
        doesn't need it: not every optimizer's does.
    pullback : callable
        ``pullback(vectors, buffer_vectors)`` takes cotangents ``(P,)`` of the gradient and ``(S,)`` of the
        buffers after the forward pass, and returns those of its arguments: parameters ``(P,)`` (the
        Hessian-vector product, plus what flows through the buffers), weights ``(n,)`` (the per-sample
        slopes ``<vector, grad loss_j>``) and buffers ``(S,)``. With a leading axis of K cotangents, all
        three results have it too. It may be called once.
    """

    def __init__(self, gradient: Array | Callable[[], Array], pullback: Pullback) -> None:
        self._gradient = gradient
        self.pullback = pullback

    @property
    def gradient(self) -> Array:
        """The gradient ``(P,)``."""
        if callable(self._gradient):
            self._gradient = self._gradient()
        return self._gradient


class Ensemble(ABC):
    """K models that are trained together, each under weights of its own, on the same batches.

    Members that have had the same weights so far are the same model, so an ensemble may start with the first
    member alone and copy it when the others part from it.
    """

    @property
    @abstractmethod
    def size(self) -> int:
        """How many members the next `step` expects weights for."""

    @abstractmethod
    def fork(self, size: int) -> None:
        """Have at least `size` members from now on; new ones are copies of the first."""

    @abstractmethod
    def step(
        self, samples: NDArray[np.int64], weights: Array, seed: int, learning_rate: float, step: int
    ) -> None:
        """Do update number `step` of every member.

        Parameters
        ----------
        samples : ndarray of int64, shape (n,)
            The batch.
        weights : array, shape (size, n)
            Of the batch's samples, for each member.
        seed : int
            Of the random draws.
        learning_rate : float
            Of this update.
        step : int
            Its number, from 0.
        """

    @abstractmethod
    def arrays(self) -> tuple[Array, Array]:
        """Return parameters ``(size, P)`` and buffers ``(size, S)``."""


class Backend(ABC):
    """One model with its loss, as pure functions of a flat parameter vector.

    The model is copied, never changed.
    """

    name: ClassVar[str]
    """The name under which the backend is registered."""

    replay_conditions: ClassVar[tuple[str, ...]] = ()
    """Keys of `environment` that must be as recorded for a run to be replayed; it is refused otherwise.

    For what changes the last bits of every result although it can be set back, such as a thread count. What is
    not among them makes a replay that differs warn.
    """

    @classmethod
    @abstractmethod
    def handles(cls, model: Any) -> bool:
        """Whether `model` is a model of this framework (a callable that builds one is not)."""

    @classmethod
    @abstractmethod
    def create(
        cls,
        model: Any,
        loss: Loss,
        *,
        device: str,
        params: Callable[[str], bool] | Sequence[str] | None,
        seed: int,
        example: Data,
    ) -> Backend:
        """Build a backend.

        Parameters
        ----------
        model
            A model of the framework, or a callable without arguments that builds one.
        loss
            A name, a `dataval.backend.losses.NamedLoss`, or a function (outputs, targets) -> (n,).
        device : str
            ``"auto"`` (an accelerator where there is one) or a name that the framework knows.
        params
            Which trainable parameters the run trains: a predicate on names, a list of names or of
            shell patterns, or None for all.
        seed : int
            Seeds the initialisation where `model` is a callable.
        example : Data
            A few training samples, to find out by running them what the model does.

        Raises
        ------
        InvalidModelError
            If the model has no parameter to train, or can't be run, or the loss is not per-sample.
        InvalidDataError
            If the samples don't fit the model or the targets don't fit the loss.
        """

    @property
    @abstractmethod
    def signature(self) -> Signature:
        """Names and shapes of the parameters and buffers."""

    @property
    @abstractmethod
    def environment(self) -> dict[str, str]:
        """What besides the inputs decides the last bits of a result: versions, device, thread count."""

    @abstractmethod
    def initial(self) -> tuple[Array, Array]:
        """Return the model's own parameters ``(P,)`` and buffers ``(S,)``, which a run starts from."""

    @abstractmethod
    def export(self, parameters: Array, buffers: Array) -> Any:
        """Return a copy of the model holding these parameters and buffers, in evaluation mode."""

    # ---- data and arrays -------------------------------------------------------------------------

    @abstractmethod
    def batches(self, data: Data) -> Batches:
        """Return `data` in a form that batches are taken from quickly."""

    @abstractmethod
    def check_targets(self, data: Data) -> None:
        """Raise `InvalidDataError` if targets anywhere in `data` don't fit the loss (labels out of range)."""

    @abstractmethod
    def from_numpy(self, array: NDArray[Any]) -> Array:
        """Return a framework array of the parameters' dtype on the device."""

    @staticmethod
    @abstractmethod
    def to_numpy(array: Array) -> NDArray[Any]:
        """Return a NumPy array of the same dtype."""

    @abstractmethod
    def inner(self, left: Array, right: Array, /) -> Array:
        """Return the inner product along the last axis, kept with length 1."""

    @abstractmethod
    def minimum(self, array: Array, bound: float, /) -> Array:
        """Return the elementwise minimum of an array and a number."""

    @abstractmethod
    def outer_slopes(self, vectors: Array, rows: Array) -> Array:
        """Return all inner products of K vectors ``(K, P)`` and n rows ``(n, P)``, shape ``(K, n)``."""

    # ---- the training loss -----------------------------------------------------------------------

    @abstractmethod
    def losses(self, parameters: Array, buffers: Array, batch: Any, seed: int) -> Array:
        """Return the per-sample losses ``(n,)`` in training mode."""

    @abstractmethod
    def gradient(
        self, parameters: Array, buffers: Array, batch: Any, weights: Array, seed: int
    ) -> tuple[Array, Array, Array]:
        """Return losses ``(n,)``, the weighted loss's gradient ``(P,)`` and the new buffers ``(S,)``.

        Training mode.
        """

    @abstractmethod
    def ensemble_gradient(
        self, parameters: Array, buffers: Array, batch: Any, weights: Array, seed: int
    ) -> tuple[Array, Array, Array]:
        """Return what `gradient` returns, for K parameter vectors at once.

        `parameters` is ``(K, P)``, `buffers` ``(K, S)`` and `weights` ``(K, n)``; the batch and the seed are
        shared, and every result has the leading axis. Training mode.
        """

    def ensemble(
        self,
        parameters: Array,
        slots: Slots,
        buffers: Array,
        optimizer: Optimizer,
        batches: Batches,
        capacity: int,
    ) -> Ensemble | None:
        """Return an ensemble of up to `capacity` members that start from these arrays, if there is a fast one.

        `batches` are the training samples.

        Without one (None, the default), `PlainEnsemble` does the same by `ensemble_gradient` and the
        optimizer's own arithmetic.
        """
        return None

    @property
    def activation_bytes(self) -> int:
        """Memory that the forward pass of one sample keeps for the backward pass; 0 where it isn't known."""
        return 0

    @abstractmethod
    def loss_jvp(self, parameters: Array, buffers: Array, batch: Any, vector: Array, seed: int) -> Array:
        """Return the per-sample slopes ``<vector, grad loss_j>``, shape ``(n,)``. Training mode.

        No per-sample gradient is formed: this is one directional derivative of the whole batch.
        """

    @abstractmethod
    def gradient_vjp(
        self, parameters: Array, buffers: Array, batch: Any, weights: Array, seed: int
    ) -> Linearization:
        """Return the weighted loss's gradient and its pullback. Training mode.

        Raises
        ------
        NotTwiceDifferentiableError
            If a layer has no second derivative; the message names it.
        """

    @abstractmethod
    def check_second_order(self, batch: Any) -> None:
        """Raise `NotTwiceDifferentiableError` if `gradient_vjp` will not be exact for this model."""

    @abstractmethod
    def per_sample_gradients(
        self, parameters: Array, buffers: Array, batch: Any, seed: int, rows: slice | None = None
    ) -> Array:
        """Return the gradients ``(n, P)`` of the losses of the samples in `rows` of the batch (all by default).

        Training mode: the forward pass sees the whole batch whatever `rows` says, so that the result
        doesn't depend on how the rows are split.
        """

    # ---- evaluation mode -------------------------------------------------------------------------

    @abstractmethod
    def predict(self, parameters: Array, buffers: Array, batch: Any) -> Array:
        """Return the model's outputs in evaluation mode."""

    @abstractmethod
    def objective(self, parameters: Array, buffers: Array, batch: Any, objective: Objective) -> Array:
        """Return the objective of every sample ``(n,)`` in evaluation mode.

        An objective that returns a scalar gives shape ``()``. With a leading axis of K on `parameters` and
        `buffers`, the result has it too.
        """

    @abstractmethod
    def objective_gradient(
        self, parameters: Array, buffers: Array, batch: Any, objective: Objective
    ) -> tuple[Array, Array]:
        """Return the gradients ``(P,)`` and ``(S,)`` of the objective summed over the batch.

        Evaluation mode.
        """

    @abstractmethod
    def objective_gradients(
        self, parameters: Array, buffers: Array, batch: Any, objective: Objective
    ) -> tuple[Array, Array]:
        """Return the gradients ``(n, P)`` and ``(n, S)`` of every sample's objective. Evaluation mode."""

    @abstractmethod
    def objective_jvp(
        self, parameters: Array, buffers: Array, batch: Any, vectors: Array, objective: Objective
    ) -> Array:
        """Return the slopes ``<vector, grad objective_j>`` of every sample's objective.

        `vectors` is ``(P,)`` or ``(K, P)``, the result ``(n,)`` or ``(K, n)``. Evaluation mode.
        """

    @abstractmethod
    def hessian_vector_product(
        self, parameters: Array, buffers: Array, batch: Any, weights: Array, vectors: Array
    ) -> Array:
        """Return ``sum_j weights_j Hess(loss_j) vector`` in the parameters.

        `vectors` and the result are ``(P,)`` or ``(K, P)``. Evaluation mode.

        Raises
        ------
        NotTwiceDifferentiableError
            If a layer has no second derivative; the message names it.
        """

    @abstractmethod
    def gauss_newton_vector_product(
        self, parameters: Array, buffers: Array, batch: Any, weights: Array, vectors: Array
    ) -> Array:
        """Return ``sum_j weights_j J_j' H_j J_j vector``, positive semidefinite where the loss is convex.

        ``J_j`` is the Jacobian of sample j's outputs and ``H_j`` the Hessian of its loss in them. `vectors`
        and the result are ``(P,)`` or ``(K, P)``. Evaluation mode.

        Raises
        ------
        InvalidModelError
            If the model returns anything but one array.
        """
