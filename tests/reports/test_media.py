"""How samples look in a report: images, rows with unusual cells, texts, neighbours; and the budget."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest

import dataval as dv
from dataval.reports.neighbours import neighbours
from dataval.reports.selection import choose
from dataval.reports.tables import as_grid
from tests.reports.conftest import array_of, data_of

N = 60
VALUES = np.linspace(-1, 1, N)
RNG = np.random.default_rng(0)


def atlas_of(page, name="training", number=0):
    """Return an atlas as pixels."""
    image = pytest.importorskip("PIL.Image")
    text = page.html.split(f'id="atlas-{name}-{number}">')[1].split("</script>")[0]
    return np.asarray(image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")).astype(int)


@pytest.mark.parametrize("layout", ["NHW", "NCHW", "NHWC"])
@pytest.mark.parametrize("scale", [1, 255, 7])
def test_an_image_is_where_the_page_looks_for_it(layout, scale):
    pytest.importorskip("PIL")
    shades = np.linspace(0, 1, N)
    images = np.broadcast_to(shades[:, None, None], (N, 8, 8)) * scale
    images = images.astype(np.uint8) if scale == 255 else images
    images = {"NHW": images, "NCHW": images[:, None], "NHWC": np.repeat(images[..., None], 3, axis=-1)}[layout]
    page = dv.report(VALUES, images)
    media = data_of(page)["media"]
    atlas, shown = atlas_of(page), array_of(media["shown"])
    assert sorted(shown.tolist()) == list(range(N))
    for slot, index in enumerate(shown.tolist()):
        y, x = slot // media["columns"] * media["side"], slot % media["columns"] * media["side"]
        # WebP loses a few of 255 levels
        assert abs(atlas[y + 4, x + 4] - 255 * shades[index]).max() < 12


def test_paths_and_images_of_pillow_are_shown_in_their_own_proportions(tmp_path):
    image = pytest.importorskip("PIL.Image")
    made = [image.fromarray(RNG.integers(0, 255, (10 + i, 300, 3), dtype=np.uint8)) for i in range(3)]
    for i, each in enumerate(made):
        each.save(tmp_path / f"{i}.png")
    for X in (made, sorted(tmp_path.iterdir())):
        page = dv.report([1.0, 2.0, 3.0], X, kind="images")
        media = data_of(page)["media"]
        assert media["side"] == 96
        assert array_of(media["sizes"])[:, 0].tolist() == [96, 96, 96]
        assert page.left_out == ("images are at most 96 pixels wide and high",)


def test_too_large_a_report_makes_images_smaller_first_and_then_shows_fewer(monkeypatch):
    pytest.importorskip("PIL")
    for name, count in (("_LOWEST", 8), ("_HIGHEST", 3), ("_RANDOM", 2)):
        monkeypatch.setattr(f"dataval.reports.selection.{name}", count)
    images = RNG.integers(0, 255, (N, 96, 96, 3), dtype=np.uint8)
    budgets = (5.0, 0.45, 0.13)
    found = [dv.report(VALUES, images, budget=budget) for budget in budgets]
    sides = [data_of(page)["media"]["side"] for page in found]
    counts = [array_of(data_of(page)["media"]["shown"]).size for page in found]
    assert sides[0] == 96
    assert sides[1] < 96
    assert counts[:2] == [N, N]
    assert counts[2] == 13
    assert all(page.n_bytes <= budget * 1e6 for page, budget in zip(found, budgets, strict=True))
    assert found[0].left_out == ()
    assert any("13 of 60 images are shown" in note for note in found[2].left_out)
    shown = array_of(data_of(found[2])["media"]["shown"]).tolist()
    assert shown[:8] == list(range(8))
    assert shown[8:11] == [N - 1, N - 2, N - 3]
    assert array_of(data_of(found[2])["methods"][0]["values"]).size == N


def test_none_is_chosen_twice_and_every_method_has_a_say():
    ranks = np.stack([np.arange(5000), np.arange(5000)[::-1]])
    order, chosen = choose(ranks, 0)
    assert set(order[:4].tolist()) == {0, 1, 4998, 4999}
    assert len(chosen) == len(set(chosen.tolist())) == 3000


def test_cells_far_from_their_class_are_marked():
    y = np.arange(N) % 2
    X = RNG.normal(size=(N, 2)) * 0.1 + 5 * y[:, None]
    X[7, 1] = 0.0  # of class 1, usual in class 0
    groups = [np.flatnonzero(y == c) for c in (0, 1)]
    marks = np.stack([column.unusual(groups) for column in as_grid(X, None).columns], axis=1)
    assert marks[7].tolist() == [False, True]
    assert marks.sum() <= 3  # a normal number is 3.5 standard deviations away once in 2,000
    assert not np.stack([column.unusual([np.arange(N)]) for column in as_grid(X, None).columns])[:, 7].any()


def test_tables_keep_numbers_texts_and_what_is_missing():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {"size": [1.5, np.nan, 2**40 + 1.0], "colour": ["red", "red", None], "code": ["01", "2", "x"]}
    )
    columns = data_of(dv.report([0.0, 1.0, 2.0], frame))["media"]["columns"]
    np.testing.assert_array_equal(array_of(columns[0]["numbers"]), [1.5, np.nan, 2**40 + 1.0])
    assert [columns[1]["texts"][code] for code in array_of(columns[1]["codes"])] == ["red", "red", ""]
    assert [column["name"] for column in columns] == ["size", "colour", "code"]


def test_texts_are_cut_where_they_would_not_fit():
    texts = ["word " * 5000] * 20
    page = dv.report(np.arange(20.0), texts, budget=0.2)
    shown = data_of(page)["media"]["texts"]
    assert {len(text) for text in shown} == {2000}
    assert page.n_bytes < 2e5
    assert page.left_out == ("20 texts are cut to 2,000 characters",)


def test_neighbours_are_the_nearest_of_the_class():
    features = RNG.normal(size=(30, 5))
    y = np.arange(30) % 2
    found = neighbours(features, [np.flatnonzero(y == c) for c in (0, 1)], np.arange(30), 0)
    for i in range(30):
        others = np.array([j for j in range(30) if y[j] == y[i] and j != i])
        expected = others[np.argsort(np.linalg.norm(features[others] - features[i], axis=1))[:6]]
        np.testing.assert_array_equal(found[i], expected)


def test_a_class_of_one_has_no_neighbours():
    found = neighbours(np.ones((3, 2)), [np.array([0]), np.array([1, 2])], np.arange(3), 0)
    assert found[0].tolist() == [-1] * 6
    assert found[1].tolist() == [2, -1, -1, -1, -1, -1]
