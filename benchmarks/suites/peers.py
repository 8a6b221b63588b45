"""Other libraries beside ours, on the same model, data, batches and questions."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import dataval as dv
from benchmarks.fidelity import FloatArray, lds_by_sample, retrained_losses, subsets
from benchmarks.peers.environment import Environment
from benchmarks.peers.task import Task
from benchmarks.runner.memory import ROOT, environment
from benchmarks.runner.rows import ABSENT, FAILED, MEASURED, Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Figures, Suite

PEERS = {
    "dataval": "dataval",
    "captum": "captum",
    "dattri": "dattri",
    "kronfluence": "kronfluence",
    "trak": "traker",
    "pydvl": "pydvl",
    "cleanlab": "cleanlab",
    "opacus": "opacus",
}
"""The modules here, without their underscores, and the distributions they need."""

LIMIT, PATIENCE = 900, 4
"""Seconds of processor time that one peer may take on a thread, and how many times as long it may seem."""

N_SUBSETS, FRACTION = 50, 0.5


@dataclass(frozen=True)
class Truth:
    """What values are judged by: trainings on half of the data, and which labels are wrong."""

    removed: FloatArray
    changes: FloatArray
    is_noisy: FloatArray = field(repr=False)

    def lds(self, values: FloatArray) -> FloatArray:
        """Return the score of every question."""
        return lds_by_sample(values, self.removed, self.changes)


@cache
def truth(settings: Settings) -> Truth:
    """Train without random halves."""
    task = Task(settings)
    removed = subsets(len(task.work.X), settings.pick(N_SUBSETS, 4), FRACTION, seed=0)
    changes = retrained_losses(task.work.learner(), task.run, task.work.data, removed, task.n_questions)
    return Truth(removed, changes, task.is_noisy)


def measured(peer: str, settings: Settings) -> Iterator[Row]:
    """Run one peer and yield its rows."""
    made = Environment().make()
    distribution = PEERS[peer]
    if problem := made.problems.get(distribution):
        yield Row(
            peer, None, "", better=None, status=ABSENT, note=f"{distribution} could not be installed: {problem}"
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        found, trouble = _run(made.python, peer, Path(folder), settings)
        for name, result in found["methods"].items():
            title = f"{peer} {found['version']}: {name}"
            yield from _rows(title, result, Path(folder), settings)
        if trouble:
            done = ", ".join(found["methods"]) or "nothing"
            yield Row(
                f"{peer}: the rest", None, "", better=None, status=FAILED, note=f"{trouble}; done: {done}"
            )


def _run(python: Path, peer: str, folder: Path, settings: Settings) -> tuple[dict[str, Any], str]:
    """Return what a peer's process wrote, and what went wrong with it."""
    limit = settings.pick(LIMIT, 60) * settings.threads
    command = [str(python), "-m", "benchmarks.peers.run", f"{peer}_", str(folder)]
    command += [json.dumps(asdict(settings)), str(limit)]
    trouble = ""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE * limit,
            check=False,
        )
        if done.returncode == -signal.SIGXCPU:
            trouble = f"took longer than {limit} s of processor time"
        elif done.returncode:
            trouble = " ".join(done.stderr.split())[-400:] or f"its process ended with {done.returncode}"
    except subprocess.TimeoutExpired:
        trouble = f"took longer than {PATIENCE * limit} s"
    file = folder / f"{peer}_.json"
    found = json.loads(file.read_text()) if file.exists() else {"version": "", "methods": {}}
    return found, trouble


def _rows(title: str, result: dict[str, Any], folder: Path, settings: Settings) -> Iterator[Row]:
    """Yield time, memory, fidelity and detection of one method."""
    if result["status"] != MEASURED:
        yield Row(title, None, "x plain loop", status=result["status"], note=result["note"])
        return
    ratios = result["ratios"]
    yield Row(
        f"{title}, time",
        round(result["ratio"], 3),
        "x plain loop",
        round(min(ratios), 3),
        round(max(ratios), 3),
        details={"seconds": result["seconds"]},
    )
    yield Row(f"{title}, memory", result["memory_MiB"], "MiB above the trained model")
    if result["values"] is None:
        return
    values = np.load(folder / result["values"])
    known = truth(settings)
    if values.ndim == 2:
        scores = known.lds(values)
        error = 1.96 * scores.std(ddof=1) / len(scores) ** 0.5
        mean = float(scores.mean())
        yield Row(
            f"{title}, fidelity",
            round(mean, 3),
            "LDS per test sample",
            mean - error,
            mean + error,
            better="more",
        )
    score = values.mean(axis=0) if values.ndim == 2 else values
    detection = dv.evaluation.noise_detection(score, known.is_noisy, n_bootstrap=0)
    for unit, figure in (("AUROC", detection.auroc), ("average precision", detection.average_precision)):
        yield Row(f"{title}, wrong labels by {unit}", round(figure.value, 3), unit, better="more")


SUITE = Suite(
    "peers",
    "Other libraries and ours in one environment, on the same trained LeNet (GELU, average pooling), "
    "2,000 Fashion-MNIST images of which 20 % are mislabelled, and 100 questions: time over the plain "
    "loop of 5 epochs, memory, the linear datamodeling score of each question over 50 trainings on half "
    "of the data, and wrong labels found.",
    [Figures(peer, partial(measured, peer)) for peer in PEERS],
)
