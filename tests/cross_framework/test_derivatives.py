"""The same weights and data give the same derivatives on PyTorch and on TensorFlow.

1e-10: the same float64 arithmetic in another order, through some ten layers.
"""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tensorflow")

from tests.backends.support import SEED, assert_near
from tests.cross_framework.conversion import MODELS, cases

SAME = 1e-10
N = 6


QUICK = {"cnn_batch_norm"}


@pytest.fixture(
    scope="module", params=[pytest.param(m, marks=[] if m in QUICK else pytest.mark.slow) for m in MODELS]
)
def pair(request):
    return cases(request.param, N)


def both(pair, call):
    """Call a function of (case, convert), where convert brings a vector in torch's order into the case's."""
    one, other, order = pair
    results = []
    for case, to_own, from_own in (
        (one, lambda v: v, lambda v: v),
        (other, lambda v: v[..., order], lambda v: _inverse(v, order)),
    ):
        results.append(call(case, lambda v, case=case, to_own=to_own: case.array(to_own(v)), from_own))
    return results


def _inverse(values, order):
    result = np.empty_like(values)
    result[..., order] = values
    return result


def draw(pair, *lead, seed=3):
    return np.random.default_rng(seed).normal(size=(*lead, pair[0].P))


def weights(case):
    return case.array(np.linspace(0.5, 1.5, N))


def test_parameters_and_losses(pair):
    def call(case, own, back):
        return back(case.numpy(case.parameters)), case.losses(case.parameters)

    (p, losses), (q, others) = both(pair, call)
    np.testing.assert_array_equal(p, q)
    assert_near(others, losses, SAME)


def test_gradients_and_slopes(pair):
    vector = draw(pair)

    def call(case, own, back):
        arguments = case.parameters, case.buffers, case.batch
        rows = case.backend.loss.rows(*arguments, SEED)
        gradient = case.gradient(case.parameters, weights(case))[1]
        slopes = case.backend.loss.slopes(*arguments, own(vector), SEED)
        return back(case.numpy(rows)), back(gradient), case.numpy(slopes)

    for mine, theirs in zip(*both(pair, call), strict=True):
        assert_near(theirs, mine, SAME)


def test_hessian_products_in_training_mode(pair):
    vectors = draw(pair, 2)

    def call(case, own, back):
        arguments = case.parameters, case.buffers, case.batch, weights(case), SEED
        found = []
        for v in (vectors[0], vectors):
            zeros = case.array(np.zeros((*v.shape[:-1], case.S)))
            product, slopes, _ = case.backend.loss.linearize(*arguments).pullback(own(v), zeros)
            found += [back(case.numpy(product)), case.numpy(slopes)]
        return found

    for mine, theirs in zip(*both(pair, call), strict=True):
        assert_near(theirs, mine, SAME)


def test_evaluation_mode(pair):
    vector = draw(pair)

    def call(case, own, back):
        arguments = case.parameters, case.buffers, case.batch
        backend = case.backend
        rows = backend.objective().rows(*arguments)[0]
        objective = backend.objective()
        products = [
            product(*arguments, weights(case), own(vector))
            for product in (objective.hessian_products, objective.gauss_newton_products)
        ]
        return [
            case.numpy(objective.values(*arguments)),
            case.numpy(objective.slopes(*arguments, own(vector))),
            *(back(case.numpy(array)) for array in (rows, *products)),
        ]

    mine, theirs = both(pair, call)
    for one, other in zip(mine, theirs, strict=True):
        assert_near(other, one, SAME)
