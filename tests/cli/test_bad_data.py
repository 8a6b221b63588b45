"""Files of data that are broken, or made to do harm, end in one line and code 2."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zipfile

import numpy as np
import pytest

ROWS = "".join(f"{i},{'uv'[i % 2]}\n" for i in range(12))

TABLES = {
    "nothing": ("", "is empty"),
    "blank lines": ("\n\n\n", "is empty"),
    "header only": ("a,y\n", "is empty"),
    "no label": ("a,b\n" + ROWS, "no column 'y'"),
    "no features": ("y\n" + "u\nv\n" * 6, "no features"),
    "one class": ("a,y\n" + ROWS.replace("v", "u"), "two classes or more"),
    "short row": ("a,y\n1,u\n2\n", "row 2 has 1 cells"),
    "long row": ("a,y\n1,u\n2,v,w\n", "row 2 has 3 cells"),
    "the same name": ("a,a,y\n1,2,u\n1,2,v\n", "two columns have the same name 'a'"),
    "few": ("a,y\n1,u\n2,v\n", "at least 10"),
    "few with a label": ("a,y\n" + ROWS.replace("u", ""), "two classes or more"),
    "no label at all": ("a,y\n" + "1,\n2,?\n" * 6, "all empty"),
    "names only": ("a,y\n" + "".join(f"name {i},{i % 2}\n" for i in range(60)), "no column is left"),
    "constants only": ("a,y\n" + "".join(f"7,{i % 2}\n" for i in range(60)), "the same in every row"),
    "nothing in the column": ("a,y\n" + "".join(f",{i % 2}\n" for i in range(60)), "no cell is filled"),
    "a class a row": ("a,y\n" + "".join(f"{i},name {i}\n" for i in range(60)), "classes are needed"),
    "codes as classes": ("a,y\n" + "".join(f"{i},0{i}\n" for i in range(60)), "classes are needed"),
    "no header, no label": (ROWS, "has no header"),
    "open quote": ('a,y\n"1,u\n' + ROWS, "can't be read as CSV"),
    "text after a quote": ('a,y\n"1"x,u\n' + ROWS, "can't be read as CSV"),
    "a field without end": ("a,y\n" + "x" * 200_000 + ",u\n" + ROWS, "can't be read as CSV"),
    "numbers without end": (f"a,y\n{'9' * 400},u\n{ROWS}", "numbers that are too large"),
}
BYTES = {
    "half a text": ("d.csv", b"a,y\ncaf\xe9,u\n\x81", "not UTF-8 text (byte 7)"),
    "NUL": ("d.csv", b"a,y\n1,\0\n", "NUL bytes"),
    "Excel": ("d.csv", b"PK\x03\x04\0\0", "NUL bytes"),
    "image": ("d.csv", b"\x89PNG\r\n\x1a\n\0\0", "not UTF-8 text"),
    "not packed": ("d.csv.gz", b"a,y\n1,u\n", "can't be unpacked"),
    "cut short": ("d.csv.gz", gzip.compress(ROWS.encode())[:-9], "can't be unpacked"),
    "damaged": ("d.csv.gz", gzip.compress(ROWS.encode())[:20] + b"\xff" * 30, "can't be unpacked"),
    "not bz2": ("d.csv.bz2", b"a,y\n", "can't be unpacked"),
    "not xz": ("d.tsv.xz", b"a,y\n", "can't be unpacked"),
    "empty gz": ("d.csv.gz", b"", "is empty"),
    "no zip": ("d.npz", b"nonsense", "can't be read as .npz without pickle"),
    "empty npz": ("d.npz", b"", "can't be read as .npz without pickle"),
    "nothing as Parquet": ("d.parquet", b"", "arquet"),
}


def packed(members, compression=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def array(values, shape=None, dtype=None):
    """Return an array in NumPy's format, with another shape or dtype declared."""
    stream = io.BytesIO()
    values = np.asarray(values)
    header = {"descr": (dtype or values.dtype.str), "fortran_order": False, "shape": shape or values.shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + values.tobytes()


X, Y = np.arange(36.0).reshape(12, 3), np.arange(12) % 2
ARRAYS = {
    "no labels": ({"X": X}, "no array 'y'"),
    "no X": ({"y": Y}, "no array 'X'"),
    "lengths": ({"X": X[:5], "y": Y}, "X has shape (5, 3)"),
    "no samples": ({"X": X[:0], "y": Y[:0]}, "X has shape (0, 3)"),
    "no features": ({"X": X[:, :0], "y": Y}, "X has shape (12, 0)"),
    "one feature without an axis": ({"X": X[:, 0], "y": Y}, "X has shape (12,)"),
    "labels with two axes": ({"X": X, "y": Y[:, None]}, "y (12, 1)"),
    "a number": ({"X": 3.0, "y": Y}, "X has shape ()"),
    "NaN": ({"X": X * np.nan, "y": Y}, "finite"),
    "infinity": ({"X": np.full((12, 3), np.inf), "y": Y}, "finite"),
    "text": ({"X": X.astype(str), "y": Y}, "finite numbers"),
    "complex": ({"X": X + 1j, "y": Y}, "X must hold"),
    "dates": ({"X": X, "y": Y.astype("datetime64[D]")}, "y must hold numbers or text"),
    "one class": ({"X": X, "y": Y * 0}, "two classes or more"),
    "few": ({"X": X[:4], "y": Y[:4]}, "at least 10"),
    "a class a row": ({"X": X, "y": np.array([f"name {i}" for i in range(12)])}, "classes are needed"),
    "objects": ({"X": X.astype(object), "y": Y}, "without pickle"),
    "bytes that are no text": ({"X": X, "y": np.array([b"\xff", b"a"] * 6)}, "without pickle"),
}
HARM = {
    "declared size": [("X.npy", array(X, shape=(10**12, 3))), ("y.npy", array(Y))],
    "declared size of labels": [("X.npy", array(X)), ("y.npy", array(Y, shape=(10**15,)))],
    "negative size": [("X.npy", array(X, shape=(-12, -3))), ("y.npy", array(Y))],
    "overflowing size": [("X.npy", array(X, shape=(2**40, 2**40))), ("y.npy", array(Y))],
    "text of no length": [("X.npy", array(X)), ("y.npy", array(np.array([""])[:0], (10**15,), "<U0"))],
    "zeros": [("X.npy", array(np.zeros((2**21 + 1, 8)))), ("y.npy", array(Y))],
    "no header": [("X.npy", b"nonsense"), ("y.npy", array(Y))],
    "a header without end": [("X.npy", b"\x93NUMPY\x01\x00\xff\xff{'descr'"), ("y.npy", array(Y))],
    "an unknown version": [("X.npy", b"\x93NUMPY\x09\x09" + array(X)[8:]), ("y.npy", array(Y))],
    "code as a header": [("X.npy", b"\x93NUMPY\x01\x00\x10\x00__import__('os')"), ("y.npy", array(Y))],
    "nested header": [("X.npy", b"\x93NUMPY\x01\x00\x20\x1f" + b"(" * 7968), ("y.npy", array(Y))],
}


@pytest.mark.parametrize("case", TABLES)
def test_tables(refused, tmp_path, case):
    content, message = TABLES[case]
    (tmp_path / "d.csv").write_text(content)
    assert message in refused("detect", "d.csv")


@pytest.mark.parametrize("case", BYTES)
def test_bytes(refused, tmp_path, case):
    name, content, message = BYTES[case]
    (tmp_path / name).write_bytes(content)
    assert message in refused("detect", name)


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays(refused, tmp_path, case):
    arrays, message = ARRAYS[case]
    np.savez(tmp_path / "d.npz", **arrays)
    assert message in refused("detect", "d.npz")


@pytest.mark.parametrize("case", HARM)
def test_arrays_that_are_made_to_do_harm(refused, tmp_path, case):
    (tmp_path / "d.npz").write_bytes(packed(HARM[case]))
    refused("detect", "d.npz")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_arrays_of_one_name(refused, tmp_path):
    (tmp_path / "d.npz").write_bytes(packed([("X.npy", array(X)), ("X.npy", array(X)), ("y.npy", array(Y))]))
    assert "2 arrays 'X'" in refused("detect", "d.npz")


def test_a_damaged_archive(refused, tmp_path):
    content = packed([("X.npy", array(X)), ("y.npy", array(Y))], zipfile.ZIP_STORED)
    (tmp_path / "d.npz").write_bytes(content.replace(X.tobytes()[40:48], b"12345678"))
    assert "can't be read as .npz" in refused("detect", "d.npz")


def test_more_than_is_read(refused, tmp_path, monkeypatch):
    monkeypatch.setattr("dataval.cli.packed._MOST_BYTES", 2**20)
    (tmp_path / "d.csv").write_bytes(b"1,2\n" * 2**19)
    assert "holds more than 1 MiB" in refused("detect", "d.csv")
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(bytes(2**22)))
    assert "holds more than 1 MiB" in refused("detect", "d.csv.gz")


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/full", "folder.csv", "folder.npz", "folder.parquet"])
def test_what_is_no_file(refused, tmp_path, name):
    if name.startswith("/"):
        (tmp_path / "link.csv").symlink_to(name)
        assert "a device or a pipe" in refused("detect", "link.csv")
    else:
        (tmp_path / name).mkdir()
        assert "is a folder" in refused("detect", name)


def test_links_that_lead_nowhere_or_round(refused, tmp_path):
    (tmp_path / "a.csv").symlink_to("none.csv")
    (tmp_path / "b.csv").symlink_to("b.csv")
    assert "there is no file" in refused("detect", "a.csv")
    assert "can't read b.csv" in refused("detect", "b.csv")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="may read everything")
def test_a_file_that_may_not_be_read(refused, tmp_path):
    (tmp_path / "d.csv").write_text("a,y\n" + ROWS)
    (tmp_path / "d.csv").chmod(0)
    assert "Permission denied" in refused("detect", "d.csv")


def test_a_name_that_is_no_text(refused, tmp_path):
    name = os.fsdecode(b"caf\xe9.csv")
    (tmp_path / name).write_text("")
    assert r"caf\udce9.csv is empty" in refused("detect", name)


def test_a_name_with_a_line_feed(refused):
    assert r"there is no file a\x1b b.csv" in refused("detect", "a\x1b\nb.csv")


def test_parquet_without_pandas(refused, tmp_path, monkeypatch):
    (tmp_path / "d.parquet").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert "pip install 'dataval[tables]'" in refused("detect", "d.parquet")
