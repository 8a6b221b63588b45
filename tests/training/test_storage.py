"""Runs on disk: exact, without pickle, complete or not there at all."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import dataval as dv
from tests.runs import assert_same_run, make_learner, make_samples

FILES = ["manifest.json", "record-*.safetensors", "states-*.safetensors"]
CASES = {
    "mlp": {},
    "plain_sgd": {"optimizer": dv.SGD(learning_rate=0.1)},
    "adam": {"optimizer": dv.Adam(learning_rate=1 / 300)},
    "schedule": {"schedule": dv.CosineSchedule(warmup_steps=2), "clip_norm": 1 / 3},
    "drop_last": {"drop_last": True},
    "every": {"checkpoints": dv.Checkpoints(every=5)},
    "budget": {"checkpoints": dv.Checkpoints(max_bytes=1)},
}


@pytest.fixture
def run(zoo):
    return make_learner(zoo).train(*make_samples())


@pytest.mark.parametrize("model", ["mlp", "cnn_batch_norm"])
@pytest.mark.parametrize("case", CASES)
def test_round_trip_is_exact(zoo, tmp_path, model, case):
    learner, samples = make_learner(zoo, model, **CASES[case]), make_samples(model)
    weights = np.random.default_rng(0).uniform(0, 2, len(samples.y))
    run = learner.train(*samples, weights)
    again = dv.TrainingRun.load(run.save(tmp_path / "run"))
    assert_same_run(again, run)
    # A loaded run is as good as its original: for replays, and for being saved once more.
    assert_same_run(learner.replay(*samples, again).run, run)
    assert_same_run(dv.TrainingRun.load(again.save(tmp_path / "again")), run)


def test_float32_stays_float32(zoo, tmp_path):
    learner = dv.Learner(zoo.mlp("float32"), training=dv.Training(epochs=1, batch_size=6), progress=False)
    run = learner.train(*make_samples())
    again = dv.TrainingRun.load(run.save(tmp_path / "run"))
    assert again.final.parameters.dtype == np.float32
    assert_same_run(again, run)


def test_values_of_a_loaded_run_are_the_same(zoo, tmp_path):
    learner, samples, validation = make_learner(zoo), make_samples(), make_samples(n=8, seed=2)
    hydra = dv.HyDRA(learner, hessian=True).fit(*samples)
    loaded = dv.TrainingRun.load(hydra.run_.save(tmp_path / "run"))
    again = dv.HyDRA(learner, hessian=True).fit(*samples, run=loaded)
    np.testing.assert_array_equal(again.score(*validation), hydra.score(*validation))


def test_writes_a_readable_manifest_and_safetensors_only(run, tmp_path):
    folder = run.save(str(tmp_path / "deep" / "run"))
    assert folder == tmp_path / "deep" / "run"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["format"] == 3
    named = [f"{part}-{digest}.safetensors" for part, digest in sorted(manifest["files"].items())]
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", *named]
    assert manifest["training"]["optimizer"] == {
        "name": "sgd",
        "learning_rate": 0.1,
        "groups": [],
        "momentum": 0.9,
        "dampening": 0.0,
        "nesterov": False,
        "weight_decay": 0.0,
    }


def test_reading_needs_no_framework_and_no_pickle(run, tmp_path):
    folder = run.save(tmp_path / "run")
    code = (
        "import sys, pickle\n"
        "def refuse(*args, **kwargs): raise AssertionError('unpickling')\n"
        "pickle.load = pickle.loads = pickle.Unpickler = refuse\n"
        "import dataval as dv\n"
        f"run = dv.TrainingRun.load({str(folder)!r})\n"
        "assert run.is_complete\n"
        "assert not {'torch', 'tensorflow', 'keras', 'jax'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- targets -------------------------------------------------------------------------------------


def test_an_empty_folder_is_taken(run, tmp_path):
    (tmp_path / "run").mkdir()
    assert_same_run(dv.TrainingRun.load(run.save(tmp_path / "run")), run)


def test_never_overwrites_unless_asked(run, zoo, tmp_path):
    folder = run.save(tmp_path / "run")
    other = make_learner(zoo, seed=2).train(*make_samples())
    with pytest.raises(FileExistsError, match="not empty: choose another folder, or pass overwrite=True"):
        other.save(folder)
    assert_same_run(dv.TrainingRun.load(folder), run)
    other.save(folder, overwrite=True)
    assert_same_run(dv.TrainingRun.load(folder), other)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_never_replaces_what_is_no_run(run, tmp_path, overwrite):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("all my work")
    (tmp_path / "file").write_text("more work")
    for target in ("thesis", "file"):
        with pytest.raises(FileExistsError, match=target):
            run.save(tmp_path / target, overwrite=overwrite)
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "all my work"
    assert (tmp_path / "file").read_text() == "more work"


@pytest.mark.parametrize("failing", ["write", "exchange", "interrupt"])
def test_a_failed_save_leaves_nothing_and_the_old_run_intact(run, zoo, tmp_path, monkeypatch, failing):
    folder = run.save(tmp_path / "run")
    other = make_learner(zoo, seed=2).train(*make_samples())
    error = KeyboardInterrupt if failing == "interrupt" else OSError

    def fail(*arguments):
        raise error("disk full")

    target = "write_atomic" if failing == "exchange" else "file_digest"
    with monkeypatch.context() as patch:
        patch.setattr(f"dataval.files.folder.{target}", fail)
        with pytest.raises(error):
            other.save(folder, overwrite=True)
        with pytest.raises(error):
            other.save(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert len(list(folder.iterdir())) == len(FILES)
    assert_same_run(dv.TrainingRun.load(folder), run)


# ---- damage --------------------------------------------------------------------------------------


def test_a_folder_without_a_run(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(FileNotFoundError, match=r"holds no recorded run: there is no manifest\.json"):
            dv.TrainingRun.load(folder)


def test_a_newer_format_asks_for_an_upgrade(run, tmp_path):
    manifest = edit(run.save(tmp_path / "run"), format=4)
    with pytest.raises(ValueError, match=r"has format 4, this version of dataval reads up to 3: upgrade"):
        dv.TrainingRun.load(manifest.parent)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", ["truncated", "emptied", "garbled", "missing"])
def test_a_damaged_file_is_reported(run, tmp_path, file, damage):
    folder = run.save(tmp_path / "run")
    (path,) = folder.glob(file)
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(
            {"truncated": content[:-20], "emptied": b"", "garbled": b"\xff" * len(content)}[damage]
        )
    lost = (file, damage) == ("manifest.json", "missing")
    expected = FileNotFoundError if lost else dv.errors.DamagedFileError
    with pytest.raises(expected, match=r"holds no recorded run" if lost else path.name):
        dv.TrainingRun.load(folder)


@pytest.mark.parametrize(
    "entries",
    [
        {"format": "one"},
        {"format": None},
        {"steps": [0, 99]},
        {"steps": 3},
        {"n_completed": 11},
        {"plan": None},
        {"plan": {"batch_size": 6}},
        {"signature": {}},
        {"training": {"epochs": -1}},
        {"training": []},
    ],
    ids=str,
)
def test_a_manifest_that_makes_no_sense_is_reported(run, tmp_path, entries):
    folder = edit(run.save(tmp_path / "run"), **entries).parent
    with pytest.raises(dv.errors.DamagedFileError, match=r"manifest\.json is damaged"):
        dv.TrainingRun.load(folder)


@pytest.mark.parametrize("content", ["[]", "null", "3", "{}"])
def test_a_manifest_of_another_kind_is_reported(run, tmp_path, content):
    folder = run.save(tmp_path / "run")
    (folder / "manifest.json").write_text(content)
    with pytest.raises(dv.errors.DamagedFileError, match=r"manifest\.json is damaged"):
        dv.TrainingRun.load(folder)


def edit(folder, **entries):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))
    return path
