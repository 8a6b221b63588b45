"""Per-sample gradients of a model layer by layer, and what of it has to be found otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from dataval.backend.layers import LayerGradients, PlainGradients
from dataval_torch.batches import Batch
from dataval_torch.layerwise.arrangement import Arrangement, find_arrangement
from dataval_torch.layerwise.capture import LayerCapture
from dataval_torch.layerwise.joining import joined
from dataval_torch.layerwise.sites import Site
from dataval_torch.model.functional import FunctionalModel

__all__ = ["Layerwise"]

Named = dict[str, Tensor]
Values = Callable[[Named, Batch], Tensor]
Rows = Callable[[Values, Named, Batch, slice], Sequence[Tensor]]

_N_PROBE = 5  # samples with which it is found out where a model has its samples


@dataclass(frozen=True)
class _Plan:
    """Where a model has its samples at each site, and which parameters no site shows whole."""

    arrangements: tuple[Arrangement, ...]
    shared: tuple[bool, ...]
    others: frozenset[str]


class Layerwise:
    """Finds the gradients of a batch's samples from one pass back through layers.

    Parameters
    ----------
    model : FunctionalModel
    example : Batch
        A few samples, with which it is found out what the model does.
    general : callable
        (values_of, leaves, batch, rows) -> gradients by leaf, of parameters that are no known layer's.
    """

    def __init__(self, model: FunctionalModel, example: Batch, general: Rows) -> None:
        self._model, self._general = model, general
        self._example = example.rows(torch.arange(_N_PROBE, device=model.device) % len(example))
        sizes = [torch.Size(shape).numel() for shape in model.layout.shapes]
        self._starts = dict(zip(model.layout.names, accumulate([0, *sizes]), strict=False))
        self._plan: _Plan | None = None

    def __call__(self, values_of: Values, leaves: Named, batch: Batch) -> list[LayerGradients]:
        """Return the blocks of all parameters, where each of the values ``(n,)`` depends on one sample alone.

        Raises
        ------
        RuntimeError
            If the model does something else than it did with the example.
        """
        plan = self._known(values_of)
        n, captured = len(batch), {name: leaf for name, leaf in leaves.items() if name not in plan.others}
        capture = LayerCapture(captured, self._starts, n, plan.shared)
        held = {name: leaf.detach() for name, leaf in leaves.items() if name in plan.others}
        with capture:
            values = values_of(leaves | held, batch)
        if len(capture.sites) != len(plan.arrangements) or _pull_back(values.sum(), capture, captured):
            raise RuntimeError("the model uses its parameters otherwise than before")
        blocks = [
            block
            for site, arrangement in zip(capture.sites, plan.arrangements, strict=True)
            for block in site.blocks(_bar(site), arrangement, n)
        ]
        used = {start for block in blocks for start, _ in block.spans}
        rest = [
            self._nothing(name, leaf, n) for name, leaf in captured.items() if self._starts[name] not in used
        ]
        return [*joined(blocks), *rest, *self._others(plan, values_of, leaves, batch)]

    def _known(self, values_of: Values) -> _Plan:
        if self._plan is None:
            self._plan = self._explore(values_of)
        return self._plan

    def _explore(self, values_of: Values) -> _Plan:
        """Run the example to find out what each parameter is used for, and where the samples are."""
        leaves, others = self._model.leaves(self._model.parameters), frozenset[str]()
        while len(others) < len(leaves):
            captured = {name: leaf for name, leaf in leaves.items() if name not in others}
            capture = LayerCapture(captured, self._starts, len(self._example))
            with capture:
                values = values_of(leaves, self._example)
            more = set(_pull_back(values[0], capture, captured))
            found = [_arrangement(site) for site in capture.sites]
            for site, arrangement in zip(capture.sites, found, strict=True):
                more |= {place.name for place in site.places} if arrangement is None else set()
            if not more:
                shared = tuple(site.is_shared for site in capture.sites)
                return _Plan(tuple(a for a in found if a is not None), shared, others)
            others |= more
        raise RuntimeError("no layer of the model is known")

    def _others(self, plan: _Plan, values_of: Values, leaves: Named, batch: Batch) -> list[LayerGradients]:
        """Return the gradients of what no site shows whole, by the general way."""
        if not plan.others:
            return []
        free = {name: leaf for name, leaf in leaves.items() if name in plan.others}
        held = {name: leaf.detach() for name, leaf in leaves.items() if name not in plan.others}
        rows = self._general(lambda some, part: values_of(held | some, part), free, batch, slice(None))
        pairs = zip(free, rows, strict=True)
        return [
            PlainGradients(name, found.reshape(len(batch), -1), self._starts[name]) for name, found in pairs
        ]

    def _nothing(self, name: str, leaf: Tensor, n: int) -> LayerGradients:
        """Return the gradients of a parameter that nothing depends on."""
        return PlainGradients(name, leaf.new_zeros(n, leaf.numel()), self._starts[name], is_elementwise=True)


def _arrangement(site: Site) -> Arrangement | None:
    return None if site.bar is None else find_arrangement(site.bar, _N_PROBE)


def _pull_back(value: Tensor, capture: LayerCapture, captured: Named) -> list[str]:
    """Let gradients come by the sites, and name the parameters that get any by another way."""
    names = list(captured)
    wanted = [capture.anchor, *captured.values()]
    _, *found = torch.autograd.grad(value, wanted, allow_unused=True)
    return [name for name, gradient in zip(names, found, strict=True) if gradient is not None]


def _bar(site: Site) -> Tensor:
    if site.bar is None:
        raise RuntimeError("the losses don't depend on a layer that they depended on before")
    return site.bar
