"""The learning curve: what is drawn, with bands, and what can't be drawn together."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

from dataval.evaluation import LearningCurve  # noqa: E402
from dataval.plotting import LearningCurveDisplay  # noqa: E402


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def make_curve(n=3, utility="accuracy"):
    return LearningCurve(
        utility=utility,
        greater_is_better=True,
        confidence=0.95,
        sizes=(10, 20, 40),
        seed=0,
        found=tuple(map(tuple, np.random.default_rng(0).random((n, 3)))),
    )


def test_means_and_bands():
    curve = make_curve()
    display = LearningCurveDisplay.from_curves(curve, linewidth=3)
    expected = np.column_stack([curve.sizes, [each.mean for each in curve.mean]])
    np.testing.assert_allclose(display.lines_["mean"].get_xydata(), expected)
    assert display.lines_["mean"].get_linewidth() == 3
    (band,) = display.ax_.collections
    drawn = band.get_paths()[0].vertices
    for end in [end for each in curve.mean for end in (each.low, each.high)]:
        assert np.isclose(drawn[:, 1], end).any()
    assert not LearningCurveDisplay.from_curves(make_curve(1)).ax_.collections


def test_several_curves_have_a_legend():
    display = LearningCurveDisplay.from_curves({"a": make_curve(), "b": make_curve()})
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["a", "b"]
    with pytest.raises(ValueError, match="one utility"):
        LearningCurveDisplay.from_curves({"a": make_curve(), "b": make_curve(utility="loss")})
    with pytest.raises(ValueError, match="empty"):
        LearningCurveDisplay.from_curves({})
