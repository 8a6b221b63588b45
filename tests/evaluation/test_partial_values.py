"""What one part yields the next takes: values of some samples, labels of pandas, seeds."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import dataval as dv
from dataval.evaluation import leave_one_out_agreement
from tests.runs import N, make_learner, make_samples

VALUES = np.random.default_rng(0).normal(size=N)
CHOSEN = [0, 3, 4, 8, 11, 15]
PARTIAL = np.where(np.isin(np.arange(N), CHOSEN), VALUES, np.nan)
IS_NOISY = np.arange(N) % 4 == 0


def test_agreement_is_judged_on_the_samples_that_are_there():
    values = VALUES + 0.3 * np.cos(np.arange(N))
    expected = leave_one_out_agreement(values[CHOSEN], VALUES[CHOSEN])
    for found in (leave_one_out_agreement(values, PARTIAL), leave_one_out_agreement(PARTIAL, values)):
        assert (found.n_samples, found.n_without) == (6, N - 6)
        assert found.spearman == expected.spearman
        assert "over 6 of 20 samples" in str(found)
    assert "over 6 samples" in str(expected)
    with pytest.raises(ValueError, match="no sample has both"):
        leave_one_out_agreement(PARTIAL, np.where(np.isnan(PARTIAL), 1.0, np.nan))
    with pytest.raises(ValueError, match="truth is NaN for all 20 samples"):
        leave_one_out_agreement(VALUES, np.full(N, np.nan))


def test_a_partial_leave_one_out_of_an_estimator_is_a_truth():
    X, y = make_samples()
    truth = dv.LeaveOneOut(LogisticRegression(), indices=CHOSEN).fit(X, y).score(X, y)
    assert leave_one_out_agreement(VALUES, truth).n_samples == len(CHOSEN)


def test_partial_values_in_a_comparison(zoo, tmp_path):
    samples = (*make_samples(), *make_samples(n=8, seed=2))
    learner = make_learner(zoo, epochs=1)
    methods = {"truth": dv.LeaveOneOut(learner, indices=CHOSEN), "mean": dv.MeanLoss(learner), "given": PARTIAL}
    methods["random"] = dv.RandomValues()
    result = dv.compare(methods, *samples, is_noisy=IS_NOISY, ground_truth="truth", seeds=[1, 2])
    assert [result[name].errors for name in methods] == [()] * 4
    for outcome in result["mean"].outcomes:
        assert (outcome.agreement.n_samples, outcome.agreement.n_without) == (6, 14)
        assert outcome.noise.n_samples == N
    assert result["given"].outcomes[0].noise.n_samples == 6
    assert result["truth"].stability.n_runs == 2
    assert "truth values 6 of 20 samples, and is judged on those" in str(result)
    assert "mean values" not in str(result)
    loaded = dv.evaluation.Comparison.load(result.save(tmp_path))
    np.testing.assert_array_equal(loaded.values["given"], result.values["given"])


def test_partial_values_have_no_sums_over_subsets(zoo):
    samples = (*make_samples(), *make_samples(n=8, seed=2))
    removed = np.eye(N, dtype=bool)[:4]
    truth = dv.evaluation.SubsetTruth(removed, np.arange(4.0))
    result = dv.compare({"given": PARTIAL, "all": VALUES}, *samples, ground_truth=truth)
    assert result["given"].outcomes[0].fidelity is None
    assert result["all"].outcomes[0].fidelity is not None
    with pytest.raises(ValueError, match="NaN"):
        dv.evaluation.linear_datamodeling_score(PARTIAL, truth)


def test_displays_of_partial_values():
    pytest.importorskip("matplotlib").use("Agg")
    display = dv.plotting.AgreementDisplay.from_values(VALUES, PARTIAL)
    assert len(display.truth) == 6
    assert "6 of 20 samples" in display.ax_.get_title(loc="left")
    images = np.random.default_rng(0).random((N, 4, 4))
    gallery = dv.plotting.SampleGalleryDisplay.from_values(images, PARTIAL, np.zeros(N, dtype=int), n=10)
    assert sorted(gallery.indices_) == CHOSEN


def labels_of_pandas():
    pandas = pytest.importorskip("pandas")
    names = pandas.Series(["cat", "dog", "eel"] * 10, index=np.arange(30) + 7)
    return {
        "object": names.astype(object),
        "string": names.astype("string"),
        "category": names.astype("category"),
        "index": pandas.Index(names),
        "whole numbers": names.map({"cat": 0, "dog": 1, "eel": 2}),
        "nullable": names.map({"cat": 0, "dog": 1, "eel": 2}).astype("Int64"),
    }


@pytest.mark.parametrize("kind", ["object", "string", "category", "index", "whole numbers", "nullable"])
def test_labels_of_pandas_are_flipped(kind):
    labels = labels_of_pandas()[kind]
    before = np.asarray(labels)
    classes = sorted({*before.tolist()})
    for noisy in (
        dv.noise.flip_labels(labels, 0.2),
        dv.noise.pair_flips(labels, 0.2, classes=classes),
        dv.noise.class_dependent_flips(labels, np.eye(3)[[1, 2, 0]]),
        dv.noise.backdoor_patch(np.zeros((30, 4, 4)), labels, 0.2, classes[0], layout="NHW", size=1)[1:],
    ):
        flipped, is_noisy = noisy
        np.testing.assert_array_equal(flipped != before, is_noisy)
        assert is_noisy.any()


@pytest.mark.parametrize("odd", [None, np.nan, 3, ("a",)])
def test_labels_of_several_kinds(odd):
    labels = np.empty(3, dtype=object)
    labels[:] = ["cat", "dog", odd]
    with pytest.raises(ValueError, match="y must hold labels of one kind"):
        dv.noise.flip_labels(labels, 0.4)


def test_a_single_number_is_no_sequence_of_seeds(zoo):
    """One meaning everywhere: neither the seed 3 nor three seeds."""
    samples, learner = (*make_samples(), *make_samples(n=8, seed=2)), make_learner(zoo)
    for ask in (
        lambda: dv.compare({"mean": dv.MeanLoss(learner)}, *samples, seeds=3),
        lambda: dv.evaluation.removal_curve(VALUES, learner, *samples, seeds=3),
        lambda: dv.LeaveOneOut(learner, seeds=3).fit(*samples[:2]),
    ):
        with pytest.raises(TypeError, match=r"seeds .* got 3: pass \[3\] for this one seed, range\(3\)"):
            ask()


BAD_COMPARISONS = {
    "a list": ({"methods": ["HyDRA"]}, r"methods must map names to methods.*got \['HyDRA'\]"),
    "a class": (
        {"methods": {"random": dv.RandomValues}},
        r"pass a method, RandomValues\(learner\), not its class",
    ),
    "a word": (
        {"methods": {"random": "random"}},
        "random must be a method or an array of values, .*got 'random'",
    ),
    "a float of subsets": ({"ground_truth": 3.0}, "ground_truth must be a whole number, got 3.0"),
    "a bool of subsets": ({"ground_truth": True}, "ground_truth must be a whole number, got True"),
    "two subsets": ({"ground_truth": 2}, "at least 3 subsets"),
    "an object": ({"ground_truth": object()}, "ground_truth must be a number of subsets, a SubsetTruth"),
    "processes": ({"n_jobs": "2"}, "n_jobs must be a whole number"),
    "share": ({"fraction": np.nan}, "fraction must lie between 0 and 1"),
    "resamples": ({"n_bootstrap": 10.0}, "n_bootstrap must be a whole number"),
    "folder": ({"folder": 3}, "folder must be the path of a folder"),
    "seed": ({"seeds": [-1]}, r"seeds\[0\] must be at least 0"),
}


@pytest.mark.parametrize("case", BAD_COMPARISONS)
def test_bad_arguments_of_a_comparison(case, monkeypatch):
    options, match = BAD_COMPARISONS[case]
    monkeypatch.setattr(dv.Learner, "train", lambda *_, **__: pytest.fail("trained"))
    samples = (*make_samples(), *make_samples(n=8, seed=2))
    with pytest.raises((TypeError, ValueError), match=match):
        dv.compare(
            **({"methods": {"random": dv.RandomValues()}} | options),
            **dict(zip(("X", "y", "X_val", "y_val"), samples, strict=True)),
        )
