"""The page in headless Chromium: what is drawn, what is asked for, and decisions that come back."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

import dataval as dv

pytest.importorskip("PIL")

N = 10_000
MOST_TILES = 90
EVIL = '</script><img src=x onerror="window.evil=1"><script>window.evil=1</script>'
RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=N)
Y = RNG.integers(0, 4, N)
SUGGESTED = np.where(RNG.random(N) < 0.2, (Y + 1) % 4, Y)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Ten thousand images under two methods."""
    images = RNG.integers(0, 255, (4, 8, 8), dtype=np.uint8)[Y]
    page = dv.report(
        {"first": VALUES, "second": VALUES + RNG.normal(size=N)}, images, Y, predictions=SUGGESTED,
        is_noisy=SUGGESTED != Y, ids=[f"sample {i}" for i in range(N)], class_names=["a", "b", "c", EVIL],
        explanations=RNG.normal(size=(3, N)), X_val=images[:3], y_val=Y[:3],
    )  # fmt: skip
    return page.save(tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture
def page(browser, large):
    """The browser, with the page open as at first."""
    browser.open(large)
    yield browser
    browser.run("localStorage.clear()")
    assert browser.requests == []
    assert browser.messages == []


def tiles(page):
    """Return the indices of the tiles that are in the document, in their order."""
    page.settle()
    return page.run("[...document.querySelectorAll('.tile')].map((tile) => Number(tile.dataset.index))")


def visit(page, fragment):
    """Go to a view by its address."""
    page.run(f"new Promise((done) => {{ addEventListener('hashchange', done, {{ once: true }}); "
             f"location.hash = '{fragment}' }}).then(() => 1)")  # fmt: skip


def saved(page, button):
    """Return the file that a button saves."""
    with page.downloads() as folder:
        page.run(f"document.getElementById('{button}').click()")
        end = time.monotonic() + 20
        while not (found := [path for path in folder.iterdir() if path.suffix in (".csv", ".json")]):
            assert time.monotonic() < end
            time.sleep(0.02)
        return found[0].read_bytes()


def test_few_tiles_stand_for_ten_thousand_samples(page):
    order = np.argsort(VALUES, kind="stable")
    shown = tiles(page)
    assert shown == order[: len(shown)].tolist()
    assert 12 <= len(shown) <= MOST_TILES
    page.run("document.getElementById('grid').scrollTop = 1e9")
    shown = tiles(page)
    assert shown == order[-len(shown) :].tolist()
    assert len(shown) <= MOST_TILES
    alpha = "c.getContext('2d').getImageData(4, 4, 1, 1).data[3]"
    page.until(f"[...document.querySelectorAll('.tile canvas')].every((c) => {alpha})")


@pytest.mark.parametrize(
    ("fragment", "keep", "key"),
    [
        ("given=2&suggested=3", (Y == 2) & (SUGGESTED == 3), VALUES),
        ("differs=true&order=highest", SUGGESTED != Y, -VALUES),
        ("sign=negative&noise=right", (VALUES < 0) & (SUGGESTED == Y), VALUES),
        ("low=0.5&high=0.6", (VALUES >= 0.5) & (VALUES <= 0.6), VALUES),
        ("search=9999", np.arange(N) == 9999, VALUES),
    ],
)
def test_filters(page, fragment, keep, key):
    visit(page, fragment)
    shown = tiles(page)
    expected = np.flatnonzero(keep)[np.argsort(key[keep], kind="stable")]
    assert shown == expected[: len(shown)].tolist()
    assert page.run("document.getElementById('hits').textContent") == f"{keep.sum():,} of {N:,}"


def test_a_fragment_that_makes_no_sense_is_put_right(page):
    visit(page, "given=77&method=9&selected=1e9&order=wild&tab=none&query=-3&other=x&low=cheap")
    assert tiles(page)[0] == VALUES.argmin()
    assert not page.run("document.querySelector('.tile.selected')")


def test_a_selection_is_in_the_address_and_found_again(page, browser, large):
    visit(page, "selected=77")
    tiles(page)
    address = page.run("location.href")
    browser.open(address)
    assert 77 in tiles(page)
    assert page.run("document.querySelector('.tile.selected').dataset.index") == "77"
    assert page.run("document.querySelector('#detail h2').textContent") == "#77 sample 77"


def test_decisions_by_keyboard_come_back_as_labels(page, tmp_path):
    page.run("document.getElementById('grid').focus()")
    visit(page, "differs=true")
    wrong = np.flatnonzero(SUGGESTED != Y)
    wrong = wrong[np.argsort(VALUES[wrong], kind="stable")]
    for key in ("ArrowRight", "r", "k", "d", "d", "z", "u"):
        page.press(key)
    page.settle()
    relabelled, kept, dropped, unsure = wrong[:4].tolist()
    assert "4 of 10,000 decided" in page.run("document.getElementById('counts').textContent")
    for button in ("csv", "json"):
        path = tmp_path / f"review.{button}"
        path.write_bytes(saved(page, button))
        labels, weights = dv.apply_review(Y, path, ids=[f"sample {i}" for i in range(N)], unsure_weight=0.5)
        assert labels[relabelled] == SUGGESTED[relabelled]
        assert np.flatnonzero(labels != Y).tolist() == [relabelled]
        assert weights[[relabelled, kept, dropped, unsure]].tolist() == [1, 1, 0, 0.5]
    with pytest.raises(ValueError, match="other labels"):
        dv.apply_review(np.roll(Y, 1), tmp_path / "review.json")


def test_decisions_stay_when_the_page_is_opened_again(page, large):
    visit(page, "selected=5")
    page.press("d")
    page.open(Path(large))
    assert page.run("document.getElementById('counts').textContent").startswith("1 of 10,000 decided")
    visit(page, "decision=drop")
    assert tiles(page) == [5]


def test_a_malicious_label_is_text(page):
    visit(page, "given=3")
    tiles(page)
    visit(page, f"selected={np.flatnonzero(Y == 3)[0]}&tab=classes")
    page.settle()
    assert page.run("window.evil === undefined && document.images.length === 0")
    assert EVIL in page.run("document.querySelector('.matrix').textContent")
    assert page.run(
        "[...document.querySelectorAll('#detail dd')].some((dd) => dd.textContent.includes('onerror'))"
    )


def test_a_cell_of_the_matrix_filters(page):
    visit(page, "tab=classes")
    page.run("document.querySelectorAll('.matrix tbody tr')[1].querySelectorAll('button')[2].click()")
    keep = (Y == 1) & (SUGGESTED == 2)
    assert set(tiles(page)) <= set(np.flatnonzero(keep).tolist())
    assert page.run("document.getElementById('hits').textContent") == f"{keep.sum():,} of {N:,}"


def test_explanations_and_methods_are_drawn(page):
    visit(page, "tab=explain&query=1")
    assert page.run("document.querySelectorAll('.chosen .small').length") == 40
    visit(page, "tab=methods")
    assert page.run("document.querySelectorAll('.scatter').length") == 1
    assert page.run("document.querySelectorAll('.chart').length") == 1


def test_everything_is_reached_by_keyboard_and_named(page):
    visit(page, "selected=1")
    page.settle()
    controls = "[...document.querySelectorAll('button, input, select, [role=tabpanel], [role=listbox]')]"
    label = "node.getAttribute('aria-label') || node.getAttribute('aria-labelledby') || node.closest('label')"
    is_unnamed = f"node.offsetParent && !({label} || node.textContent.trim())"
    unnamed = page.run(f"{controls}.filter((node) => {is_unnamed}).map((node) => node.outerHTML)")
    assert unnamed == []
    page.run("document.getElementById('grid').focus()")
    before = page.run("document.querySelector('.tile.selected').dataset.index")
    page.press("ArrowDown")
    page.settle()
    assert page.run("document.querySelector('.tile.selected').dataset.index") != before
    active = page.run("document.getElementById('grid').getAttribute('aria-activedescendant')")
    assert page.run(f"document.getElementById('{active}').getAttribute('aria-selected')") == "true"


def test_a_narrow_screen_does_not_scroll_sideways(page, large):
    page.open(Path(large), 390, 844)
    for tab in ("samples", "explain", "classes", "methods"):
        visit(page, f"tab={tab}&selected=4")
        page.settle()
        assert page.run("document.documentElement.scrollWidth") <= 390
    page.open(Path(large))


def test_paper_takes_no_more_tiles_than_the_screen(page):
    before = tiles(page)
    page.call("Emulation.setEmulatedMedia", media="print")
    page.settle()
    assert tiles(page) == before
    page.call("Emulation.setEmulatedMedia", media="")


def test_a_notebooks_frame_shows_it_and_says_that_decisions_do_not_last(browser, tmp_path):
    """In a sandbox without storage or an address of its own."""
    page = dv.report([0.5, -1.0], y=[0, 1])._repr_html_()
    notebook = tmp_path / "notebook.html"
    notebook.write_text(f"<!doctype html><body>{page}", encoding="utf-8")
    browser.call("Page.navigate", url=notebook.as_uri())
    browser.until("document.querySelector('iframe') && document.readyState === 'complete'")
    with browser.frame():
        browser.until("performance.getEntriesByName('start').length")
        browser.run("document.querySelector('.tile').click()")
        browser.run("document.querySelector('.decide.drop').click()")
        counts = browser.run("document.getElementById('counts').textContent")
        assert counts.startswith("1 of 2 decided")
        assert "kept only while this page is open" in counts
