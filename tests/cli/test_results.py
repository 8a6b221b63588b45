"""The folder of a comparison: what is its own is replaced or removed, all else left alone."""

from __future__ import annotations

import pytest

from dataval.cli.errors import UsageError
from dataval.cli.results import Results
from tests.cli.conftest import everything_in

NAMES = ["config.json", "table.txt", "comparison.png", "agreement_hydra.png"]
LIST = "dataval-files.json"


@pytest.fixture
def folder(tmp_path):
    """A folder with a file of the user's and two of an earlier comparison."""
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    Results(folder).replace({"table.txt": b"old", "agreement_hydra.png": b"figure"})
    return folder


def test_our_files_are_replaced_and_stale_ones_removed(folder):
    Results(folder).check(NAMES, [])
    Results(folder).replace({"table.txt": b"new", "comparison.png": b"figure"})
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != LIST} == {
        "notes.txt": b"mine",
        "table.txt": b"new",
        "comparison.png": b"figure",
    }
    Results(folder).check(NAMES, [])


@pytest.mark.parametrize("change", ["foreign", "edited", "link", "folder"])
def test_a_file_of_the_users_is_refused(folder, change):
    if change == "foreign":
        (folder / "comparison.png").write_bytes(b"a holiday")
    elif change == "edited":
        (folder / "table.txt").write_bytes(b"old, with a remark")
    elif change == "link":
        (folder / "config.json").symlink_to("notes.txt")
    else:
        (folder / "config.json").mkdir()
    before = everything_in(folder)
    with pytest.raises(UsageError, match="was not written by a comparison"):
        Results(folder).check(NAMES, [])
    with pytest.raises(UsageError, match="was not written by a comparison"):
        Results(folder).replace(dict.fromkeys(NAMES, b"new"))
    assert everything_in(folder) == before


def test_a_stale_file_that_was_edited_stays(folder):
    (folder / "agreement_hydra.png").write_bytes(b"cropped")
    Results(folder).replace({"table.txt": b"new"})
    assert (folder / "agreement_hydra.png").read_bytes() == b"cropped"


def test_an_input_is_no_output(folder, tmp_path):
    (tmp_path / "link.json").symlink_to(folder / "table.txt")
    for source in (folder / "table.txt", tmp_path / "results" / "TABLE.txt", tmp_path / "link.json"):
        with pytest.raises(UsageError, match="is the input"):
            Results(folder).check(NAMES, [source])


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"format": "x", "files": {}}', '{"files": 3}', "\xff"])
def test_a_list_of_something_else_is_refused(folder, content):
    (folder / LIST).write_text(content, encoding="latin-1")
    with pytest.raises(UsageError, match="is not the list"):
        Results(folder).check(NAMES, [])


def test_a_list_that_names_files_elsewhere_removes_none(folder, tmp_path):
    (tmp_path / "precious.txt").write_bytes(b"figure")
    listed = (folder / LIST).read_text().replace("agreement_hydra.png", "../precious.txt")
    (folder / LIST).write_text(listed)
    Results(folder).replace({"table.txt": b"new"})
    assert (tmp_path / "precious.txt").exists()


def test_an_interrupted_exchange_can_be_taken_up(folder, monkeypatch):
    def interrupt(path, content):
        if path.name == "table.txt":
            raise KeyboardInterrupt
        write(path, content)

    from dataval.cli import results

    write = results.write_atomically
    with monkeypatch.context() as patch:
        patch.setattr(results, "write_atomically", interrupt)
        with pytest.raises(KeyboardInterrupt):
            Results(folder).replace({"config.json": b"{}", "table.txt": b"new"})
    Results(folder).replace({"config.json": b"{}", "table.txt": b"new"})
    assert {path.name for path in folder.iterdir()} == {"notes.txt", LIST, "config.json", "table.txt"}


def test_retrainings_are_claimed_and_kept(folder):
    kept = Results(folder).claim_retrained()
    kept.mkdir()
    Results(folder).check(NAMES, [])
    Results(folder).replace({"table.txt": b"new"})
    Results(folder).check(NAMES, [])
    assert kept.is_dir()


def test_retrainings_of_someone_else_are_refused(folder):
    (folder / "retrained").mkdir()
    with pytest.raises(UsageError, match="was not written by a comparison"):
        Results(folder).check(NAMES, [])
