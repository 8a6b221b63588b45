"""The approximation of every kind of layer against its definition in dense matrices."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.backend.arrays import Arrays
from dataval.backend.layers import (
    LinearGradients,
    LookupGradients,
    PlainGradients,
    TiedGradients,
    plain_gradients,
    rows_of,
)
from dataval.curvature.kronecker.estimate import check_layers, find_spectra, is_covered
from dataval.curvature.kronecker.inverse import KroneckerInverse
from dataval.errors import InvalidModelError

ARRAYS = Arrays()
EXACT = 1e-9  # eigenvectors and dense inverses of matrices of condition 100, in float64
DAMPING = 0.3


class Fisher:
    """Hands out gradients in two chunks, as often as it is asked."""

    def __init__(self, blocks, weights):
        self.blocks, self.weights = blocks, weights

    def probe(self):
        return [block.part(slice(0, 2)) for block in self.blocks]

    def __iter__(self):
        for rows in (slice(0, 4), slice(4, None)):
            yield [block.part(rows) for block in self.blocks], self.weights[rows]


N = 7
WEIGHTS = np.linspace(0.2, 1.4, N) / N


def linear(n_positions=1, groups=1, order="goi", weight=True, bias=True, start=0, n=N):
    rng = np.random.default_rng(n_positions + groups)
    inputs, outputs = rng.normal(size=(n, n_positions, groups, 4)), rng.normal(size=(n, n_positions, groups, 3))
    at_weight, at_bias = (start if weight else None), (start + 12 * groups * weight if bias else None)
    return LinearGradients("linear", inputs, outputs, at_weight, at_bias, order)


def table(start=0):
    rng = np.random.default_rng(5)
    return LookupGradients("table", rng.integers(0, 4, (N, 6)), rng.normal(size=(N, 6, 3)), 4, start)


def plain(start=0, is_elementwise=False):
    rows = np.random.default_rng(6).normal(size=(N, 5))
    return PlainGradients("plain", rows, start, is_elementwise)


def basis_of(matrix):
    return np.linalg.eigh(matrix)[1]


def places(block):
    """Index in the flat vector of each entry of the groups' matrices (O, I), the bias last."""
    _, n_groups, n_outputs, n_inputs = block.shape
    sizes = {"g": n_groups, "o": n_outputs, "i": n_inputs}
    found = np.zeros((n_groups, n_outputs, 0), dtype=int)
    if block.weight is not None:
        index = np.arange(n_groups * n_outputs * n_inputs).reshape([sizes[axis] for axis in block.order])
        found = block.weight + index.transpose([block.order.index(axis) for axis in "goi"])
    if block.bias is not None:
        index = block.bias + np.arange(n_groups * n_outputs).reshape(n_groups, n_outputs, 1)
        found = np.concatenate([found, index], axis=2)
    return found.reshape(n_groups, -1)


def slow_factors(block, group, sharing):
    inputs, outputs = block.inputs[:, :, group], block.outputs[:, :, group]
    if block.weight is None:
        inputs = inputs[:, :, :0]
    if block.bias is not None:
        inputs = np.concatenate([inputs, np.ones((*inputs.shape[:2], 1))], axis=2)
    if sharing == "reduce":
        inputs, outputs = inputs.mean(axis=1, keepdims=True), outputs.sum(axis=1, keepdims=True)
    A, S = np.zeros((inputs.shape[2],) * 2), np.zeros((outputs.shape[2],) * 2)
    for j, weight in enumerate(WEIGHTS):
        for a, delta in zip(inputs[j], outputs[j], strict=True):
            A += weight * np.outer(a, a) / WEIGHTS.sum() / inputs.shape[1]
            S += weight * np.outer(delta, delta)
    return S, A


def corrected(matrix, basis, rows):
    """The matrix of these eigenvectors nearest to the sum of the rows' outer products."""
    return basis @ np.diag(WEIGHTS @ (rows @ basis) ** 2) @ basis.T


def slow_linear(block, rows, kind, sharing="expand"):
    found = np.zeros((rows.shape[1],) * 2)
    for group, at in enumerate(places(block)):
        S, A = slow_factors(block, group, sharing)
        matrix = np.kron(S, A)
        if kind == "ekfac":
            matrix = corrected(matrix, np.kron(basis_of(S), basis_of(A)), rows[:, at])
        found[np.ix_(at, at)] = matrix
    return found


def slow_table(block, rows, kind):
    each = np.repeat(WEIGHTS, block.indices.shape[1])
    counts = np.bincount(block.indices.ravel(), each, 4) / each.sum()
    S = np.einsum("j,jto,jtp->op", WEIGHTS, block.outputs, block.outputs)
    matrix = np.kron(np.diag(counts), S)
    return matrix if kind == "kfac" else corrected(matrix, np.kron(np.eye(4), basis_of(S)), rows)


