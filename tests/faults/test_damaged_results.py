"""Damaged retrainings are left out with a warning; damaged truths and comparisons are refused by name."""

from __future__ import annotations

import json
import os
import re
import warnings
import zipfile

import numpy as np
import pytest

from dataval.errors import DamagedFileError, DamagedFileWarning
from dataval.evaluation.comparison import Comparison, MethodResult, Outcome
from dataval.files.digests import digest, sealed
from dataval.metrics.fidelity import SubsetTruth
from dataval.retraining.store import Store

N_FLIPS = 24


def flip(path, i):
    """Flip one bit, at the i-th of so many places over the file."""
    data = bytearray(path.read_bytes())
    data[i * (len(data) - 1) // (N_FLIPS - 1)] ^= 1 << (i % 8)
    path.write_bytes(bytes(data))


# ---- retrainings ---------------------------------------------------------------------------------

RESULTS = {f"{i}": np.array([i / 3, -1e-300 * i]) for i in range(8)}


@pytest.fixture
def file(tmp_path):
    Store(tmp_path, "k").add(RESULTS)
    (path,) = (tmp_path / "retrained-k").iterdir()
    return path


def check_kept(folder, at_least):
    """All that is found is what was added."""
    store = Store(folder, "k")
    kept = [name for name in RESULTS if name in store]
    assert len(kept) >= at_least
    for name in kept:
        np.testing.assert_array_equal(store.take([name])[0], RESULTS[name])
    return len(kept)


@pytest.mark.parametrize("i", range(N_FLIPS))
def test_a_flipped_bit_costs_its_record(tmp_path, file, i):
    """Two where it was the end of a line; the last record, without a warning, where it was the last end."""
    flip(file, i)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert check_kept(tmp_path, at_least=6) < 8
    if i < N_FLIPS - 1:
        assert [warning.category for warning in caught] == [DamagedFileWarning]
        assert file.name in str(caught[0].message)


def test_a_line_without_an_end_does_not_count(tmp_path, file):
    file.write_bytes(file.read_bytes()[:-10])
    assert check_kept(tmp_path, at_least=7) == 7


def test_results_of_another_key_are_not_taken(tmp_path, file):
    file.parent.rename(tmp_path / "retrained-other")
    with pytest.warns(DamagedFileWarning, match="8 of its 8 records"):
        assert "1" not in Store(tmp_path, "other")


def test_files_can_be_joined_and_copied(tmp_path, file):
    (file.parent / "joined.jsonl").write_bytes(2 * file.read_bytes())
    file.unlink()
    assert check_kept(tmp_path, at_least=8) == 8


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_what_is_no_file_is_named(tmp_path, file, kind):
    odd = file.parent / "odd.jsonl"
    {"folder": odd.mkdir, "pipe": lambda: os.mkfifo(odd), "device": lambda: odd.symlink_to("/dev/zero")}[kind]()
    with pytest.warns(DamagedFileWarning, match=r"odd\.jsonl is damaged: it is no regular file"):
        check_kept(tmp_path, at_least=8)


def test_a_later_format_asks_for_an_upgrade(tmp_path, file):
    rest = '"format": 3}'
    file.write_text(f'{{"digest": "{digest(rest.encode())}", {rest}\n')
    with pytest.raises(ValueError, match="has format 3, this version of dataval reads up to 2: upgrade"):
        Store(tmp_path, "k")


def test_a_folder_that_is_none_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="file is no folder"):
        Store(tmp_path / "file", "k")


def test_a_folder_that_cannot_be_made_is_named_before_training(tmp_path):
    (tmp_path / "retrained-k").write_text("mine")
    with pytest.raises(FileExistsError, match="retrained-k"):
        Store(tmp_path, "k").prepare()


