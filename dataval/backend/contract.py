"""The contract of a backend: one model with its loss, as pure functions of one flat parameter vector.

A backend hands out two objects: the `TrainingLoss`, and for every question about validation samples an
`Objective` in evaluation mode. Each has losses, gradients, rows, slopes and second-order products. Nothing
here knows an optimizer, a trajectory or a valuation method, so that adding a framework means writing these
three classes. Everything above does arithmetic on the arrays that they return by operators alone, and the rest
through the backend's `Arrays`.

What follows from other functions is derived here once; a framework overrides it where it can do better.

Conventions
-----------
parameters ``(P,)``
    The selected trainable parameters, flattened and concatenated in the model's own order; a tied
    parameter appears once.
buffers ``(S,)``
    The floating-point state that a training-mode forward pass changes (running statistics of batch
    normalisation), flattened; ``S`` is 0 for most models. Constant buffers are no part of it.
batch
    What `Batches.take` returns. A backend alone looks inside; ``len`` gives its number of samples n, and
    ``arrays()`` the NumPy arrays of what the model and the loss see, by which recorded loops are checked.
weights ``(n,)``
    One weight a sample of the batch; the weighted loss is ``sum_j weights_j * loss_j`` (a sum: dividing by
    the batch size is the caller's).
seed
    An int that determines every random draw of a training-mode forward pass: the same seed, parameters and
    batch give the same result in each of the functions below, batched or not.
leading axis
    Where several parameter vectors, directions or cotangents may be given at once, they stand along a leading
    axis of K, and so do the results.

All results are detached from the framework's differentiation, in the parameters' dtype, on the device.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from dataval.backend.arrays import Array, Arrays
from dataval.backend.layers import LayerGradients, compact, gradient_of, plain_gradients, slopes_along
from dataval.backend.losses import Loss
from dataval.backend.selection import Filter
from dataval.checks import described
from dataval.data import Data, Samples
from dataval.memory_plan import available_memory

__all__ = [
    "Backend",
    "Batches",
    "FirstOrder",
    "Linearization",
    "Objective",
    "ObjectiveFunction",
    "Signature",
    "TrainingLoss",
]

ObjectiveFunction = Callable[[Any, Any], Any]
"""A function of (outputs, targets), in the model's framework, giving one number a sample ``(n,)``, or one."""

Pullback = Callable[[Array, Array], tuple[Array, Array, Array]]

_FEW_VECTORS = 3  # fewer directional derivatives than this cost less than per-sample gradients
_FEW_IN_COUPLED = 1 / 3  # of the batch: there every sample's gradient takes a pass back through the whole batch
_ROW_BYTES = 2**28  # that per-sample gradients may take at a time


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

    def take(self, indices: NDArray[np.int64], draws: NDArray[np.int64] | None = None) -> Any:
        """Return the batch of the samples at `indices`.

        Parameters
        ----------
        indices : ndarray of int64, shape (n,)
            Which samples.
        draws : ndarray of int64, shape (n,), optional
            The seed under which each sample is read, see `dataval.data.Samples.take`.
        """


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


@dataclass(frozen=True)
class FirstOrder:
    """The gradient of a weighted batch loss, and the slopes of its samples from the same pass.

    Attributes
    ----------
    gradient : array, shape (P,)
        ``sum_j weights_j * grad loss_j``.
    slopes : callable
        Takes vectors ``(P,)`` or ``(K, P)`` and returns ``<vector, grad loss_j>``, ``(n,)`` or ``(K, n)``.
    """

    gradient: Array
    slopes: Callable[[Array], Array]


