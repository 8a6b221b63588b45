"""A damaged run is refused by name, or it is the run that was saved."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import dataval as dv
from dataval.errors import DamagedFileError
from dataval.files.digests import sealed
from dataval.files.tensors import read_tensors, write_tensors
from dataval.training.evidence import Evidence
from dataval.training.serialization import pack
from dataval.training.storage import save_folder
from tests.faults.recorded import FORMAT_1, first, second
from tests.runs import assert_same_run

FILES = ["manifest.json", "record-*.safetensors", "states-*.safetensors"]


@pytest.fixture(scope="module")
def run():
    return first()


@pytest.fixture(scope="module")
def saved(run, tmp_path_factory):
    return run.save(tmp_path_factory.mktemp("saved") / "run")


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "run")


def flip(data, share, bit):
    found = bytearray(data)
    found[int(share * (len(data) - 1))] ^= 1 << bit
    return bytes(found)


def loads_the_same(folder, run):
    try:
        found = dv.TrainingRun.load(folder)
    except DamagedFileError:
        return False
    assert_same_run(found, run)
    return True


FLIPS = [partial(flip, share=share, bit=k % 8) for k, share in enumerate(np.linspace(0, 1, 15))]
CUTS = [lambda data, kept=kept: data[: int(kept * len(data))] for kept in (0, 0.01, 0.3, 0.7, 0.999)]
OTHERS = [
    lambda data: data + b"\0",
    lambda data: data * 2,
    lambda data: b"\xff" * len(data),
    lambda data: b"[" * 10**5,
]
CHANGES = [*FLIPS, *CUTS, *OTHERS]


@pytest.mark.parametrize("change", CHANGES, ids=range(len(CHANGES)))
@pytest.mark.parametrize("file", FILES)
def test_changed_bytes(run, copy, file, change):
    """Only in a manifest's spaces does a byte not matter."""
    (path,) = copy.glob(file)
    path.write_bytes(change(path.read_bytes()))
    if not loads_the_same(copy, run):
        with pytest.raises(DamagedFileError, match=re.escape(path.name)):
            dv.TrainingRun.load(copy)
    else:
        assert file == "manifest.json"


@pytest.mark.parametrize("file", FILES[1:])
@pytest.mark.parametrize("how", ["gone", "of another run", "a folder", "a pipe", "a device"])
def test_files_that_are_not_ours(copy, tmp_path, file, how):
    (path,) = copy.glob(file)
    path.unlink()
    if how == "of another run":
        (other,) = second().save(tmp_path / "other").glob(file)
        shutil.copy(other, path)
    elif how == "a folder":
        path.mkdir()
    elif how == "a pipe":
        os.mkfifo(path)
    elif how == "a device":
        path.symlink_to("/dev/zero")
    with pytest.raises(DamagedFileError, match=path.name):
        dv.TrainingRun.load(copy)


def test_swapped_files(copy):
    record, states = (next(copy.glob(file)) for file in FILES[1:])
    content = record.read_bytes()
    record.write_bytes(states.read_bytes())
    states.write_bytes(content)
    with pytest.raises(DamagedFileError, match=record.name):
        dv.TrainingRun.load(copy)


ENTRIES = [
    {"format": 0},
    {"format": 1},
    {"format": True},
    {"format": "2"},
    {"training": {"epochs": -1}},
    {"training": None},
    {"plan": {"batch_size": 6, "n_samples": 21}},
    {"plan": {"batch_size": 0, "n_samples": 20}},
    {"plan": {"batch_size": 6, "n_samples": 10**30}},
    {"plan": {"batch_size": 6.0, "n_samples": 20}},
    {"origin": "somewhere"},
    {"marks": {"best": 13}},
    {"marks": {"best": -1}},
    {"notes": [1]},
    {"policy": {"every": 0}},
    {"n_completed": 11},
    {"n_completed": -1},
    {"n_completed": 13, "steps": [0, 4, 8, 12, 13]},
    {"n_completed": "12"},
    {"steps": [0, 4, 8]},
    {"steps": [4, 8, 12]},
    {"steps": [0, 8, 4, 12]},
    {"steps": [0, 4, 4, 8, 12]},
    {"steps": []},
    {"steps": 12},
    {"signature": {"parameters": [["w", [84]]], "buffers": [], "dtype": "float64"}},
    {"signature": {"parameters": [["w", [-83]]], "buffers": [], "dtype": "float64"}},
    {"signature": {"parameters": [["w", [83]]], "buffers": [["b", [1]]], "dtype": "float64"}},
    {"signature": {"parameters": [["w", [83]]], "buffers": [], "dtype": "float32"}},
    {"signature": {"parameters": [["w", [2**62, 2**62]]], "buffers": [], "dtype": "float64"}},
    {"environment": ["torch"]},
    {"environment": {"torch": 2}},
    {"data_fingerprint": None},
    {"backend": 1},
    {"loss": {}},
    {"files": {}},
    {"files": {"record": "../../etc/passwd", "states": "0" * 32}},
    {"files": ["record", "states"]},
    {"more": 1},
]


