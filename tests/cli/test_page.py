"""``--html``: the report of what a command found."""

from __future__ import annotations

import re

import numpy as np
import pytest

import dataval as dv
from dataval.cli.main import main

RNG = np.random.default_rng(0)


@pytest.fixture
def table(tmp_path):
    """Forty flowers of two kinds."""
    kinds = np.array(["rose", "tulip"])[np.arange(40) % 2]
    sizes = RNG.normal(size=40) + 5 * (np.arange(40) % 2)
    rows = [f"{size:.3f},red,{kind}" for size, kind in zip(sizes, kinds, strict=True)]
    path = tmp_path / "flowers.csv"
    path.write_text("\n".join(["size,colour,kind", *rows]) + "\n")
    return path


def test_the_rows_of_a_file_and_decisions_on_them(table, tmp_path, capsys):
    page, review = tmp_path / "report.html", tmp_path / "review.csv"
    command = ["detect", str(table), "--label", "kind", "--epochs", "1", "--html", str(page), "--top", "3"]
    assert main(command) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    text = page.read_text()
    assert re.search(r'"columns":\[\{"name":"size".*\{"name":"colour"', text)
    assert '"name":"kind"' not in text
    assert '"names":["rose","tulip"]' in text
    review.write_text("index,id,decision,new_label,given_label\n1,1,relabel,rose,tulip\n")
    labels, _ = dv.apply_review(np.array(["rose", "tulip"])[np.arange(40) % 2], review)
    assert labels[1] == "rose"
    assert main(command) == 0  # over the earlier one


def test_amounts(tmp_path):
    path, page = tmp_path / "amounts.csv", tmp_path / "report.html"
    numbers = RNG.normal(size=(30, 2))
    path.write_text("\n".join(["x,y", *(f"{a:.4f},{b:.4f}" for a, b in numbers)]) + "\n")
    assert (
        main(["detect", str(path), "--epochs", "1", "--html", str(page), "--out", str(tmp_path / "o.csv")]) == 0
    )
    assert '"classes":[]' in page.read_text()


@pytest.mark.parametrize("name", ["flowers.csv", "mine.html", "nowhere/report.html"])
def test_nothing_of_others_is_written_over(table, tmp_path, refused, name):
    (tmp_path / "mine.html").write_text("<p>mine</p>")
    refused("detect", table, "--label", "kind", "--html", tmp_path / name)


def test_the_samples_of_a_comparison(tmp_path):
    out = tmp_path / "results"
    command = ["compare", "--dataset", "wine", "--model", "linear", "--methods", "mean-loss,random"]
    assert main([*command, "--epochs", "1", "--batch-size", "20", "--out", str(out), "--html"]) == 0
    text = (out / "report.html").read_text()
    assert '"name":"mean-loss"' in text
    assert '"noisy":{' in text
