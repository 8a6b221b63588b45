"""The detection curve: what is drawn, where, and in what words."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

from dataval.evaluation import detection_curve  # noqa: E402
from dataval.plotting import NoiseDetectionDisplay  # noqa: E402

VALUES = np.array([0.3, -1.0, 0.5, 0.0, 2.0])
IS_NOISY = np.array([False, True, False, True, False])


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_curve_and_references():
    display = NoiseDetectionDisplay.from_values(VALUES, IS_NOISY)
    np.testing.assert_allclose(
        display.lines_["values"].get_xydata(),
        np.column_stack(([0, 0.2, 0.4, 0.6, 0.8, 1], [0, 0.5, 1, 1, 1, 1])),
    )
    lines = {line.get_label(): line.get_xydata().tolist() for line in display.ax_.lines}
    assert lines["perfect"] == [[0, 0], [0.4, 1], [1, 1]]
    assert lines["random"] == [[0, 0], [1, 1]]


def test_several_methods_differ_in_colour_and_dash():
    named = {f"method {i}": VALUES * (-1) ** i for i in range(8)}
    display = NoiseDetectionDisplay.from_values(named, IS_NOISY)
    styles = {(line.get_color(), line.get_linestyle()) for line in display.lines_.values()}
    assert len(styles) == 8
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == [*named, "perfect", "random"]
    share, recall = detection_curve(named["method 1"], IS_NOISY)
    np.testing.assert_allclose(display.lines_["method 1"].get_xdata(), share)
    np.testing.assert_allclose(display.lines_["method 1"].get_ydata(), recall)


def test_axes_and_line_options_are_taken():
    _, (left, right) = plt.subplots(1, 2)
    display = NoiseDetectionDisplay.from_values(VALUES, IS_NOISY, ax=right, linewidth=3.0)
    assert display.ax_ is right
    assert display.figure_ is right.figure
    assert display.lines_["values"].get_linewidth() == 3.0
    assert not left.lines
    assert display.plot(ax=left) is display
    assert display.ax_ is left


def test_new_figure_has_a_columns_width():
    display = NoiseDetectionDisplay.from_values(VALUES, IS_NOISY)
    assert display.figure_.get_figwidth() == pytest.approx(3.3)
    display.figure_.canvas.draw()
    box = display.ax_.get_tightbbox()
    assert box.x0 >= 0
    assert box.x1 <= display.figure_.bbox.width


def test_bad_values_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        NoiseDetectionDisplay.from_values({}, IS_NOISY)
    with pytest.raises(ValueError, match="NaN"):
        NoiseDetectionDisplay.from_values({"a": VALUES, "b": VALUES * np.nan}, IS_NOISY)
    assert not plt.get_fignums()


def test_import_does_not_import_matplotlib():
    code = (
        "import sys, dataval.plotting, dataval.evaluation, dataval.noise, dataval.datasets;"
        "print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_missing_matplotlib_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "dataval\[plots\]"'):
        NoiseDetectionDisplay.from_values(VALUES, IS_NOISY)
