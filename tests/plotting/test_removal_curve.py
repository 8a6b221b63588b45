"""The removal curve: what is drawn, with bands, and what can't be drawn together."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

from dataval.evaluation import RemovalCurve  # noqa: E402
from dataval.plotting import RemovalCurveDisplay  # noqa: E402


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def make_curve(n_seeds=3, **changes):
    rng = np.random.default_rng(0)
    fields = {
        "kind": "removal",
        "order": "lowest",
        "utility": "accuracy",
        "greater_is_better": True,
        "confidence": 0.95,
        "shares": (0.0, 0.1, 0.3),
        "seeds": tuple(range(n_seeds)),
        "by_value": tuple(map(tuple, rng.random((n_seeds, 3)))),
        "at_random": tuple(map(tuple, rng.random((n_seeds, 3)))),
    }
    return RemovalCurve(**fields | changes)


def test_means_and_bands():
    curve = make_curve()
    display = RemovalCurveDisplay.from_curves(curve)
    for name, means in (("by value", curve.mean), ("random order", curve.random_mean)):
        expected = np.column_stack([curve.shares, [each.mean for each in means]])
        np.testing.assert_allclose(display.lines_[name].get_xydata(), expected)
    bands = display.ax_.collections
    assert len(bands) == 2
    drawn = bands[0].get_paths()[0].vertices
    for low_or_high in [end for each in curve.mean for end in (each.low, each.high)]:
        assert np.isclose(drawn[:, 1], low_or_high).any()


def test_one_seed_has_no_band():
    display = RemovalCurveDisplay.from_curves({"a": make_curve(1)})
    assert not display.ax_.collections


def test_several_methods_differ_in_colour_dash_and_marker():
    curves = {f"method {i}": make_curve() for i in range(6)}
    display = RemovalCurveDisplay.from_curves(curves)
    styles = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in display.lines_.values()}
    assert len(styles) == 7
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == [*curves, "random order"]


def test_labels_say_what_was_done():
    ax = RemovalCurveDisplay.from_curves(make_curve()).ax_
    assert ax.get_xlabel() == "share of samples removed, lowest values first"
    assert ax.get_ylabel() == "validation accuracy"
    ax = RemovalCurveDisplay.from_curves(make_curve(kind="addition", order="highest", utility="loss")).ax_
    assert ax.get_xlabel() == "share of samples trained on, highest values first"
    assert ax.get_ylabel() == "validation loss"


def test_axes_and_line_options_are_taken():
    _, (left, right) = plt.subplots(1, 2)
    display = RemovalCurveDisplay.from_curves(make_curve(), ax=right, linewidth=3.0)
    assert display.ax_ is right
    assert display.lines_["by value"].get_linewidth() == 3.0
    assert display.plot(ax=left).ax_ is left


def test_a_columns_width_holds_everything():
    display = RemovalCurveDisplay.from_curves({"a": make_curve(), "b": make_curve()})
    display.figure_.canvas.draw()
    assert display.figure_.get_figwidth() == pytest.approx(3.3)
    box = display.figure_.get_tightbbox()
    assert box.x0 >= 0
    assert box.x1 <= 3.3


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        RemovalCurveDisplay.from_curves({})
    with pytest.raises(ValueError, match="one kind, order and utility"):
        RemovalCurveDisplay.from_curves({"a": make_curve(), "b": make_curve(utility="loss")})
    assert not plt.get_fignums()
