"""Decisions as labels and weights, and files that are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

import dataval as dv
from tests.reports.conftest import data_of

Y = np.array([0, 1, 2, 0, 1, 2])
HEADER = "index,id,decision,new_label"


@pytest.fixture
def file(tmp_path):
    """Write decisions into a file."""

    def write(*lines, header=HEADER, name="review.csv"):
        path = tmp_path / name
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return path

    return write


def document(y, *decisions):
    labels = data_of(dv.report(np.arange(float(len(y))), y=y))["labels"]
    rows = [dict(zip(HEADER.split(","), each, strict=True)) for each in decisions]
    return {"format": "dataval review 1", "n_samples": len(y), "labels": labels["digest"], "decisions": rows}


def test_decisions_become_labels_and_weights(file):
    labels, weights = dv.apply_review(
        Y, file("0,0,keep,", "1,1,relabel,2", "3,3,drop,", "5,5,unsure,"), unsure_weight=0.25
    )
    assert labels.tolist() == [0, 2, 2, 0, 1, 2]
    assert weights.tolist() == [1, 1, 1, 0, 1, 0.25]
    assert labels.dtype == Y.dtype
    assert Y.tolist() == [0, 1, 2, 0, 1, 2]


def test_json_belongs_to_its_labels(tmp_path):
    path = tmp_path / "review.json"
    path.write_text(json.dumps(document(Y, (1, "1", "relabel", "0"), (2, "2", "drop", ""))))
    labels, weights = dv.apply_review(Y, path)
    assert labels.tolist() == [0, 0, 2, 0, 1, 2]
    assert weights.tolist() == [1, 1, 0, 1, 1, 1]
    with pytest.raises(ValueError, match="other labels"):
        dv.apply_review(Y[::-1], path)
    with pytest.raises(ValueError, match="6 samples, but y holds 5"):
        dv.apply_review(Y[:5], path)


@pytest.mark.parametrize(
    ("y", "new", "expected"),
    [
        (np.array(["a", "b"]), "b", "b"),
        (np.array(["a", "b"], dtype=object), "b", "b"),
        (np.array([False, True]), "True", True),
        (np.array([0.0, 1.0], dtype=np.float32), "1", 1.0),
        (np.array([0.5, 1.25]), "7.125", 7.125),
        (np.array([[0], [1]]), "1", 1),
        (["x", "y"], "y", "y"),
    ],
)
def test_labels_keep_their_kind_and_shape(y, new, expected, file):
    labels, _ = dv.apply_review(y, file(f"0,0,relabel,{new}"))
    assert labels.shape == np.shape(y)
    assert labels.dtype == np.asarray(y).dtype
    assert labels.ravel()[0] == expected


def test_longer_new_labels_are_not_cut(file):
    labels, _ = dv.apply_review(np.array(["a", "b"]), file("0,0,relabel,longer"), classes=["longer"])
    assert labels.tolist() == ["longer", "b"]


def test_spreadsheets_of_other_countries_are_read(file):
    path = file("1;1;relabel;2", header="\ufeffindex;id;decision;new_label")
    assert dv.apply_review(Y, path).labels[1] == 2


def test_the_apostrophe_before_a_formula_is_taken_off(file):
    y = np.array(["=1+1", "'=1+1", "-5", "@x"])
    header = f"{HEADER},given_label"
    path = file("0,0,relabel,'@x,'=1+1", "1,1,relabel,-5,''=1+1", "2,2,relabel,''=1+1,-5", header=header)
    assert dv.apply_review(y, path).labels.tolist() == ["@x", "-5", "'=1+1", "@x"]


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (["0,0,drop,", "0,0,keep,"], "sample 0 is there twice"),
        (["6,6,drop,"], "there is no sample 6: y holds 6"),
        (["-1,0,drop,"], "index '-1'"),
        (["1.0,0,drop,"], "index '1.0'"),
        (["0,0,delete,"], "decision on sample 0 is 'delete'"),
        (["0,0,relabel,"], "new label '' of sample 0"),
        (["0,0,relabel,9"], "new label '9' of sample 0 is none in y"),
        (["0,0,relabel,0"], "is the one that it has"),
        (["0,0,keep,1"], "has a new label, but is to keep"),
        (["0,0,drop"], "row 2 has 3 cells"),
        ([f"{i},0,delete," for i in range(6)], "and 1 more"),
    ],
)
def test_nothing_is_skipped(lines, what, file):
    with pytest.raises(ValueError, match=what):
        dv.apply_review(Y, file(*lines))


@pytest.mark.parametrize("header", ["index,id,decision", "index,id,decision,new_label,note", "a,b", ""])
def test_other_files_are_refused(header, file):
    with pytest.raises(ValueError, match="holds no decisions of a report"):
        dv.apply_review(Y, file(header=header))


def test_labels_and_names_of_the_file_are_held_against_ours(file):
    header = f"{HEADER},given_label"
    with pytest.raises(ValueError, match="had the label '1', but in y it is '0'"):
        dv.apply_review(Y, file("0,a,drop,,1", header=header))
    path = file("0,a,drop,,0", header=header)
    assert dv.apply_review(Y, path, ids=list("abcdef")).weights[0] == 0
    with pytest.raises(ValueError, match="called 'a', not 'z'"):
        dv.apply_review(Y, path, ids=list("zbcdef"))