@pytest.mark.parametrize("seal", [True, False], ids=["sealed", "edited"])
@pytest.mark.parametrize("entries", ENTRIES, ids=str)
def test_entries_that_make_no_sense(copy, entries, seal):
    """Neither after an edit by hand, nor where a program wrote them that way."""
    path = copy / "manifest.json"
    document = json.loads(path.read_text()) | entries
    if seal:
        document = sealed({key: value for key, value in document.items() if key != "digest"})
    path.write_text(json.dumps(document))
    with pytest.raises(DamagedFileError, match="is damaged"):
        dv.TrainingRun.load(copy)


def test_a_number_that_makes_sense_but_was_not_written(copy):
    path = copy / "manifest.json"
    path.write_text(path.read_text().replace('"learning_rate": 0.1', '"learning_rate": 0.2'))
    with pytest.raises(
        DamagedFileError, match=r"manifest\.json is damaged: its content doesn't match its digest"
    ):
        dv.TrainingRun.load(copy)


def changed(name, change):
    """Return a change of one array of the record or, by its number, of the states."""
    part = "states" if "." in name else "record"

    def apply(arrays):
        arrays[part][name] = change(arrays[part][name].copy())

    return apply


def put(index, value):
    def change(array):
        array[index] = value
        return array

    return change


def without(part, name):
    return lambda arrays: arrays[part].pop(name)


ARRAYS = {
    "sample too large": changed("order", put(3, 20)),
    "sample negative": changed("order", put(3, -1)),
    "order cut": changed("order", lambda a: a[:-1]),
    "order as a matrix": changed("order", lambda a: a[None]),
    "order of floats": changed("order", lambda a: a.astype(float)),
    "offsets fall": changed("offsets", put(3, 2)),
    "offsets start late": changed("offsets", put(0, 1)),
    "offsets end late": changed("offsets", put(-1, 61)),
    "offsets cut": changed("offsets", lambda a: a[:-1]),
    "seed negative": changed("seeds", put(0, -1)),
    "seeds cut": changed("seeds", lambda a: a[:-1]),
    "weight NaN": changed("weights", put(0, np.nan)),
    "weight negative": changed("weights", put(0, -1)),
    "weights cut": changed("weights", lambda a: a[:-1]),
    "weights of float32": changed("weights", lambda a: a.astype(np.float32)),
    "loss infinite": changed("losses", put((0, 0), np.inf)),
    "loss lost": changed("losses", put((2, 19), np.nan)),
    "losses cut": changed("losses", lambda a: a[:-1]),
    "state cut": changed("4.0", lambda a: a[:-1]),
    "state of float32": changed("8.1", lambda a: a.astype(np.float32)),
    "state without slot": without("states", "12.1"),
    "record without seeds": without("record", "seeds"),
}
OF_FORMAT_3 = {
    "learning rate NaN": changed("hyperparameter_learning_rate", put((2, 0), np.nan)),
    "momentum negative": changed("hyperparameter_momentum", put((2, 0), -0.1)),
    "learning rates cut": changed("hyperparameter_learning_rate", lambda a: a[:-1]),
    "coefficient NaN": changed("coefficients", put(0, np.nan)),
    "coefficients cut": changed("coefficients", lambda a: a[:-1]),
    "updates end late": changed("steps", put(-1, 13)),
    "an update without a pass": changed("steps", put(3, 2)),
    "epochs fall": changed("epochs", put(-1, 0)),
    "more epochs": changed("epochs", put(-1, 7)),
    "counts negative": changed("counts", put((0, 0), -1)),
    "counts of floats": changed("counts", lambda a: a.astype(float)),
    "active cut": changed("active", lambda a: a[:-1]),
    "groups that there are not": changed("groups", lambda a: np.array([3])),
    "draws cut": lambda arrays: arrays["record"].update(draws=np.zeros(3, dtype=np.int64)),
    "digests cut": lambda arrays: arrays["record"].update(digests=np.zeros(3, dtype=np.int64)),
    "an array of no meaning": lambda arrays: arrays["record"].update(more=np.zeros(3)),
}
OF_FORMAT_1 = {
    "learning rate NaN": changed("learning_rates", put(2, np.nan)),
    "learning rate negative": changed("learning_rates", put(2, -0.1)),
    "learning rates cut": changed("learning_rates", lambda a: a[:-1]),
    "a sample twice in an epoch": changed("order", lambda a: put(0, a[1])(a)),
    "other batches": changed("offsets", lambda a: put(1, 5)(a)),
    "another learning rate": changed("learning_rates", put(3, 0.2)),
    "a state infinite": changed("4.0", put(5, np.inf)),
}