OPTIONS = {"kfac": dv.KFAC, "ekfac": dv.EKFAC}


def check(blocks, slow, options, decay=0.0, slow_decay=None):
    """Compare the inverse times vectors, and the norms of all gradients, with dense linear algebra."""
    rows = rows_of(ARRAYS, blocks)
    spectra = find_spectra(Fisher(blocks, WEIGHTS), ARRAYS, options, lambda n: None)
    inverse = KroneckerInverse(spectra, ARRAYS, decay, DAMPING)
    size = rows.shape[1]
    matrix = slow + DAMPING * np.eye(size) + (decay * np.eye(size) if slow_decay is None else slow_decay)
    dense = np.linalg.inv(matrix)
    vectors = np.random.default_rng(9).normal(size=(3, size))
    np.testing.assert_allclose(inverse.apply(vectors), vectors @ dense, atol=EXACT)
    energies, norms = inverse.own(blocks)
    np.testing.assert_allclose(energies, np.einsum("jp,pq,jq->j", rows, dense, rows), atol=EXACT)
    np.testing.assert_allclose(norms, np.linalg.norm(rows @ dense, axis=1), atol=EXACT)
    # An objective may see the layers as rows; questions in two parts are those of all.
    for asked in (blocks, plain_gradients(rows)):
        queries = [
            inverse.queries([block.part(part) for block in asked]) for part in (slice(0, 3), slice(3, N))
        ]
        for known in (blocks, plain_gradients(rows)):
            np.testing.assert_allclose(inverse.products(queries, known), rows @ dense @ rows.T, atol=EXACT)
    assert not inverse.singular
    return spectra


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("sharing", ["expand", "reduce"])
@pytest.mark.parametrize("order", ["goi", "igo"])
@pytest.mark.parametrize(("n_positions", "groups"), [(1, 1), (2, 2), (40, 1)])
def test_matrices(kind, sharing, order, n_positions, groups):
    block = linear(n_positions, groups, order)
    slow = slow_linear(block, rows_of(ARRAYS, [block]), kind, sharing)
    check([block], slow, OPTIONS[kind](sharing=sharing))


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("given", [{"weight": False}, {"bias": False}])
@pytest.mark.parametrize("n_positions", [1, 3])
def test_a_weight_or_a_bias_alone(kind, given, n_positions):
    block = linear(n_positions, **given)
    check([block], slow_linear(block, rows_of(ARRAYS, [block]), kind), OPTIONS[kind]())


@pytest.mark.parametrize("groups", [1, 2])
def test_one_sample_at_one_position_is_exact(groups):
    """There the product of the factors is the block itself, within each group of a convolution."""
    block = linear(1, groups, bias=False, n=1)
    (spectrum,) = find_spectra(Fisher([block], np.ones(1)), ARRAYS, dv.KFAC(), lambda n: None)
    row = rows_of(ARRAYS, [block])[0]
    expected = np.zeros((12 * groups, 12 * groups))
    for at in places(block):
        expected[np.ix_(at, at)] = np.outer(row[at], row[at])
    found = np.linalg.inv(KroneckerInverse([spectrum], ARRAYS, 0.0, 1.0).apply(np.eye(12 * groups)))
    np.testing.assert_allclose(found - np.eye(12 * groups), expected, atol=1e-9)


@pytest.mark.parametrize("kind", OPTIONS)
def test_tables(kind):
    block = table()
    check([block], slow_table(block, rows_of(ARRAYS, [block]), kind), OPTIONS[kind]())


@pytest.mark.parametrize("kind", OPTIONS)
def test_scales_and_what_is_not_covered(kind):
    rows = plain().rows
    squares = WEIGHTS @ rows**2
    for is_elementwise in (True, False):
        (found,) = check([plain(0, is_elementwise)], np.diag(squares), OPTIONS[kind]())
        assert is_covered(found) == is_elementwise
    check([plain()], rows.T @ np.diag(WEIGHTS) @ rows, OPTIONS[kind](uncovered="block"))
    check([plain()], squares.mean() * np.eye(5), OPTIONS[kind](uncovered="identity"))
    check([plain(0, True)], np.diag(squares), OPTIONS[kind](uncovered="identity"))


@pytest.mark.parametrize("kind", OPTIONS)
def test_several_layers_are_independent_and_in_their_places(kind):
    blocks = [plain(12 + 15), linear(3, start=12), table()]
    rows = rows_of(ARRAYS, blocks)
    slow = np.zeros((32, 32))
    slow[:12, :12] = slow_table(blocks[2], rows[:, :12], kind)
    slow += slow_linear(blocks[1], rows, kind)
    slow[27:, 27:] = np.diag(WEIGHTS @ rows[:, 27:] ** 2)
    check(blocks, slow, OPTIONS[kind](), decay=0.2)


