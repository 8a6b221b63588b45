"""Values of one seed judged by others: against scores one by one."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from dataval.evaluation import (
    FidelityAcrossSeeds,
    SubsetTruth,
    fidelity_across_seeds,
    linear_datamodeling_score,
)
from dataval.metrics.across_seeds import outcome_correlation

S, K, N = 3, 12, 20
RNG = np.random.default_rng(0)
REMOVED = RNG.random((K, N)) < 0.4
COMMON = RNG.normal(size=N)
VALUES = COMMON + RNG.normal(size=(S, N))
TRUTHS = [SubsetTruth(REMOVED, REMOVED @ (COMMON + RNG.normal(size=N))) for _ in range(S)]


def score(values, truth):
    return linear_datamodeling_score(values, truth).score


def test_each_seed_is_judged_by_all_others():
    found = fidelity_across_seeds(VALUES, TRUTHS)
    for s in range(S):
        others = [t for t in range(S) if t != s]
        assert found.same[s] == pytest.approx(score(VALUES[s], TRUTHS[s]), abs=1e-12)
        assert found.other[s] == pytest.approx(
            np.mean([score(VALUES[s], TRUTHS[t]) for t in others]), abs=1e-12
        )
        assert found.averaged[s] == pytest.approx(score(VALUES[others].mean(axis=0), TRUTHS[s]), abs=1e-12)
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = np.mean([spearmanr(TRUTHS[s].changes, TRUTHS[t].changes).statistic for s, t in pairs])
    assert found.outcome_correlation == pytest.approx(expected, abs=1e-12)


def test_two_seeds_average_to_each_other():
    found = fidelity_across_seeds(VALUES[:2], TRUTHS[:2])
    assert found.averaged == pytest.approx(found.other[::-1], abs=1e-12)


def test_other_subsets_have_no_outcomes_in_common():
    other = SubsetTruth(~REMOVED, TRUTHS[1].changes)
    assert outcome_correlation([TRUTHS[0], other]) is None
    found = fidelity_across_seeds(VALUES[:2], [TRUTHS[0], other])
    assert found.outcome_correlation is None
    assert found.other[0] == pytest.approx(score(VALUES[0], other), abs=1e-12)
    assert "correlate" not in str(found)


def test_printed_and_stored():
    found = fidelity_across_seeds(VALUES, TRUTHS)
    assert str(found).startswith("linear datamodeling score over 3 seeds: own seed 0.")
    assert FidelityAcrossSeeds.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("values", "truths", "error", "message"),
    [
        (VALUES[:1], TRUTHS[:1], ValueError, "at least two seeds, got 1 and 1"),
        (VALUES, TRUTHS[:2], ValueError, "got 3 and 2"),
        (VALUES[:, :-1], TRUTHS, ValueError, r"different numbers of samples: \[19, 20\]"),
        (VALUES * np.nan, TRUTHS, ValueError, "NaN"),
        (VALUES, TRUTHS[0], TypeError, "truths must be a sequence of SubsetTruth"),
        (VALUES[:2], [TRUTHS[0], 1], TypeError, "each truth must be a SubsetTruth"),
        ("values", TRUTHS, TypeError, "rows of numbers"),
        (VALUES[:2], [SubsetTruth(REMOVED[:2], np.arange(2.0))] * 2, ValueError, "at least 3 subsets"),
    ],
)
def test_bad_input_is_refused(values, truths, error, message):
    with pytest.raises(error, match=message):
        fidelity_across_seeds(values, truths)
