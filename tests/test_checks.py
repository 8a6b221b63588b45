"""Checks of arguments name the argument, what was given and what to pass."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dataval import checks

WHOLE = partial(checks.whole_number, "k", minimum=1)


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_a_whole_number(value):
    assert WHOLE(value) == 3
    assert type(WHOLE(value)) is int


@pytest.mark.parametrize(
    ("value", "given"),
    [
        (2.0, "2.0"),
        (2.5, "2.5"),
        ("3", r"'3' \(str\)"),
        (True, r"True \(bool\)"),
        (np.True_, "numpy.bool"),
        (None, "None"),
        ([3], r"\[3\]"),
        (np.array([3]), r"an array of int64, shape \(1,\)"),
        (np.nan, "nan"),
        (object(), "a object"),
    ],
)
def test_what_only_looks_whole(value, given):
    with pytest.raises(TypeError, match=f"k must be a whole number from 1, got .*{given}"):
        WHOLE(value)


def test_ranges():
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        WHOLE(0)
    with pytest.raises(ValueError, match="of at most 5"):
        checks.whole_number("k", 6, maximum=5)


@pytest.mark.parametrize("value", ["0.5", True, None, [0.5], 1j])
def test_no_number(value):
    for check in (checks.real_number, checks.share):
        with pytest.raises(TypeError, match="damping must be a number"):
            check("damping", value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1])
def test_numbers_out_of_range(value):
    with pytest.raises(ValueError, match="damping must be"):
        checks.real_number("damping", value, minimum=0)
    with pytest.raises(ValueError, match="fraction must lie between 0 and 1"):
        checks.share("fraction", value)


def test_numbers():
    assert checks.real_number("damping", np.float32(0.5)) == 0.5
    assert checks.real_number("damping", 0, minimum=0) == 0
    assert checks.share("fraction", 0.5) == 0.5


@pytest.mark.parametrize("seeds", [3, np.int64(3)])
def test_one_number_is_no_sequence_of_seeds(seeds):
    with pytest.raises(TypeError, match=r"got 3: pass \[3\] for this one seed, range\(3\) for as many"):
        checks.seed_list(seeds)


@pytest.mark.parametrize(
    ("seeds", "error", "message"),
    [
        ([], ValueError, "seeds must be at least one whole number from 0: it is empty"),
        ([1, 1], ValueError, "different"),
        ([0, -1], ValueError, r"seeds\[1\] must be at least 0, got -1"),
        ([0.5], TypeError, r"seeds\[0\] must be a whole number"),
        ("12", TypeError, "seeds must be a sequence of whole numbers"),
        (2.5, TypeError, "seeds must be a sequence"),
        (None, TypeError, "seeds must be a sequence"),
        ((seed for seed in (1, 2)), TypeError, "seeds must be a sequence.*got a generator"),
        (np.eye(2, dtype=int), TypeError, "seeds must be a sequence"),
        ({1: 2}, TypeError, "seeds must be a sequence"),
        ([10**30], ValueError, "at most"),
    ],
)
def test_bad_seeds(seeds, error, message):
    with pytest.raises(error, match=message):
        checks.seed_list(seeds)


@pytest.mark.parametrize("seeds", [[1, 2], (1, 2), range(1, 3), np.array([1, 2])])
def test_seeds(seeds):
    assert checks.seed_list(seeds) == (1, 2)


def test_choices_and_flags():
    assert checks.one_of("mode", "a", ("a", "b")) == "a"
    with pytest.raises(ValueError, match="mode must be 'a', 'b' or False, got 0"):
        checks.one_of("mode", 0, ("a", "b", False))
    assert checks.flag("hessian", np.True_) is True
    with pytest.raises(TypeError, match="hessian must be True or False, got 1"):
        checks.flag("hessian", 1)


def test_processes():
    assert checks.process_count("n_jobs", -1) == -1
    with pytest.raises(ValueError, match="n_jobs"):
        checks.process_count("n_jobs", 0)
    with pytest.raises(TypeError, match=r"n_jobs must be a whole number, got '2'"):
        checks.process_count("n_jobs", "2")


def test_folders(tmp_path):
    assert checks.folder_path("folder", None) is None
    assert checks.folder_path("folder", str(tmp_path)) == Path(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError, match="file is no folder"):
        checks.folder_path("folder", tmp_path / "file")
    with pytest.raises(TypeError, match="folder must be the path of a folder, got 3"):
        checks.folder_path("folder", 3)


def test_long_things_are_shortened():
    assert len(checks.described(list(range(1000)))) < 80
    assert checks.described(np) == "a module"
