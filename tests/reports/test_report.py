"""What a report holds, and that it is one file which nothing can be smuggled into."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

import dataval as dv
from dataval.metrics.fidelity import LinearDatamodelingScore
from tests.reports.conftest import array_of, data_of

N = 40
RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=N)
Y = np.arange(N) % 3
EVIL = '</script><img src=x onerror="alert(1)"><!--'


def verified(low, high):
    return LinearDatamodelingScore(
        score=(low + high) / 2,
        confidence_interval=(low, high),
        confidence=0.95,
        predicted=(1.0, 2.0, 3.0),
        actual=(1.0, 2.0, 3.0),
        fraction=0.1,
    )


class Tags(HTMLParser):
    """The tags of a page, with what is in its scripts and styles."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.inline = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        self.tags.append((f"/{tag}", {}))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] in ("script", "style"):
            self.inline.append((*self.tags[-1], data))


def test_values_come_back_to_single_precision_whatever_their_size():
    tiny, huge = VALUES * 1e-60, VALUES * 1e60
    data = data_of(dv.report({"tiny": tiny, "huge": huge}))
    for method, expected in zip(data["methods"], (tiny, huge), strict=True):
        # float32 of the largest value: relative to it, one rounding
        np.testing.assert_allclose(
            array_of(method["values"]), expected, rtol=0, atol=1e-7 * abs(expected).max()
        )


def test_a_sample_without_a_value_stays_without():
    data = data_of(dv.report(np.where(np.arange(N) == 7, np.nan, VALUES)))
    assert np.flatnonzero(np.isnan(array_of(data["methods"][0]["values"]))).tolist() == [7]


def test_labels_are_named_by_number_by_text_or_by_a_dict():
    by_number = data_of(dv.report(VALUES, y=Y, class_names=["a", "b", "c", "d"]))["labels"]
    assert (by_number["classes"], by_number["names"]) == (["0", "1", "2", "3"], ["a", "b", "c", "d"])
    by_text = data_of(dv.report(VALUES, y=np.array(["x", "y"])[Y % 2]))["labels"]
    assert by_text["classes"] == ["x", "y"]
    by_dict = data_of(dv.report(VALUES, y=Y, class_names={2: "two"}))["labels"]
    assert dict(zip(by_dict["classes"], by_dict["names"], strict=True)) == {"0": "0", "1": "1", "2": "two"}
    np.testing.assert_array_equal(array_of(by_number["codes"]), Y)


def test_numbers_that_are_not_whole_are_amounts():
    labels = data_of(dv.report(VALUES, y=VALUES + 0.5))["labels"]
    assert labels["classes"] == []
    assert [float(text) for text in labels["texts"]] == (VALUES + 0.5).tolist()


def test_probabilities_become_suggestions():
    given = RNG.dirichlet(np.ones(3), size=N)
    found = data_of(dv.report(VALUES, y=Y, predictions=given))["suggested"]
    np.testing.assert_array_equal(array_of(found["codes"]), given.argmax(1))
    np.testing.assert_allclose(
        array_of(found["given_probability"]), given[np.arange(N), Y], rtol=1e-6
    )  # float32


@pytest.mark.parametrize(
    ("score", "diagnostics", "level", "word"),
    [
        (None, None, "unknown", "Never verified"),
        (verified(0.3, 0.7), None, "good", "0.50 [0.30, 0.70]"),
        (verified(-0.1, 0.7), None, "bad", "Not confirmed"),
        (verified(0.3, 0.7), {"growth": 1e6}, "bad", "Chaotic"),
        (None, {"growth": float("inf")}, "bad", "overflowed"),
        (None, {"growth": 10.0}, "unknown", "Never verified"),
    ],
)
def test_the_line_of_trust(score, diagnostics, level, word):
    trust = data_of(dv.report(VALUES, verification=score, diagnostics=diagnostics))["methods"][0]["trust"]
    assert trust["level"] == level
    assert word in trust["text"]


def test_of_several_methods_each_has_its_own_verification():
    both = {"a": VALUES, "b": -VALUES}
    methods = data_of(dv.report(both, verification={"b": verified(0.1, 0.2)}))["methods"]
    assert [method["trust"]["level"] for method in methods] == ["unknown", "good"]
    with pytest.raises(ValueError, match="verification is of one of"):
        dv.report(both, verification=verified(0.1, 0.2))


