"""Comparing methods: what is trained, shared, judged, reported, and kept when something fails."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.errors import ComparisonInterrupted, InvalidDataError
from dataval.evaluation import (
    Comparison,
    fidelity_across_seeds,
    leave_one_out_agreement,
    linear_datamodeling_score,
    noise_detection,
    rank_stability,
    retrain_subsets,
    value_distribution,
)
from tests.runs import N, make_learner, make_samples

IS_NOISY = np.arange(N) % 4 == 0


@pytest.fixture
def samples():
    return (*make_samples(), *make_samples("mlp", 8, seed=2))


@pytest.fixture
def trainings(monkeypatch):
    """The seed of every training."""
    seeds, train = [], dv.Learner.train

    def counted(self, *arguments, **options):
        seeds.append(self.training.seed)
        return train(self, *arguments, **options)

    monkeypatch.setattr(dv.Learner, "train", counted)
    return seeds


class Failing(dv.MeanLoss):
    """Fails while it values."""

    def _score(self, replay, validation):
        raise ZeroDivisionError("on\npurpose")


class Interrupted(dv.MeanLoss):
    """Is interrupted while it values seed 1."""

    def _score(self, replay, validation):
        if replay.run.training.seed == 1:
            raise KeyboardInterrupt
        return super()._score(replay, validation)


def methods_of(learner):
    return {"HyDRA": dv.HyDRA(learner), "mean loss": dv.MeanLoss(learner), "random": dv.RandomValues(learner)}


def test_values_are_those_of_the_methods_and_the_run_is_shared(zoo, samples, trainings):
    learner = make_learner(zoo)
    result = dv.compare(methods_of(learner), *samples)
    assert trainings == [1]
    assert result.seeds == (1,)
    X, y, X_val, y_val = samples
    for name, method in methods_of(learner).items():
        if name != "random":
            np.testing.assert_array_equal(result.values[name][0], method.fit(X, y).score(X_val, y_val))
    outcome = result["HyDRA"].outcomes[0]
    assert outcome.seconds > 0
    assert outcome.training_seconds > 0
    assert outcome.noise is outcome.fidelity is outcome.agreement is None
    assert result["HyDRA"].stability is None


def test_every_learner_is_trained_once_a_seed(zoo, samples, trainings):
    one, other = make_learner(zoo), make_learner(zoo, epochs=1)
    methods = methods_of(one) | {"other": dv.MeanLoss(other)}
    result = dv.compare(methods, *samples, seeds=[4, 7])
    assert sorted(trainings) == [4, 4, 7, 7]
    assert result.values["HyDRA"].shape == (2, N)
    assert result["HyDRA"].stability == rank_stability(result.values["HyDRA"])
    seeded = make_learner(zoo, seed=7)
    expected = dv.HyDRA(seeded).fit(*samples[:2]).score(*samples[2:])
    np.testing.assert_array_equal(result.values["HyDRA"][1], expected)
    assert (result.values["random"][0] != result.values["random"][1]).any()


def test_a_run_that_is_there_is_used(zoo, samples, trainings):
    learner = make_learner(zoo)
    hydra = dv.HyDRA(learner).fit(*samples[:2])
    dv.compare({"HyDRA": hydra, "mean loss": dv.MeanLoss(learner)}, *samples)
    assert trainings == []
    dv.compare({"HyDRA": hydra}, samples[0] + 1, *samples[1:])
    assert trainings == [1]
    dv.compare({"HyDRA": hydra}, *samples, seeds=[2])
    assert trainings == [1, 2]
    weighted = dv.HyDRA(learner).fit(*samples[:2], run=learner.train(*samples[:2], np.full(N, 0.5)))
    trainings.clear()
    dv.compare({"HyDRA": weighted}, *samples)
    assert trainings == [1]


def test_metrics_are_those_of_the_functions(zoo, samples, tmp_path):
    learner = make_learner(zoo)
    options = {"fraction": 0.1, "folder": tmp_path}
    result = dv.compare(methods_of(learner), *samples, is_noisy=IS_NOISY, ground_truth=4, **options)
    run = learner.train(*samples[:2])
    truth = retrain_subsets(learner, *samples, run=run, n_subsets=4, seed=1, **options)
    for name, values in result.values.items():
        outcome = result[name].outcomes[0]
        assert outcome.noise == noise_detection(values[0], IS_NOISY)
        assert outcome.fidelity == linear_datamodeling_score(values[0], truth)
    again = dv.compare(methods_of(learner), *samples, ground_truth=truth)
    assert again["HyDRA"].outcomes[0].fidelity == result["HyDRA"].outcomes[0].fidelity


@pytest.mark.slow_on_tensorflow  # which compiles for each of the seeds
def test_values_of_a_seed_are_judged_by_other_seeds(zoo, samples, tmp_path):
    learner, seeds = make_learner(zoo, epochs=1), (4, 7, 8)
    options = {"fraction": 0.1, "folder": tmp_path}
    methods = {"HyDRA": dv.HyDRA(learner), "one for all": np.arange(N) + 0.0}
    result = dv.compare(methods, *samples, ground_truth=4, seeds=seeds, across_seeds=True, **options)
    learners = [make_learner(zoo, epochs=1, seed=seed) for seed in seeds]
    truths = [retrain_subsets(each, *samples, n_subsets=4, seed=seeds[0], **options) for each in learners]
    for name, values in result.values.items():
        expected = fidelity_across_seeds(values, truths)
        for i, outcome in enumerate(result[name].outcomes):
            assert outcome.fidelity.score == pytest.approx(expected.same[i], abs=1e-12)
            assert outcome.fidelity_other_seeds == pytest.approx(expected.other[i], abs=1e-12)
            assert outcome.fidelity_averaged == pytest.approx(expected.averaged[i], abs=1e-12)
    rows = {row["method"]: row for row in result.rows()}
    assert rows["outcomes of other seeds"]["LDS other seed"] == pytest.approx(expected.outcome_correlation)
    assert rows["outcomes of other seeds"]["LDS averaged"] == pytest.approx(expected.attainable)
    assert rows["HyDRA"]["LDS other seed"] == pytest.approx(
        np.mean(result.numbers("HyDRA", "LDS other seed")), abs=1e-12
    )
    assert rows["random order"]["LDS averaged"] == 0
    assert "LDS averaged" in str(result)
    spread = result.distribution("HyDRA", quantiles=[0.5])
    np.testing.assert_array_equal(
        spread.quantiles, value_distribution(result.values["HyDRA"], quantiles=[0.5]).quantiles
    )
    loaded = Comparison.load(result.save(tmp_path / "saved"))
    assert loaded.methods == result.methods


def test_other_seeds_need_seeds_and_subsets(samples):
    methods, effect = {"a": np.arange(N) + 0.0}, np.ones((2, N))
    with pytest.raises(ValueError, match="give at least two, seeds="):
        dv.compare(methods, *samples, ground_truth=None, across_seeds=True)
    for truth in (None, effect, "a"):
        with pytest.raises(ValueError, match="needs subsets as the truth"):
            dv.compare(methods, *samples, ground_truth=truth, seeds=[0, 1], across_seeds=True)


def test_leave_one_out_as_truth(zoo, samples):
    effect = np.random.default_rng(0).normal(size=N)
    methods = {"HyDRA": dv.HyDRA(make_learner(zoo)), "loo": effect}
    by_array = dv.compare(methods, *samples, ground_truth=effect)
    by_name = dv.compare(methods, *samples, ground_truth="loo")
    expected = leave_one_out_agreement(by_array.values["HyDRA"][0], effect)
    assert by_array["HyDRA"].outcomes[0].agreement == expected
    assert by_name["HyDRA"].outcomes[0].agreement == expected
    assert by_name["loo"].outcomes[0].agreement is None  # nothing agrees with itself


def test_values_of_other_libraries_need_no_learner(samples):
    values = np.random.default_rng(0).normal(size=(2, N))
    result = dv.compare({"a": values, "b": values[0]}, *samples, is_noisy=IS_NOISY, seeds=[0, 1])
    np.testing.assert_array_equal(result.values["a"], values)
    np.testing.assert_array_equal(result.values["b"], [values[0], values[0]])
    assert result["a"].outcomes[1].noise == noise_detection(values[1], IS_NOISY)
    assert result["a"].outcomes[0].seconds is None
    assert result["b"].stability.spearman == pytest.approx(1)


def test_a_failure_is_reported_in_its_row(zoo, samples):
    learner = make_learner(zoo)
    methods = {"broken": Failing(learner)} | methods_of(learner)
    result = dv.compare(methods, *samples, is_noisy=IS_NOISY, seeds=[0, 1])
    assert result["broken"].errors == ("ZeroDivisionError: on purpose",)
    assert np.isnan(result.values["broken"]).all()
    assert result["HyDRA"].errors == ()
    assert result["HyDRA"].outcomes[1].noise is not None
    assert "broken failed: ZeroDivisionError: on purpose" in str(result)


def test_a_training_that_fails_is_reported_for_its_learner_alone(zoo, samples):
    diverging = make_learner(zoo, optimizer=dv.SGD(learning_rate=1e300, weight_decay=1e9))
    methods = {"bad": dv.MeanLoss(diverging), "good": dv.MeanLoss(make_learner(zoo))}
    result = dv.compare(methods, *samples)
    assert result["bad"].errors[0].startswith("training failed: TrainingDivergedError")
    assert result["good"].errors == ()
    assert dv.compare({"bad": methods["bad"]}, *samples, ground_truth=3, fraction=0.1).problems == ()


def test_a_truth_that_fails_loses_no_values(zoo, samples):
    methods = methods_of(make_learner(zoo))
    result = dv.compare(methods, *samples, ground_truth=3, fraction=0.001)
    assert "no ground truth for seed 1: ValueError: fraction=0.001" in result.problems[0]
    assert result.problems[0] in str(result)
    assert np.isfinite(result.values["HyDRA"]).all()


def test_an_interruption_keeps_what_is_done(zoo, samples):
    learner = make_learner(zoo)
    methods = {"first": dv.MeanLoss(learner), "second": Interrupted(learner), "third": dv.MeanLoss(learner)}
    with pytest.raises(ComparisonInterrupted) as caught:
        dv.compare(methods, *samples, is_noisy=IS_NOISY, seeds=[0, 1, 2])
    result = caught.value.comparison
    done = {name: [o.error is None for o in result[name].outcomes] for name in methods}
    assert done == {"first": [True, True, False], "second": [True, False, False], "third": [True, False, False]}
    assert result["first"].outcomes[1].noise is not None
    assert result["first"].stability.n_runs == 2
    assert "third failed: not done: interrupted" in str(result)


def test_nothing_of_the_callers_is_changed(zoo, samples):
    learner = make_learner(zoo)
    hydra = dv.HyDRA(learner)
    copies = [array.copy() for array in samples]
    dv.compare({"HyDRA": hydra, "random": dv.RandomValues(learner, seed=5)}, *samples, seeds=[3])
    assert learner.training.seed == 1
    assert hydra.learner is learner
    assert not hasattr(hydra, "run_")
    for array, before in zip(samples, copies, strict=True):
        np.testing.assert_array_equal(array, before)


# ---- the table and the folder --------------------------------------------------------------------


def test_table(zoo, samples):
    pd = pytest.importorskip("pandas")
    result = dv.compare(
        methods_of(make_learner(zoo)), *samples, is_noisy=IS_NOISY, seeds=[0, 1], ground_truth=3, fraction=0.1
    )
    table = result.table()
    assert isinstance(table, pd.DataFrame)
    assert list(table.index) == ["HyDRA", "mean loss", "random", "random order"]
    aurocs = [outcome.noise.auroc.value for outcome in result["HyDRA"].outcomes]
    assert table.loc["HyDRA", "AUROC"] == pytest.approx(np.mean(aurocs))
    assert table.loc["HyDRA", "AUROC sd"] == pytest.approx(np.std(aurocs, ddof=1))
    assert table.loc["random order", "AUROC"] == 0.5
    assert table.loc["random order", "F1 at noise rate"] == pytest.approx(0.25)
    assert table.loc["HyDRA", "seeds Spearman"] == result["HyDRA"].stability.spearman


def test_text_is_aligned_and_what_pandas_is_replaced_by(zoo, samples, monkeypatch):
    result = dv.compare(methods_of(make_learner(zoo)), *samples, is_noisy=IS_NOISY, seeds=[0, 1])
    lines = str(result).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[0].split()[:1] == ["AUROC"]
    assert "±" in lines[1]
    assert "LDS" not in lines[0]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert result.table() == str(result)


def test_forms_for_papers_and_pages(zoo, samples):
    result = dv.compare(
        {"a_b & <c>|": dv.MeanLoss(make_learner(zoo))}, *samples, is_noisy=IS_NOISY, seeds=[0, 1]
    )
    assert repr(result) == "Comparison(methods=['a_b & <c>|'], seeds=[0, 1])"
    n_columns = len(result.metrics()) + 1
    markdown = result.to_markdown().splitlines()
    assert markdown[2].startswith(r"| a_b & <c>\| |")
    assert markdown[1].count("---") == n_columns
    latex = result.to_latex().splitlines()
    assert latex[0] == r"\begin{tabular}{l" + "r" * (n_columns - 1) + "}"
    assert latex[4].startswith(r"a\_b \& <c>| & ")
    assert latex[4].count(r"$\pm$") == str(result).splitlines()[1].count("±")
    assert "<th>a_b &amp; &lt;c&gt;|</th>" in result._repr_html_()
    names, cells = (line.split(",") for line in result.to_csv().splitlines()[:2])
    assert float(cells[names.index("AUROC")]) == result.rows()[0]["AUROC"]
    assert "error" not in names
    assert "error" not in result.table().columns


def test_saved_and_loaded(zoo, samples, tmp_path):
    learner = make_learner(zoo)
    methods = {"broken / ü": Failing(learner)} | methods_of(learner)
    result = dv.compare(methods, *samples, is_noisy=IS_NOISY, ground_truth=3, fraction=0.1, n_bootstrap=10)
    loaded = Comparison.load(result.save(tmp_path / "deep" / "folder"))
    assert loaded.seeds == result.seeds
    assert loaded.methods == result.methods
    assert loaded.problems == result.problems
    assert str(loaded) == str(result)
    for name, values in result.values.items():
        np.testing.assert_array_equal(loaded.values[name], values)


def test_damage_is_named(tmp_path, samples):
    with pytest.raises(FileNotFoundError):
        Comparison.load(tmp_path)
    folder = dv.compare({"a": np.arange(float(N))}, *samples).save(tmp_path)
    (folder / "comparison.json").write_text("{}")
    with pytest.raises(ValueError, match="damaged"):
        Comparison.load(folder)


# ---- bad input -----------------------------------------------------------------------------------


def test_bad_input_is_refused_before_training(zoo, samples, trainings):
    learner = make_learner(zoo)
    methods = methods_of(learner)
    values = np.arange(float(N))
    truth = retrain_subsets(learner, *samples, n_subsets=3, fraction=0.1)
    trainings.clear()
    cases = [
        (ValueError, "is_noisy has 3", {"is_noisy": [True, False, True]}),
        (ValueError, "not one of the methods", {"ground_truth": "loo"}),
        (ValueError, r"shape \(20,\)", {"ground_truth": values[:5]}),
        (ValueError, "one row a seed", {"ground_truth": values, "seeds": [0, 1]}),
        (ValueError, "one SubsetTruth", {"ground_truth": truth, "seeds": [0, 1]}),
        (ValueError, "NaN", {"ground_truth": values * np.nan}),
        (ValueError, "seeds", {"seeds": [0, 0]}),
        (ValueError, "seeds", {"seeds": []}),
        (ValueError, "seeds", {"seeds": [-1]}),
        (TypeError, "seeds", {"seeds": [0.5]}),
    ]
    for kind, message, options in cases:
        with pytest.raises(kind, match=message):
            dv.compare(methods, *samples, **options)
    for kind, message, chosen in [
        (TypeError, "map names", {}),
        (TypeError, "map names", [dv.MeanLoss(learner)]),
        (TypeError, "must be a string", {1: dv.MeanLoss(learner)}),
        (TypeError, "dataval.Learner", {"a": dv.MeanLoss("model")}),
        (ValueError, "the values of a", {"a": values[:-1]}),
        (ValueError, "NaN", {"a": values * np.nan}),
        (TypeError, "real numbers", {"a": ["x"] * N}),
    ]:
        with pytest.raises(kind, match=message):
            dv.compare(chosen, *samples)
    with pytest.raises(ValueError, match="methods of one learner"):
        dv.compare({"a": values}, *samples, ground_truth=3)
    with pytest.raises(InvalidDataError, match="NaN"):
        dv.compare(methods, samples[0] * np.nan, *samples[1:])
    assert trainings == []
