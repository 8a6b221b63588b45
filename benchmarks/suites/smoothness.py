"""How well the check of smoothness tells beforehand whether exact values predict retraining.

48 trainings: 24 settings (LeNet, perceptrons and softmax regression; rates, momenta, schedules, starts,
normalisation, batch sizes) with 2 seeds each, on 500 images of Fashion-MNIST with 20 % wrong labels, 10
epochs. A score of at least 0.9 when a random 1 % is removed (14 retrainings) is to be told from one below 0.5.
Half of the settings calibrated the check's probability; the rows are of the other half. What was measured is
kept in `benchmarks.smoothness.RECORDS` and taken up there: remove the file to measure again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.runner.rows import AbsentError, Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Figures, Suite
from benchmarks.smoothness import FALSE, SETTINGS, TRUE, halves, records
from dataval.evaluation.smoothness_calibration import FEATURES, probability_of

Record = dict[str, Any]


def _probability(record: Record) -> float:
    found = probability_of({name: record[name] for name in FEATURES})
    return float("nan") if found is None else found


def _relative_error(record: Record) -> float:
    difference = abs(record["actual"] - record["predicted"])
    return float(difference / (abs(record["actual"]) + abs(record["predicted"])))


SIGNS: dict[str, Callable[[Record], float]] = {
    "the check's probability": _probability,
    "agreement with one masked run": lambda record: float(record["agreement"]),
    "metasmoothness": lambda record: float(record["metasmoothness"]),
    "displacement under a mask": lambda record: -float(record["displacement"]),
    "predicted against actual change": lambda record: -_relative_error(record),
    "growth of the cotangent": lambda record: -float(record["growth"]),
    "effective rate": lambda record: -float(record["effective_rate"] or 0),
}
"""Greater where training should be smoother."""


@cache
def measured(is_quick: bool) -> list[Record]:
    """Return all records; in haste, of few trainings that mean nothing."""
    if not is_quick:
        return list(records(SETTINGS, range(2)))
    with tempfile.TemporaryDirectory() as folder:
        return list(records(SETTINGS[:4], [0], Path(folder) / "records.jsonl", n=100, n_subsets=3))


def find(name: str, settings: Settings) -> Iterator[Row]:
    judged = halves(measured(settings.quick))[1]
    extreme = [each for each in judged if each["score_0.01"] >= TRUE or each["score_0.01"] < FALSE]
    is_true = np.array([each["score_0.01"] >= TRUE for each in extreme])
    if is_true.all() or not is_true.any():
        raise AbsentError("all trainings are of one kind")
    value = float(roc_auc_score(is_true, [SIGNS[name](each) for each in extreme]))
    details = {"n": len(extreme), "n_true": int(is_true.sum())}
    yield Row(name, round(value, 3), "AUROC", better="more", floor=None, aim=0.9, details=details)


SUITE = Suite(
    "smoothness",
    "How well the check of smoothness tells trainings under which exact values predict retraining (a score of"
    " at least 0.9 at 1 % removed) from those under which they don't (below 0.5), on settings that calibrated"
    " nothing.",
    [Figures(name, partial(find, name), "AUROC") for name in SIGNS],
)
