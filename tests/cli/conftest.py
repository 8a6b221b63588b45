"""What the tests of the command line share."""

from __future__ import annotations

import stat

import pytest

from dataval.cli.main import main
from dataval.training.program import Program


def everything_in(folder):
    """Return what is in a folder, with the content of files and the targets of links."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        content = path.read_bytes() if stat.S_ISREG(mode) else None
        found[str(path.relative_to(folder))] = (mode, path.readlink() if stat.S_ISLNK(mode) else content)
    return found


@pytest.fixture
def refused(tmp_path, capsys, monkeypatch):
    """Run a command line that must end with code 2 and one line, having written and trained nothing."""

    def train(*_):
        raise AssertionError("a model was trained")

    monkeypatch.setattr(Program, "step", train)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        before = everything_in(tmp_path)
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert code == 2, captured.err
        assert captured.out == ""
        assert len(captured.err.splitlines()) == 1, captured.err
        assert captured.err.startswith("dataval: ")
        assert not any(word in captured.err for word in ("Traceback", "pydantic", "http", "Error("))
        assert everything_in(tmp_path) == before
        return captured.err

    return run
