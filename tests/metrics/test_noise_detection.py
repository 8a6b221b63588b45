"""Detection metrics against scikit-learn, brute force and cases worked by hand."""

from itertools import permutations

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from dataval.evaluation import NoiseDetectionReport, detection_curve, noise_detection

TIGHT = {"rel": 1e-12, "abs": 1e-12}


def draw(n, seed, *, decimals=None):
    """Values of n samples of which about a fifth are noisy; rounded, they have ties."""
    rng = np.random.default_rng(seed)
    is_noisy = rng.random(n) < 0.2
    is_noisy[:2] = True, False
    values = rng.normal(size=n) - 0.8 * is_noisy
    return values if decimals is None else np.round(values, decimals), is_noisy


def brute_two_means(values, is_noisy):
    """F1 of the best of all thresholds, tried one by one."""
    best, best_f1 = np.inf, 0.0
    for threshold in np.unique(values)[1:]:
        low, high = values[values < threshold], values[values >= threshold]
        spread = ((low - low.mean()) ** 2).sum() + ((high - high.mean()) ** 2).sum()
        if spread < best:
            best, best_f1 = spread, f1_score(is_noisy, values < threshold)
    return best_f1


@pytest.mark.parametrize("decimals", [None, 1, 0])
@pytest.mark.parametrize("seed", range(3))
def test_equal_to_scikit_learn(seed, decimals):
    values, is_noisy = draw(200, seed, decimals=decimals)
    report = noise_detection(values, is_noisy, n_bootstrap=0)
    assert report.auroc.value == pytest.approx(roc_auc_score(is_noisy, -values), **TIGHT)
    expected = average_precision_score(is_noisy, -values)
    assert report.average_precision.value == pytest.approx(expected, **TIGHT)


@pytest.mark.parametrize("decimals", [None, 1, 0])
@pytest.mark.parametrize("seed", range(5))
def test_two_means_is_the_best_of_all_thresholds(seed, decimals):
    values, is_noisy = draw(80, seed, decimals=decimals)
    report = noise_detection(values, is_noisy, n_bootstrap=0)
    assert report.f1_two_means.value == pytest.approx(brute_two_means(values, is_noisy), **TIGHT)


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e300])
@pytest.mark.parametrize("shift", [0.0, -3.0])
def test_two_means_does_not_depend_on_scale_or_shift(scale, shift):
    values, is_noisy = draw(100, 0)
    plain = noise_detection(values, is_noisy, n_bootstrap=0).f1_two_means
    moved = noise_detection((values + shift) * scale, is_noisy, n_bootstrap=0).f1_two_means
    assert moved == plain


def test_two_means_of_the_largest_floats_does_not_overflow():
    values = [-1.7e308, -1.6e308, 1.7e308, 1.6e308]
    report = noise_detection(values, [True, True, False, False], n_bootstrap=0)
    assert report.f1_two_means.value == 1.0


def test_metrics_at_k_without_ties():
    values = [0.1, 0.4, 0.2, 0.3, 0.5]
    is_noisy = [True, False, False, True, False]
    report = noise_detection(values, is_noisy, k=[1, 3, 5], n_bootstrap=0)
    assert [at.k for at in report.at_k] == [2, 1, 3, 5]
    assert [at.precision.value for at in report.at_k] == pytest.approx([1 / 2, 1, 2 / 3, 2 / 5])
    assert [at.recall.value for at in report.at_k] == pytest.approx([1 / 2, 1 / 2, 1, 1])
    assert [at.precision.random for at in report.at_k] == pytest.approx([0.4] * 4)
    assert [at.recall.random for at in report.at_k] == pytest.approx([0.4, 0.2, 0.6, 1.0])
    assert [at.precision.perfect for at in report.at_k] == pytest.approx([1, 1, 2 / 3, 2 / 5])
    assert [at.recall.perfect for at in report.at_k] == pytest.approx([1, 0.5, 1, 1])
    assert report.f1_at_noise_rate.value == pytest.approx(1 / 2)
    assert report.f1_at_noise_rate.random == pytest.approx(0.4)
    # Recall 0, 1/2, 1/2, 1, 1, 1 at 0, 1, …, 5 inspected, by the trapezoid rule.
    assert report.area_under_recall.value == pytest.approx((0.25 + 0.5 + 0.75 + 1 + 1) / 5)


def test_ties_count_as_the_mean_over_their_orders():
    values = np.array([0.0, 1.0, 1.0, 1.0, 2.0])
    is_noisy = np.array([True, True, False, False, False])
    found = np.mean(
        [np.cumsum(is_noisy[[0, *order, 4]]) for order in permutations([1, 2, 3])],
        axis=0,
    )
    report = noise_detection(values, is_noisy, k=[1, 2, 3, 4, 5], n_bootstrap=0)
    by_k = {at.k: at for at in report.at_k}
    assert [by_k[k].recall.value * 2 for k in range(1, 6)] == pytest.approx(list(found))
    assert [by_k[k].precision.value * k for k in range(1, 6)] == pytest.approx(list(found))
    assert report.f1_at_noise_rate.value == pytest.approx(found[1] / 2)


