"""Memory maps stay maps: read a part at a time, and hashed once as long as their file stays."""

from __future__ import annotations

import os

import numpy as np
import pytest

import dataval.data.contents as contents
import dataval.data.maps as maps
from dataval.data import Data, as_data
from dataval.errors import InvalidDataError

N = 50
X, Y = np.random.default_rng(0).normal(size=(N, 4)), np.arange(N) % 3


@pytest.fixture(autouse=True)
def all_are_large(monkeypatch):
    monkeypatch.setattr(maps, "_KEPT_BYTES", 0)


@pytest.fixture
def reads(monkeypatch):
    """Note the maps that are read through."""
    found, read = [], contents._read

    def noted(state, array):
        found.extend([array] if maps.is_mapped(array) else [])
        return read(state, array)

    monkeypatch.setattr(contents, "_read", noted)
    return found


def mapped(folder, array=X, mode="r"):
    path = folder / "X.npy"
    np.save(path, array)
    return np.load(path, mmap_mode=mode)


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
@pytest.mark.parametrize("view", [slice(None), slice(7, 40), slice(None, None, 2), slice(None, None, -1)])
def test_a_view_of_a_map_holds_what_the_array_does(mode, view, tmp_path):
    data, expected = as_data(mapped(tmp_path, mode=mode)[view], Y[view]), as_data(X[view], Y[view])
    at = np.random.default_rng(1).permutation(len(data))[: len(data) - 3]
    assert data.memory_bytes is None
    assert data.fingerprint() == expected.fingerprint()
    np.testing.assert_array_equal(data.take(at).inputs, expected.take(at).inputs)
    np.testing.assert_array_equal(data.select(at).take(at[:5] % 9).inputs, expected.take(at[at[:5] % 9]).inputs)


def test_what_was_written_to_a_private_map_stays(tmp_path):
    array = mapped(tmp_path, mode="c")
    array[3] = 7.0
    data = as_data(array, Y)
    np.testing.assert_array_equal(data.take(np.array([3])).inputs, [[7.0] * 4])
    np.testing.assert_array_equal(array[3], 7.0)


def test_a_selection_is_not_read(tmp_path):
    chosen = as_data(mapped(tmp_path), Y).select(np.array([40, 2]))
    assert not isinstance(chosen, Data)
    np.testing.assert_array_equal(chosen.take(np.array([1, 0])).targets, Y[[2, 40]])
    np.testing.assert_array_equal(chosen.select(np.array([1])).take(slice(None)).inputs, X[[2]])


def test_is_read_once(tmp_path, reads):
    array = mapped(tmp_path)
    first = as_data(array, Y)
    fingerprint, checksum = first.fingerprint(), first.checksum()
    again = as_data(np.load(tmp_path / "X.npy", mmap_mode="r"), Y)
    assert (again.fingerprint(), again.checksum()) == (fingerprint, checksum)
    assert len(reads) == 1


def test_is_read_again_where_the_file_changed(tmp_path):
    array = mapped(tmp_path)
    before = as_data(array, Y)
    fingerprint, checksum = before.fingerprint(), before.checksum()
    writable = np.load(tmp_path / "X.npy", mmap_mode="r+")
    writable[N - 1, 3] += 1
    writable.flush()
    os.utime(tmp_path / "X.npy")
    assert before.fingerprint() != fingerprint
    assert before.checksum() != checksum


def test_a_map_that_is_written_to_in_this_process(tmp_path):
    """Its file's time may not tell, so that it is always read."""
    array = mapped(tmp_path, mode="r+")
    data = as_data(array, Y)
    fingerprint = data.fingerprint()
    array[0, 0] += 1
    assert data.fingerprint() != fingerprint


def test_nan_is_named_each_time(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "_CHUNK_BYTES", 100)
    array = mapped(tmp_path, np.where(np.arange(N)[:, None] == 41, np.nan, X))
    for _ in range(2):
        with pytest.raises(InvalidDataError, match="training X contains NaN or infinity, first at sample 41"):
            as_data(array, Y)


def test_targets_in_a_map(tmp_path, monkeypatch):
    monkeypatch.setattr("dataval.data.samples._PART_BYTES", 100)
    parts = list(as_data(X, mapped(tmp_path, Y)).target_parts())
    assert len(parts) > 1
    np.testing.assert_array_equal(np.concatenate([targets for _, targets in parts]), Y)
    assert [start for start, _ in parts] == list(np.cumsum([0, *(len(t) for _, t in parts[:-1])]))
