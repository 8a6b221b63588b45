"""A run that is joined with its program, so that methods which adopt it need not make the program again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dataval.data import Samples
from dataval.training.program import Program

__all__ = ["Binding", "Source"]


@dataclass(frozen=True, eq=False)
class Source:
    """What a learner makes a program from.

    Two are equal only where nothing can differ: models and functions are the very same objects.
    """

    model: Any
    loss: Any
    training: Any
    device: Any
    params: Any
    backend: Any
    outputs: Any

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Source):
            return NotImplemented
        same = self.model is other.model and _same(self.loss, other.loss) and _same(self.params, other.params)
        settings = (self.training, self.device, self.backend) == (other.training, other.device, other.backend)
        return same and settings and self.outputs is other.outputs

    def __hash__(self) -> int:
        return hash((id(self.model), self.training, self.device, self.backend))


@dataclass(frozen=True, eq=False)
class Binding:
    """A program with what it was made from.

    Attributes
    ----------
    source : Source
    program : Program
    checksum : int
        Of the data when they were bound: the arrays are the caller's, who may write to them.
    """

    source: Source
    program: Program
    checksum: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "checksum", self.program.data.checksum())

    def is_on(self, data: Samples) -> bool:
        """Whether these are the program's data: the same memory, which still holds what it held."""
        return data.is_same_source(self.program.data) and data.checksum() == self.checksum


def _same(left: Any, right: Any) -> bool:
    """Whether two losses or filters are: one object, or equal where they are plain values."""
    if left is right:
        return True
    return not callable(left) and not callable(right) and bool(left == right)