def test_format_1_is_read_and_added_to(tmp_path):
    path = tmp_path / "retrained-k.json"
    path.write_text(json.dumps({"a": 0.1, "b": 1}))
    store = Store(tmp_path, "k")
    assert store.take(["a", "b"]).tolist() == [0.1, 1.0]
    store.add({"c": np.float64(2)})
    assert Store(tmp_path, "k").take(["a", "c"]).tolist() == [0.1, 2.0]
    assert json.loads(path.read_text()) == {"a": 0.1, "b": 1}


@pytest.mark.parametrize(
    "content",
    ['{"a": 0.1', "[]", '{"a": "0.1"}', '{"a": [1, [2]]}', '{"a": 1, "b": [1, 2]}', '{"a": null}', "\xff"],
)
def test_damage_of_format_1_is_named(tmp_path, content):
    (tmp_path / "retrained-k.json").write_text(content, encoding="latin-1")
    with pytest.warns(DamagedFileWarning, match=r"retrained-k\.json is damaged.* computed again"):
        assert "a" not in Store(tmp_path, "k")


def test_results_of_two_shapes_are_refused(tmp_path):
    store = Store(tmp_path, "k")
    store.add({"a": np.ones(2), "b": np.ones(3)})
    with pytest.raises(DamagedFileError, match="retrained-k holds results of different shapes"):
        store.take(["a", "b"])


# ---- truths --------------------------------------------------------------------------------------

TRUTH = SubsetTruth(np.random.default_rng(0).random((5, 13)) < 0.5, np.linspace(-1, 1, 5))


@pytest.mark.parametrize("i", range(N_FLIPS))
def test_truths_with_a_flipped_bit(tmp_path, i):
    """Some bits of a zip file are dates and the like: what loads is what was saved."""
    path = TRUTH.save(tmp_path / "truth.npz")
    flip(path, i)
    try:
        found = SubsetTruth.load(path)
    except DamagedFileError:
        with pytest.raises(DamagedFileError, match=r"truth\.npz holds no subset truth"):
            SubsetTruth.load(path)
    else:
        np.testing.assert_array_equal(found.removed, TRUTH.removed)
        np.testing.assert_array_equal(found.changes, TRUTH.changes)


def bomb(path):
    """20 GB of zeros in 20 MB would take a while: claim them."""
    np.savez(path, removed=np.zeros((1, 1), np.uint8), n=8, changes=np.zeros(1))
    data = path.read_bytes()
    start = data.index(b"PK\1\2")
    path.write_bytes(data[: start + 24] + (2**32 - 2).to_bytes(4, "little") + data[start + 28 :])


def one_array(path):
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))


