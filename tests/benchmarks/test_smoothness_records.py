"""The trainings by which the check of smoothness is calibrated."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")

import torch

from benchmarks import smoothness
from dataval.evaluation.smoothness_calibration import COEFFICIENTS, FEATURES, probability_of


def test_every_setting_has_a_model_and_a_name_of_its_own():
    for setting in smoothness.SETTINGS:
        side = 14 if setting.model == "lenet" else 28
        assert smoothness.build(setting)(torch.zeros(2, 1, side, side)).shape == (2, 10)
        assert setting.training(0).seed == 0
    assert len({setting.name for setting in smoothness.SETTINGS}) == len(smoothness.SETTINGS)


def test_an_interrupted_measurement_goes_on(tmp_path, monkeypatch):
    done = []

    def measure(setting, seed):
        done.append((setting.name, seed))
        if len(done) == 3:
            raise KeyboardInterrupt
        return {"setting": setting.name, "seed": seed}

    monkeypatch.setattr(smoothness, "measure", measure)
    path, settings = tmp_path / "records.jsonl", smoothness.SETTINGS[:2]
    with pytest.raises(KeyboardInterrupt):
        list(smoothness.records(settings, [0, 1], path))
    found = list(smoothness.records(settings, [0, 1], path))
    assert len(found) == len(path.read_text().splitlines()) == 4
    assert len(done) == 5  # the third was asked for twice


def test_records_that_are_kept_are_complete():
    lines = [json.loads(line) for line in smoothness.RECORDS.read_text().splitlines()]
    kept = {(line["setting"], line["seed"]) for line in lines}
    assert len(kept) == len(lines) >= 20
    names = {setting.name for setting in smoothness.SETTINGS}
    assert all(line["setting"] in names for line in lines)
    found = [probability_of({name: line[name] for name in FEATURES}) for line in lines]
    assert all(each is not None and 0 < each < 1 for each in found)


def test_constants_of_the_check_are_what_the_records_give():
    lines = [json.loads(line) for line in smoothness.RECORDS.read_text().splitlines()]
    fitted = smoothness.fit(smoothness.halves(lines)[0])
    for name, expected in COEFFICIENTS.items():
        # They are written down with two digits after the point.
        assert fitted[name] == pytest.approx(expected, abs=0.006)
