"""Decisions about labels against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dataval.evaluation import noise_detection

VALUES, IS_NOISY = [-2.0, -1.0, 0.5, 0.7], [True, True, False, False]


def test_counts_by_hand():
    report = noise_detection(
        VALUES,
        IS_NOISY,
        n_bootstrap=0,
        is_wrong=[True, False, True, True],
        probability_wrong=[0.9, 0.5, 0.5, 0.0],
        suggested_label=list("abca"),
        true_label=list("aaca"),
    )
    found = report.decisions
    assert (found.n_flagged, found.precision, found.recall, found.count_error) == (3, 1 / 3, 0.5, 0.5)
    assert found.n_expected == pytest.approx(1.9)
    assert found.expected_count_error == pytest.approx(-0.05)
    assert found.brier == pytest.approx((0.01 + 0.25 + 0.25) / 4)
    assert found.calibration_error == pytest.approx(0.1 / 4)  # the two of .5 are right on average
    assert found.suggestion_accuracy == 0.5
    assert "suggestion accuracy" in str(report)


def test_without_decisions_there_is_no_judgement():
    report = noise_detection(VALUES, IS_NOISY, n_bootstrap=0)
    assert report.decisions is None
    assert "flagged" not in str(report)


def test_no_flag_has_no_precision():
    found = noise_detection(VALUES, IS_NOISY, n_bootstrap=0, is_wrong=np.zeros(4, bool)).decisions
    assert found.precision is None
    assert found.recall == 0.0
    assert found.brier is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"is_wrong": [True]}, "is_wrong must have shape"),
        ({"probability_wrong": [2.0, 0, 0, 0]}, r"must lie in \[0, 1\]"),
        ({"suggested_label": [0, 1, 2, 3]}, "give both"),
    ],
)
def test_what_doesnt_fit_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        noise_detection(VALUES, IS_NOISY, n_bootstrap=0, **given)
