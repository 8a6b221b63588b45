"""The conformance tests find what they are there to find, and say what they need."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from dataval.backend import Linearization
from dataval.testing import Case, LossConformance, ObjectiveConformance, assert_near, central, make_case
from tests.numpy_backend import NumpyBackend, NumpyLoss, NumpyObjective, SoftmaxRegression
from tests.zoo.data import features

LOSS, OBJECTIVE = LossConformance(), ObjectiveConformance()


class ScaledGradient(NumpyLoss):
    def gradient(self, parameters, buffers, batch, weights, seed):
        losses, gradient, after = super().gradient(parameters, buffers, batch, weights, seed)
        return losses, 1.001 * gradient, after


class PartsOfTheirOwn(NumpyLoss):
    def rows(self, parameters, buffers, batch, seed, part=None):
        rows = super().rows(parameters, buffers, batch, seed, part)
        return rows - rows.mean(0) * 1e-6


class OtherSlopes(NumpyLoss):
    def slopes(self, parameters, buffers, batch, vectors, seed):
        return super().slopes(parameters, buffers, batch, vectors, seed)[..., ::-1]


class NoHessian(NumpyLoss):
    def linearize(self, parameters, buffers, batch, weights, seed):
        right = super().linearize(parameters, buffers, batch, weights, seed)

        def pullback(vectors, buffer_vectors):
            product, slopes, buffers_bar = right.pullback(vectors, buffer_vectors)
            return 0 * product, slopes, buffers_bar

        return Linearization(right.gradient, pullback)


class WritesItsArguments(NumpyLoss):
    def gradient(self, parameters, buffers, batch, weights, seed):
        found = super().gradient(parameters, buffers, batch, weights, seed)
        parameters += 1e-9
        return found


class OtherProducts(NumpyObjective):
    def hessian_products(self, parameters, buffers, batch, weights, vectors):
        return 1.001 * super().hessian_products(parameters, buffers, batch, weights, vectors)

    gauss_newton_products = hessian_products


def case_with(loss=NumpyLoss, objective=NumpyObjective) -> Case:
    rng = np.random.default_rng(0)
    model = SoftmaxRegression(rng.normal(size=(6, 3)), rng.normal(size=3))
    case = make_case(NumpyBackend, model, *features(5))
    case.backend.loss = loss(case.backend.arrays)
    case.backend.objective = lambda function=None: objective(case.backend.arrays)
    return case


@pytest.mark.parametrize(
    ("loss", "test"),
    [
        (ScaledGradient, LOSS.test_gradient_equals_differences_of_losses),
        (ScaledGradient, LOSS.test_gradient_is_linear_in_weights),
        (ScaledGradient, LOSS.test_rows_equal_single_weight_gradients),
        (PartsOfTheirOwn, LOSS.test_rows_do_not_depend_on_the_split),
        (OtherSlopes, LOSS.test_slopes_equal_differences_of_losses),
        (OtherSlopes, LOSS.test_overrides_equal_what_the_contract_derives),
        (NoHessian, LOSS.test_pullback_equals_differences_of_gradient),
        (WritesItsArguments, LOSS.test_the_same_call_gives_the_same_bits),
    ],
    ids=lambda value: value.__name__,
)
def test_a_wrong_loss_is_found(loss, test):
    test(case_with())
    with pytest.raises(AssertionError):
        test(case_with(loss=loss))


@pytest.mark.parametrize(
    "test",
    [
        OBJECTIVE.test_hessian_products_equal_differences_of_rows,
        OBJECTIVE.test_gauss_newton_products_equal_the_dense_matrix,
    ],
    ids=lambda value: value.__name__,
)
def test_a_wrong_objective_is_found(test):
    test(case_with())
    with pytest.raises(AssertionError):
        test(case_with(objective=OtherProducts))


def test_differences_are_of_fourth_order():
    """Exact for polynomials up to the fourth degree, but for rounding of 1e-16 over the step of 1e-4."""
    assert central(lambda h: (1 + h) ** 4) == pytest.approx(4, abs=1e-11)
    np.testing.assert_allclose(central(lambda h: np.sin([h, 1 + h])), np.cos([0, 1]), rtol=0, atol=1e-11)


def test_nearness_is_relative_to_the_largest_entry():
    assert_near(np.array([1e6, 1.0]), np.array([1e6, 1.5]), 1e-6)
    assert_near(np.zeros((0, 3)), np.zeros((0, 3)), 0)
    for found in ([1e6, 3.0], [1e6], [np.nan, 1.0]):
        with pytest.raises(AssertionError):
            assert_near(np.array(found), np.array([1e6, 1.5]), 1e-6)


def test_without_pytest_it_says_what_to_install():
    code = "import sys; sys.modules['pytest'] = None; import dataval.testing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().endswith(
        "ImportError: dataval.testing needs pytest: pip install 'dataval[test]'"
    )
