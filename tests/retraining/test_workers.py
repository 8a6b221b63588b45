"""The seam to joblib: everything is done once, sent once, and what a lost worker had is done again."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from threading import Lock
from time import monotonic

import numpy as np
import pytest
from joblib.externals.loky import get_reusable_executor

from dataval.errors import WorkerLostError, WorkerLostWarning
from dataval.retraining import workers
from dataval.retraining.shared import Shared
from dataval.retraining.workers import carry_out, in_order


def scaled(shared, part):
    return shared * part


def lost_at_first(folder, part):
    """Die without a word where no one has been lost yet."""
    if part == 2 and not Path(folder, "lost").exists():
        Path(folder, "lost").touch()
        os._exit(1)
    return part


def always_lost(shared, part):
    os._exit(1)


def failing(shared, part):
    raise KeyError(part)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_every_part_is_done_once(n_jobs):
    assert dict(carry_out(scaled, 10, [1, 2, 3], n_jobs)) == {0: 10, 1: 20, 2: 30}


def test_results_by_their_numbers():
    assert list(in_order(iter([(2, "c"), (0, "a"), (1, "b"), (3, "d")]))) == ["a", "b", "c", "d"]


def test_nothing_is_pickled_for_this_process_alone():
    lock = Lock()  # can't be pickled
    assert dict(carry_out(lambda shared, part: shared is lock, lock, [0], None)) == {0: True}


def test_what_a_lost_worker_had_is_done_again(tmp_path):
    with pytest.warns(WorkerLostWarning, match="done again"):
        found = dict(carry_out(lost_at_first, str(tmp_path), range(5), 2))
    assert found == {i: i for i in range(5)}


def test_workers_that_are_lost_again_and_again():
    with pytest.warns(WorkerLostWarning), pytest.raises(WorkerLostError, match=r"3 times in a row.*n_jobs"):
        list(carry_out(always_lost, 0, range(3), 2))


def test_an_error_of_the_work_itself_is_raised_as_it_is():
    with pytest.raises(KeyError):
        list(carry_out(failing, 0, range(3), 2))


def test_workers_that_were_long_idle_are_let_go():
    """Loky's leave by themselves after a while, and one that is just leaving may never answer."""
    list(carry_out(scaled, 1, [1, 2], 2))
    before = get_reusable_executor(reuse=True)
    list(carry_out(scaled, 1, [1, 2], 2))
    assert get_reusable_executor(reuse=True) is before
    workers._last_use[:] = [monotonic() - 241]
    assert dict(carry_out(scaled, 1, [1, 2], 2)) == {0: 1, 1: 2}
    assert get_reusable_executor(reuse=True) is not before


def test_what_is_shared_is_pickled_once_and_opened_once():
    package = Shared({"a": np.arange(1000)})
    first, second = (pickle.loads(pickle.dumps(package)) for _ in range(2))
    assert package._packed() is package._packed()
    assert first.value() is second.value()
    np.testing.assert_array_equal(first.value()["a"], np.arange(1000))


def test_a_memory_map_goes_by_its_name(tmp_path):
    written = np.memmap(tmp_path / "x", np.float32, "w+", shape=(3000, 40))
    written[:] = np.arange(written.size).reshape(written.shape)
    written.flush()
    part = np.memmap(tmp_path / "x", np.float32, "r", shape=(3000, 40))[7:2000:3, ::2]
    sent = pickle.dumps(Shared(part))
    assert len(sent) < 2000
    np.testing.assert_array_equal(pickle.loads(sent).value(), part)


def test_a_map_that_was_changed_in_memory_goes_by_value(tmp_path):
    np.zeros(10).tofile(tmp_path / "x")
    changed = np.memmap(tmp_path / "x", np.float64, "c")
    changed[3] = 1.0
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(Shared(changed))).value(), changed)


def test_a_file_that_a_worker_does_not_see_is_named(tmp_path):
    np.zeros(10).tofile(tmp_path / "x")
    sent = pickle.dumps(Shared(np.memmap(tmp_path / "x", np.float64, "r")))
    (tmp_path / "x").unlink()
    with pytest.raises(FileNotFoundError, match="disk that every worker sees"):
        pickle.loads(sent).value()