def test_all_values_equal_score_as_a_random_order():
    report = noise_detection(np.full(10, 0.3), np.arange(10) < 3, k=5, n_bootstrap=20)
    assert report.auroc.value == pytest.approx(0.5)
    assert report.average_precision.value == pytest.approx(0.3)
    assert report.f1_at_noise_rate.value == pytest.approx(0.3)
    assert report.at_k[1].recall.value == pytest.approx(0.5)
    assert report.area_under_recall.value == pytest.approx(0.5)
    assert report.recall == pytest.approx(report.share_inspected)
    # One value makes one cluster: nothing is called noisy.
    assert report.f1_two_means.value == report.f1_two_means.perfect == 0.0


def test_one_noisy_sample():
    values, is_noisy = [3.0, 1.0, 0.0, 2.0], [False, True, False, False]
    report = noise_detection(values, is_noisy, n_bootstrap=500, confidence=0.99)
    assert report.auroc.value == pytest.approx(2 / 3)
    assert report.average_precision.value == pytest.approx(1 / 2)
    assert report.at_k[0].k == 1
    assert report.f1_at_noise_rate.value == 0.0
    assert report.f1_two_means.value == pytest.approx(2 / 3)  # {0, 1} are called noisy
    # All three clean samples drawn are below it in 1 of 27 resamples, and above it in 8.
    assert report.auroc.low == pytest.approx(0.0)
    assert report.auroc.high == pytest.approx(1.0)


def test_low_values_are_noisy_and_not_high_ones():
    is_noisy = np.arange(100) < 20
    good = noise_detection(np.arange(100.0), is_noisy, n_bootstrap=0)
    bad = noise_detection(-np.arange(100.0), is_noisy, n_bootstrap=0)
    assert good.auroc.value == good.average_precision.value == good.f1_at_noise_rate.value == 1.0
    assert bad.auroc.value == bad.f1_at_noise_rate.value == 0.0
    assert good.area_under_recall.value == pytest.approx(0.9)
    assert good.area_under_recall.perfect == pytest.approx(0.9)
    # Evenly spaced values are cut in half, so even a perfect order scores 2 · 20 / (50 + 20).
    assert good.f1_two_means.value == good.f1_two_means.perfect == pytest.approx(4 / 7)
    assert bad.f1_two_means.perfect == pytest.approx(4 / 7)
    assert bad.f1_two_means.value == 0.0


def test_random_column_is_the_mean_over_all_orders():
    values = np.array([0.0, 1.0, 2.5, 7.0, 7.5, 9.0])
    masks = {tuple(order) for order in permutations([1, 1, 0, 0, 0, 0])}
    reports = [noise_detection(values, mask, k=3, n_bootstrap=0) for mask in masks]
    assert len(reports) == 15

    def metrics(report):
        at = report.at_k[1]
        return [
            report.auroc,
            report.average_precision,
            report.f1_at_noise_rate,
            report.f1_two_means,
            report.area_under_recall,
            at.precision,
            at.recall,
        ]

    means = np.mean([[m.value for m in metrics(report)] for report in reports], axis=0)
    bests = np.max([[m.value for m in metrics(report)] for report in reports], axis=0)
    for report in reports:
        assert [m.random for m in metrics(report)] == pytest.approx(list(means), rel=1e-12)
        assert [m.perfect for m in metrics(report)] == pytest.approx(list(bests), rel=1e-12)


def test_curve_of_the_report_and_of_detection_curve_agree():
    values, is_noisy = draw(100, 3)
    report = noise_detection(values, is_noisy, n_bootstrap=0)
    share, recall = detection_curve(values, is_noisy)
    assert report.share_inspected == pytest.approx(share, abs=1e-15)
    assert report.recall == pytest.approx(recall, abs=1e-12)
    expected = [0, *np.cumsum(is_noisy[np.argsort(values)]) / is_noisy.sum()]
    assert report.recall == pytest.approx(expected, abs=1e-12)
    assert report.area_under_recall.value == pytest.approx(np.trapezoid(recall, share), rel=1e-12)


