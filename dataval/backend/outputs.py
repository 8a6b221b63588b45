"""Which array of what a model returns is meant, where a loss with a name needs one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["natural_output"]

_NAME = "logits"


def natural_output(returned: Any) -> Any:
    """Return the logits of a structure of outputs, or the only array in it; what is no such structure as it is.

    Parameters
    ----------
    returned
        An array; an object or mapping with ``logits``, as Hugging Face's models return; or a tuple, list or
        mapping of one array.
    """
    if hasattr(returned, "shape"):
        return returned
    if (found := getattr(returned, _NAME, None)) is not None:
        return found
    if isinstance(returned, Mapping):
        if _NAME in returned:
            return returned[_NAME]
        returned = tuple(returned.values())
    arrays = [each for each in returned if hasattr(each, "shape")] if isinstance(returned, tuple | list) else []
    return arrays[0] if len(arrays) == 1 == len(returned) else returned
