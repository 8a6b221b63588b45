"""How well every method's values predict retraining: the linear datamodeling score on Fashion-MNIST.

1,000 images with 20 % flipped labels, pixels in [0, 1], batch 50, weight decay 5e-4, 10 epochs; a random 1, 5,
20 or 50 % is removed 40 times and the model trained again. Six models start where training works
(`benchmarks.trainings`), and one as it is often begun. Every draw has its own images, flips and subsets, and is
trained with several seeds of initialisation and batches: values are judged by their own training, by those with
the other seeds, and averaged over the other seeds.

`--repeats` is the number of trainings of each model. What is finished is kept in ``results/partial/fidelity``,
a file a training, and taken from there: ``--repeats 1`` first and more later does no work twice. A training and
its 160 retrainings take from half a minute (softmax regression) to six minutes (a CNN) of one core.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import dataval as dv
from benchmarks.cells import FRACTIONS, Found, Part, Size, found, parts
from benchmarks.runner.documents import PARTIAL
from benchmarks.runner.rows import FAILED, Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Figures, Suite
from benchmarks.trainings import TRAININGS
from dataval.metrics.context import baselines

UNIT = "LDS"


def find(training: str, settings: Settings) -> Iterator[Row]:
    """Train what is not there yet, and yield what it gave."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) if settings.quick else PARTIAL / "fidelity"
        size = settings.pick(Size(), Size(150, 40, 1, 3))
        asked = parts(training, settings.pick(settings.repeats, 1), size, settings.device)
        done = [(part, found(part, folder)) for part in asked]
    yield from rows(training, done)


def rows(training: str, done: Sequence[tuple[Part, Found]]) -> Iterator[Row]:
    """Yield every method's scores for each share removed, and what they have to be held against."""
    draws = [[each for _, each in group] for _, group in groupby(done, lambda pair: pair[0].draw)]
    every = [each for draw in draws for each in draw]
    yield _row(f"{training}: accuracy", [each.accuracy for each in every], "accuracy")
    for f, fraction in enumerate(FRACTIONS):
        of_share = f", {fraction:.0%} removed"
        agreed = [value for draw in draws if (value := _outcomes(draw, f)) is not None]
        if agreed:
            yield _row(f"{training}: outcomes of another seed{of_share}", agreed, UNIT)
        counted = [_held_fixed(each, f, next(iter(each.values.values()))).noisy_count for each in every]
        yield _row(f"{training}: count of wrong labels{of_share}", counted, UNIT)
        for method in every[0].values:
            yield _of_method(f"{training}: {method}{of_share}", method, f, draws)
    for method, why in every[0].failures.items():
        yield Row(f"{training}: {method}", None, UNIT, better=None, status=FAILED, note=why)


def _of_method(name: str, method: str, f: int, draws: Sequence[Sequence[Found]]) -> Row:
    """Return the scores of a method for one share: by its own seed, and in the details by others."""
    same, other, averaged, fixed = [], [], [], []
    for draw in draws:
        values = [each.values[method] for each in draw]
        truths = [_truth(each, f) for each in draw]
        same += [
            dv.evaluation.linear_datamodeling_score(*pair).score for pair in zip(values, truths, strict=True)
        ]
        fixed += [_held_fixed(each, f, each.values[method]).given_noisy_count for each in draw]
        if len(draw) > 1:
            across = dv.evaluation.fidelity_across_seeds(values, truths)
            other += across.other
            averaged += across.averaged if len(draw) > 2 else ()  # of two seeds that is the other one
    beside = {"another_seed": other, "mean_of_other_seeds": averaged, "count_held_fixed": fixed}
    return _row(name, same, UNIT, {key: _summary(scores) for key, scores in beside.items() if scores})


def _held_fixed(each: Found, f: int, values: Any) -> dv.evaluation.Baselines:
    removed = each.removed[f]
    return baselines(removed @ values, each.changes[f], removed, is_noisy=each.is_noisy)


def _outcomes(draw: Sequence[Found], f: int) -> float | None:
    """Return how far outcomes of two seeds agree."""
    if len(draw) < 2:
        return None
    values = [next(iter(each.values.values())) for each in draw]
    return dv.evaluation.fidelity_across_seeds(values, [_truth(each, f) for each in draw]).outcome_correlation


def _truth(each: Found, f: int) -> dv.evaluation.SubsetTruth:
    return dv.evaluation.SubsetTruth(each.removed[f], each.changes[f])


def _summary(numbers: Sequence[Any]) -> dict[str, float]:
    return {"median": round(median(numbers), 3), "least": round(min(numbers), 3), "n": len(numbers)}


def _row(name: str, numbers: Sequence[Any], unit: str, details: dict[str, Any] | None = None) -> Row:
    low, high = round(min(numbers), 3), round(max(numbers), 3)
    said = {"n": len(numbers)} | (details or {})
    return Row(name, round(median(numbers), 3), unit, low, high, better="more", details=said)


SUITE = Suite(
    "fidelity",
    "How well values predict training without a random 1, 5, 20 or 50 %: the linear datamodeling score over 40"
    " subsets, median of the trainings, by their own and by other seeds; 1,000 Fashion-MNIST images with 20 %"
    " flipped labels, 10 epochs.",
    [Figures(training, partial(find, training), UNIT) for training in TRAININGS],
)
