"""A disk that is full in the middle of a write: the old state stays, and nothing else."""

from __future__ import annotations

import resource
from contextlib import contextmanager

import numpy as np
import pytest

import dataval as dv
from dataval.evaluation.comparison import Comparison, MethodResult, Outcome
from dataval.metrics.fidelity import SubsetTruth
from dataval.retraining.store import Store
from tests.faults.recorded import first, names, second
from tests.runs import assert_same_run


@contextmanager
def full_after(n_bytes):
    """Let no file grow beyond so many bytes: writing more fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("n_bytes", [0, 1000, 1500, 6000])
def test_runs(tmp_path, n_bytes):
    """The manifest takes 1.4 kB, the record 1.9 kB, the states 6.2 kB."""
    folder = first().save(tmp_path / "run")
    before = names(folder)
    with full_after(n_bytes):
        with pytest.raises(OSError, match="too large"):
            second().save(folder, overwrite=True)
        with pytest.raises(OSError, match="too large"):
            second().save(tmp_path / "new")
    assert names(folder) == before
    assert names(tmp_path) == ["run"]
    assert_same_run(dv.TrainingRun.load(folder), first())


@pytest.mark.parametrize("n_bytes", [0, 300])
def test_truths_and_comparisons(tmp_path, n_bytes):
    """The files take about 1 kB each."""
    truth = SubsetTruth(np.eye(3, dtype=bool), np.ones(3))
    methods = (MethodResult(name="a", outcomes=(Outcome(seed=0),)),)
    comparison = Comparison((0,), methods, {"a": np.ones((1, 40))})
    for save, name in ((truth.save, "truth"), (comparison.save, "comparison")):
        save(tmp_path / name)
    before = names(tmp_path), names(tmp_path / "comparison")
    for save, name in ((truth.save, "truth"), (comparison.save, "comparison")):
        with full_after(n_bytes), pytest.raises(OSError, match="too large"):
            save(tmp_path / name)
    assert (names(tmp_path), names(tmp_path / "comparison")) == before
    assert SubsetTruth.load(tmp_path / "truth").changes.tolist() == [1, 1, 1]
    assert Comparison.load(tmp_path / "comparison").values["a"].sum() == 40


@pytest.mark.parametrize("n_bytes", [0, 60, 150])
def test_stores(tmp_path, n_bytes):
    """A record takes 105 bytes. What couldn't be written is computed again, the rest is there."""
    store = Store(tmp_path, "k")
    if n_bytes == 150:
        store.add({"a": np.float64(1)})
    with full_after(n_bytes), pytest.raises(OSError, match="too large"):
        store.add({"b": np.float64(2)})
    kept = Store(tmp_path, "k")
    assert ("a" in kept, "b" in kept) == (n_bytes == 150, False)
    store.add({"c": np.float64(3)})
    assert Store(tmp_path, "k").take(["c"]) == 3
    assert len(names(tmp_path / "retrained-k")) == 1