def test_parameters_that_decay_differently():
    """Of the decay, what is diagonal in the eigenvectors' basis is kept."""
    block, decay = linear(2, 2), np.random.default_rng(3).uniform(0, 1, 30)
    rows = rows_of(ARRAYS, [block])
    kept = np.zeros((30, 30))
    for group, at in enumerate(places(block)):
        S, A = slow_factors(block, group, "expand")
        basis = np.kron(basis_of(S), basis_of(A))
        kept[np.ix_(at, at)] = basis @ np.diag((basis**2).T @ decay[at]) @ basis.T
    check([block], slow_linear(block, rows, "kfac"), dv.KFAC(), decay, kept)
    kept = np.kron(np.eye(4), np.zeros((3, 3)))
    S = np.einsum("j,jto,jtp->op", WEIGHTS, table().outputs, table().outputs)
    basis = np.kron(np.eye(4), basis_of(S))
    kept = basis @ np.diag((basis**2).T @ decay[:12]) @ basis.T
    check([table()], slow_table(table(), rows_of(ARRAYS, [table()]), "kfac"), dv.KFAC(), decay[:12], kept)


def test_parts_do_not_change_anything(monkeypatch):
    block = linear(5, 2)
    slow = slow_linear(block, rows_of(ARRAYS, [block]), "ekfac")
    monkeypatch.setattr("dataval.curvature.kronecker.turned._ENTRIES", 40)
    check([block], slow, dv.EKFAC())


@pytest.mark.parametrize("damping", ["layer", {"linear": 0.0, "table": 0.4}])
def test_damping_by_layer(damping):
    blocks = [linear(start=12), table()]
    spectra = find_spectra(Fisher(blocks, WEIGHTS), ARRAYS, dv.EKFAC(), lambda n: None)
    inverse = KroneckerInverse(spectra, ARRAYS, 0.0, damping)
    for spectrum, block in zip(spectra, blocks, strict=True):
        mean = spectrum.eigenvalues.mean()
        assert mean == pytest.approx((WEIGHTS @ (rows_of(ARRAYS, [block]) ** 2)).mean(), rel=1e-10)
        expected = 0.1 * mean if damping == "layer" else damping[block.name]
        assert inverse.dampings[block.name] == pytest.approx(expected, rel=1e-12)
    vectors = np.random.default_rng(9).normal(size=(2, 27))
    rest = inverse.apply(vectors)[:, :12] - KroneckerInverse(
        spectra[1:], ARRAYS, 0.0, inverse.dampings["table"]
    ).apply(vectors[:, :12])
    np.testing.assert_allclose(rest, 0, atol=1e-12)


def test_directions_without_curvature_are_left_out():
    block = linear(1, bias=False, n=2)
    spectra = find_spectra(Fisher([block], np.ones(2)), ARRAYS, dv.EKFAC(), lambda n: None)
    inverse = KroneckerInverse(spectra, ARRAYS, 0.0, 0.0)
    assert inverse.singular == ["linear"]
    values = spectra[0].eigenvalues
    kept = np.where(values > 1e-12 * values.max(), values, np.inf)
    left, right = spectra[0].left[0], spectra[0].right[0]
    basis = np.kron(left, right)
    expected = basis @ np.diag(1 / kept.ravel()) @ basis.T
    found = inverse.apply(np.eye(12))
    np.testing.assert_allclose(found, expected, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_parameter_with_several_uses_is_not_covered(kind):
    rng = np.random.default_rng(8)
    last = LinearGradients("last", rng.normal(size=(N, 2, 1, 3)), rng.normal(size=(N, 2, 1, 4)), 0)
    block = TiedGradients([table(), last])
    rows = rows_of(ARRAYS, [table()]) + rows_of(ARRAYS, [last])
    (found,) = check([block], np.diag(WEIGHTS @ rows**2), OPTIONS[kind]())
    assert not is_covered(found)
    check([block], rows.T @ np.diag(WEIGHTS) @ rows, OPTIONS[kind](uncovered="block"))


def test_a_factor_that_is_too_large_is_refused():
    large = LinearGradients("head", np.zeros((1, 1, 1, 2)), np.zeros((1, 1, 1, 20_001)), 0)
    with pytest.raises(InvalidModelError, match=r"'head' has a factor of 20001 x 20001 numbers \(3 GB\)"):
        check_layers([large], dv.EKFAC())


def test_a_block_that_is_too_large_is_refused():
    large = PlainGradients("lstm", np.zeros((1, 2001)), 0)
    with pytest.raises(ValueError, match=r"2001 x 2001 numbers for 'lstm'.*choose uncovered='diagonal'"):
        check_layers([large], dv.KFAC(uncovered="block"))
    assert check_layers([large, linear()], dv.KFAC()) == ["lstm", "linear"]
