"""Whether a caller's own loss is a function of a sample's output and target alone, found on fixed outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from dataval.backend.loss_trial import check_closed, check_loss_alone, run_loss
from dataval.data import to_numpy
from dataval_torch.losses import PerSample
from dataval_torch.model.randomness import seeded

__all__ = ["check_own_loss", "free_leaves", "map_tensors", "tensors_of"]


def check_own_loss(per_sample: PerSample, outputs: Any, targets: Any) -> None:
    """Raise if a caller's loss has parameters or a state of its own, is random, or mixes samples.

    Parameters
    ----------
    per_sample : callable
        (outputs, targets) -> ``(n,)``.
    outputs, targets
        Of a few samples. Nothing is said of outputs that aren't made of tensors with the samples along their
        first axis.
    """
    fixed, first = _detached(outputs), tensors_of(targets)[0]

    def losses_of(rows: NDArray[Any]) -> NDArray[Any]:
        at = torch.from_numpy(rows).to(first.device)
        return to_numpy(per_sample(*(map_tensors(lambda leaf: leaf[at], each) for each in (fixed, targets))))

    with seeded(0, first.device):
        losses = run_loss(lambda: per_sample(fixed, targets))
        if not isinstance(losses, Tensor):
            return
        if _is_made_of_tensors(fixed):
            check_closed([f"of shape {tuple(leaf.shape)}" for leaf in free_leaves(losses)], "loss")
        if _are_rows(fixed, len(first)):
            check_loss_alone(losses_of, len(first))


def free_leaves(tensor: Tensor) -> list[Tensor]:
    """Return the tensors that gradients of this one can be asked for, in the order of the graph."""
    found: dict[int, Tensor] = {}
    seen, pending = set(), [tensor.grad_fn]
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(leaf := getattr(node, "variable", None), Tensor):
            found[id(leaf)] = leaf
        pending += [parent for parent, _ in node.next_functions]
    return list(found.values())


def tensors_of(outputs: Any) -> list[Tensor]:
    """Return the tensors of a structure."""
    found: list[Tensor] = []
    map_tensors(lambda leaf: found.append(leaf) or leaf, outputs)  # type: ignore[func-returns-value]
    return found


def _detached(outputs: Any) -> Any:
    return map_tensors(lambda leaf: leaf.detach(), outputs)


def _is_made_of_tensors(outputs: Any) -> bool:
    """Whether all that outputs hold is known, so that detaching their tensors left no graph."""
    if type(outputs) not in {list, tuple, dict}:
        return isinstance(outputs, Tensor)
    return all(map(_is_made_of_tensors, outputs.values() if isinstance(outputs, dict) else outputs))


def _are_rows(outputs: Any, n: int) -> bool:
    """Whether outputs are made of tensors alone, each with n samples along its first axis."""
    if isinstance(outputs, Tensor):
        return outputs.ndim > 0 and len(outputs) == n
    if type(outputs) not in {list, tuple, dict}:
        return False
    leaves = outputs.values() if isinstance(outputs, dict) else outputs
    return all(_are_rows(leaf, n) for leaf in leaves)


def map_tensors(function: Callable[[Tensor], Tensor], outputs: Any) -> Any:
    """Apply a function to all tensors of a structure."""
    if isinstance(outputs, Tensor):
        return function(outputs)
    if type(outputs) is dict:
        return {key: map_tensors(function, value) for key, value in outputs.items()}
    return (
        type(outputs)(map_tensors(function, o) for o in outputs) if type(outputs) in {list, tuple} else outputs
    )
