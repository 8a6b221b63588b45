"""The gallery: which samples are shown, how, and with what captions."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

from dataval.plotting import SampleGalleryDisplay  # noqa: E402

VALUES = np.array([0.5, -0.25, 3.0, -0.25, -0.00123])
GIVEN = [0, 1, 1, 0, 1]
TRUE = [0, 0, 1, 0, 1]
NAMES = ["cat", "dog"]
MINUS = "\N{MINUS SIGN}"
IMAGES = np.random.default_rng(0).random((5, 6, 4))


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def captions(display):
    return [[text.get_text() for text in ax.texts] for ax in display.axes_]


def test_lowest_values_are_shown_in_order():
    display = SampleGalleryDisplay.from_values(IMAGES, VALUES, GIVEN, TRUE, class_names=NAMES, n=4)
    assert display.indices_.tolist() == [1, 3, 4, 0]
    assert captions(display) == [
        ["dog", "(cat)", f"{MINUS}0.25"],
        ["cat", "(correct)", f"{MINUS}0.25"],
        ["dog", "(correct)", f"{MINUS}0.0012"],
        ["cat", "(correct)", "0.50"],
    ]
    for ax, index in zip(display.axes_, display.indices_, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), IMAGES[index])
    wrong, right = display.axes_[:2]
    assert wrong.texts[0].get_color() != right.texts[0].get_color()
    assert wrong.spines["left"].get_linewidth() > right.spines["left"].get_linewidth()


def test_without_true_labels_and_names():
    display = SampleGalleryDisplay.from_values(IMAGES, VALUES, ["a", "b", "c", "d", "long" * 5], n=3)
    assert captions(display) == [
        ["b", f"{MINUS}0.25"],
        ["d", f"{MINUS}0.25"],
        ["longlonglongl…", f"{MINUS}0.0012"],
    ]


def test_all_samples_where_there_are_fewer_than_n():
    assert len(SampleGalleryDisplay.from_values(IMAGES, VALUES, GIVEN).axes_) == 5


@pytest.mark.parametrize(
    ("shape", "layout", "shown"),
    [
        ((5, 6, 4), "auto", (6, 4)),
        ((5, 1, 6, 4), "auto", (6, 4)),
        ((5, 6, 4, 1), "auto", (6, 4)),
        ((5, 3, 6, 4), "auto", (6, 4, 3)),
        ((5, 6, 4, 3), "auto", (6, 4, 3)),
        ((5, 3, 6, 3), "NCHW", (6, 3, 3)),
        ((5, 3, 6, 3), "auto", (3, 6, 3)),
    ],
)
def test_layouts(shape, layout, shown):
    images = np.random.default_rng(0).random(shape)
    display = SampleGalleryDisplay.from_values(images, VALUES, GIVEN, layout=layout)
    drawn = display.axes_[0].images[0].get_array()
    assert drawn.shape == shown
    if layout == "NCHW" or (shape[1] == 3 and shape[-1] != 3):
        np.testing.assert_array_equal(drawn[:, :, 2], images[1, 2])


def test_standardized_colours_are_brought_into_range():
    images = np.random.default_rng(0).normal(size=(5, 4, 4, 3))
    display = SampleGalleryDisplay.from_values(images, VALUES, GIVEN)
    assert display.images.min() >= 0.0
    assert display.images.max() <= 1.0


@pytest.mark.parametrize("with_true", [False, True])
@pytest.mark.parametrize("columns", [2, 4, 5])
def test_nothing_overlaps(with_true, columns):
    names = ["Ankle boot", "T-shirt/top"]
    n = 12
    display = SampleGalleryDisplay.from_values(
        np.zeros((n, 8, 8)),
        np.linspace(-1e-5, -2e-5, n),
        np.arange(n) % 2,
        np.arange(n) // 2 % 2 if with_true else None,
        class_names=names,
        columns=columns,
    )
    assert display.figure_.get_figwidth() == pytest.approx(3.3)
    display.figure_.canvas.draw()
    texts = [t.get_window_extent() for ax in display.axes_ for t in ax.texts]
    texts += [t.get_window_extent() for t in display.ax_.texts]
    images = [ax.get_window_extent() for ax in display.axes_]
    assert not any(box.overlaps(other) for box in images for other in texts)
    # A text's box is as high as its font, so that lines may touch.
    shrunk = [box.shrunk(0.97, 0.8) for box in texts]
    if columns < 5:
        pairs = [(a, b) for i, a in enumerate(shrunk) for b in shrunk[:i]]
        assert not any(a.overlaps(b) for a, b in pairs)
    assert min(box.y0 for box in texts) >= 0


def test_given_axes_are_filled():
    _, (left, right) = plt.subplots(1, 2)
    display = SampleGalleryDisplay.from_values(IMAGES, VALUES, GIVEN, ax=right, n=2, cmap="gray_r")
    assert display.ax_ is right
    assert right.child_axes == display.axes_
    assert not left.child_axes
    assert display.axes_[0].images[0].get_cmap().name == "gray_r"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": [np.nan] * 5}, "NaN"),
        ({"images": IMAGES[:4]}, "images has 4 entries"),
        ({"given_labels": [0]}, "given_labels has 1 entries"),
        ({"true_labels": [0]}, "true_labels has 1 entries"),
        ({"given_labels": [0, 2, 0, 0, 0], "class_names": NAMES}, "label 2 has no name"),
        ({"images": np.zeros((5, 7))}, "neither grey nor RGB"),
        ({"images": np.zeros((5, 7, 7, 2))}, "neither grey nor RGB"),
        ({"layout": "NCHW"}, "do not have layout NCHW"),
        ({"n": 0}, "at least 1"),
        ({"columns": 0}, "at least 1"),
    ],
)
def test_bad_input_is_refused(changes, message):
    arguments = {"images": IMAGES, "values": VALUES, "given_labels": GIVEN, **changes}
    with pytest.raises(ValueError, match=message):
        SampleGalleryDisplay.from_values(**arguments)
    assert not plt.get_fignums()
