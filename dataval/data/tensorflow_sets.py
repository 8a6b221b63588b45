"""``tf.data`` pipelines, which have no random access, read once into arrays."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from dataval.data.collation import plain
from dataval.data.parts import split
from dataval.data.structure import concatenated, leaves
from dataval.errors import InvalidDataError

__all__ = ["is_pipeline", "read_pipeline"]

_LARGEST_BYTES = 2**31
_INFINITE = -1  # what `cardinality` gives
_BATCH = 256
_N_COMPARED = 3  # elements that are read twice


def is_pipeline(given: Any) -> bool:
    """Whether this is a ``tf.data.Dataset``."""
    return hasattr(given, "as_numpy_iterator") and hasattr(given, "cardinality")


def read_pipeline(dataset: Any, key: str | None, what: str) -> tuple[Any, Any]:
    """Return the inputs and targets of all samples of a pipeline, as arrays in memory.

    Parameters
    ----------
    dataset : tf.data.Dataset
        Of single samples, or of batches, which are taken apart.
    key : str or None
        Of the target where elements are dicts.
    what : str
        What messages call the data.

    Raises
    ------
    InvalidDataError
        If it has no end or none that is known, is larger than 2 GiB, or yields another order when it is read
        again.
    """
    _check_end(dataset, what)
    batched = dataset if _is_batched(dataset) else dataset.batch(_BATCH)
    _check_order(batched, what)
    batches: list[Any] = []
    size = 0
    for element in batched.as_numpy_iterator():
        batches.append(split(plain(element), key, what))
        size += sum(np.asarray(leaf).nbytes for _, leaf in leaves(batches[-1]))
        if size > _LARGEST_BYTES:
            raise InvalidDataError(
                f"the {what} tf.data.Dataset holds more than {_LARGEST_BYTES // 2**30} GiB, and has no random "
                "access, so that it is kept in memory: pass numpy memory maps, or an object with __len__ and "
                "__getitem__"
            )
    return concatenated([inputs for inputs, _ in batches]), concatenated([targets for _, targets in batches])


def _check_end(dataset: Any, what: str) -> None:
    count = int(dataset.cardinality())
    if count == _INFINITE:
        raise InvalidDataError(f"the {what} tf.data.Dataset has no end: leave out repeat(), or take(n) of it")
    if count < 0:
        raise InvalidDataError(
            f"the {what} tf.data.Dataset doesn't know its length: give it, as in "
            "dataset.apply(tf.data.experimental.assert_cardinality(n))"
        )
    if count == 0:
        raise InvalidDataError(f"the {what} set is empty")


def _is_batched(dataset: Any) -> bool:
    """Whether elements are batches: their first axis is of unknown length, or the pipeline batches last."""
    shapes = [spec.shape for _, spec in leaves(plain(dataset.element_spec)) if hasattr(spec, "shape")]
    if any(shape.rank == 0 for shape in shapes):
        return False
    if any(shape.rank is not None and shape[0] is None for shape in shapes):
        return True
    return _batches_last(dataset)


def _batches_last(dataset: Any) -> bool:
    while dataset is not None:
        name = type(dataset).__name__
        if "Unbatch" in name or "FlatMap" in name:
            return False
        if "Batch" in name:
            return True
        dataset = getattr(dataset, "_input_dataset", None)
    return False


def _check_order(batched: Any, what: str) -> None:
    first, again = (list(itertools.islice(batched.as_numpy_iterator(), _N_COMPARED)) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        pairs = zip(leaves(plain(one)), leaves(plain(other)), strict=True)
        if any(not np.array_equal(a, b) for (_, a), (_, b) in pairs):
            raise InvalidDataError(
                f"the {what} tf.data.Dataset yields other samples, or another order, when it is read again: "
                "leave out shuffle() and random augmentation, or keep what was drawn by cache()"
            )
