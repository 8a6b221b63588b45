"""Peak memory against an allocation of known size."""

import numpy as np
import pytest

from dataval.evaluation import memory
from dataval.evaluation.memory import PeakMemory


def test_sees_an_allocation_that_is_gone_at_the_end():
    if not memory._STATUS.is_file():
        pytest.skip("nothing to sample from")
    with PeakMemory() as peak:
        held = np.ones(2**24)  # 128 MiB, written to
        for _ in range(20):
            held *= 1.0
        del held
    assert 100 * 2**20 < peak.rise < 200 * 2**20


def test_from_the_high_water_mark(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "none")
    marks = iter([100, 150])
    monkeypatch.setattr(memory, "_high_water", lambda: next(marks))
    with PeakMemory() as peak:
        pass
    assert peak.rise == 50


def test_unknown_where_nothing_can_be_read(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "none")
    monkeypatch.setattr(memory, "_high_water", lambda: None)
    with PeakMemory() as peak:
        pass
    assert peak.rise is None
