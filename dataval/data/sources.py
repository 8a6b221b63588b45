"""Data sets of others, recognised by what they can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dataval.checks import described
from dataval.data.streams import StreamedData
from dataval.data.tables import is_table
from dataval.errors import InvalidDataError

__all__ = ["is_stream", "streamed"]

_WHOLE_SAMPLERS = {"SequentialSampler", "RandomSampler"}


def is_stream(given: Any) -> bool:
    """Whether these are samples by number, or something that is refused for not having that."""
    if _kinds(given) & {"DataLoader", "Dataset", "IterableDataset", "PyDataset"}:
        return not hasattr(given, "as_numpy_iterator")
    is_known = isinstance(given, Sequence | Mapping | type) or hasattr(given, "__array__") or is_table(given)
    by_number = hasattr(given, "__getitem__") and hasattr(given, "__len__")
    return not is_known and by_number and not hasattr(given, "keys") and not hasattr(given, "toarray")


def streamed(given: Any, key: Any, what: str) -> StreamedData:
    """Return a data set or a loader as samples that are read when they are needed.

    Parameters
    ----------
    given
        A map-style data set of single samples, or a torch ``DataLoader`` of one, whose ``collate_fn`` and
        ``num_workers`` are used.
    key : str or None
        Of the target where samples are dicts.
    what : str
        What messages call the data.

    Raises
    ------
    InvalidDataError
        If it has no random access, yields batches, or a loader draws some of its samples only; or a target
        array is given besides.
    """
    if key is not None and not isinstance(key, str):
        raise InvalidDataError(
            f"the {what} X is {described(given)}, which yields targets with its inputs, so y must be left out, "
            f"or be the key of the target in samples that are dicts; got {described(key)}"
        )
    if "DataLoader" not in _kinds(given):
        _check_has_random_access(given, what)
        return StreamedData(given, key, what)
    _check_has_random_access(given.dataset, what)
    _check_loader(given, what)
    return StreamedData(given.dataset, key, what, collate=given.collate_fn, n_workers=given.num_workers)


def _kinds(given: Any) -> set[str]:
    return {each.__name__ for each in type(given).__mro__}


def _check_has_random_access(dataset: Any, what: str) -> None:
    name = described(dataset)
    if "IterableDataset" in _kinds(dataset):
        raise InvalidDataError(
            f"the {what} set is {name}: a sample's value needs the same sample again at every epoch, "
            "by its number. Pass a map-style data set with __len__ and __getitem__"
        )
    if "PyDataset" in _kinds(dataset):
        raise InvalidDataError(
            f"the {what} set is {name}, which yields batches: pass arrays, a tf.data.Dataset, or an object "
            "whose __getitem__ returns one sample"
        )
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise InvalidDataError(f"the {what} set is {name}: it needs __len__ and __getitem__")


def _check_loader(loader: Any, what: str) -> None:
    """Raise if a loader gives other samples than its data set has."""
    if loader.batch_size is None:
        raise InvalidDataError(
            f"the {what} DataLoader has no batch_size (a batch_sampler of its own, or none): pass "
            "DataLoader(dataset, batch_size=..., collate_fn=...), whose order and batch size don't matter here"
        )
    sampler = loader.sampler
    replaces = getattr(sampler, "replacement", False)
    if type(sampler).__name__ not in _WHOLE_SAMPLERS or replaces or len(sampler) != len(loader.dataset):
        raise InvalidDataError(
            f"the {what} DataLoader draws by a {type(sampler).__name__}, and its order is not used here: "
            "pass torch.utils.data.Subset(dataset, indices) for some of the samples, weights for weighted ones"
        )
