"""Vector-Jacobian products and per-sample gradients, and what to do where PyTorch lacks one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor
from torch.func import grad, vmap

from dataval.backend import ways
from dataval.errors import InvalidModelError
from dataval.process import first_use
from dataval_torch.batches import Batch

__all__ = [
    "BLOCK",
    "COST_OF_ROWS",
    "UNSUPPORTED",
    "FirstThatWorks",
    "Named",
    "batched_vjp",
    "blocked_rows",
    "jacobian_rows",
    "quiet_vmap",
    "unused",
    "vjp",
    "vmapped_rows",
]

Named = dict[str, Tensor]
Values = Callable[[Named, Batch], Tensor]

COST_OF_ROWS = "the gradients of single samples take a pass back each: PyTorch can't do this model's together"
BLOCK = 4  # samples that are run together where each takes a pass back of its own
UNSUPPORTED = (RuntimeError, NotImplementedError, TypeError, ValueError, AttributeError)
"""What PyTorch raises where an operation lacks a derivative or a batching rule."""


class FirstThatWorks(ways.FirstThatWorks):
    """See `dataval.backend.ways.FirstThatWorks`."""

    unsupported: ClassVar[ways.Errors] = UNSUPPORTED
    fatal: ClassVar[ways.Errors] = (torch.OutOfMemoryError,)


@cache
def _load_vmap() -> None:
    """Let PyTorch import what vmap needs, which it does at its first use."""
    with first_use(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vmap(torch.sin)(torch.zeros(1))


@contextmanager
def quiet_vmap() -> Iterator[None]:
    """Keep vmap from warning of operations that it does one after another: nothing can be done about them."""
    _load_vmap()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
        yield


def vjp(
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    cotangents: Sequence[Tensor],
    *,
    batched: bool = False,
    retain_graph: bool = False,
) -> list[Tensor]:
    """Pull cotangents back from outputs to inputs; what doesn't depend on an input gives zeros.

    With `batched`, every cotangent and every result has a leading axis of K.
    """
    tied = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o.requires_grad]
    lead = cotangents[0].shape[:1] if batched else ()
    if not tied:
        return [x.new_zeros((*lead, *x.shape)) for x in inputs]

    def pull(*of_tied: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(
            [o for o, _ in tied], list(inputs), of_tied, materialize_grads=True, retain_graph=retain_graph
        )

    found = (vmap(pull) if batched else pull)(*(c for _, c in tied))
    return [x.new_zeros((*lead, *x.shape)) if g is None else g for g, x in zip(found, inputs, strict=True)]


def batched_vjp(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], cotangents: Sequence[Tensor]
) -> list[Tensor]:
    """`vjp` for one cotangent an output, or for K along a leading axis."""
    if cotangents[0].ndim == outputs[0].ndim:
        return vjp(outputs, inputs, cotangents)
    try:
        with quiet_vmap():
            return vjp(outputs, inputs, cotangents, batched=True, retain_graph=True)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:  # an operation without a batching rule
        each = [vjp(outputs, inputs, row, retain_graph=True) for row in zip(*cotangents, strict=True)]
        return [torch.stack(column) for column in zip(*each, strict=True)]


def unused(values: Tensor, leaves: Named) -> list[str]:
    """Name the leaves that get no gradient from the values.

    Raises
    ------
    InvalidModelError
        If there is no gradient at all.
    """
    try:
        found = torch.autograd.grad(values.sum(), list(leaves.values()), allow_unused=True)
    except (RuntimeError, NotImplementedError) as error:
        raise InvalidModelError(
            f"the loss can't be differentiated: {error}. Activation checkpoints need use_reentrant=False"
        ) from error
    return [name for name, gradient in zip(leaves, found, strict=True) if gradient is None]


def vmapped_rows(values_of: Values, leaves: Named, batch: Batch, rows: slice) -> list[Tensor]:
    """Gradients of some samples' values, each sample on its own in a batch of one."""
    part = batch.rows(rows)

    def one(arguments: Named, inputs: object, target: Tensor) -> Tensor:
        alone = Batch(inputs, target).map(lambda leaf: leaf.unsqueeze(0))
        return values_of(arguments, alone).squeeze(0)

    detached = {name: leaf.detach() for name, leaf in leaves.items()}
    with quiet_vmap():
        found = vmap(grad(one), in_dims=(None, 0, 0))(detached, part.inputs, part.targets)
    return list(found.values())


def blocked_rows(values_of: Values, leaves: Named, batch: Batch, rows: slice) -> list[Tensor]:
    """Gradients of some samples' values, a few samples at a time: the work doesn't grow with the batch."""
    part = batch.rows(rows)
    starts = range(0, len(part), BLOCK)
    blocks = [part.rows(slice(start, start + BLOCK)) for start in starts]
    found = [jacobian_rows(values_of, leaves, block, slice(None)) for block in blocks]
    return [torch.cat(pieces) for pieces in zip(*found, strict=True)]


def jacobian_rows(values_of: Values, leaves: Named, batch: Batch, rows: slice) -> list[Tensor]:
    """Gradients of some samples' values, with the whole batch seen by the forward pass."""
    values = values_of(leaves, batch)
    selection = torch.eye(len(values), dtype=values.dtype, device=values.device)[rows]
    return batched_vjp([values], list(leaves.values()), [selection])