def huge_shape(path):
    with zipfile.ZipFile(path, "w") as archive:
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
        header += b" " * (117 - len(header)) + b"\n"
        archive.writestr("changes.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
        archive.writestr("removed.npy", b"")


def save(**arrays):
    fitting = {"removed": np.zeros((2, 2), np.uint8), "n": np.array(13), "changes": np.zeros(2)}
    kept = {name: array for name, array in (fitting | arrays).items() if array is not None}
    return lambda path: np.savez(path, **kept)


@pytest.mark.parametrize(
    "write",
    {
        "empty": lambda path: path.write_bytes(b""),
        "text": lambda path: path.write_text("something else"),
        "one array": one_array,
        "pickle": save(changes=np.array([None, {}], dtype=object)),
        "bomb": bomb,
        "huge shape": huge_shape,
        "no changes": save(changes=None),
        "one more": save(more=np.zeros(1)),
        "changes of float32": save(changes=np.zeros(2, np.float32)),
        "changes cut": save(changes=np.zeros(1)),
        "changes NaN": save(changes=np.full(2, np.nan)),
        "n too large": save(n=np.array(17)),
        "n negative": save(n=np.array(-13)),
        "n a float": save(n=np.array(13.0)),
        "n a vector": save(n=np.array([13])),
        "removed a vector": save(removed=np.zeros(2, np.uint8)),
        "removed of int64": save(removed=np.zeros((2, 2), np.int64)),
        "another digest": save(digest=np.array("0" * 32)),
        "digest a number": save(digest=np.array(7)),
    }.items(),
    ids=lambda item: item[0],
)
def test_files_that_hold_no_truth(tmp_path, write):
    path = tmp_path / "truth.npz"
    write[1](path)
    with pytest.raises(DamagedFileError, match=r"truth\.npz holds no subset truth"):
        SubsetTruth.load(path)


@pytest.mark.parametrize("kept", [0.2, 0.9, 0.999])
def test_cut_truths(tmp_path, kept):
    path = TRUTH.save(tmp_path / "truth.npz")
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(DamagedFileError, match=r"truth\.npz"):
        SubsetTruth.load(path)


def test_truths_without_a_digest_are_read(tmp_path):
    save()(tmp_path / "truth.npz")
    assert SubsetTruth.load(tmp_path / "truth.npz").removed.shape == (2, 13)


# ---- comparisons ---------------------------------------------------------------------------------


def outcomes(*errors):
    return tuple(Outcome(seed=seed, error=error) for seed, error in enumerate(errors))


def make_comparison():
    values = np.arange(10.0).reshape(2, 5)
    methods = (
        MethodResult(name="a", outcomes=outcomes(None, None)),
        MethodResult(name="b", outcomes=outcomes(None, "failed")),
    )
    return Comparison((0, 1), methods, {"a": values, "b": values * [[1.0], [np.nan]]}, ("one",))


@pytest.mark.parametrize("file", ["comparison.json", "values-*.npz"])
@pytest.mark.parametrize("i", range(N_FLIPS))
def test_comparisons_with_a_flipped_bit(tmp_path, file, i):
    expected = make_comparison()
    (path,) = expected.save(tmp_path).glob(file)
    flip(path, i)
    try:
        found = Comparison.load(tmp_path)
    except DamagedFileError:
        with pytest.raises(DamagedFileError, match=re.escape(path.name)):
            Comparison.load(tmp_path)
    else:
        assert file == "comparison.json"
        assert (found.seeds, found.methods, found.problems) == (
            expected.seeds,
            expected.methods,
            expected.problems,
        )


@pytest.mark.parametrize(
    "entries",
    [
        {"seeds": [0]},
        {"seeds": "01"},
        {"seeds": [1, 0]},
        {"methods": []},
        {"methods": None},
        {"problems": 3},
        {"files": {"values": "0" * 32}},
        {"files": None},
        {"more": 1},
    ],
    ids=str,
)
def test_entries_of_a_comparison_that_make_no_sense(tmp_path, entries):
    path = make_comparison().save(tmp_path) / "comparison.json"
    document = json.loads(path.read_text()) | entries
    path.write_text(json.dumps(sealed({key: value for key, value in document.items() if key != "digest"})))
    with pytest.raises(DamagedFileError, match="is damaged"):
        Comparison.load(tmp_path)


@pytest.mark.parametrize(
    "values",
    [np.zeros((2, 4)), np.zeros(2), np.zeros((1, 5)), np.full((2, 5), np.nan), np.full((2, 5), np.inf)],
    ids=lambda values: str(values.shape),
)
def test_values_that_make_no_sense_are_not_saved(tmp_path, values):
    comparison = make_comparison()
    comparison.values["b"] = values
    with pytest.raises(ValueError, match="the values of b"):
        comparison.save(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_comparisons_of_format_1_are_read(tmp_path):
    expected = make_comparison()
    path = expected.save(tmp_path) / "comparison.json"
    document = json.loads(path.read_text())
    kept = {key: document[key] for key in ("seeds", "methods", "problems")}
    path.write_text(json.dumps({"format": 1, **kept}))
    next(tmp_path.glob("values-*.npz")).rename(tmp_path / "values.npz")
    assert str(Comparison.load(tmp_path)) == str(expected)
    expected.save(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
