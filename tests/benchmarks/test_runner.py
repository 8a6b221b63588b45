"""The runner of the benchmarks, on suites that measure next to nothing."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.runner import documents, main
from benchmarks.runner.clock import Clock, clock_for, interleaved
from benchmarks.runner.rows import AbsentError, Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Figures, Ratio, Suite


class Ticking:
    """A clock that only actions move."""

    def __init__(self) -> None:
        self.time, self.calls = 0.0, []

    def action(self, name, seconds):
        durations = itertools.cycle(seconds)

        def act():
            self.calls.append(name)
            self.time += next(durations)

        return act

    @property
    def clock(self):
        return Clock("ticks", lambda: self.time)


def absent(_):
    raise AbsentError("dataval.Oracle isn't there")


def broken(_):
    return 1 / 0


def nothing(_):
    return lambda: None


SUITE = Suite(
    "fake",
    "Nothing much.",
    [
        Ratio("as fast", nothing, nothing, floor=1e9),
        Ratio("oracle over plain", absent, nothing, floor=2.0),
        Figures("broken", broken, "MiB"),
        Figures(
            "two figures", lambda _: [Row("one", 1.0, "MiB"), Row("two", 2.0, "MiB", better="more", aim=3.0)]
        ),
    ],
)
QUIETLY = Settings(quick=False, repeats=2, budget=5.0)


@pytest.fixture(autouse=True)
def uncollected(monkeypatch):
    """Collecting garbage takes a second in a process that has run other tests."""
    monkeypatch.setattr("benchmarks.runner.clock.gc.collect", lambda: 0)


# -------------------------------------------------------------------- timing


def test_the_ratio_is_the_median_of_pairs_without_the_first():
    ticking = Ticking()
    action, base = (
        ticking.action("action", [100.0, 3.0, 8.0, 5.0]),
        ticking.action("base", [1.0, 1.0, 2.0, 1.0]),
    )
    found = interleaved(action, base, repeats=3, budget=math.inf, clock=ticking.clock)
    assert found.action == [3.0, 8.0, 5.0]
    assert found.ratios == [3.0, 4.0, 5.0]
    assert found.ratio == 4.0
    assert found.warmed


def test_the_order_of_a_pair_alternates():
    ticking = Ticking()
    interleaved(
        ticking.action("a", [1.0]), ticking.action("b", [1.0]), repeats=3, budget=math.inf, clock=ticking.clock
    )
    assert "".join(ticking.calls) == "abbaabba"


def test_without_budget_the_first_pair_counts():
    ticking = Ticking()
    found = interleaved(
        ticking.action("a", [6.0]), ticking.action("b", [2.0]), repeats=9, budget=0.0, clock=ticking.clock
    )
    assert found.ratios == [3.0]
    assert not found.warmed


def test_process_time_for_one_thread_only():
    assert clock_for(1, "cpu").name == "process"
    assert clock_for(2, "cpu").name == "elapsed"


# ---------------------------------------------------------------------- rows


@pytest.mark.parametrize(
    ("better", "value", "verdict"),
    [
        ("less", 0.9, "aim"),
        ("less", 1.5, "floor"),
        ("less", 2.5, "MISSED"),
        ("more", 2.5, "MISSED"),
    ],
)
def test_what_a_row_is_held_against(better, value, verdict):
    bounds = {"floor": 2.0, "aim": 1.0} if better == "less" else {"floor": 3.0, "aim": 4.0}
    assert Row("r", value, "x", better=better, **bounds).verdict == verdict


def test_a_row_without_bounds_says_nothing():
    assert Row("r", 1.0, "x").verdict == ""
    assert Row("r", 1.0, "x", aim=0.5).verdict == "below aim"


def test_what_cannot_be_measured_is_named_and_the_others_go_on():
    told = []
    rows = SUITE.measure(QUIETLY, tell=told.append)
    assert rows == told
    assert [row.status for row in rows] == ["measured", "absent", "failed", "measured", "measured"]
    assert rows[1].note == "dataval.Oracle isn't there"
    assert rows[1].floor == 2.0
    assert "ZeroDivisionError" in rows[2].note
    assert SUITE.failures(rows) == 1


def test_cases_are_chosen_by_what_their_names_contain():
    assert [case.name for case in SUITE.chosen(["ORACLE", "figures"])] == ["oracle over plain", "two figures"]
    assert SUITE.chosen(["no such"]) == []


def test_quick_figures_are_held_against_nothing():
    rows = SUITE.measure(replace(QUIETLY, quick=True))
    assert {row.floor for row in rows} == {row.aim for row in rows} == {None}


def test_a_strict_suite_fails_below_its_floor():
    rows = [Row("a", 2.0, "x", floor=1.0), Row("b", 0.5, "x", floor=1.0)]
    assert Suite("s", "").failures(rows) == 0
    assert Suite("s", "", strict=True).failures(rows) == 1


# ----------------------------------------------------------------- documents


def document(rows, name="fake"):
    machine = {"cpu": "abacus", "threads": 1}
    return documents.document(replace(SUITE, name=name), QUIETLY, machine, rows, started="now", seconds=90.0)


def test_a_document_is_read_as_it_was_written(tmp_path):
    rows = [
        Row("a", 1.5, "x", 1.0, 2.0, floor=2.0, details={"seconds": [1.0], "count": np.int64(3)}),
        Row("b", None, "MiB", better=None, status="absent", note="not here"),
    ]
    path = documents.write(document(rows), tmp_path / "new")
    found = documents.read(path)
    assert found["minutes"] == 1.5
    assert found["settings"]["repeats"] == 2
    assert documents.rows_of(found) == rows


def test_what_is_not_finite_is_null(tmp_path):
    path = documents.write(document([Row("a", float("nan"), "x", details={"growth": float("inf")})]), tmp_path)
    row = json.loads(path.read_text())["rows"][0]
    assert row["value"] is None
    assert row["details"] == {"growth": None}


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"benchmark": "old"}'])
def test_a_file_that_is_no_document_is_refused(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"a\.json"):
        documents.read(path)


def test_committed_results_can_be_read():
    for path in documents.RESULTS.glob("*.json"):
        found = documents.read(path)
        assert found["suite"] == path.stem
        assert documents.rows_of(found)
        assert found["machine"]["cpu"]


# -------------------------------------------------------------- command line


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(main, "SUITES", ("fake",))
    monkeypatch.setattr(main, "load", {"fake": SUITE}.__getitem__)
    for variable in main.THREADS:
        monkeypatch.setenv(variable, "1")


def test_a_run_prints_and_keeps_what_it_found(fake, tmp_path, capsys):
    assert main.main(["fake", "--repeats", "1", "--output", str(tmp_path)]) == 1  # one of its cases is broken
    out = capsys.readouterr().out
    assert "oracle over plain: absent (dataval.Oracle isn't there)" in out
    assert "1 threads" in out
    assert [row.name for row in documents.rows_of(documents.read(tmp_path / "fake.json"))] == [
        "as fast",
        "oracle over plain",
        "broken",
        "one",
        "two",
    ]


def test_what_is_not_the_whole_does_not_replace_it(fake, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(documents, "PARTIAL", tmp_path / "partial")
    monkeypatch.setattr(documents, "RESULTS", tmp_path)
    assert main.main(["fake", "--only", "figures"]) == 0
    assert [path.name for path in tmp_path.rglob("*.json")] == ["fake.json"]
    assert (tmp_path / "partial" / "fake.json").exists()


def test_other_devices_keep_their_own_results():
    assert documents.folder_of("cpu") == documents.RESULTS
    assert documents.folder_of("cuda:1") == documents.RESULTS / "cuda"


def test_the_list_names_cases_and_what_they_are_held_against(fake, capsys):
    assert main.main(["--list"]) == 0
    out = capsys.readouterr().out
    assert "fake" in out
    assert "oracle over plain  (floor 2.0)" in out


def test_a_device_that_is_not_there_is_named_before_anything_is_measured(fake, capsys):
    assert main.main(["fake", "--device", "cuda:99"]) == 2
    assert "no device 'cuda:99'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["nonsense"], "no suite nonsense"), (["fake", "--threads", "0"], "--threads must be at least 1")],
)
def test_bad_arguments_end_in_one_line(fake, capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        main.main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_several_suites_run_in_processes_of_their_own(monkeypatch, capfd, tmp_path):
    monkeypatch.setattr(main, "device_problem", lambda _: "")
    ran = []
    monkeypatch.setattr(main, "_in_its_process", lambda name, *_: ran.append(name) or name == "loo")
    assert main.main(["train", "loo", "--quick", "--output", str(tmp_path)]) == 1
    assert ran == ["train", "loo"]
