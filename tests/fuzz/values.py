"""Bad values, by what a parameter asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Bad = Mapping[str, Any]

N, WIDTH, CLASSES = 12, 4, 3


class Opaque:
    """Neither a number, nor text, nor a sequence, nor callable."""

    def __repr__(self) -> str:
        return "an opaque object"


ALIEN: Bad = {"an object": Opaque(), "a class": Opaque, "a mapping": {"a": 1}, "bytes": b"1"}
NO_NUMBER: Bad = {
    **ALIEN,
    "text": "2",
    "an empty text": "",
    "nan": np.nan,
    "inf": np.inf,
    "minus inf": -np.inf,
    "complex": 1j,
    "a list": [1],
    "a tuple": (1, 2),
    "an array": np.ones(2),
    "True": True,
}
NO_WHOLE: Bad = {**NO_NUMBER, "a fraction": 2.5, "a whole float": 2.0, "minus one": -1}
NO_COUNT: Bad = {**NO_WHOLE, "zero": 0}
NO_SHARE: Bad = {**NO_NUMBER, "below 0": -0.1, "above 1": 1.5}
NO_FLAG: Bad = {**ALIEN, "text": "yes", "two": 2, "nan": np.nan, "a list": [True], "None": None}
NO_NAME: Bad = {**ALIEN, "an unknown name": "nonsense", "an empty text": "", "a number": 3, "a list": ["loss"]}
NO_FUNCTION: Bad = {"an object": Opaque(), "text": "f", "a number": 3, "a list": [len], "a mapping": {}}
NO_SEEDS: Bad = {
    **ALIEN,
    "a number": 3,
    "text": "ab",
    "nothing": [],
    "negative": [0, -1],
    "a fraction": [1.5],
    "texts": ["1"],
    "nested": [[1]],
    "twice": [1, 1],
    "nan": [np.nan],
    "True": [True],
}
NO_SHARES: Bad = {
    **ALIEN,
    "a number": 0.1,
    "text": "ab",
    "nothing": [],
    "negative": [-0.1],
    "above 1": [1.5],
    "nan": [np.nan],
    "texts": ["a"],
    "nested": [[0.1]],
    "complex": [1j],
}
NO_FOLDER: Bad = {"an object": Opaque(), "a number": 3, "a list": ["a"], "a NUL": "a\0b", "a file": __file__}
NO_RUN: Bad = {"an object": Opaque(), "text": "run", "a number": 3, "a mapping": {}}
NO_LEARNER: Bad = {**ALIEN, "None": None, "text": "model", "a number": 3, "a list": []}
NO_OPTIONS: Bad = {"an object": Opaque(), "text": "adam", "a number": 3, "a list": [], "a function": len}

SHAPELESS: Bad = {
    "None": None,
    "an object": Opaque(),
    "a number": 3,
    "text": "ab",
    "a set": {1},
    "a function": len,
}
NO_SAMPLES: Bad = {
    **SHAPELESS,
    "texts": np.full((N, WIDTH), "a"),
    "objects": np.full((N, WIDTH), None),
    "complex": np.ones((N, WIDTH), complex),
    "dates": np.zeros((N, WIDTH), "datetime64[s]"),
    "ragged": [[1.0] * WIDTH] * (N - 1) + [[1.0]],
    "nan": np.full((N, WIDTH), np.nan),
    "inf": np.full((N, WIDTH), np.inf),
    "one nan": np.where(np.arange(N * WIDTH).reshape(N, WIDTH) == 7, np.nan, 1.0),
    "too few": np.ones((N - 1, WIDTH)),
    "none at all": np.ones((0, WIDTH)),
    "too narrow": np.ones((N, WIDTH - 1)),
    "flat": np.ones(N),
    "of no width": np.ones((N, 0)),
    "an axis more": np.ones((N, WIDTH, 2)),
}
NO_LABELS: Bad = {
    **SHAPELESS,
    "texts": np.full(N, "a"),
    "objects": np.full(N, None),
    "complex": np.zeros(N, complex),
    "dates": np.zeros(N, "datetime64[s]"),
    "fractions": np.full(N, 0.5),
    "nan": np.full(N, np.nan),
    "negative": np.full(N, -1),
    "too large": np.full(N, CLASSES),
    "far too large": np.full(N, 2**40),
    "one too many": np.zeros(N + 1, int),
    "none at all": np.zeros(0, int),
    "a column": np.zeros((N, 1), int),
    "one-hot": np.eye(CLASSES, dtype=int)[np.zeros(N, int)],
    "ragged": [[0]] * (N - 1) + [[0, 1]],
}
NO_WEIGHTS: Bad = {
    "an object": Opaque(),
    "a number": 3,
    "text": "ab",
    "texts": np.full(N, "a"),
    "nan": np.full(N, np.nan),
    "negative": np.full(N, -1.0),
    "too few": np.ones(N - 1),
    "a column": np.ones((N, 1)),
    "complex": np.ones(N, complex),
    "inf": np.full(N, np.inf),
    "objects": np.full(N, None),
    "nothing": [],
}
NO_VALUES: Bad = {
    **SHAPELESS,
    "texts": np.full(N, "a"),
    "objects": np.full(N, None),
    "complex": np.ones(N, complex),
    "inf": np.full(N, np.inf),
    "all nan": np.full(N, np.nan),
    "too few": np.ones(N - 1),
    "nothing": np.ones(0),
    "ragged": [[1.0]] * (N - 1) + [[1.0, 2.0]],
    "an axis too many": np.ones((N, 2)),
}
NO_MASK: Bad = {
    **SHAPELESS,
    "texts": np.full(N, "a"),
    "objects": np.full(N, None),
    "fractions": np.full(N, 0.5),
    "twos": np.full(N, 2),
    "too few": np.ones(N - 1, bool),
    "nothing": np.ones(0, bool),
    "an axis too many": np.ones((N, 2), bool),
    "nan": np.full(N, np.nan),
}
NO_INDICES: Bad = {
    **ALIEN,
    "a number": 3,
    "text": "ab",
    "nothing": [],
    "negative": [-1],
    "out of range": [N],
    "a fraction": [0.5],
    "texts": ["1"],
    "twice": [1, 1],
    "nested": [[1]],
    "nan": [np.nan],
    "too short a mask": [True, False],
}


def but(bad: Bad, *names: str) -> Bad:
    """Return all but some of the values, which a parameter takes."""
    assert set(names) <= set(bad), set(names) - set(bad)
    return {name: value for name, value in bad.items() if name not in names}
