"""Random projections: by definition, in parts, by seed, within the bounds of Johnson and Lindenstrauss."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from dataval.curvature import projections
from dataval.curvature.projections import RandomProjection, random_signs

KINDS = ["sparse", "rademacher"]
SIGNS = [[1, -1, -1, 1, -1, -1, -1, -1], [1, 1, -1, 1, -1, 1, 1, -1]]
PLACES = [[1, 3, 5, 7], [0, 2, 5, 6], [1, 3, 5, 7]]
SPARSE_SIGNS = [1, 1, -1, -1, -1, 1, -1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_inner_products_are_kept_within_the_bound(kind):
    """Over 200 matrices the mean error is within 4 of its standard errors, the spread within 15 % of theory."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 300))
    k = 24
    found = []
    for seed in range(200):
        u, v = RandomProjection(300, k, seed, kind)(np.stack([x, y]))
        found.append(u @ v)
    bound = np.sqrt((x @ x * (y @ y) + (x @ y) ** 2) / k)
    assert abs(np.mean(found) - x @ y) < 4 * bound / np.sqrt(200)
    assert np.std(found) < 1.15 * bound


@pytest.mark.parametrize("kind", KINDS)
def test_entries_are_signs(kind):
    matrix = RandomProjection(50, 10, 3, kind).matrix()
    n = 4 if kind == "sparse" else 10
    assert ((matrix != 0).sum(axis=1) == n).all()
    np.testing.assert_allclose(np.abs(matrix[matrix != 0]), n**-0.5, rtol=1e-15)
    if kind == "sparse":  # one in each quarter of the columns
        assert all(((matrix[:, a:b] != 0).sum(axis=1) == 1).all() for a, b in ((0, 2), (2, 5), (5, 7), (7, 10)))


@pytest.mark.parametrize("kind", KINDS)
def test_how_samples_and_parameters_are_split_does_not_matter(kind, monkeypatch):
    rows = np.random.default_rng(0).normal(size=(7, 100))
    whole = RandomProjection(100, 16, 1, kind)(rows)
    parts = [RandomProjection(100, 16, 1, kind)(rows[part]) for part in (slice(0, 3), slice(3, 7))]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-12)  # sums in another order
    monkeypatch.setattr(projections, "_KEPT_BYTES", 0)
    made_anew = RandomProjection(100, 16, 1, kind)
    np.testing.assert_array_equal(made_anew(rows), made_anew(rows))
    np.testing.assert_array_equal(made_anew(rows), whole)
    assert made_anew._kept == {}
    monkeypatch.setattr(projections, "_BLOCK", 32)
    blocks = RandomProjection(100, 16, 1, kind)
    np.testing.assert_allclose(blocks(rows), rows @ blocks.matrix(), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_and_streams_tell_matrices_apart(kind):
    def made(*args, **options):
        return RandomProjection(*args, **options).matrix()

    np.testing.assert_array_equal(made(40, 8, 5, kind), made(40, 8, 5, kind))
    np.testing.assert_array_equal(made(40, 8, 5, kind)[:20], made(20, 8, 5, kind))
    assert (made(40, 8, 5, kind) != made(40, 8, 6, kind)).any()
    assert (made(40, 8, 5, kind) != made(40, 8, 5, kind, stream=1)).any()
    revived = pickle.loads(pickle.dumps(RandomProjection(40, 8, 5, kind)))
    np.testing.assert_array_equal(revived.matrix(), made(40, 8, 5, kind))


def test_the_bits_never_change():
    """An index on disk is read by later versions: these numbers were written down once."""
    assert random_signs(1, 2, (2, 8)).astype(int).tolist() == SIGNS
    found = RandomProjection(3, 8, 1, "sparse").matrix()
    assert [[int(at) for at in np.flatnonzero(row)] for row in found] == PLACES
    assert np.sign(found[found != 0]).astype(int).tolist() == SPARSE_SIGNS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dimension", [1, 3, 5])
def test_few_dimensions(kind, dimension):
    matrix = RandomProjection(30, dimension, 0, kind).matrix()
    np.testing.assert_allclose((matrix**2).sum(axis=1), 1, rtol=1e-12)
    assert matrix.any(axis=0).all()


def test_rows_keep_their_dtype():
    assert RandomProjection(30, 5, 0)(np.ones((2, 30), np.float32)).dtype == np.float32
