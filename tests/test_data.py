"""Data in every container that is taken, and one clear error for what can't be used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dataval.data import as_data
from dataval.errors import InvalidDataError

N = 7
X = np.random.default_rng(0).normal(size=(N, 3))
Y = np.arange(N) % 3


def read_only(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def memory_map(array, folder):
    path = folder / f"{array.dtype.str[1:]}.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def torch_tensor(array):
    return pytest.importorskip("torch").from_numpy(array.copy())


CONTAINERS = {
    "array": lambda a, _: a.copy(),
    "read_only": lambda a, _: read_only(a),
    "fortran": lambda a, _: np.asfortranarray(a),
    "strided": lambda a, _: np.repeat(a, 2, axis=0)[::2],
    "memory_map": memory_map,
    "torch": lambda a, _: torch_tensor(a),
    "torch_with_gradient": lambda a, _: torch_tensor(a).requires_grad_() if a.dtype.kind == "f" else a,
    "list": lambda a, _: a.tolist(),
}


@pytest.mark.parametrize("container", CONTAINERS)
class TestContainers:
    def test_holds_the_same_values(self, container, tmp_path):
        data = as_data(CONTAINERS[container](X, tmp_path), CONTAINERS[container](Y, tmp_path))
        assert len(data) == N
        np.testing.assert_array_equal(data.inputs, X)
        np.testing.assert_array_equal(data.targets, Y)

    def test_has_the_same_fingerprint(self, container, tmp_path):
        data = as_data(CONTAINERS[container](X, tmp_path), CONTAINERS[container](Y, tmp_path))
        assert data.fingerprint() == as_data(X, Y).fingerprint()

    @pytest.mark.parametrize("structure", ["tuple", "dict"])
    def test_inside_a_structure(self, container, structure, tmp_path):
        leaf = CONTAINERS[container](X, tmp_path)
        inputs = (leaf, X[:, :1]) if structure == "tuple" else {"a": leaf, "b": X[:, :1]}
        data = as_data(inputs, Y)
        assert isinstance(data.inputs, tuple if structure == "tuple" else dict)
        names = {"tuple": ["X[0]", "X[1]", "y"], "dict": ["X['a']", "X['b']", "y"]}[structure]
        assert [name for name, _ in data.leaves()] == names
        taken = data.take(np.array([4, 1]))
        np.testing.assert_array_equal(dict(taken.leaves())[names[0]], X[[4, 1]])
        np.testing.assert_array_equal(taken.targets, Y[[4, 1]])


def test_arrays_and_memory_maps_are_not_copied(tmp_path):
    assert np.shares_memory(as_data(X, Y).inputs, X)
    assert isinstance(as_data(memory_map(X, tmp_path), Y).inputs, np.memmap)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "uint8", "bool"])
def test_numbers_of_any_kind_keep_their_dtype(dtype):
    assert as_data((X > 0).astype(dtype), Y).inputs.dtype == dtype


# ---- fingerprints --------------------------------------------------------------------------------


def changed(array, at, value):
    copy = array.copy()
    copy[at] = value
    return copy


CHANGES = {
    "a value": (changed(X, (N - 1, 2), X[N - 1, 2] + 1e-15), Y),
    "the sign of a zero": (changed(X, (0, 0), -0.0), Y),
    "a label": (X, changed(Y, 3, 2)),
    "the dtype of X": (X.astype(np.float32), Y),
    "the dtype of y": (X, Y.astype(np.int32)),
    "the order of samples": (X[::-1], Y[::-1]),
    "labels swapped": (X, Y[::-1]),
    "the shape": (X.reshape(N, 3, 1), Y),
    "fewer samples": (X[:-1], Y[:-1]),
    "the structure": ((X,), Y),
    "a split in two inputs": ((X[:, :1], X[:, 1:]), Y),
    "keywords": ({"x": X}, Y),
    "another keyword": ({"z": X}, Y),
}


@pytest.mark.parametrize("change", CHANGES)
def test_fingerprint_tells_any_change(change):
    base = (changed(X, (0, 0), 0.0), Y) if change == "the sign of a zero" else (X, Y)
    assert as_data(*CHANGES[change]).fingerprint() != as_data(*base).fingerprint()


def test_fingerprints_of_all_changes_differ():
    found = {as_data(*change).fingerprint() for change in CHANGES.values()}
    assert len(found) == len(CHANGES)


def test_fingerprint_reads_large_arrays_in_pieces(monkeypatch):
    whole = as_data(X, Y).fingerprint()
    monkeypatch.setattr("dataval.data.contents._CHUNK_BYTES", 50)
    assert as_data(X, Y).fingerprint() == whole
    assert as_data(changed(X, (N - 1, 0), 9.0), Y).fingerprint() != whole


# ---- what can't be used --------------------------------------------------------------------------

WITH_NAN, WITH_INF = changed(X, (4, 1), np.nan), changed(X, (5, 0), -np.inf)
BAD: dict[str, tuple[Any, Any, str]] = {
    "NaN": (WITH_NAN, Y, "X contains NaN or infinity, first at sample 4: impute or drop"),
    "infinity": (WITH_INF, Y, "X contains NaN or infinity, first at sample 5"),
    "NaN in y": (X, np.where(np.arange(N) == 2, np.nan, 1.0), "y contains NaN or infinity, first at sample 2"),
    "NaN in a tuple": ((X, WITH_NAN), Y, r"X\[1\] contains NaN"),
    "NaN in a dict": ({"left": X, "right": WITH_NAN}, Y, r"X\['right'\] contains NaN"),
    "no samples": (X[:0], Y[:0], "training set is empty"),
    "an empty list": ([], [], "training set is empty"),
    "an empty tuple": ((), Y, "empty tuple"),
    "an empty dict": ({}, Y, "empty dict"),
    "too few labels": (X, Y[:-1], "X holds 7 samples but y holds 6"),
    "a short input": ((X, X[:3]), Y, r"X\[1\] holds 3 samples but y holds 7"),
    "a short input by keyword": ({"a": X, "b": X[:3]}, Y, r"X\['b'\] holds 3 samples"),
    "objects": (X.astype(object), Y, "X has dtype object: convert it to numbers"),
    "strings": (np.full((N, 2), "a"), Y, "X has dtype <U1: convert it to numbers"),
    "class names": (X, ["cat"] * N, "y has dtype <U3: convert it to numbers first .*LabelEncoder"),
    "dates": (np.full(N, np.datetime64("2020-01-01")), Y, "X has dtype datetime64"),
    "complex numbers": (X + 1j, Y, "X has dtype complex128"),
    "objects in a dict": ({"a": X, "b": X.astype(object)}, Y, r"X\['b'\] has dtype object"),
    "strings in a tuple": ((X, np.full(N, "a")), Y, r"X\[1\] has dtype <U1"),
    "ragged lists": ([[1.0], [1.0, 2.0]], [0, 1], "X can't be read as an array"),
    "None": (None, Y, "X is None: pass an array"),
    "a number": (3.0, Y, "X is a single number"),
    "a number as y": (X, 1, "y is a single number"),
    "a masked array": (np.ma.masked_less(X, 0), Y, "X is a masked array"),
}


@pytest.mark.parametrize("case", BAD)
def test_says_what_is_wrong(case):
    inputs, targets, match = BAD[case]
    with pytest.raises(InvalidDataError, match=match):
        as_data(inputs, targets)


def test_names_the_set():
    with pytest.raises(InvalidDataError, match="the validation X contains NaN"):
        as_data(WITH_NAN, Y, "validation")


def test_finds_nan_beyond_the_first_piece(monkeypatch):
    monkeypatch.setattr("dataval.data.contents._CHUNK_BYTES", 50)
    with pytest.raises(InvalidDataError, match="first at sample 4"):
        as_data(WITH_NAN, Y)
