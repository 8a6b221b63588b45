"""What changed from one file of results to another."""

from __future__ import annotations

import json

import pytest

from benchmarks.runner import main
from benchmarks.runner.compare import Change, changes, compare
from benchmarks.runner.rows import Row


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (Row("r", 2.0, "x", 1.9, 2.1), Row("r", 2.15, "x", 2.1, 2.2), ""),  # less than the spread of 0.2
        (Row("r", 2.0, "x", 1.9, 2.1), Row("r", 2.3, "x", 2.2, 2.4), "WORSE"),
        (Row("r", 2.0, "x", 1.9, 2.1), Row("r", 1.5, "x", 1.4, 1.6), "better"),
        (Row("r", 2.0, "x", 1.9, 2.1), Row("r", 2.3, "x", 1.8, 2.8), ""),  # the larger spread counts
        (Row("r", 0.5, "LDS", better="more"), Row("r", 0.4, "LDS", better="more"), "WORSE"),
        (Row("r", 0.5, "LDS", better="more"), Row("r", 0.51, "LDS", better="more"), ""),  # 5 % without a spread
        (Row("r", 0.5, "s", better=None), Row("r", 0.9, "s", better=None), "changed"),
        (Row("r", None, "x", status="absent"), Row("r", 2.0, "x"), "now measured"),
        (Row("r", 2.0, "x"), Row("r", None, "x", status="failed"), "now failed"),
        (None, Row("r", 2.0, "x"), "new"),
        (Row("r", 2.0, "x"), None, "gone"),
    ],
)
def test_what_counts_as_a_change(before, after, verdict):
    assert Change("r", before, after).verdict == verdict


def test_ratios_are_of_later_over_earlier():
    found = changes([Row("a", 2.0, "x"), Row("b", 0.0, "x")], [Row("b", 1.0, "x"), Row("a", 3.0, "x")])
    assert [change.name for change in found] == ["a", "b"]
    assert found[0].ratio == 1.5
    assert found[1].ratio is None


def write(path, suite, value):
    rows = [{"name": "r", "value": value, "unit": "x", "low": value, "high": value, "better": "less"}]
    path.write_text(json.dumps({"suite": suite, "machine": {"cpu": "abacus"}, "rows": rows}))
    return path


def test_two_files_make_a_table(tmp_path, capsys):
    first, second = write(tmp_path / "a.json", "train", 2.0), write(tmp_path / "b.json", "train", 3.0)
    assert main.main(["--compare", str(first), str(second)]) == 0
    out = capsys.readouterr().out
    assert "abacus" in out
    assert "1.5  WORSE" in out
    assert "1 of 1 rows changed by more than their spread, 1 for the worse" in out


def test_files_of_two_suites_are_refused(tmp_path, capsys):
    first, second = write(tmp_path / "a.json", "train", 2.0), write(tmp_path / "b.json", "loo", 3.0)
    with pytest.raises(ValueError, match="'train'"):
        compare(first, second)
    assert main.main(["--compare", str(first), str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err
