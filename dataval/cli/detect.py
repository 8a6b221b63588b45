"""``dataval detect``: the rows of a file whose labels look wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dataval.cli.choices import DetectMethod
from dataval.cli.console import say
from dataval.cli.page import detected_page, write_page
from dataval.cli.ranking import Ranking
from dataval.cli.samples import Samples, Wanted, read_samples
from dataval.cli.suspicion import Suspicion, suspicion

__all__ = ["run_detect"]

_EPOCHS = 20


def run_detect(
    path: Path,
    wanted: Wanted,
    *,
    method: DetectMethod | None = None,
    model: str | None = None,
    epochs: int | None = None,
    seed: int = 0,
    top: int | None = None,
    html: Path | None = None,
) -> Ranking:
    """Value every row of a file; say on standard error what it was taken for, left out, filled in or guessed.

    Parameters
    ----------
    path : Path
        See `dataval.cli.samples.read_samples`.
    wanted : Wanted
        What was said about the file.
    method, model, epochs
        As for `dataval.cli.networks`. A table is judged without a network unless one of them is given; classes
        are judged by `LabelErrors` unless a method is.
    seed : int, default 0
        Draws folds, and what models draw.
    top : int, optional
        Return so many rows only.
    html : Path, optional
        Write a report of all rows there.

    Raises
    ------
    UsageError
        If the file can't be used.
    """
    samples = read_samples(path, wanted)
    if samples.are_images or method or model or epochs:
        found = _by_network(samples, method, model, epochs or _EPOCHS, seed)
    else:
        _say(samples)
        found = suspicion(samples, seed)
    expected, n = float(found.probability_wrong.sum()), len(samples.labels)
    say(f"note: judged by {found.by}; about {expected:.0f} of {n} labels are expected to be wrong")
    if html is not None:
        write_page(detected_page(path, samples, found), html)
    return Ranking(samples, found, np.argsort(found.values, kind="stable")[:top])


def _by_network(
    samples: Samples, method: DetectMethod | None, model: str | None, epochs: int, seed: int
) -> Suspicion:
    from dataval.cli.networks import make_learner, network_suspicion  # a framework, which takes seconds

    learner = make_learner(samples, model, epochs, seed)
    learner.prepare(samples.X, samples.y)  # so that what doesn't fit ends before anything is said
    _say(samples)
    if samples.classes and method is None:
        return suspicion(samples, seed, learner)
    return network_suspicion(learner, samples, method or "mean-loss", seed)


def _say(samples: Samples) -> None:
    say(f"note: {samples.understood}")
    for note in samples.notes:
        say(f"note: {note}")