class TrainingLoss(ABC):
    """The per-sample losses of a batch in training mode, and their derivatives.

    The forward pass sees the batch as a whole: a sample's loss may depend on its neighbours.

    Parameters
    ----------
    arrays : Arrays
    """

    row_bytes: int = _ROW_BYTES
    """Memory that per-sample gradients may take at a time where slopes are found from them."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays

    @abstractmethod
    def gradient(
        self, parameters: Array, buffers: Array, batch: Any, weights: Array, seed: int
    ) -> tuple[Array, Array, Array]:
        """Return losses ``(n,)``, the weighted loss's gradient ``(P,)`` and the new buffers ``(S,)``.

        With a leading axis of K on parameters, buffers and weights, all results have it; the batch and the seed
        are shared.
        """

    @abstractmethod
    def rows(
        self, parameters: Array, buffers: Array, batch: Any, seed: int, part: slice | None = None
    ) -> Array:
        """Return the gradients ``(n, P)`` of the losses of the samples in `part` of the batch (all by default).

        The forward pass sees the whole batch whatever `part` says, so that the result doesn't depend on how
        the rows are split.
        """

    @abstractmethod
    def linearize(
        self, parameters: Array, buffers: Array, batch: Any, weights: Array, seed: int
    ) -> Linearization:
        """Return the weighted loss's gradient and its pullback.

        Raises
        ------
        NotTwiceDifferentiableError
            If a layer has no second derivative; the message names it.
        """

    @property
    def has_layers(self) -> bool:
        """Whether `layer_gradients` knows layers, at the cost of about one gradient."""
        return False

    def layer_gradients(
        self, parameters: Array, buffers: Array, batch: Any, seed: int
    ) -> Sequence[LayerGradients]:
        """Return the gradients of the samples' losses, layer by layer; together they are `rows`.

        What no layer is known for is `PlainGradients`, by default everything.
        """
        return plain_gradients(self.rows(parameters, buffers, batch, seed))

    def first_order(
        self, parameters: Array, buffers: Array, batch: Any, weights: Array, seed: int
    ) -> FirstOrder:
        """Return the weighted loss's gradient, and the slopes along vectors that may depend on it.

        Where layers are known, one pass serves both.
        """
        if not self.has_layers:
            gradient = self.gradient(parameters, buffers, batch, weights, seed)[1]
            return FirstOrder(gradient, lambda vectors: self.slopes(parameters, buffers, batch, vectors, seed))
        blocks = compact(self.arrays, self.layer_gradients(parameters, buffers, batch, seed))
        return FirstOrder(gradient_of(self.arrays, blocks, weights), partial(slopes_along, self.arrays, blocks))

    def losses(self, parameters: Array, buffers: Array, batch: Any, seed: int) -> Array:
        """Return the losses ``(n,)``."""
        weights = self.arrays.from_numpy(np.ones(len(batch)))
        return self.gradient(parameters, buffers, batch, weights, seed)[0]

    @property
    def is_coupled(self) -> bool:
        """Whether samples can't be run one by one, as the batch's statistics or random numbers join them."""
        return False

    def slopes(self, parameters: Array, buffers: Array, batch: Any, vectors: Array, seed: int) -> Array:
        """Return the slopes ``<vector, grad loss_j>``, ``(n,)`` along one vector or ``(K, n)`` along K.

        Along one vector, or few, these are directional derivatives of the whole batch; along many, inner
        products with its gradients by layer, or with those of some samples at a time.
        """
        if vectors.ndim == 1:
            return self.slope(parameters, buffers, batch, vectors, seed)
        if len(vectors) > 1 and self.has_layers:
            blocks = self.layer_gradients(parameters, buffers, batch, seed)
            return slopes_along(self.arrays, blocks, vectors)
        n_few = max(_FEW_VECTORS, int(_FEW_IN_COUPLED * len(batch)) if self.is_coupled else 0)
        if len(vectors) <= n_few:
            return self.arrays.stack([self.slope(parameters, buffers, batch, v, seed) for v in vectors])
        parts = slices(len(batch), self.row_bytes, parameters)
        return self.arrays.concatenate(
            [self.arrays.outer(vectors, self.rows(parameters, buffers, batch, seed, part)) for part in parts]
        )

    def slope(self, parameters: Array, buffers: Array, batch: Any, vector: Array, seed: int) -> Array:
        """Return the slopes ``(n,)`` along one vector."""
        return self.arrays.outer(vector[None], self.rows(parameters, buffers, batch, seed))[0]


class Objective(ABC):
    """A function of a model's outputs and targets in evaluation mode, sample by sample, and its derivatives.

    Parameters
    ----------
    arrays : Arrays
    """

    row_bytes: int = _ROW_BYTES

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays

    @abstractmethod
    def values(self, parameters: Array, buffers: Array, batch: Any) -> Array:
        """Return the objective of every sample ``(n,)``; shape ``()`` where the function gives one number.

        With a leading axis of K on parameters and buffers, the result has it too.
        """

    @abstractmethod
    def rows(self, parameters: Array, buffers: Array, batch: Any) -> tuple[Array, Array]:
        """Return the gradients ``(n, P)`` and ``(n, S)`` of every sample's objective."""

    @abstractmethod
    def hessian_products(
        self, parameters: Array, buffers: Array, batch: Any, weights: Array, vectors: Array
    ) -> Array:
        """Return ``sum_j weights_j Hess(objective_j) vector`` in the parameters, ``(P,)`` or ``(K, P)``.

        Raises
        ------
        NotTwiceDifferentiableError
            If a layer has no second derivative; the message names it.
        """

    @abstractmethod
    def gauss_newton_products(
        self, parameters: Array, buffers: Array, batch: Any, weights: Array, vectors: Array
    ) -> Array:
        """Return ``sum_j weights_j J_j' H_j J_j vector``, positive semidefinite where the objective is convex.

        ``J_j`` is the Jacobian of sample j's outputs and ``H_j`` the Hessian of its objective in them.
        `vectors` and the result are ``(P,)`` or ``(K, P)``.

        Raises
        ------
        InvalidModelError
            If the model returns anything but one array.
        """

    def layer_gradients(
        self, parameters: Array, buffers: Array, batch: Any, cotangents: Array | None = None
    ) -> Sequence[LayerGradients]:
        """Return the gradients of the samples' objectives in the parameters, layer by layer.

        What no layer is known for is `PlainGradients`, by default everything.

        Parameters
        ----------
        parameters, buffers, batch
            As for `rows`.
        cotangents : array, optional
            Of the model's outputs, of their shape ``(n, ...)``: the gradients are then those of their inner
            products with the outputs, sample by sample.

        Raises
        ------
        NotImplementedError
            If the backend takes no cotangents.
        InvalidModelError
            With cotangents, if the model returns anything but one array.
        """
        if cotangents is not None:
            raise NotImplementedError(f"{type(self).__name__} pulls no cotangents of outputs back to layers")
        return plain_gradients(self.rows(parameters, buffers, batch)[0])

    def gradient(self, parameters: Array, buffers: Array, batch: Any) -> tuple[Array, Array]:
        """Return the gradients ``(P,)`` and ``(S,)`` of the objective summed over the batch."""
        rows, buffer_rows = self.rows(parameters, buffers, batch)
        return rows.sum(0), buffer_rows.sum(0)

    def slopes(self, parameters: Array, buffers: Array, batch: Any, vectors: Array) -> Array:
        """Return the slopes ``<vector, grad objective_j>``, ``(n,)`` along one vector or ``(K, n)`` along K."""
        if vectors.ndim == 1:
            return self.slopes(parameters, buffers, batch, vectors[None])[0]
        return self.arrays.outer(vectors, self.rows(parameters, buffers, batch)[0])


