"""Per-sample gradients layer by layer, from one pass forward and one pass back over the batch."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import tensorflow as tf

from dataval.backend import Arrays
from dataval.backend.layers import LayerGradients, PlainGradients, rows_of, slopes_along
from dataval_tensorflow.batches import Batch
from dataval_tensorflow.derivatives.gradients import OverRows, each_row, vectorised
from dataval_tensorflow.derivatives.tracing import compiled
from dataval_tensorflow.layerwise.arrangement import Arrangement, find_arrangement
from dataval_tensorflow.layerwise.assembly import Assembly
from dataval_tensorflow.layerwise.capture import Capture, Plan
from dataval_tensorflow.layerwise.flow import Flow
from dataval_tensorflow.layerwise.joining import joined, taken, tensors_of
from dataval_tensorflow.model.functional import FunctionalModel
from dataval_tensorflow.model.parameters import Named

__all__ = ["Layerwise"]

ValuesOf = Callable[..., tf.Tensor]
"""(parameters by name, buffers by name, batch, *more) -> losses ``(n,)``."""

GeneralRows = Callable[[OverRows, Callable[[Named, Batch], tf.Tensor], Named, Batch], Named]
"""(over, values of some parameters and a batch, the parameters, batch) -> their gradients sample by sample."""

_N_PROBE = (
    5  # samples with which it is found out where a model has its samples: no power of 2, as lengths often are
)


class Layerwise:
    """Finds the gradients of a batch's samples from one pass back through layers.

    Parameters
    ----------
    arrays : Arrays
    model : FunctionalModel
    example : callable
        Returns arguments with a few samples, with which it is found out what the model does.
    values_of : callable
        See `ValuesOf`.
    general : callable
        See `GeneralRows`: for parameters that are used in ways that aren't known.
    fast : bool
        Whether the model's operations can be vectorised.
    """

    def __init__(
        self,
        arrays: Arrays,
        model: FunctionalModel,
        example: Callable[[], tuple[Any, ...]],
        values_of: ValuesOf,
        general: GeneralRows,
        *,
        fast: bool,
    ) -> None:
        self._arrays, self._model, self._example = arrays, model, example
        self._values_of, self._general = values_of, general
        self._over: OverRows = vectorised if fast else each_row
        self._compiled = compiled(self._numbered)
        self._compiled_rows = compiled(self._rows)
        self._compiled_slopes = compiled(self._slopes)
        self._traces: list[list[LayerGradients]] = []
        self._plan: Plan | None = None

    def __call__(
        self, parameters: tf.Tensor, buffers: tf.Tensor, inputs: Any, targets: Any, *more: Any
    ) -> list[LayerGradients]:
        """Return the blocks of all parameters, then of all buffers.

        Raises
        ------
        NotImplementedError
            If no layer is known, or there isn't one loss for each sample.
        RuntimeError
            If the model does something else than it did with the example.
        """
        found = self._planned(self._compiled)(parameters, buffers, inputs, targets, *more)
        ((number, tensors),) = found.items()
        left = list(tensors)
        return [taken(block, left) for block in self._traces[number]]

    def rows(self, *args: Any) -> tf.Tensor:
        """Return the gradients ``(n, P + S)`` of all samples, as `rows_of`; raises as a call."""
        return self._planned(self._compiled_rows)(*args)

    def slopes(self, *args: Any) -> tf.Tensor:
        """Return the slopes ``(K, n)`` along the last argument, as `slopes_along`; raises as a call."""
        return self._planned(self._compiled_slopes)(*args)

    def _planned(self, function: Any) -> Any:
        self._plan = self._plan or self._found_plan()
        return function

    def _found_plan(self) -> Plan:
        """Run the model to find out where the samples are, and what of constants is the same for all."""
        parameters, buffers, inputs, targets, *more = self._example()
        few = Batch(inputs, targets)
        batch = few.map(lambda leaf: tf.gather(leaf, [i % len(few) for i in range(_N_PROBE)]))
        shared: frozenset[int] = frozenset()
        while True:
            captures: list[Capture] = []
            first_bars = compiled(self._first_bars, shared, captures)
            bars = first_bars(parameters, buffers, batch.inputs, batch.targets, *more)
            (capture,), waiting = captures, iter(bars)
            found: list[Arrangement | None] = [
                None if use is None else find_arrangement(next(waiting).numpy(), _N_PROBE, use.axes)
                for use in capture.uses
            ]
            pairs = zip(capture.uses, found, strict=True)
            lost = {use.output.name for use, each in pairs if use is not None and each is None}
            more_shared = {number for name, number in capture.flow.with_constants.items() if name in lost}
            if more_shared <= shared:
                return Plan(found, shared)
            shared |= more_shared

    # ---- what is traced ---------------------------------------------------------------------------

    def _numbered(self, *args: Any) -> dict[int, list[tf.Tensor]]:
        """Return the tensors of all blocks, under the number by which everything else is kept."""
        self._traces.append(self._blocks(*args))
        tensors = [tensor for block in self._traces[-1] for tensor in tensors_of(block)]
        return {len(self._traces) - 1: tensors}

    def _rows(self, *args: Any) -> tf.Tensor:
        return rows_of(self._arrays, self._blocks(*args))

    def _slopes(self, *args: Any) -> tf.Tensor:
        *others, vectors = args
        size = self._model.layout.size
        blocks = [block for block in self._blocks(*others) if block.spans[0][0] < size]
        return slopes_along(self._arrays, blocks, vectors)

    def _blocks(
        self, parameters: Any, buffers: Any, inputs: Any, targets: Any, *more: Any
    ) -> list[LayerGradients]:
        plan, batch = self._plan or Plan(), Batch(inputs, targets)
        with tf.GradientTape(persistent=True) as tape:
            capture = self._captured(tape, parameters, buffers, batch, more, plan.shared)
        assembly = Assembly(capture, plan, self._starts, len(batch), self._model.dtype)
        if assembly.unknown >= set(self._model.layout.names):
            raise NotImplementedError("no layer is known")
        blocks = joined([*assembly.blocks(tape, self._over), *assembly.unused()])
        return blocks + self._others(capture, assembly.unknown, batch, more)

    def _first_bars(
        self,
        shared: frozenset[int],
        captures: list[Capture],
        parameters: Any,
        buffers: Any,
        inputs: Any,
        targets: Any,
        *more: Any,
    ) -> list[tf.Tensor]:
        """Return the gradients of the first sample's loss in what the uses of parameters give."""
        with tf.GradientTape(persistent=True) as tape:
            capture = self._captured(tape, parameters, buffers, Batch(inputs, targets), more, shared)
        captures.append(capture)
        return [bar for bar in capture.bars(capture.values[0]) if bar is not None]

    def _captured(
        self, tape: tf.GradientTape, parameters: Any, buffers: Any, batch: Batch, more: Any, shared: Any
    ) -> Capture:
        points = [
            {name: tf.identity(each) for name, each in layout.named(flat).items()}
            for layout, flat in zip(self._layouts, (parameters, buffers), strict=True)
        ]
        leaves = points[0] | points[1]
        tape.watch(leaves)
        values = self._values_of(*points, batch, *more)
        if values.shape != (len(batch),):
            raise NotImplementedError("one number for all samples has no gradients by sample")
        moving = tf.nest.flatten([batch.inputs, batch.targets, *more])
        return Capture(values, leaves, Flow(values, leaves, moving, shared))

    def _others(self, capture: Capture, names: frozenset[str], batch: Batch, more: Any) -> list[LayerGradients]:
        """Return the rows of parameters that are used in another way than is known."""
        if not names:
            return []
        free = {name: leaf for name, leaf in capture.leaves.items() if name in names}
        held = {name: leaf for name, leaf in capture.leaves.items() if name not in names}

        def values(point: Named, part: Batch) -> tf.Tensor:
            every = held | point
            points = [{name: every[name] for name in layout.names} for layout in self._layouts]
            return self._values_of(*points, part, *more)

        rows = self._general(self._over, values, free, batch)
        return [
            PlainGradients(name, tf.reshape(each, (len(batch), -1)), self._starts[name])
            for name, each in rows.items()
        ]

    @property
    def _layouts(self) -> tuple[Any, Any]:
        return self._model.layout, self._model.buffer_layout

    @property
    def _starts(self) -> dict[str, int]:
        """Where each parameter starts in the flat vector; buffers follow."""
        pairs = [pair for layout in self._layouts for pair in zip(layout.names, layout.shapes, strict=True)]
        sizes = [prod(shape) for _, shape in pairs]
        starts = np.cumsum([0, *sizes])[:-1]
        return {name: int(start) for (name, _), start in zip(pairs, starts, strict=True)}
