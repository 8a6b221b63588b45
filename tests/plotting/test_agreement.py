"""The scatter against the truth: points, references, scales and words."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

from dataval.evaluation import SubsetTruth, leave_one_out_agreement, linear_datamodeling_score  # noqa: E402
from dataval.plotting import AgreementDisplay  # noqa: E402

TRUTH = np.array([0.5, -1.0, 2.0, 0.25])
VALUES = np.array([0.4, -0.5, 1.0, -0.1])


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_points_and_the_line_of_equality():
    display = AgreementDisplay.from_values(VALUES, TRUTH)
    np.testing.assert_array_equal(display.points_.get_offsets(), np.column_stack([TRUTH, VALUES]))
    ax = display.ax_
    assert ax.get_xlim()[0] < -1 < 2 < ax.get_xlim()[1]
    assert ax.get_ylim()[0] < -0.5 < 1 < ax.get_ylim()[1]
    (equal,) = (line for line in ax.lines if line.get_label() == "equal")
    assert equal.get_slope() == 1
    assert equal.get_xy1() == (0, 0)


def test_the_title_holds_the_correlations():
    report = leave_one_out_agreement(-VALUES, TRUTH)
    title = AgreementDisplay.from_values(-VALUES, TRUTH).ax_.get_title(loc="left")
    expected = f"Pearson {report.pearson:.2f}, Spearman {report.spearman:.2f}"
    assert title == expected.replace("-", "\N{MINUS SIGN}")


def test_from_a_score():
    truth = SubsetTruth(np.eye(4, dtype=bool), TRUTH)
    display = AgreementDisplay.from_score(linear_datamodeling_score(VALUES, truth))
    np.testing.assert_array_equal(display.points_.get_offsets(), np.column_stack([TRUTH, VALUES]))
    assert display.ax_.get_xlabel() == "true rise of the loss without the subset"


@pytest.mark.parametrize(
    ("scale", "unit"), [(1.0, ""), (1e-5, r" ($\times 10^{-5}$)"), (1e6, r" ($\times 10^{6}$)")]
)
def test_small_and_large_numbers_get_a_unit(scale, unit):
    display = AgreementDisplay.from_values(VALUES * scale, TRUTH * scale)
    assert display.ax_.get_ylabel() == f"predicted rise{unit}"
    display.figure_.canvas.draw()
    labels = [text.get_text() for text in display.ax_.get_xticklabels()]
    assert "2" in labels
    assert "\N{MINUS SIGN}1" in labels


def test_zeros_can_be_drawn():
    AgreementDisplay.from_values(np.zeros(3), np.zeros(3)).figure_.canvas.draw()


def test_axes_and_point_options_are_taken():
    _, (left, right) = plt.subplots(1, 2)
    display = AgreementDisplay.from_values(VALUES, TRUTH, ax=right, s=50)
    assert display.ax_ is right
    assert display.points_.get_sizes().tolist() == [50]
    assert display.plot(ax=left).ax_ is left


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="4 entries and truth has 3"):
        AgreementDisplay.from_values(VALUES, TRUTH[:3])
    with pytest.raises(ValueError, match="NaN"):
        AgreementDisplay.from_values(VALUES * np.nan, TRUTH)
    assert not plt.get_fignums()
