"""What ``dataval detect`` writes: never over anything but its own, in one exchange, safe for a spreadsheet."""

from __future__ import annotations

import csv
import errno
import io
import os
from pathlib import Path

import pytest

from dataval.cli.main import main
from dataval.cli.output import write_atomically
from dataval.cli.spreadsheet import as_csv, safe_cell

TABLE = "a,y\n" + "1,u\n2,v\n3,u\n" * 4
OURS = "rank,row,label,value,suggested_label,probability\n1,0,u,-1,v,0.9\n"


@pytest.fixture
def ranked(monkeypatch):
    """Let detection answer at once: what is written is under test, not what is found."""
    rows = [["rank", "row", "label", "value"], [1, 0, "é", "-1.5"]]
    monkeypatch.setattr("dataval.cli.detect.run_detect", lambda *_, **__: rows)
    return "rank,row,label,value\n1,0,é,-1.5\n"


def place(tmp_path):
    folder = tmp_path / "sub"
    folder.mkdir()
    (tmp_path / "data.csv").write_text(TABLE)
    (tmp_path / "link.csv").symlink_to("data.csv")
    (tmp_path / "hard.csv").hardlink_to(tmp_path / "data.csv")
    (tmp_path / "to_sub").symlink_to("sub")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "to_ours.csv").symlink_to("ours.csv")
    (tmp_path / "ours.csv").write_text(OURS)
    (tmp_path / "dangling.csv").symlink_to("nowhere.csv")
    os.mkfifo(tmp_path / "fifo")
    return {
        "data.csv": "is the input",
        "./data.csv": "is the input",
        "sub/../data.csv": "is the input",
        str(tmp_path / "data.csv"): "is the input",
        "to_sub/../data.csv": "is the input",
        "DATA.csv": "is the input",
        "link.csv": "is the input",
        "hard.csv": "is the input",
        "sub": "it is a folder",
        "to_sub": "it is a link",
        "to_ours.csv": "it is a link",
        "dangling.csv": "it is a link",
        "notes.txt": "is no earlier result",
        "fifo": "a device or a pipe",
    }


def test_nothing_but_an_earlier_result_is_replaced(refused, tmp_path):
    for path, message in place(tmp_path).items():
        assert message in refused("detect", "data.csv", "--out", path), path
    assert "is the input" in refused("detect", "link.csv", "--out", "data.csv")


@pytest.mark.parametrize("before", [None, "", OURS])
def test_a_file_of_ours_is_replaced(ranked, tmp_path, capsys, before):
    target = tmp_path / "found.csv"
    if before is not None:
        target.write_text(before)
        target.chmod(0o640)
    assert main(["detect", str(tmp_path / "data.csv"), "--out", str(target)]) == 0
    assert target.read_text(encoding="utf-8") == ranked
    assert [path.name for path in tmp_path.iterdir()] == ["found.csv"]
    mask = os.umask(0)
    os.umask(mask)
    assert target.stat().st_mode & 0o777 == (0o666 & ~mask if before is None else 0o640)
    assert capsys.readouterr().err == f"dataval: 1 rows written to {target}\n"


@pytest.mark.parametrize("out", [[], ["--out", "-"], ["--out", "/dev/stdout"]])
def test_standard_output(ranked, capsys, out):
    assert main(["detect", "data.csv", *out]) == 0
    assert capsys.readouterr() == (ranked, "")


def test_a_full_disk_leaves_the_earlier_file(ranked, tmp_path, capsys, monkeypatch):
    target = tmp_path / "found.csv"
    target.write_text(OURS)

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert main(["detect", "data.csv", "--out", str(target)]) == 2
    assert capsys.readouterr().err == f"dataval: can't write {target}: No space left on device\n"
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("found.csv", OURS)]


def test_an_interruption_while_writing_leaves_the_earlier_file(tmp_path, monkeypatch):
    target = tmp_path / "found.csv"
    target.write_text(OURS)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(target, b"new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("found.csv", OURS)]


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", " =1", "\n=1", "\uff1d1", "-", "+49 30 1"],
)
def test_a_formula_is_written_as_text(cell):
    assert safe_cell(cell) == f"'{cell}"
    assert list(csv.reader(io.StringIO(as_csv([[cell, "x"]]), newline=""))) == [[f"'{cell}", "x"]]


def test_a_carriage_return_ends_no_row():
    assert as_csv([["a\r=1", "b\r\nc"]]) == '"a\n=1","b\nc"\n'


@pytest.mark.parametrize("cell", ["-1.5", "+3", "-1e-05", "-0", "a=b", "1-2", "'=1", "", 3, -0.5, "mail@home"])
def test_what_is_no_formula_stays(cell):
    assert safe_cell(cell) == str(cell)


@pytest.mark.parametrize(
    ("error", "code"), [(MemoryError(), 1), (ZeroDivisionError("odd\nthing"), 1), (KeyboardInterrupt(), 130)]
)
@pytest.mark.parametrize("debug", [False, True])
def test_whatever_happens_is_one_line(monkeypatch, capsys, error, code, debug):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("dataval.cli.detect.run_detect", fail)
    monkeypatch.setenv("DATAVAL_DEBUG", "1" if debug else "0")
    assert main(["detect", "data.csv"]) == code
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("dataval: ")
    assert (len(lines) > 1) == ("Traceback" in lines[0]) == debug


def test_a_reader_that_has_gone_is_no_error(monkeypatch, capsys):
    def closed(*_, **__):
        raise BrokenPipeError

    monkeypatch.setattr("dataval.cli.detect.run_detect", closed)
    assert main(["detect", "data.csv"]) == 141
    assert capsys.readouterr() == ("", "")
