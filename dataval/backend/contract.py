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
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from dataval.backend.arrays import Array, Arrays
from dataval.backend.losses import Loss
from dataval.backend.objective import Objective, ObjectiveFunction
from dataval.backend.selection import Filter
from dataval.backend.training_loss import TrainingLoss
from dataval.checks import described
from dataval.data import Data, Samples
from dataval.memory_plan import available_memory

__all__ = ["Backend", "Batches", "Signature"]


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


class Backend(ABC):
    """One model with its loss. The model is copied, never changed."""

    name: ClassVar[str]
    """The name under which the backend is registered."""

    class_axis: ClassVar[int] = 1
    """Where the loss ``"cross_entropy"`` has the classes among the outputs' axes."""

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

    def kinks(self) -> tuple[str, ...]:
        """Return the kinds of the model's layers that have kinks, as far as they can be seen: "ReLU"."""
        return ()

    @property
    def is_accelerated(self) -> bool:
        """Whether the backend's arrays are in another memory than NumPy's."""
        return False

    @property
    def free_bytes(self) -> int | None:
        """Memory that is free where the backend's arrays are; None where it can't be known."""
        return available_memory()

    @property
    def activation_bytes(self) -> int:
        """Memory that the forward pass of one sample keeps for the backward pass; 0 where it isn't known."""
        return 0
