"""Where a model uses its parameters: what was there on the way forward, and came back on the way back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from dataval.backend.layers import LayerGradients, LinearGradients, LookupGradients, PlainGradients
from dataval_torch.layerwise.arrangement import Arrangement
from dataval_torch.layerwise.patches import Geometry

__all__ = ["ConvolutionSite", "ElementwiseSite", "LinearSite", "LookupSite", "Place", "Site", "Term"]


@dataclass(frozen=True)
class Place:
    """A trained parameter: its name, and where it starts in the flat vector."""

    name: str
    start: int


@dataclass
class Site(ABC):
    """A use of parameters.

    Attributes
    ----------
    bar : Tensor or None
        The gradient in the outputs, once it came back.
    is_shared : bool
        Whether one entry along the first axis stood for all samples, before it was spread out.
    """

    bar: Tensor | None = field(default=None, init=False)
    is_shared: bool = field(default=False, init=False)

    @property
    @abstractmethod
    def places(self) -> list[Place]:
        """The parameters that are used."""

    @abstractmethod
    def spread(self, n: int) -> None:
        """Give n samples each their own of what one entry along the first axis stood for."""

    @abstractmethod
    def blocks(self, bar: Tensor, arrangement: Arrangement, n: int) -> Sequence[LayerGradients]:
        """Return the gradients of n samples."""


@dataclass
class LinearSite(Site):
    """Products with a matrix: inputs ``(..., I)``, outputs ``(..., O)``."""

    weight: Place | None
    bias: Place | None
    inputs: Tensor
    order: Literal["goi", "igo"]

    @property
    def places(self) -> list[Place]:
        """Weight and bias."""
        return [place for place in (self.weight, self.bias) if place is not None]

    def spread(self, n: int) -> None:
        """Repeat the inputs."""
        self.inputs = _repeated(self.inputs, n)

    def blocks(self, bar: Tensor, arrangement: Arrangement, n: int) -> Sequence[LayerGradients]:
        """Return one block."""
        inputs, outputs = (
            arrangement.first(tensor, n).reshape(n, -1, 1, tensor.shape[-1]) for tensor in (self.inputs, bar)
        )
        return [_linear(self.weight, self.bias, inputs, outputs, self.order)]


@dataclass
class ConvolutionSite(Site):
    """A convolution: inputs ``(m, channels, *axes)``."""

    weight: Place | None
    bias: Place | None
    inputs: Tensor
    geometry: Geometry

    @property
    def places(self) -> list[Place]:
        """Filters and bias."""
        return [place for place in (self.weight, self.bias) if place is not None]

    def spread(self, n: int) -> None:
        """Repeat the inputs."""
        self.inputs = _repeated(self.inputs, n)

    def blocks(self, bar: Tensor, arrangement: Arrangement, n: int) -> Sequence[LayerGradients]:
        """Return one block, whose positions are those of the filters."""
        patches = self.geometry.patches(self.inputs)
        outputs = bar.flatten(2).unflatten(1, (self.geometry.groups, -1)).movedim(-1, 1)
        inputs, outputs = (
            arrangement.first(tensor, n).reshape(n, -1, *tensor.shape[2:]) for tensor in (patches, outputs)
        )
        return [_linear(self.weight, self.bias, inputs, outputs, "goi")]


@dataclass
class LookupSite(Site):
    """A table that is read: indices ``(...)``, outputs ``(..., O)``."""

    weight: Place
    indices: Tensor
    n_rows: int
    padding: int | None

    @property
    def places(self) -> list[Place]:
        """The table."""
        return [self.weight]

    def spread(self, n: int) -> None:
        """Repeat the indices."""
        self.indices = _repeated(self.indices, n)

    def blocks(self, bar: Tensor, arrangement: Arrangement, n: int) -> Sequence[LayerGradients]:
        """Return one block."""
        if self.padding is not None:
            bar = bar.masked_fill((self.indices == self.padding).unsqueeze(-1), 0.0)
        indices = arrangement.first(self.indices.unsqueeze(-1), n).reshape(n, -1)
        outputs = arrangement.first(bar, n).reshape(n, -1, bar.shape[-1])
        known = indices.cpu().numpy().astype("int64", copy=False)
        return [LookupGradients(self.weight.name, known, outputs, self.n_rows, self.weight.start)]


@dataclass
class Term:
    """A parameter that multiplies or shifts entries one by one.

    Attributes
    ----------
    place : Place
    shape : tuple of int
        Of the parameter, with as many axes as the outputs have.
    factor : Tensor or float
        What it multiplies, of the outputs' shape; 1 or -1 for a shift.
    """

    place: Place
    shape: tuple[int, ...]
    factor: Tensor | float


@dataclass
class ElementwiseSite(Site):
    """Scales and shifts of one tensor."""

    terms: list[Term]

    @property
    def places(self) -> list[Place]:
        """The parameters."""
        return [term.place for term in self.terms]

    def spread(self, n: int) -> None:
        """Repeat what is multiplied."""
        for term in self.terms:
            if isinstance(term.factor, Tensor):
                term.factor = _repeated(term.factor, n)

    def blocks(self, bar: Tensor, arrangement: Arrangement, n: int) -> Sequence[LayerGradients]:
        """Return a block for each parameter."""
        return [self._block(term, bar, arrangement, n) for term in self.terms]

    def _block(self, term: Term, bar: Tensor, arrangement: Arrangement, n: int) -> LayerGradients:
        each = arrangement.first(bar * term.factor, n)
        like = arrangement.first(torch.empty(term.shape, device="meta").expand(bar.shape), n)
        kept = [axis for axis in range(1, each.ndim) if like.stride(axis) != 0 and like.shape[axis] > 1]
        summed = [axis for axis in range(1, each.ndim) if axis not in kept]
        rows = each.sum(summed) if summed else each
        return PlainGradients(term.place.name, rows.reshape(n, -1), term.place.start, is_elementwise=True)


def _repeated(tensor: Tensor, n: int) -> Tensor:
    return tensor.expand(n, *tensor.shape[1:])


def _linear(
    weight: Place | None, bias: Place | None, inputs: Tensor, outputs: Tensor, order: Literal["goi", "igo"]
) -> LinearGradients:
    first = weight or bias
    assert first is not None
    start, bias_start = (None if place is None else place.start for place in (weight, bias))
    return LinearGradients(first.name, inputs, outputs, start, bias_start, order)