class Backend(ABC):
    """One model with its loss. The model is copied, never changed."""

    name: ClassVar[str]
    """The name under which the backend is registered."""

    replay_conditions: ClassVar[tuple[str, ...]] = ()
    """Keys of `environment` that must be as recorded for a run to be replayed; it is refused otherwise.

    For what changes the last bits of every result although it can be set back, such as a thread count. What is
    not among them makes a replay that differs warn.
    """

    arrays: Arrays
    """What its arrays can do beside operators."""

    loss: TrainingLoss
    """The loss in training mode."""

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
        params: Filter,
        seed: int,
        example: Data,
        build: Callable[[], Any] | None = None,
        outputs: Callable[[Any], Any] | None = None,
    ) -> Backend:
        """Make a backend.

        Parameters
        ----------
        model
            A model that the backend `handles`.
        loss
            A name, a `NamedLoss`, or a function (outputs, targets) -> (n,).
        device : str
            ``"auto"`` (an accelerator where there is one) or a name that the framework knows.
        params
            Which trainable parameters the run trains: a predicate on names, a list of names or of
            shell patterns, or None for all.
        seed : int
            Seeds what of the model is still to be initialised (layers without weights yet).
        example : Data
            A few training samples, to find out by running them what the model does.
        build : callable, optional
            Builds such a model anew, where this one was built for the call: it need not be copied then.
        outputs : callable, optional
            Applied to what the model returns before anything else sees it.

        Raises
        ------
        InvalidModelError
            If the model has no parameter to train, or can't be run, or has settings that training here
            would ignore; or if the loss is not per-sample.
        ValueError, TypeError
            If there is no such device.
        InvalidDataError
            If the samples don't fit the model or the targets don't fit the loss.
        """

    @classmethod
    def settings(cls) -> AbstractContextManager[None]:
        """Set the framework's modes as computing needs them; put the caller's back on leaving."""
        return nullcontext()

    @classmethod
    def seeded(cls, seed: int) -> AbstractContextManager[None]:
        """Seed the framework's generators that building a model may draw from; restore them on leaving."""
        return nullcontext()

    @classmethod
    def random_state(cls) -> Any:
        """Return the state of the generators that `seeded` seeds, to tell whether something drew from them."""
        return None

    @property
    @abstractmethod
    def signature(self) -> Signature:
        """Names and shapes of the parameters and buffers."""

    @property
    def environment(self) -> dict[str, str]:
        """What besides the inputs decides the last bits of a result: versions, device, thread count."""
        return {}

    @abstractmethod
    def initial(self) -> tuple[Array, Array]:
        """Return the model's own parameters ``(P,)`` and buffers ``(S,)``, which a run starts from."""

    def own_arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays of the model by name: those of the `signature`, and those that are not trained."""
        found: dict[str, NDArray[Any]] = {}
        layouts = self.signature.parameters, self.signature.buffers
        for layout, flat in zip(layouts, map(self.arrays.to_numpy, self.initial()), strict=True):
            ends = np.cumsum([int(np.prod(shape)) for _, shape in layout])
            pieces = np.split(flat, ends[:-1]) if layout else []
            named = zip(layout, pieces, strict=True)
            found |= {name: piece.reshape(shape) for (name, shape), piece in named}
        return found

    def arrays_of(self, given: Any) -> dict[str, NDArray[Any]]:
        """Return the arrays of a state that somebody else trained, under the names of `own_arrays`.

        Parameters
        ----------
        given
            Arrays by name; and whatever else the framework keeps states in: models, files, lists.

        Raises
        ------
        TypeError
            If it is nothing of the kind.
        InvalidModelError
            If it can't be read.
        FileNotFoundError
            If it is the path of no file.
        """
        if isinstance(given, Mapping):
            return {name: np.asarray(array) for name, array in given.items()}
        raise TypeError(f"a state is a mapping of names to arrays here, got {described(given)}")

    @abstractmethod
    def export(self, parameters: Array, buffers: Array) -> Any:
        """Return a copy of the model holding these parameters and buffers, in evaluation mode."""

    @abstractmethod
    def batches(self, data: Samples) -> Batches:
        """Return `data` in a form that batches are taken from quickly."""

    @abstractmethod
    def check_targets(self, data: Samples) -> None:
        """Raise `InvalidDataError` if targets anywhere in `data` don't fit the loss (labels out of range)."""

    @abstractmethod
    def predict(self, parameters: Array, buffers: Array, batch: Any) -> Array:
        """Return the model's outputs in evaluation mode."""

    @abstractmethod
    def objective(self, function: ObjectiveFunction | None = None) -> Objective:
        """Return an objective in evaluation mode; None stands for the loss."""

    def token_loss(self) -> TrainingLoss | None:
        """Return the loss token by token: `losses` and `slope` give ``(n, L)``, which sum to the samples'.

        None where the loss is no sum over tokens.
        """
        return None

    def in_double(self, batch: Any) -> tuple[Backend, Any] | None:
        """Return the same in float64, where second derivatives can be judged; None where it can't be had."""
        return None

    def blame(self, batch: Any) -> str | None:
        """Name what has no exact second derivative: "the layer 'act' (Clamp)"; None if it isn't found."""
        return None

    @property
    def free_bytes(self) -> int | None:
        """Memory that is free where the backend's arrays are; None where it can't be known."""
        return available_memory()

    @property
    def activation_bytes(self) -> int:
        """Memory that the forward pass of one sample keeps for the backward pass; 0 where it isn't known."""
        return 0


def slices(n: int, row_bytes: int, parameters: Array) -> Iterator[slice]:
    """Split n rows of the parameters' length so that each part stays within a memory budget."""
    size = max(1, row_bytes // (8 * max(1, len(parameters))))
    for start in range(0, n, size):
        yield slice(start, min(n, start + size))
