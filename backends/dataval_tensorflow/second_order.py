"""Whether a model can be differentiated twice, and if not, which layer is to blame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dataval_tensorflow.batches import Batch

if TYPE_CHECKING:
    from dataval_tensorflow.backend import TensorFlowBackend

__all__ = ["check_twice_differentiable", "named_layer_error"]


def check_twice_differentiable(backend: TensorFlowBackend, batch: Batch) -> None:
    """Raise."""


@contextmanager
def named_layer_error(backend: Any, batch: Batch) -> Iterator[None]:
    """Turn."""
    yield
