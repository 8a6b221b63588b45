"""Arrays as text that JavaScript reads into typed arrays."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Encoded", "encoded", "scaled"]

Encoded = dict[str, Any]

_KINDS = {"float16": "f2", "float32": "f4", "float64": "f8", "int32": "i4", "uint16": "u2", "uint8": "u1"}


def encoded(array: NDArray[Any]) -> Encoded:
    """Return an array's kind, shape and content, little-endian, in base64."""
    kind = _KINDS[array.dtype.name]
    content = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
    return {"kind": kind, "shape": list(array.shape), "base64": base64.b64encode(content).decode()}


def scaled(numbers: NDArray[np.float64]) -> Encoded:
    """Return numbers as float32 of their largest size, so that none overflows or vanishes; NaN stays NaN."""
    sizes = np.abs(numbers[np.isfinite(numbers)])
    scale = float(sizes.max(initial=0.0)) or 1.0
    return encoded((numbers / scale).astype(np.float32)) | {"scale": scale}
