"""From the uses of parameters in a forward pass to the gradients of its samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import tensorflow as tf

from dataval.backend.layers import LayerGradients, LinearGradients, LookupGradients, PlainGradients
from dataval_tensorflow.derivatives.gradients import OverRows, gradient
from dataval_tensorflow.layerwise.arrangement import Arrangement
from dataval_tensorflow.layerwise.capture import Capture, Plan
from dataval_tensorflow.layerwise.uses import ElementwiseUse, LinearUse, LookupUse, Use

__all__ = ["Assembly"]


class Assembly:
    """Makes blocks of what was captured.

    A parameter whose every use is known has the blocks of these uses. One that something else is computed from
    before it meets the samples (a scale that is divided by running statistics, a normalised weight) gets its
    rows through that computation. One with a use that isn't known is left out.

    Parameters
    ----------
    capture : Capture
    plan : Plan
        Of the same model.
    starts : mapping of str to int
        Where each parameter starts in the flat vector.
    n : int
        Samples.
    dtype : DType
        Of the gradients.

    Raises
    ------
    RuntimeError
        If the forward pass isn't the one that was planned for.
    """

    def __init__(
        self, capture: Capture, plan: Plan, starts: Mapping[str, int], n: int, dtype: tf.DType
    ) -> None:
        if len(capture.uses) != len(plan.arrangements):
            raise RuntimeError("the forward pass is another one than on the examples")
        self._capture, self._starts, self._n, self._dtype = capture, starts, n, dtype
        self._arrangements = plan.arrangements
        uses = [capture.leaves_of(number) for number in range(len(capture.uses))]
        lost = [number for number in range(len(uses)) if plan.arrangements[number] is None]
        self.unknown = _closed((leaf for number in lost for leaf in uses[number]), uses)
        indirect = [number for number, use in enumerate(capture.uses) if capture.direct_leaf(use) is None]
        computed = _closed((leaf for number in indirect for leaf in uses[number]), uses)
        self._computed = computed - self.unknown

    def blocks(self, tape: tf.GradientTape, over: OverRows) -> list[LayerGradients]:
        """Return the blocks of all uses, several of one parameter where it has several uses.

        Parameters
        ----------
        tape : GradientTape
            A persistent one, which watched the parameters.
        over : callable
            Goes over rows.
        """
        bars = self._capture.bars(self._capture.values)
        found: list[LayerGradients] = []
        sources, rows = [], []
        for number, use in enumerate(self._capture.uses):
            bar, arrangement = bars[number], self._arrangements[number]
            if use is None or bar is None or arrangement is None:
                continue
            found += self._direct(number, use, bar, arrangement)
            if self._capture.leaves_of(number) & self._computed:
                sources.append(use.parameter)
                rows.append(tf.cast(use.rows(bar, arrangement, self._n), use.parameter.dtype))
        return [*found, *self._pulled_back(tape, over, sources, rows)]

    def unused(self) -> list[LayerGradients]:
        """Return the blocks, of zeros, of parameters without any use."""
        used = {leaf for number in range(len(self._capture.uses)) for leaf in self._capture.leaves_of(number)}
        names = [name for name in self._capture.leaves if name not in used]
        sizes = {name: self._capture.leaves[name].shape.num_elements() for name in names}
        return [self._plain(name, tf.zeros((self._n, sizes[name]), self._dtype), True) for name in names]

    def _direct(self, number: int, use: Use, bar: tf.Tensor, arrangement: Arrangement) -> list[LayerGradients]:
        leaf = self._own(self._capture.direct_leaf(use) if self._capture.leaves_of(number) else None)
        if isinstance(use, LinearUse):
            return self._linear(leaf, self._own(self._capture.biases.get(number)), use, bar, arrangement)
        if leaf is None or self._is_joined(number):
            return []
        if isinstance(use, LookupUse):
            indices, outputs = use.read(bar, arrangement, self._n)
            indices = tf.cast(indices, tf.int64)
            start, n_rows = self._starts[leaf], int(use.parameter.shape[0])
            return [LookupGradients(leaf, indices, tf.cast(outputs, self._dtype), n_rows, start)]
        rows = use.rows(bar, arrangement, self._n)
        return [self._plain(leaf, rows, isinstance(use, ElementwiseUse))]

    def _linear(
        self, leaf: str | None, bias: str | None, use: LinearUse, bar: tf.Tensor, arrangement: Arrangement
    ) -> list[LayerGradients]:
        found: list[LayerGradients] = []
        if leaf is not None and use.order is None:
            found.append(self._plain(leaf, use.rows(bar, arrangement, self._n), False))
            leaf = None
        name = leaf or bias
        if name is None:
            return found
        inputs, outputs = (tf.cast(each, self._dtype) for each in use.factors(bar, arrangement, self._n))
        weight, shift = (None if each is None else self._starts[each] for each in (leaf, bias))
        return [*found, LinearGradients(name, inputs, outputs, weight, shift, use.order or "goi")]

    def _own(self, leaf: str | None) -> str | None:
        """Return a parameter if its blocks are those of its uses."""
        return None if leaf is None or leaf in self.unknown | self._computed else leaf

    def _is_joined(self, number: int) -> bool:
        """Whether a shift is in the block of the product before it."""
        of = self._capture.joined.get(number)
        return of is not None and self._arrangements[of] is not None

    def _pulled_back(
        self, tape: tf.GradientTape, over: OverRows, sources: list[tf.Tensor], rows: list[tf.Tensor]
    ) -> list[LayerGradients]:
        """Return the rows of parameters from those of what is computed from them."""
        if not sources:
            return []
        leaves = {name: self._capture.leaves[name] for name in self._capture.leaves if name in self._computed}

        def one(bars: list[tf.Tensor]) -> dict[str, tf.Tensor]:
            shaped = [tf.reshape(bar, source.shape) for bar, source in zip(bars, sources, strict=True)]
            pulled: dict[str, tf.Tensor] = gradient(tape, sources, leaves, shaped)
            return pulled

        found = over(one, rows)
        return [
            self._plain(name, tf.reshape(each, (self._n, -1)), self._is_elementwise(name))
            for name, each in found.items()
        ]

    def _is_elementwise(self, leaf: str) -> bool:
        numbers = range(len(self._capture.uses))
        uses = [self._capture.uses[number] for number in numbers if leaf in self._capture.leaves_of(number)]
        return all(
            isinstance(use, ElementwiseUse) and self._capture.flow.is_entrywise(use.parameter) for use in uses
        )

    def _plain(self, leaf: str, rows: tf.Tensor, is_elementwise: bool) -> LayerGradients:
        return PlainGradients(leaf, tf.cast(rows, self._dtype), self._starts[leaf], is_elementwise)


def _closed(leaves: Iterable[str], uses: list[frozenset[str]]) -> frozenset[str]:
    """Return parameters with all that share a use with any of them."""
    found = frozenset(leaves)
    while True:
        more = found.union(*(use for use in uses if use & found))
        if more == found:
            return found
        found = more