def test_bootstrap_interval_has_the_spread_of_fresh_samples():
    # Standard error of AUROC over fresh draws against the width of the interval of one draw.
    def sample(seed):
        rng = np.random.default_rng(seed)
        is_noisy = np.arange(300) < 60
        return rng.normal(size=300) - is_noisy, is_noisy

    aurocs = [noise_detection(*sample(s), n_bootstrap=0).auroc.value for s in range(300)]
    report = noise_detection(*sample(1000), n_bootstrap=500, confidence=0.9)
    width = report.auroc.high - report.auroc.low
    assert width == pytest.approx(2 * 1.645 * np.std(aurocs), rel=0.25)
    assert report.auroc.low < report.auroc.value < report.auroc.high
    assert all(
        low <= value <= high
        for low, value, high in zip(report.recall_low, report.recall, report.recall_high, strict=True)
    )


def test_higher_confidence_gives_wider_intervals():
    values, is_noisy = draw(200, 0)
    narrow = noise_detection(values, is_noisy, n_bootstrap=200, confidence=0.5).auroc
    wide = noise_detection(values, is_noisy, n_bootstrap=200, confidence=0.99).auroc
    assert wide.low < narrow.low < narrow.high < wide.high


def test_seed_decides_the_intervals():
    values, is_noisy = draw(100, 0)
    first, again, other = (noise_detection(values, is_noisy, n_bootstrap=50, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.auroc.low != other.auroc.low
    assert first.auroc.value == other.auroc.value


def test_many_samples_stay_quick():
    # Smoke test of the size: about 4 ms a resample.
    values, is_noisy = draw(50_000, 0)
    report = noise_detection(values, is_noisy, n_bootstrap=5)
    assert report.auroc.value == pytest.approx(roc_auc_score(is_noisy, -values), **TIGHT)


def test_json_round_trip():
    values, is_noisy = draw(60, 0)
    for n_bootstrap in (0, 10):
        report = noise_detection(values, is_noisy, k=[5], n_bootstrap=n_bootstrap)
        assert NoiseDetectionReport.model_validate_json(report.model_dump_json()) == report


def test_report_is_frozen():
    report = noise_detection([0.0, 1.0], [True, False], n_bootstrap=0)
    with pytest.raises(ValidationError, match="frozen"):
        report.n_noisy = 3


def test_table_shows_value_interval_random_and_perfect():
    values, is_noisy = draw(200, 0)
    report = noise_detection(values, is_noisy, k=7, n_bootstrap=50, confidence=0.9)
    lines = str(report).splitlines()
    assert f"{is_noisy.sum()} of 200 samples" in lines[0]
    assert "90 % interval" in lines[2]
    (row,) = (line for line in lines if line.startswith("average precision"))
    metric = report.average_precision
    numbers = (metric.value, metric.low, metric.high, metric.random, metric.perfect)
    assert [word for word in row.split() if word[0].isdigit()] == [f"{x:.3f}" for x in numbers]
    assert any(line.startswith("precision at 7 ") for line in lines)
    assert len({len(line) for line in lines[2:]}) == 1


def test_table_without_bootstrap():
    assert " none " in str(noise_detection([0.0, 1.0], [True, False], n_bootstrap=0))


def test_input_is_left_alone_and_any_number_type_will_do():
    values, mask = np.array([3, 1, 2], dtype=np.int32), np.array([0, 1, 0])
    report = noise_detection(values, mask, k=np.array([2]), n_bootstrap=5)
    assert report.auroc.value == 1.0
    assert values.tolist() == [3, 1, 2]
    assert mask.tolist() == [0, 1, 0]
    assert all(type(each) is float for each in (report.auroc.value, report.auroc.low))


@pytest.mark.parametrize(
    ("values", "is_noisy", "message"),
    [
        ([0.0, np.nan, np.nan], [True, False, True], "2 entries that are NaN.*index 1"),
        ([0.0, np.inf], [True, False], "infinite"),
        ([0.0, 1.0], [True, True], "marks 2 of 2"),
        ([0.0, 1.0], [False, False], "marks 0 of 2"),
        ([0.0, 1.0, 2.0], [True, False], "3 entries and is_noisy has 2"),
        ([[0.0, 1.0]], [True, False], r"matrix.mean\(axis=0\)"),
        ([0.0, 1.0], [[True, False]], "is_noisy must have shape"),
        ([], [], "empty"),
        ([0.0, 1.0, 2.0], [0, 2, 1], "from indices"),
        ([0.0, 1.0], [0.0, 1.0], "mask of True and False"),
        (["a", "b"], [True, False], "real numbers"),
    ],
)
def test_bad_input_is_refused(values, is_noisy, message):
    with pytest.raises(ValueError, match=message):
        noise_detection(values, is_noisy)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "between 1 and 3"),
        ({"k": [1, 4]}, "got 4"),
        ({"k": 1.5}, "whole numbers"),
        ({"k": True}, "whole numbers"),
        ({"n_bootstrap": -1}, "n_bootstrap"),
        ({"confidence": 1.0}, "confidence"),
        ({"confidence": 0.0}, "confidence"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        noise_detection([0.0, 1.0, 2.0], [True, False, False], **options)
