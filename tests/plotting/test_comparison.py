"""The comparison: a row a method, a panel a metric, and what failed."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

from dataval.evaluation import (  # noqa: E402
    Comparison,
    MethodResult,
    Outcome,
    SubsetTruth,
    linear_datamodeling_score,
    noise_detection,
)
from dataval.plotting import ComparisonDisplay  # noqa: E402

N = 30
IS_NOISY = np.arange(N) % 3 == 0


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def outcome(seed, noise=True):
    values = np.random.default_rng(seed).normal(size=N)
    truth = SubsetTruth(np.random.default_rng(0).random((5, N)) < 0.3, np.arange(5.0))
    return Outcome(
        seed=seed,
        seconds=0.5 + seed,
        noise=noise_detection(values, IS_NOISY, n_bootstrap=0) if noise else None,
        fidelity=linear_datamodeling_score(values, truth),
    )


def make_comparison(n_seeds=2, noise=True):
    failed = tuple(Outcome(seed=seed, error="ValueError: no") for seed in range(n_seeds))
    methods = (
        MethodResult(name="good", outcomes=tuple(outcome(seed, noise) for seed in range(n_seeds))),
        MethodResult(name="bad", outcomes=failed),
    )
    values = {name: np.zeros((n_seeds, N)) for name in ("good", "bad")}
    return Comparison(tuple(range(n_seeds)), methods, values)


def test_mean_seeds_and_chance():
    comparison = make_comparison()
    display = ComparisonDisplay.from_comparison(comparison)
    assert [ax.get_title() for ax in display.axes_] == ["AUROC", "LDS", "average\nprecision"]
    aurocs = [each.noise.auroc.value for each in comparison["good"].outcomes]
    seeds, mean = display.axes_[0].collections[1:]
    np.testing.assert_allclose(seeds.get_offsets(), np.column_stack([aurocs, [0, 0]]))
    np.testing.assert_allclose(mean.get_offsets(), [[np.mean(aurocs), 0]])
    chance = [line.get_xdata()[0] for ax in display.axes_ for line in ax.lines]
    precision = comparison["good"].outcomes[0].noise.average_precision.random
    assert chance == pytest.approx([0.5, 0, precision])
    assert display.ax_.get_xlabel() == "dotted: random order"


def test_a_failed_method_keeps_its_row():
    display = ComparisonDisplay.from_comparison(make_comparison())
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["good", "bad"]
    for ax in display.axes_:
        (text,) = ax.texts
        assert text.get_text() == "failed"
        assert text.get_position()[1] == 1


def test_metrics_can_be_chosen():
    comparison = make_comparison(noise=False)
    assert [ax.get_title() for ax in ComparisonDisplay.from_comparison(comparison).axes_] == ["LDS", "seconds"]
    display = ComparisonDisplay.from_comparison(comparison, metrics=["seconds"])
    assert display.axes_[0].get_xscale() == "log"
    assert display.ax_.get_xlabel() == ""


def test_axes_are_taken_and_a_columns_width_holds_everything():
    _, (left, right) = plt.subplots(1, 2)
    display = ComparisonDisplay.from_comparison(make_comparison(1), ax=right)
    assert display.ax_ is right
    assert display.plot(ax=left).ax_ is left
    own = ComparisonDisplay.from_comparison(make_comparison())
    own.figure_.canvas.draw()
    assert own.figure_.get_figwidth() == pytest.approx(3.3)
    box = own.figure_.get_tightbbox()
    assert box.x0 >= 0
    assert box.x1 <= 3.3 + 0.05  # the last title may lean out of its panel, not out of the figure's margin


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="has no"):
        ComparisonDisplay.from_comparison(make_comparison(), metrics=["LOO Pearson"])
    empty = Comparison((0,), (MethodResult(name="a", outcomes=(Outcome(seed=0),)),), {"a": np.zeros((1, N))})
    with pytest.raises(ValueError, match="no metric"):
        ComparisonDisplay.from_comparison(empty)
    assert not plt.get_fignums()
