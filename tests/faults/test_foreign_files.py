"""Nothing of anyone else's is touched: it stays, or the save is refused with its name."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

import dataval as dv
from dataval.evaluation.comparison import Comparison, MethodResult, Outcome
from dataval.metrics.fidelity import SubsetTruth
from tests.faults.recorded import FORMAT_1, first, names, second
from tests.runs import assert_same_run

DIGEST = "0" * 32


@pytest.fixture
def folder(tmp_path):
    return first().save(tmp_path / "run")


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "states.safetensors",
        "record.safetensors",
        f"model-{DIGEST}.safetensors",
        f"states-{DIGEST}.safetensors.bak",
        f"states-{DIGEST[1:]}.safetensors",
        ".manifest.json.swp",
        ".manifest.json.tmp",
        "manifest.json.orig",
    ],
)
def test_other_files_survive(folder, name):
    (folder / name).write_text("mine")
    (folder / "sub").mkdir()
    (folder / "sub" / "more").write_text("mine too")
    second().save(folder, overwrite=True)
    assert (folder / name).read_text() == "mine"
    assert (folder / "sub" / "more").read_text() == "mine too"
    assert_same_run(dv.TrainingRun.load(folder), second())
    assert len(names(folder)) == 5


def test_files_of_format_1_are_replaced(tmp_path):
    folder = shutil.copytree(FORMAT_1, tmp_path / "run")
    second().save(folder, overwrite=True)
    assert [name.split("-")[0] for name in names(folder)] == ["manifest.json", "record", "states"]
    assert_same_run(dv.TrainingRun.load(folder), second())


@pytest.mark.parametrize(
    "content",
    [
        '{"name": "my web app", "icons": []}',
        '{"format": 1, "files": {}}',
        "[]",
        "not JSON",
        "",
        '{"format": 99}',
    ],
)
def test_a_manifest_of_another_program_is_not_overwritten(tmp_path, content):
    path = tmp_path / "manifest.json"
    path.write_text(content)
    with pytest.raises(FileExistsError, match=r"manifest\.json is not that of a recorded run"):
        first().save(tmp_path, overwrite=True)
    assert path.read_text() == content
    assert names(tmp_path) == ["manifest.json"]


def test_a_folder_of_other_things_is_refused_by_name(tmp_path):
    (tmp_path / "chapter.tex").write_text("all my work")
    with pytest.raises(FileExistsError, match=r"it holds chapter\.tex and no recorded run"):
        first().save(tmp_path, overwrite=True)
    assert names(tmp_path) == ["chapter.tex"]


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
@pytest.mark.parametrize("name", ["manifest.json", f"states-{DIGEST}.safetensors", ".manifest.json.lock"])
def test_links_folders_and_pipes_of_our_names_are_refused(folder, tmp_path, name, kind):
    if (folder / name).exists():
        (folder / name).rename(tmp_path / "elsewhere")
    if kind == "link":
        (tmp_path / "elsewhere").touch()
        (folder / name).symlink_to(tmp_path / "elsewhere")
    elif kind == "folder":
        (folder / name).mkdir()
    else:
        os.mkfifo(folder / name)
    before = names(folder), (folder / name).lstat().st_ino
    with pytest.raises(FileExistsError, match=name):
        second().save(folder, overwrite=True)
    assert (names(folder), (folder / name).lstat().st_ino) == before


def test_a_folder_behind_a_link(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    second().save(tmp_path / "link", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert_same_run(dv.TrainingRun.load(folder), second())


@pytest.mark.parametrize("target", ["/dev/null", "nowhere"])
def test_targets_that_are_no_folder(tmp_path, target):
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(FileExistsError, match="no folder"):
        first().save(tmp_path / "link", overwrite=True)
    assert (tmp_path / "link").is_symlink()


def test_a_lock_that_holds_something_is_not_ours(folder):
    (folder / ".manifest.json.lock").write_text("mine")
    with pytest.raises(FileExistsError, match="no lock of dataval's"):
        second().save(folder, overwrite=True)
    assert (folder / ".manifest.json.lock").read_text() == "mine"


def test_truths(tmp_path):
    truth = SubsetTruth(np.eye(3, dtype=bool), np.ones(3))
    (tmp_path / "thesis.npz").write_text("mine")
    np.savez(tmp_path / "data.npz", X=np.ones(3))
    (tmp_path / "link.npz").symlink_to(truth.save(tmp_path / "truth.npz"))
    for name in ("thesis.npz", "data.npz", "link.npz"):
        content = (tmp_path / name).read_bytes()
        with pytest.raises(FileExistsError, match=f"{name} exists and is no subset truth"):
            truth.save(tmp_path / name)
        assert (tmp_path / name).read_bytes() == content


def test_comparisons(tmp_path):
    comparison = Comparison(
        (0,), (MethodResult(name="a", outcomes=(Outcome(seed=0),)),), {"a": np.ones((1, 4))}
    )
    (tmp_path / "values.npz").write_text("mine")
    comparison.save(tmp_path)
    comparison.save(tmp_path)
    assert (tmp_path / "values.npz").read_text() == "mine"
    assert len(names(tmp_path)) == 3
    (tmp_path / "comparison.json").write_text('{"other": "program"}')
    with pytest.raises(FileExistsError, match=r"comparison\.json is not that of a comparison"):
        comparison.save(tmp_path)
