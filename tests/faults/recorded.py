"""Two small recorded runs that no framework is needed for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dataval as dv
from tests.stored_values import FOLDER

FORMAT_1 = FOLDER / "run_torch"


def first() -> dv.TrainingRun:
    """A finished run of 12 updates on 20 samples."""
    return dv.TrainingRun.load(FORMAT_1)


def second() -> dv.TrainingRun:
    """The same with other weights and another last state."""
    run = first()
    last = replace(run.final, parameters=run.final.parameters + 1)
    return replace(run, weights=run.weights * 2, checkpoints=run.checkpoints | {run.n_completed: last})


def names(folder: Path) -> list[str]:
    """All that is in a folder."""
    return sorted(path.name for path in folder.iterdir())
