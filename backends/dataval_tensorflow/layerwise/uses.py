"""How operations use parameters: the tensors that their gradients are made of, sample by sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import tensorflow as tf

from dataval_tensorflow.layerwise.arrangement import Arrangement
from dataval_tensorflow.model.patches import Geometry
from dataval_tensorflow.products import einsum

__all__ = ["ConvolutionUse", "ElementwiseUse", "LookupUse", "ProductUse", "Use"]

Order = Literal["goi", "igo"]


@dataclass(frozen=True)
class Use(ABC):
    """An operation that joins something of parameters with something of samples.

    Attributes
    ----------
    op : Operation
    parameter : Tensor
        What depends on parameters alone, so that every sample sees the same.
    """

    op: tf.Operation
    parameter: tf.Tensor

    @property
    def output(self) -> tf.Tensor:
        """What the operation gives."""
        return self.op.outputs[0]

    @property
    @abstractmethod
    def axes(self) -> tuple[int, ...]:
        """The axes of the output that samples may be on."""

    @abstractmethod
    def rows(self, bar: tf.Tensor, arrangement: Arrangement, n: int) -> tf.Tensor:
        """Return the gradients ``(n, size)`` in the parameter, from the gradient in the output."""


@dataclass(frozen=True)
class LinearUse(Use):
    """What multiplies by a matrix, in groups side by side."""

    @property
    @abstractmethod
    def order(self) -> Order | None:
        """The order of the matrix's axes; None where it is neither."""

    @property
    @abstractmethod
    def has_channels_last(self) -> bool:
        """Whether the output ends with the axes that it has from the parameter, in the same order."""

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Outputs of all groups together."""

    @abstractmethod
    def factors(self, bar: tf.Tensor, arrangement: Arrangement, n: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Return inputs ``(n, T, G, I)`` and outputs ``(n, T, G, O)``."""

    def rows(self, bar: tf.Tensor, arrangement: Arrangement, n: int) -> tf.Tensor:
        """Add up products over positions."""
        inputs, outputs = self.factors(bar, arrangement, n)
        return tf.reshape(einsum(f"jtgo,jtgi->j{self.order}", outputs, inputs), (n, -1))


