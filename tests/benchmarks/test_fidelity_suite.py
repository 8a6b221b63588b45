"""The fidelity suite: parts on disk, and rows against scores one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from benchmarks import cells
from benchmarks.cells import FRACTIONS, SEEDS, Found, Size, parts
from benchmarks.suites.fidelity import rows

N, K, F = 24, 8, len(FRACTIONS)
SIZE = Size(N, 5, 1, K)
PARTS = parts("MLP", 4, SIZE)


@pytest.fixture(scope="module")
def done():
    """Three trainings of a draw and one of the next, with values by chance."""
    found = []
    for part in PARTS:
        of_draw, rng = np.random.default_rng(part.draw), np.random.default_rng([1, part.seed])
        removed = of_draw.random((F, K, N)) < 0.4
        values = {name: of_draw.normal(size=N) + rng.normal(size=N) for name in ("exact", "mean loss")}
        changes = np.stack([mask @ (values["exact"] + rng.normal(size=N)) for mask in removed])
        is_noisy = np.arange(N) % 4 == 0
        found.append(
            Found(values, removed, changes, is_noisy, 0.5, 1.5, np.ones(1), {"TRAK": "broken"}, {"exact": 1.0})
        )
    return list(zip(PARTS, found, strict=True))


def test_seeds_of_a_draw_come_before_the_next_draw():
    assert [(part.draw, part.seed) for part in PARTS] == [(10, 0), (10, 1), (10, 2), (11, 3)]
    assert SEEDS == 3
    assert len({part.name for part in [*PARTS, replace(PARTS[0], device="cuda:0")]}) == 5


def test_rows_are_medians_of_scores_one_by_one(done):
    found = {row.name: row for row in rows("MLP", done)}
    of_draw = [each for _, each in done[:3]]

    def score(values, each):
        return spearmanr(each.removed[1] @ values, each.changes[1]).statistic

    row = found["MLP: exact, 5% removed"]
    same = [score(each.values["exact"], each) for _, each in done]
    other = [
        np.mean([score(of_draw[s].values["exact"], of_draw[t]) for t in range(3) if t != s]) for s in range(3)
    ]
    means = [np.mean([of_draw[s].values["exact"] for s in range(3) if s != t], axis=0) for t in range(3)]
    averaged = [score(means[t], of_draw[t]) for t in range(3)]
    assert row.value == pytest.approx(np.median(same), abs=6e-4)  # rows are rounded to three digits
    assert (row.low, row.high) == pytest.approx((min(same), max(same)), abs=6e-4)
    assert row.details["another_seed"]["median"] == pytest.approx(np.median(other), abs=6e-4)
    assert row.details["mean_of_other_seeds"]["least"] == pytest.approx(min(averaged), abs=6e-4)
    assert (row.details["n"], row.details["another_seed"]["n"]) == (4, 3)
    pairs = [(0, 1), (0, 2), (1, 2)]
    outcomes = [spearmanr(of_draw[s].changes[1], of_draw[t].changes[1]).statistic for s, t in pairs]
    assert found["MLP: outcomes of another seed, 5% removed"].value == pytest.approx(
        np.mean(outcomes), abs=6e-4
    )
    counts = [spearmanr(-(e.removed[1] @ (1.0 * e.is_noisy)), e.changes[1]).statistic for _, e in done]
    assert found["MLP: count of wrong labels, 5% removed"].value == pytest.approx(np.median(counts), abs=6e-4)
    assert found["MLP: TRAK"].note == "broken"


def test_one_seed_has_no_other(done):
    found = {row.name: row for row in rows("MLP", done[:1])}
    assert "another_seed" not in found["MLP: exact, 1% removed"].details
    assert not [name for name in found if "outcomes" in name]


def test_a_part_is_taken_from_its_file_and_no_other(done, tmp_path, monkeypatch):
    part, known = done[0]
    work = []

    def find(*arguments):
        work.append(arguments)
        return known

    monkeypatch.setattr(cells, "_find", find)
    cells.found(part, tmp_path)
    kept = cells.found(part, tmp_path)
    assert len(work) == 1
    np.testing.assert_array_equal(kept.removed, known.removed)
    np.testing.assert_array_equal(kept.changes, known.changes)
    np.testing.assert_allclose(kept.values["exact"], known.values["exact"], rtol=1e-6)  # kept as float32
    assert (kept.failures, kept.accuracy, kept.seconds) == (known.failures, known.accuracy, known.seconds)
    cells.found(replace(part, size=replace(SIZE, epochs=2)), tmp_path)  # other settings: found anew
    assert len(work) == 2
    assert not list(tmp_path.glob("*.part.npz"))