def test_a_comparison_is_reported_by_the_mean_over_its_seeds():
    from dataval.evaluation.comparison import Comparison, MethodResult, Outcome

    values = np.stack([VALUES, VALUES + 1])
    outcomes = (Outcome(seed=0, fidelity=verified(0.2, 0.4)), Outcome(seed=1, fidelity=verified(0.4, 0.6)))
    failed = tuple(Outcome(seed=seed, error="no gradient") for seed in (0, 1))
    methods = (MethodResult(name="a", outcomes=outcomes), MethodResult(name="b", outcomes=failed))
    comparison = Comparison((0, 1), methods, {"a": values, "b": np.full((2, N), np.nan)})
    page = dv.report(comparison, y=Y)
    (method,) = data_of(page)["methods"]
    assert method["name"] == "a"
    assert "0.40 (mean of 2 seeds, 0.30 to 0.50)" in method["trust"]["text"]
    np.testing.assert_allclose(array_of(method["values"]), VALUES + 0.5, atol=1e-6)  # float32
    assert page.left_out == ("b failed: no gradient",)


def test_detection_curves_are_those_of_the_metrics():
    noisy = np.sort(VALUES)[10] > VALUES
    method = data_of(dv.report(VALUES, is_noisy=noisy))["methods"][0]
    assert method["detection"]["average_precision"] == 1.0
    assert method["detection"]["recall"][50] == pytest.approx(1.0)  # a quarter inspected, and all found


@pytest.mark.parametrize("sign", [1, -1])
def test_the_twenty_either_way_of_a_matrix_are_the_extreme_ones(sign):
    matrix = RNG.normal(size=(3, N))
    found = data_of(dv.report(VALUES, explanations=matrix))["explained"]
    side = "helpful" if sign > 0 else "harmful"
    indices = array_of(found[f"{side}_indices"])
    for row, kept in zip(matrix, indices, strict=True):
        order = np.argsort(-sign * row, kind="stable")
        expected = order[sign * row[order] > 0][:20]
        np.testing.assert_array_equal(kept[kept >= 0], expected)
    assert "explain" in found["about"]


def test_everything_of_the_users_is_inert():
    page = dv.report(
        {EVIL: VALUES}, [EVIL] * N, np.array([EVIL, "b"])[Y % 2], ids=[f"{EVIL}{i}" for i in range(N)],
        title=EVIL, data=EVIL, model=EVIL, warnings=EVIL,
    )  # fmt: skip
    tags = Tags(page.html)
    assert {tag for tag, _ in tags.tags}.isdisjoint({"img", "iframe", "object", "embed", "link", "base"})
    assert data_of(page)["media"]["texts"][0] == EVIL
    assert not any(name.startswith("on") for _, given in tags.tags for name in given)


def test_the_policy_lets_nothing_run_but_the_client():
    tags = Tags(dv.report(VALUES).html)
    policy = next(given["content"] for _, given in tags.tags if given.get("http-equiv"))
    hashes = {
        tag: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for tag, given, text in tags.inline
        if "type" not in given
    }
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{hashes['script']}'; style-src 'sha256-{hashes['style']}'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def test_a_page_names_no_address():
    text = re.sub(r"http://www.w3.org/2000/svg", "", dv.report(VALUES).html)
    assert not re.search(r"https?://|//[a-z]+\.", text)


def test_the_client_never_reads_html():
    """Text becomes text: what would parse it is nowhere in the client."""
    page = dv.report(VALUES).html
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|fetch\(", page
    )


def test_a_notebook_shows_it_in_a_frame_of_its_own():
    page = dv.report(VALUES, title="a <b> \"c\" & 'd'")
    (frame,) = (given for tag, given in Tags(page._repr_html_()).tags if tag == "iframe")
    assert frame["srcdoc"] == page.html
    assert frame["sandbox"] == "allow-scripts allow-downloads"


def test_saving_replaces_reports_alone(tmp_path):
    page = dv.report(VALUES)
    path = page.save(tmp_path / "new" / "report.html")
    assert path.read_text(encoding="utf-8") == page.html
    dv.report(-VALUES).save(path)
    other = tmp_path / "mine.html"
    other.write_text("mine")
    with pytest.raises(FileExistsError, match="is no report"):
        page.save(other)
    assert other.read_text() == "mine"


def test_titles_are_escaped():
    assert f"<title>{html.escape(EVIL)}</title>" in dv.report(VALUES, title=EVIL).html


def test_images_need_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    with pytest.raises(ImportError, match=r"dataval\[images\]"):
        dv.report(VALUES, np.zeros((N, 4, 4)))


def test_the_same_for_the_same():
    """But for the moment at which it was made."""
    X = RNG.normal(size=(N, 2))
    pages = [dv.report(VALUES, X, Y).html for _ in range(2)]
    assert len({re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "", page) for page in pages}) == 1