@dataclass(frozen=True)
class ProductUse(LinearUse):
    """A product of two tensors, whose axes have labels as in an einsum.

    Attributes
    ----------
    other : Tensor
        What comes from the samples.
    labels : tuple of str
        Of the other tensor, of the parameter and of the output.
    """

    other: tf.Tensor
    labels: tuple[str, str, str]

    @property
    def axes(self) -> tuple[int, ...]:
        """Those that the parameter lacks."""
        _, mine, out = self.labels
        return tuple(axis for axis, label in enumerate(out) if label not in mine)

    @property
    def order(self) -> Order | None:
        """As the groups of labels follow one another in the parameter."""
        groups, outs, ins = self._kinds()
        mine = self.labels[1]
        if mine == groups + outs + ins:
            return "goi"
        return "igo" if mine == ins + groups + outs else None

    @property
    def has_channels_last(self) -> bool:
        """Whether the output ends with the axes that it has from the parameter, in the same order."""
        groups, outs, _ = self._kinds()
        return self.labels[2].endswith(groups + outs)

    @property
    def n_outputs(self) -> int:
        """The length of those axes."""
        groups, outs, _ = self._kinds()
        return _product(dict(zip(self.labels[1], self.parameter.shape, strict=True)), groups + outs)

    def factors(self, bar: tf.Tensor, arrangement: Arrangement, n: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Move positions to the front, then groups."""
        groups, outs, ins = self._kinds()
        others, _, out = self.labels
        places = "".join(label for label in out if label not in groups + outs)
        moved = Arrangement(arrangement.kind, places.find(out[arrangement.axis]))
        tensors = []
        for tensor, labels, last in ((self.other, others, ins), (bar, out, outs)):
            ordered = _transposed(tensor, labels, places + groups + last)
            sizes = dict(zip(labels, tensor.shape, strict=True))
            shape = [sizes[label] for label in places]
            n_groups, width = (_product(sizes, part) for part in (groups, last))
            first = moved.first(tf.reshape(ordered, (*shape, n_groups, width)), n)
            tensors.append(tf.reshape(first, (n, -1, n_groups, width)))
        return tensors[0], tensors[1]

    def rows(self, bar: tf.Tensor, arrangement: Arrangement, n: int) -> tf.Tensor:
        """Form the products in the parameter's own order of axes."""
        if self.order is not None:
            return super().rows(bar, arrangement, n)
        groups, outs, ins = self._kinds()
        inputs, outputs = self.factors(bar, arrangement, n)
        sizes = dict(zip(self.labels[1], self.parameter.shape, strict=True))
        rows = tf.reshape(
            einsum("jtgo,jtgi->jgoi", outputs, inputs), (n, *(sizes[label] for label in groups + outs + ins))
        )
        return tf.reshape(_transposed(rows, "." + groups + outs + ins, "." + self.labels[1]), (n, -1))

    def _kinds(self) -> tuple[str, str, str]:
        """Return the labels of groups, outputs and inputs, each as they follow one another in the parameter."""
        other, mine, out = self.labels
        groups = "".join(label for label in mine if label in other and label in out)
        outs = "".join(label for label in mine if label not in other)
        ins = "".join(label for label in mine if label not in out)
        return groups, outs, ins


@dataclass(frozen=True)
class ConvolutionUse(LinearUse):
    """A convolution, in two axes or three, of all channels or channel by channel.

    Attributes
    ----------
    other : Tensor
        The images.
    geometry : Geometry
    channels_last : bool
    """

    other: tf.Tensor
    geometry: Geometry
    channels_last: bool

    @property
    def axes(self) -> tuple[int, ...]:
        """The first."""
        return (0,)

    @property
    def order(self) -> Order:
        """Places and channels of the images come first."""
        return "igo"

    @property
    def has_channels_last(self) -> bool:
        """Whether outputs have the channels last."""
        return self.channels_last

    @property
    def n_outputs(self) -> int:
        """Channels of the output."""
        return int(self.output.shape[-1 if self.channels_last else 1])

    def factors(self, bar: tf.Tensor, arrangement: Arrangement, n: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the patches as inputs, and the positions of the filters one after another."""
        images = self.other
        if not self.channels_last:
            order = [0, *range(2, bar.shape.rank), 1]
            images, bar = tf.transpose(images, order), tf.transpose(bar, order)
        groups, width = self.geometry.groups, bar.shape[-1]
        outputs = tf.reshape(bar, (bar.shape[0], -1, groups, width // groups))
        inputs = self.geometry.patches(images)
        found = [arrangement.first(tensor, n) for tensor in (inputs, outputs)]
        inputs, outputs = (tf.reshape(tensor, (n, -1, groups, tensor.shape[-1])) for tensor in found)
        return inputs, outputs


@dataclass(frozen=True)
class LookupUse(Use):
    """A table that is read.

    Attributes
    ----------
    indices : Tensor
    """

    indices: tf.Tensor

    @property
    def axes(self) -> tuple[int, ...]:
        """Those of the indices."""
        return tuple(range(self.indices.shape.rank))

    def read(self, bar: tf.Tensor, arrangement: Arrangement, n: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Return indices ``(n, T)`` and outputs ``(n, T, O)``."""
        indices = tf.reshape(arrangement.first(self.indices[..., None], n), (n, -1))
        width = self.parameter.shape.num_elements() // self.parameter.shape[0]
        flat = tf.reshape(bar, (*self.indices.shape, width))
        return indices, tf.reshape(arrangement.first(flat, n), (n, -1, width))

    def rows(self, bar: tf.Tensor, arrangement: Arrangement, n: int) -> tf.Tensor:
        """Add up by row of the table."""
        return placed(*self.read(bar, arrangement, n), self.parameter.shape[0])


@dataclass(frozen=True)
class ElementwiseUse(Use):
    """A parameter that multiplies or shifts entries one by one.

    Attributes
    ----------
    other : Tensor
    factor : Tensor or float, optional
        What the parameter is multiplied by, of a shape that fits the output's; nothing, where it is added.
    channels_first : bool
        Whether it stands along the second axis, whatever its shape says.
    """

    other: tf.Tensor
    factor: tf.Tensor | float | None
    channels_first: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The parameter's, with as many axes as the output has."""
        rank, own = self.output.shape.rank, tuple(self.parameter.shape)
        if self.channels_first:
            return (1, *own, *(1,) * (rank - 2))
        return (*(1,) * (rank - len(own)), *own)

    @property
    def axes(self) -> tuple[int, ...]:
        """Those along which the parameter stays the same."""
        return tuple(axis for axis, length in enumerate(self.shape) if length == 1)

    def rows(self, bar: tf.Tensor, arrangement: Arrangement, n: int) -> tf.Tensor:
        """Add up along the axes on which the parameter stays the same."""
        each = arrangement.first(bar if self.factor is None else bar * self.factor, n)
        left = [length for axis, length in enumerate(self.shape) if axis != arrangement.axis]
        extra = each.shape.rank - 1 - len(left)  # positions beside the samples on the first axis
        kept = [1] * extra + left
        summed = [axis + 1 for axis, length in enumerate(kept) if length == 1 and each.shape[axis + 1] != 1]
        return tf.reshape(tf.reduce_sum(each, summed) if summed else each, (n, -1))


def placed(indices: tf.Tensor, outputs: tf.Tensor, n_rows: int) -> tf.Tensor:
    """Return the gradients ``(n, V * O)`` of a table, from indices ``(n, T)`` and outputs ``(n, T, O)``."""
    n, _, width = outputs.shape
    offsets = tf.range(n, dtype=indices.dtype)[:, None] * n_rows
    flat = tf.reshape(outputs, (-1, width))
    total = tf.math.unsorted_segment_sum(flat, tf.reshape(indices + offsets, (-1,)), n * n_rows)
    return tf.reshape(total, (n, n_rows * width))


def _transposed(tensor: tf.Tensor, labels: str, wanted: str) -> tf.Tensor:
    return tensor if labels == wanted else tf.transpose(tensor, [labels.index(label) for label in wanted])


def _product(sizes: dict[str, int], labels: str) -> int:
    found = 1
    for label in labels:
        found *= sizes[label]
    return found
