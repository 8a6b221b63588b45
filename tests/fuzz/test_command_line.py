"""Command lines of any words, files and configurations of any content: one line and code 2, or a result."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataval.cli import main
from dataval.training.program import Program

FLAGS = st.sampled_from(
    [
        "--label",
        "--epochs",
        "--out",
        "--seed",
        "--method",
        "--task",
        "--header",
        "--drop",
        "--keep",
        "--text",
        "--id",
        "--config",
        "--methods",
        "--noise",
        "--dataset",
        "--model",
        "--seeds",
        "--learning-rate",
        "--batch-size",
        "--folder",
        "--top",
        "--html",
        "--help-me",
        "-x",
        "--",
    ]
)
WORDS = st.one_of(
    st.sampled_from(
        ["y", "0", "-1", "1e3", "nan", "d.csv", ".", "/", "", "auto", "=x", "a,b", "wine", "9" * 30]
    ),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6),
)
CELLS = st.one_of(
    st.sampled_from(
        ["", "0", "1", "-1.5", "nan", "inf", "NA", "?", "1e400", "2001-01-01", "=1+1", '"', "a\nb", "é", "1,5"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
)
TABLES = st.lists(st.lists(CELLS, max_size=5), max_size=12).map(
    lambda rows: "\n".join(",".join(row) for row in rows).encode()
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
KEYS = st.sampled_from(
    ["dataset", "backend", "model", "methods", "training", "optimizer", "epochs", "name", "seeds", "noise", "x"]
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=8,
)


class Trained(BaseException):
    """Nothing was wrong before training began."""


@pytest.fixture
def answered(tmp_path, capsys, monkeypatch):
    """Run a command line up to its first update, and look at what it says."""

    def step(*_):
        raise Trained

    monkeypatch.setattr(Program, "step", step)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.csv").write_text("a,b,y\n" + "1,2,0\n3,4,1\n" * 20)

    def run(*arguments):
        try:
            code = main(list(arguments))
        except Trained:
            code = 0
        err = capsys.readouterr().err
        lines = [
            line for line in err.splitlines() if not line.startswith(("dataval: note: ", "dataval: warning: "))
        ]
        assert "Traceback" not in err
        assert code in {0, 2}, err
        assert code == 0 or len(lines) == 1, err

    return run


@given(st.sampled_from(["detect", "compare", ""]), st.lists(st.one_of(FLAGS, WORDS), max_size=6))
def test_words(answered, command, words):
    answered(*filter(None, [command]), *words)


@given(
    st.one_of(TABLES, st.binary(max_size=60)), st.sampled_from([(), ("--label", "0"), ("--task", "regression")])
)
def test_tables(answered, tmp_path, content, options):
    (tmp_path / "t.csv").write_bytes(content)
    answered("detect", "t.csv", *options)


@given(st.one_of(JSON.map(json.dumps), st.text(st.characters(exclude_categories=["Cs"]), max_size=30)))
def test_configurations(answered, tmp_path, text):
    (tmp_path / "c.json").write_text(text, encoding="utf-8")
    answered("compare", "--config", "c.json")
