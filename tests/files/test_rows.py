"""Rows that are kept in a folder: whole after an interruption, and checked when they are read."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from dataval.errors import DamagedFileError, RunMismatchError
from dataval.files.rows import MappedRows, RowsInMemory, check_rows_folder

KEY = {"samples": "abc", "seed": 0}
ROWS = np.random.default_rng(0).normal(size=(10, 3))


def opened(folder, key=KEY, shape=(10, 3), dtype="float64"):
    return MappedRows(folder, key, shape, dtype)


def filled(folder, n=10, by=4):
    rows = opened(folder)
    with rows.writing():
        for start in range(rows.n_done, n, by):
            rows.append(ROWS[start : min(n, start + by)])
    return rows


def test_rows_are_there_again(tmp_path):
    rows = filled(tmp_path / "index")
    for found in (rows, opened(tmp_path / "index"), pickle.loads(pickle.dumps(rows))):
        assert found.n_done == 10
        np.testing.assert_array_equal(found.read(0, 10), ROWS)
        np.testing.assert_array_equal(found.read(3, 5), ROWS[3:5])
    assert sorted(path.name for path in (tmp_path / "index").iterdir()) == [
        "done.jsonl",
        "index.json",
        "rows.bin",
    ]


def test_in_memory_is_the_same():
    rows = RowsInMemory(KEY, (10, 3), "float64")
    with rows.writing():
        rows.append(ROWS[:6])
        rows.append(ROWS[6:])
    np.testing.assert_array_equal(rows.read(2, 9), ROWS[2:9])
    assert rows.n_done == 10


def test_goes_on_where_it_stopped(tmp_path):
    filled(tmp_path, n=4)
    rows = filled(tmp_path, by=5)
    np.testing.assert_array_equal(rows.read(0, 10), ROWS)


@pytest.mark.parametrize("cut", [1, 20])
def test_a_stretch_without_its_line_is_written_again(tmp_path, cut):
    """A kill between the rows and the end of their line."""
    filled(tmp_path, n=8)
    log = tmp_path / "done.jsonl"
    log.write_bytes(log.read_bytes()[:-cut])
    assert opened(tmp_path).n_done == 4
    np.testing.assert_array_equal(filled(tmp_path).read(0, 10), ROWS)
    assert opened(tmp_path).n_done == 10


def test_rows_of_another_writer_are_taken(tmp_path):
    mine = opened(tmp_path)
    filled(tmp_path)
    with mine.writing():
        assert mine.n_done == 10


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("rows.bin", lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:]),
        ("rows.bin", lambda data: data[:-1]),
        ("rows.bin", lambda data: b""),
        ("done.jsonl", lambda data: data.replace(b'"stop": 8', b'"stop": 9')),
        ("done.jsonl", lambda data: data.split(b"\n", 1)[1]),
        ("done.jsonl", lambda data: b"[]\n"),
        ("index.json", lambda data: data.replace(b"abc", b"abd")),
        ("index.json", lambda data: b"{"),
    ],
)
def test_damage_is_named(tmp_path, name, spoil):
    filled(tmp_path)
    path = tmp_path / name
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DamagedFileError, match=rf"{name} is damaged"):
        opened(tmp_path)


@pytest.mark.parametrize("name", ["rows.bin", "index.json"])
def test_a_file_that_is_gone_is_named(tmp_path, name):
    rows = filled(tmp_path)
    (tmp_path / name).unlink()
    if name == "index.json":
        with pytest.raises(DamagedFileError, match=r"index.json is gone"):
            pickle.loads(pickle.dumps(rows))
    with pytest.raises((DamagedFileError, FileExistsError), match=r"rows.bin is damaged|and no index"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"key": KEY | {"seed": 1}}, "its seed: 0, here 1"),
        ({"key": KEY | {"samples": "x"}}, "its samples: abc, here x"),
        ({"shape": (10, 4)}, r"its shape: \[10, 3\], here \[10, 4\]"),
        ({"dtype": "float32"}, "its dtype"),
    ],
)
def test_rows_of_something_else_are_refused(tmp_path, change, told):
    filled(tmp_path)
    with pytest.raises(RunMismatchError, match=rf"holds the index of something else \(.*{told}"):
        opened(tmp_path, **change)


def test_a_later_format_is_refused(tmp_path):
    from dataval.files.digests import sealed

    filled(tmp_path)
    path = tmp_path / "index.json"
    document = json.loads(path.read_text())
    del document["digest"]
    path.write_text(json.dumps(sealed(document | {"format": 2})))
    with pytest.raises(ValueError, match="format 2, this version of dataval reads up to 1"):
        opened(tmp_path)


def test_files_of_others_are_refused_and_stay(tmp_path):
    (tmp_path / "thesis.txt").write_text("x")
    for act in (lambda: opened(tmp_path), lambda: check_rows_folder(tmp_path)):
        with pytest.raises(FileExistsError, match=r"holds thesis.txt and no index"):
            act()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(FileExistsError, match="no folder"):
        check_rows_folder(tmp_path / "thesis.txt")


def test_an_interrupted_write_leaves_what_was_there(tmp_path, monkeypatch):
    filled(tmp_path, n=4)
    rows = opened(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    with rows.writing():
        monkeypatch.setattr("os.pwrite", full)
        with pytest.raises(OSError, match="No space"):
            rows.append(ROWS[4:8])
        monkeypatch.undo()
    np.testing.assert_array_equal(filled(tmp_path).read(0, 10), ROWS)
