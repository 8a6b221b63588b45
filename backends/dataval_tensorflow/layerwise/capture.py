"""A forward pass in which every known use of parameters is looked up, with the gradients in what they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import tensorflow as tf

from dataval_tensorflow.layerwise.arrangement import Arrangement
from dataval_tensorflow.layerwise.flow import TRANSPARENT, Flow
from dataval_tensorflow.layerwise.recognising import product_before, recognised
from dataval_tensorflow.layerwise.uses import ElementwiseUse, LinearUse, Use

__all__ = ["Capture", "Plan"]


@dataclass(frozen=True)
class Plan:
    """What was found out about a model's forward pass by running it.

    Attributes
    ----------
    arrangements : sequence of Arrangement or None
        Where samples are in what each use gives; None where they can't be told apart.
    shared : frozenset of int
        As of `Flow`.
    """

    arrangements: Sequence[Arrangement | None] = ()
    shared: frozenset[int] = frozenset()


@dataclass
class Capture:
    """The uses of parameters in a traced forward pass.

    Attributes
    ----------
    values : Tensor
        The losses ``(n,)``.
    leaves : dict of str to Tensor
        The parameters.
    flow : Flow
    uses : list of Use or None
        One for each of the flow's meetings, None where it isn't known; then products of which only the bias is
        a parameter.
    biases : dict of int to str
        The parameters that are biases of uses, by the uses' numbers.
    joined : dict of int to int
        The uses of these biases themselves, and the uses that they are biases of.
    """

    values: tf.Tensor
    leaves: Mapping[str, tf.Tensor]
    flow: Flow
    uses: list[Use | None] = field(init=False)
    biases: dict[int, str] = field(init=False, default_factory=dict)
    joined: dict[int, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.uses = [recognised(meeting) for meeting in self.flow.meetings]
        numbers = {use.op.name: i for i, use in enumerate(self.uses) if isinstance(use, LinearUse)}
        for number, use in enumerate(list(self.uses)):
            leaf = self.direct_leaf(use)
            product = product_before(use, self.flow) if isinstance(use, ElementwiseUse) and leaf else None
            if product is None or leaf is None:
                continue
            if product.op.name not in numbers:
                numbers[product.op.name] = len(self.uses)
                self.uses.append(product)
            of = numbers[product.op.name]
            if of not in self.biases:
                self.biases[of] = leaf
                self.joined[number] = of

    def direct_leaf(self, use: Use | None) -> str | None:
        """Return the parameter that a use is of, all entries in their order; None where there isn't one."""
        if use is None:
            return None
        tensor = use.parameter
        while tensor.name not in self.flow.leaves:
            if tensor.op.type not in TRANSPARENT:
                return None
            tensor = tensor.op.inputs[0]
        return self.flow.leaves[tensor.name]

    def leaves_of(self, number: int) -> frozenset[str]:
        """Return the parameters that a use depends on."""
        meetings = self.flow.meetings
        return meetings[number].leaves if number < len(meetings) else frozenset()

    def bars(self, values: tf.Tensor) -> list[tf.Tensor | None]:
        """Return the gradients of a sum of values in what each use gives; None where it isn't known."""
        outputs = [use.output for use in self.uses if use is not None]
        found = iter(tf.gradients(values, outputs))
        return [None if use is None else _dense(next(found), use.output) for use in self.uses]


def _dense(bar: tf.Tensor | tf.IndexedSlices | None, like: tf.Tensor) -> tf.Tensor:
    return tf.zeros_like(like) if bar is None else tf.convert_to_tensor(bar)
