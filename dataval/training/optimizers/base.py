"""What an optimizer is: one update of (parameters, slots) and the pullback of that update.

Both are written with arithmetic only (``+ - * / **``), so that the same code runs on the arrays of any
framework, on one parameter vector ``(P,)``, on K of them ``(K, P)``, and on plain floats. What a function has
made itself it may go on with in place (``+=``), in its largest shape: for long vectors, new memory takes longer
than the arithmetic. Its arguments are never written to.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, model_validator

from dataval.options import Options

__all__ = [
    "TINY",
    "Array",
    "Betas",
    "Factors",
    "Optimizer",
    "ParameterGroup",
    "Slots",
    "effective",
    "effective_vjp",
    "is_zero",
    "scaled",
]

TINY = 1e-30
"""Keeps 0 / sqrt(0) at 0: a parameter that never had a gradient has no derivative here."""

Share = Annotated[float, Field(ge=0, lt=1)]
Betas = tuple[Share, Share]
"""Decay rates of two moving averages, each in [0, 1)."""

Array = Any
Slots = tuple[Array, ...]
Factors = Any
"""A namespace of numbers for one update: a float, or an array ``(P,)`` where groups of parameters differ."""


class ParameterGroup(Options):
    """Parameters that an optimizer treats in a way of their own.

    Parameters
    ----------
    parameters : tuple of str
        Names of parameters, or shell patterns such as ``"*.bias"``.
    settings : tuple of (str, value)
        What differs from the optimizer's own options.
    """

    parameters: tuple[str, ...] = Field(min_length=1)
    settings: tuple[tuple[str, float | tuple[float, ...]], ...] = Field(min_length=1)


def _as_groups(given: Any) -> Any:
    """Read ``{"*.bias": {"weight_decay": 0.0}}`` as groups."""
    if isinstance(given, list):
        return tuple(map(_as_group, given))
    if not isinstance(given, Mapping):
        return given
    if wrong := [pattern for pattern, settings in given.items() if not isinstance(settings, Mapping)]:
        raise ValueError(f"what differs for {wrong[0]!r} must be a dict of options, got {given[wrong[0]]!r}")
    return tuple(
        {"parameters": (pattern,) if isinstance(pattern, str) else pattern, "settings": tuple(settings.items())}
        for pattern, settings in given.items()
    )


def _as_group(given: Any) -> Any:
    """Read a group as JSON has it, with lists for tuples."""
    if not isinstance(given, Mapping):
        return given
    settings = [
        (name, tuple(value) if isinstance(value, list) else value) for name, value in given.get("settings", ())
    ]
    return {**given, "parameters": tuple(given.get("parameters", ())), "settings": tuple(settings)}


class Optimizer(Options, ABC):
    """One optimizer's hyperparameters, its update and the update's derivative.

    An optimizer is a frozen value: it keeps no state between updates. The state of a run is the pair
    (parameters, slots), and ``update`` maps it and a gradient to the next pair, given the factors of the
    update.

    Subclasses name their `hyperparameters`, turn those of one update into the numbers that its arithmetic
    needs (`factors`), and implement `update` and `update_vjp`. `dataval.testing.check_optimizer` holds a new
    one against finite differences.

    Parameters
    ----------
    learning_rate : float
        A schedule multiplies it.
    groups : dict of str to dict, default {}
        Parameters that are treated otherwise: from names or shell patterns to what differs. No decay on biases
        and norms: ``groups={"*bias": {"weight_decay": 0.0}, "*norm*": {"weight_decay": 0.0}}``. The first
        pattern that fits a parameter counts.
    """

    name: str
    learning_rate: float = Field(gt=0)
    groups: Annotated[tuple[ParameterGroup, ...], BeforeValidator(_as_groups)] = ()

    linear: ClassVar[bool] = False
    """Whether the pullback depends on neither parameters, slots nor gradient (true of SGD).

    Then `update_vjp` may be called with floats for the cotangents and ``None`` for the rest, which
    turns the Hessian-free recursion into one on scalars.
    """

    decoupled: ClassVar[bool] = False
    """Whether weight decay shrinks the parameters themselves: then it is no part of what is minimised."""

    hyperparameters: ClassVar[tuple[str, ...]] = ("learning_rate", "weight_decay")
    """Names of the numbers that may differ by group and change from update to update."""

    momentum_name: ClassVar[str | None] = "momentum"
    """Which of them a schedule of the momentum sets; None where it must not change."""

    differentiable: ClassVar[bool] = True
    """Whether the update has a derivative in the gradient that is not 0 everywhere."""

    @model_validator(mode="after")
    def _check_groups(self) -> Self:
        self.group_optimizers()
        return self

    @property
    @abstractmethod
    def n_slots(self) -> int:
        """Number of slot vectors, each of the parameters' shape (momentum: 1, Adam: 2)."""

    @property
    def is_decoupled(self) -> bool:
        """Whether weight decay shrinks the parameters themselves, and is no part of what training minimises."""
        return self.decoupled

    @property
    def has_momentum(self) -> bool:
        """Whether some group has a momentum above 0."""
        own = getattr(self, "momentum", 0.0)
        return any([own, *(dict(group.settings).get("momentum", 0.0) for group in self.groups)])

    @property
    def beta1(self) -> float:
        """The first of `betas`, where there are any."""
        return float(self.betas[0])  # type: ignore[attr-defined]

    @property
    def beta2(self) -> float:
        """The second of them."""
        return float(self.betas[1])  # type: ignore[attr-defined]

    def constants(self) -> dict[str, float]:
        """Return the hyperparameters as the options give them, by name."""
        return {name: float(getattr(self, name)) for name in self.hyperparameters}

    def group_optimizers(self) -> list[Optimizer]:
        """Return this optimizer as each group has it."""
        own = {name: getattr(self, name) for name in type(self).model_fields if name != "groups"}
        return [type(self)(**own | self._known(group)) for group in self.groups]

    def at(self, step: int = 0, **changed: float) -> Factors:
        """Return the factors of update number `step` of a run without groups, under the options given."""
        values = self.constants() | changed | {"count": float(step)}
        found = self.factors({name: np.array([value]) for name, value in values.items()})
        return SimpleNamespace(**{name: float(array[0]) for name, array in found.items()})

    def factors(self, of: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        """Return the numbers that `update` works with, from the hyperparameters of one update.

        Here they are computed in double precision, whatever the parameters' dtype.

        Parameters
        ----------
        of : dict of str to ndarray of float64, shape (G,)
            The hyperparameters of each group, and ``"count"``, the number of updates that it has had.

        Returns
        -------
        dict of str to ndarray of float64, shape (G,)
            `update` finds them as attributes; by default the hyperparameters themselves.
        """
        return dict(of)

    def init_slots(self, parameters: Array) -> Slots:
        """Return the slots before the first update: zeros in the parameters' shape."""
        return tuple(parameters * 0 for _ in range(self.n_slots))

    def zero_slots(self, parameters: Array) -> Slots:
        """Return a cotangent of the slots that is 0."""
        return tuple(parameters * 0 for _ in range(self.n_slots))

    @abstractmethod
    def update(self, parameters: Array, slots: Slots, gradient: Array, factors: Factors) -> tuple[Array, Slots]:
        """Return the parameters and slots after one update."""

    @abstractmethod
    def update_vjp(
        self,
        parameters_bar: Array,
        slots_bar: Slots,
        parameters: Array,
        slots: Slots,
        gradient: Array,
        factors: Factors,
    ) -> tuple[Array, Slots, Array]:
        """Pull a cotangent back through `update`.

        Parameters
        ----------
        parameters_bar, slots_bar
            Cotangents of the parameters and slots after the update.
        parameters, slots, gradient, factors
            The arguments that `update` was called with.

        Returns
        -------
        parameters_bar, slots_bar, gradient_bar
            Cotangents of `update`'s first three arguments. The gradient is held fixed in the first:
            its own dependence on the parameters (the Hessian) is the caller's to add.
        """

    def _known(self, group: ParameterGroup) -> dict[str, Any]:
        """Return what differs in a group, or raise if that can't differ by group."""
        settings = dict(group.settings)
        known = {name for name in type(self).model_fields if name in self.hyperparameters}
        known |= {"betas"} & set(type(self).model_fields)
        if unknown := settings.keys() - known:
            raise ValueError(
                f"groups: {type(self).__name__} has no option {sorted(unknown)[0]!r} that can differ by group: "
                f"choose among {', '.join(sorted(known))}"
            )
        return settings


def effective(parameters: Array, gradient: Array, decay: Factors) -> Array:
    """Return a gradient with coupled weight decay."""
    if is_zero(decay):
        return gradient
    total = decay * parameters
    total += gradient
    return total


def effective_vjp(parameters_bar: Array, gradient_bar: Array, decay: Factors) -> Array:
    """Return the cotangent of the parameters after a pullback through `effective`."""
    if is_zero(decay):
        return parameters_bar
    total = decay * gradient_bar
    total += parameters_bar
    return total


def scaled(array: Array, factor: Factors) -> Array:
    """Return an array times a factor: itself where that is 1."""
    return array if isinstance(factor, float) and factor == 1.0 else factor * array


def is_zero(factor: Factors) -> bool:
    """Whether a factor is 0 for all parameters, so that what it multiplies can be left out."""
    return isinstance(factor, float) and factor == 0.0