@pytest.mark.parametrize("change", (ARRAYS | OF_FORMAT_3).values(), ids=ARRAYS | OF_FORMAT_3)
def test_arrays_that_make_no_sense(run, tmp_path, change):
    """Written with their digests, as a faulty program would."""
    document, arrays = pack(vars(run))
    change(arrays)
    save_folder(tmp_path / "run", document, arrays, overwrite=False)
    with pytest.raises(DamagedFileError, match=r"the recorded run in .* is damaged"):
        dv.TrainingRun.load(tmp_path / "run")


OF_EVIDENCE = {
    "a projection NaN": changed("projections", put((2, 0), np.nan)),
    "projections cut": changed("projections", lambda a: a[:-1]),
    "projections of float32": changed("projections", lambda a: a.astype(np.float32)),
    "projections as a vector": changed("projections", lambda a: a[:, 0]),
    "deviations cut": changed("deviations", lambda a: a[:-1]),
    "without projections": without("record", "projections"),
    "without digests": without("record", "digests"),
}


def as_of_a_loop(run):
    plan = replace(run.plan, digests=np.zeros(run.plan.n_passes, dtype=np.int64))
    evidence = Evidence(np.zeros((run.n_steps + 1, 3)), np.full(run.n_steps, np.nan))
    return replace(run, origin="recorded", plan=plan, evidence=evidence)


@pytest.mark.parametrize("change", OF_EVIDENCE.values(), ids=OF_EVIDENCE)
def test_evidence_that_makes_no_sense(run, tmp_path, change):
    document, arrays = pack(vars(as_of_a_loop(run)))
    save_folder(tmp_path / "good", document, arrays, overwrite=False)
    assert dv.TrainingRun.load(tmp_path / "good").plan.is_recorded
    change(arrays)
    save_folder(tmp_path / "bad", document, arrays, overwrite=False)
    with pytest.raises(DamagedFileError, match=r"the recorded run in .* is damaged"):
        dv.TrainingRun.load(tmp_path / "bad")


@pytest.mark.parametrize("change", (ARRAYS | OF_FORMAT_1).values(), ids=ARRAYS | OF_FORMAT_1)
def test_arrays_of_format_1_are_held_against_each_other(tmp_path, change):
    folder = shutil.copytree(FORMAT_1, tmp_path / "run")
    arrays = {part: read_tensors(folder / f"{part}.safetensors") for part in ("record", "states")}
    change(arrays)
    for part, found in arrays.items():
        (folder / f"{part}.safetensors").unlink()
        write_tensors(folder / f"{part}.safetensors", found)
    with pytest.raises(DamagedFileError, match=re.escape(str(folder))):
        dv.TrainingRun.load(folder)


@pytest.mark.parametrize("file", ["manifest.json", "record.safetensors", "states.safetensors"])
@pytest.mark.parametrize("kept", [0, 0.3, 0.99])
def test_cut_files_of_format_1(tmp_path, file, kept):
    folder = shutil.copytree(FORMAT_1, tmp_path / "run")
    data = (folder / file).read_bytes()
    (folder / file).write_bytes(data[: int(kept * len(data))])
    with pytest.raises(DamagedFileError, match=file):
        dv.TrainingRun.load(folder)
