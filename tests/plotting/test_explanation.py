"""The picture of an explanation: which samples it shows, in what form, with what words."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

from dataval.data import Data  # noqa: E402
from dataval.methods.explanation import Explanation, Explanations, Ranking  # noqa: E402
from dataval.plotting import ExplanationDisplay  # noqa: E402

VALUES = np.array([0.5, -0.25, 3.0, -2.0, 0.00123, 1e-9])
CONTRAST = np.array([0.1, 4.0, -1.0, 0.0, 0.0, 0.0])
NAMES = ["cat", "Ankle boot", "T-shirt/top"]
LABELS = np.array([0, 1, 2, 0, 1, 2])
MINUS = "\N{MINUS SIGN}"
RNG = np.random.default_rng(0)
FORMS = {
    "grey": RNG.random((6, 1, 8, 6)),
    "colour": RNG.random((6, 8, 8, 3)),
    "vectors": RNG.normal(size=(6, 5)),
    "numbers": RNG.random(6),
}


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def explanations(inputs, *, true=1, k=3):
    """Return what `explain` would of a classifier that predicts 2, with the first sample as its query."""
    counts = np.ones(6, dtype=bool)
    rankings = [Ranking.of(values, k, counts) for values in (VALUES, VALUES - CONTRAST, CONTRAST)]
    given = rankings if true is not None else [rankings[0], None, None]
    each = Explanation(2, np.array([0.1, 0.2, 0.7]), true, *given)
    training = Data(inputs, LABELS)
    return Explanations((each,), training.take(np.arange(1)), training)


def of_regression(inputs):
    counts = np.ones(6, dtype=bool)
    rankings = [Ranking.of(values, 2, counts) for values in (VALUES, -VALUES, VALUES)]
    training = Data(inputs, np.linspace(-1, 1, 6))
    return Explanations((Explanation(-1.25, None, 0.5, *rankings),), training.take(np.arange(1)), training)


def captions(display):
    return [[text.get_text() for text in ax.texts] for ax in display.axes_]


def headings(display):
    return [text.get_text() for text in display.ax_.texts]


def test_rows_captions_and_images():
    found = explanations(FORMS["grey"])
    display = ExplanationDisplay.from_explanations(found, class_names=NAMES)
    assert headings(display) == [
        "query",
        "helpful: they speak for T-shirt/top",
        "harmful: they speak against T-shirt/top",
        "contrast: they moved it from Ankle boot to T-shirt/top",
    ]
    assert captions(display) == [
        ["T-shirt/top", "70% sure", "truly Ankle boot"],
        ["T-shirt/top", "+3.0"],
        ["cat", "+0.50"],
        ["Ankle boot", "+0.0012"],
        ["cat", f"{MINUS}2.0"],
        ["Ankle boot", f"{MINUS}0.25"],
        ["Ankle boot", "+4.0"],
        ["cat", "+0.10"],
    ]
    shown = [0, 2, 0, 4, 3, 1, 1, 0]
    for ax, index in zip(display.axes_, shown, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), FORMS["grey"][index, 0])


def test_a_right_prediction_has_no_contrast():
    for true, last in ((2, "truly T-shirt/top"), (None, "70% sure")):
        found = explanations(FORMS["grey"], true=true)
        display = ExplanationDisplay.from_explanations(found, class_names=NAMES)
        assert len(display.rows) == 2
        assert captions(display)[0][-1] == last


def test_vectors_are_bars_with_the_query_marked():
    found = explanations(FORMS["vectors"], true=None)
    display = ExplanationDisplay.from_explanations(found, feature_names=list("abcde"), n=1)
    query, _, helpful, harmful = display.axes_  # the query is there in each row
    assert [label.get_text() for label in query.get_yticklabels()] == list("abcde")
    largest = np.abs(FORMS["vectors"][[0, 2, 3]]).max(axis=0)
    for ax, index in ((query, 0), (helpful, 2), (harmful, 3)):
        widths = [bar.get_width() for bar in ax.patches]
        np.testing.assert_allclose(widths, FORMS["vectors"][index] / largest, rtol=1e-12)
    marks = helpful.collections[0].get_segments()
    np.testing.assert_allclose([mark[0, 0] for mark in marks], FORMS["vectors"][0] / largest, rtol=1e-12)
    assert not query.collections


def test_texts():
    found = explanations(FORMS["vectors"])
    display = ExplanationDisplay.from_explanations(
        found, class_names=NAMES, decode=lambda row: f"costs ${row[0]:.3f}$ " + "word " * 60
    )
    words = headings(display)
    assert not display.axes_
    assert words[:4] == ["query", "T-shirt/top", words[2], "70% sure"]
    assert words[2].startswith(f"costs ${FORMS['vectors'][0, 0]:.3f}$ word")
    assert "+3.0" in words
    assert f"{MINUS}0.25" in words
    assert sum(word.endswith("…") for word in words) == 8


def test_structures_need_decode():
    inputs = {"image": FORMS["grey"], "size": FORMS["numbers"]}
    found = explanations(inputs)
    with pytest.raises(ValueError, match=r"inputs that are a dict of arrays .* pass decode="):
        ExplanationDisplay.from_explanations(found)
    display = ExplanationDisplay.from_explanations(found, decode=lambda sample: sample["image"])
    np.testing.assert_array_equal(display.axes_[0].images[0].get_array(), FORMS["grey"][0, 0])


def test_a_regression_shows_values():
    display = ExplanationDisplay.from_explanations(of_regression(FORMS["numbers"]), n=1)
    assert "helpful: they raise the output" in headings(display)
    assert "harmful: they lower the output" in headings(display)
    assert len(display.rows) == 2
    assert captions(display)[0] == [f"{MINUS}1.25", "truly 0.5"]
    assert captions(display)[2] == [f"{MINUS}0.2", "+3.0"]


def test_none_is_said():
    counts = np.ones(6, dtype=bool)
    each = Explanation(2, np.array([0.0, 0.0, 1.0]), None, Ranking.of(-np.ones(6), 2, counts), None, None)
    data = Data(FORMS["grey"], LABELS)
    for decode in (None, lambda _: "text"):
        found = Explanations((each,), data.take(np.arange(1)), data)
        display = ExplanationDisplay.from_explanations(found, decode=decode)
        assert "helpful: they speak for 2 (none)" in headings(display)


@pytest.mark.parametrize("form", [*FORMS, "texts"])
@pytest.mark.parametrize("k", [1, 5])
def test_nothing_overlaps(form, k):
    inputs = FORMS["vectors" if form == "texts" else form]
    decode = (lambda row: f"{row[0]:.3f} " + "a wide word, Wagner " * 30) if form == "texts" else None
    names = ["a feature of long name"] * 5 if form == "vectors" else None
    display = ExplanationDisplay.from_explanations(
        explanations(inputs, k=k), class_names=NAMES, decode=decode, feature_names=names
    )
    display.figure_.canvas.draw()
    texts = [t for ax in [display.ax_, *display.axes_] for t in ax.texts]
    texts += [t for ax in display.axes_ for t in ax.get_yticklabels() if t.get_text()]
    boxes = [t.get_window_extent() for t in texts]
    panels = [ax.get_window_extent() for ax in display.axes_]
    assert not any(box.overlaps(panel) for panel in panels for box in boxes)
    shrunk = [box.shrunk(0.97, 0.8) for box in boxes]  # a text's box is as high as its font: lines may touch
    assert not any(a.overlaps(b) for i, a in enumerate(shrunk) for b in shrunk[:i])
    assert not any(a.overlaps(b) for i, a in enumerate(panels) for b in panels[:i])
    page = display.figure_.bbox
    for box in boxes:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= page.x1
        assert box.y1 <= page.y1


def test_given_axes_are_filled():
    _, (left, right) = plt.subplots(1, 2)
    display = ExplanationDisplay.from_explanations(explanations(FORMS["grey"]), ax=right)
    assert display.ax_ is right
    assert right.child_axes == display.axes_
    assert not left.child_axes


@pytest.mark.parametrize(
    ("form", "arguments", "error", "message"),
    [
        ("grey", {"index": 1}, IndexError, "index must be a query's, 0 ... 0, got 1"),
        ("grey", {"index": -1}, IndexError, "got -1"),
        ("grey", {"n": 0}, ValueError, "n must be at least 1"),
        ("grey", {"class_names": ["a", "b"]}, ValueError, "label 2 has no name"),
        ("grey", {"feature_names": ["a"]}, ValueError, "feature_names are for vectors"),
        ("vectors", {"feature_names": ["a"]}, ValueError, "feature_names has 1 names"),
    ],
)
def test_bad_input_is_refused(form, arguments, error, message):
    with pytest.raises(error, match=message):
        ExplanationDisplay.from_explanations(explanations(FORMS[form]), **arguments)
    assert not plt.get_fignums()
