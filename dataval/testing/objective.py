"""What must hold of a backend's objectives in evaluation mode."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from dataval.backend import Objective
from dataval.errors import InvalidModelError
from dataval.testing.case import Case
from dataval.testing.comparison import DIFFERENCES, ROUNDING, SUMMED, assert_near, central

__all__ = ["ObjectiveConformance"]

PRODUCTS = ("hessian_products", "gauss_newton_products")


class ObjectiveConformance:
    """Tests of `Objective` against finite differences and against dense matrices.

    A subclass overrides the fixture `case`.
    """

    takes_functions: ClassVar[bool] = True
    """Whether the backend differentiates a caller's function of outputs and targets; else it must refuse it."""

    @pytest.fixture
    def case(self) -> Case:
        """One model with a batch."""
        raise NotImplementedError("override the fixture `case`")

    def test_values_are_the_loss_of_the_prediction(self, case: Case) -> None:
        """The cross-entropy of the outputs in evaluation mode."""
        outputs = case.numpy(case.backend.predict(*case.at))
        shifted = outputs - outputs.max(1, keepdims=True)
        expected = (
            np.log(np.exp(shifted).sum(1)) - shifted[np.arange(case.n), case.data.take(slice(None)).targets]
        )
        assert_near(case.numpy(case.backend.objective().values(*case.at)), expected, ROUNDING)

    def test_values_over_a_leading_axis_equal_one_by_one(self, case: Case) -> None:
        """At several parameters."""
        points = [case.moved(case.draw(case.P), h) for h in (0, 0.1)]
        together = case.array(np.stack([case.numpy(p) for p in points]))
        buffers = case.array(np.stack([case.numpy(case.buffers)] * 2))
        objective = case.backend.objective()
        found = case.numpy(objective.values(together, buffers, case.batch))
        each = [case.numpy(objective.values(p, case.buffers, case.batch)) for p in points]
        assert_near(found, np.stack(each), ROUNDING)

    def test_rows_sum_to_the_gradient(self, case: Case) -> None:
        """In parameters and buffers."""
        objective = case.backend.objective()
        rows, buffer_rows = map(case.numpy, objective.rows(*case.at))
        total, buffer_total = map(case.numpy, objective.gradient(*case.at))
        assert rows.shape == (case.n, case.P)
        assert buffer_rows.shape == (case.n, case.S)
        assert_near(rows.sum(0), total, SUMMED)
        assert_near(buffer_rows.sum(0), buffer_total, SUMMED)

    def test_rows_equal_differences_of_values(self, case: Case) -> None:
        """Along a random direction of the parameters."""
        direction = case.draw(case.P)
        found = case.numpy(case.backend.objective().rows(*case.at)[0]) @ case.numpy(direction)
        assert_near(
            found, central(lambda h: _values(case, case.moved(direction, h), case.buffers)), DIFFERENCES
        )

    def test_buffer_rows_equal_differences_of_values(self, case: Case) -> None:
        """Along a random direction of the buffers, where there are any."""
        direction = case.draw(case.S)
        bars = case.numpy(case.backend.objective().rows(*case.at)[1])

        def value(h: float) -> NDArray[Any]:
            return _values(case, case.parameters, case.moved(direction, h, case.buffers))

        assert bool(case.S) == bool(np.abs(bars).any())
        assert_near(bars @ case.numpy(direction), central(value), DIFFERENCES)

    @pytest.mark.parametrize("lead", [(), (1,), (2,), (5,)], ids=str)
    def test_slopes_equal_rows(self, case: Case, lead: tuple[int, ...]) -> None:
        """Along one vector, few and many."""
        vectors = case.draw(*lead, case.P)
        objective = case.backend.objective()
        found = case.numpy(objective.slopes(*case.at, vectors))
        assert found.shape == (*lead, case.n)
        assert_near(found, case.numpy(vectors) @ case.numpy(objective.rows(*case.at)[0]).T, SUMMED)

    def test_overrides_equal_what_the_contract_derives(self, case: Case) -> None:
        """`gradient` and `slopes` as the base class finds them from the rows."""
        objective, vectors = case.backend.objective(), case.draw(5, case.P)
        derived = [
            *Objective.gradient(objective, *case.at),
            Objective.slopes(objective, *case.at, vectors),
            Objective.slopes(objective, *case.at, vectors[0]),
        ]
        own = [
            *objective.gradient(*case.at),
            objective.slopes(*case.at, vectors),
            objective.slopes(*case.at, vectors[0]),
        ]
        for found, expected in zip(own, derived, strict=True):
            assert_near(case.numpy(found), case.numpy(expected), SUMMED)

    @pytest.mark.parametrize("lead", [(), (5,)], ids=str)
    def test_an_objective_of_the_callers_own(self, case: Case, lead: tuple[int, ...]) -> None:
        """Its values, rows and slopes; or it is refused by name."""
        if not self.takes_functions:
            with pytest.raises(InvalidModelError):
                case.backend.objective(_curved)
            return
        vectors, objective = case.draw(*lead, case.P), case.backend.objective(_curved)
        outputs = case.numpy(case.backend.predict(*case.at))
        assert_near(case.numpy(objective.values(*case.at)), _curved(outputs, None), ROUNDING)
        found = case.numpy(objective.slopes(*case.at, vectors))
        assert_near(found, case.numpy(vectors) @ case.numpy(objective.rows(*case.at)[0]).T, SUMMED)

    def test_hessian_products_equal_differences_of_rows(self, case: Case) -> None:
        """One sample's weight at a time."""
        vector, weights = case.draw(case.P), case.weights()

        def rows(h: float) -> NDArray[Any]:
            point = case.moved(vector, h)
            return case.numpy(case.backend.objective().rows(point, case.buffers, case.batch)[0])

        found = case.numpy(case.backend.objective().hessian_products(*case.at, weights, vector))
        assert_near(found, case.numpy(weights) @ central(rows), DIFFERENCES)

    def test_gauss_newton_products_equal_the_dense_matrix(self, case: Case) -> None:
        """J by central differences of the outputs; the Hessian of cross-entropy is diag(p) - p p'."""
        weights, vector = case.weights(), case.draw(case.P)
        found = case.numpy(case.backend.objective().gauss_newton_products(*case.at, weights, vector))
        assert_near(found, _gauss_newton(case, case.numpy(weights)) @ case.numpy(vector), DIFFERENCES)

    @pytest.mark.parametrize("product", PRODUCTS)
    def test_many_products_equal_one_by_one(self, case: Case, product: str) -> None:
        """A leading axis of 3, and of 1."""
        vectors, weights = case.draw(3, case.P), case.weights()
        function = getattr(case.backend.objective(), product)
        each = [case.numpy(function(*case.at, weights, vectors[k])) for k in range(3)]
        assert_near(case.numpy(function(*case.at, weights, vectors)), np.stack(each), SUMMED)
        assert_near(case.numpy(function(*case.at, weights, vectors[:1])), np.stack(each[:1]), SUMMED)


def _curved(outputs: Any, targets: Any) -> Any:
    """Be an objective that any framework's operators can do."""
    return outputs[:, 0] ** 2 + outputs[:, 1]


def _values(case: Case, parameters: Any, buffers: Any) -> NDArray[Any]:
    return case.numpy(case.backend.objective().values(parameters, buffers, case.batch))


def _gauss_newton(case: Case, weights: NDArray[Any]) -> NDArray[Any]:
    def outputs(parameters: Any) -> NDArray[Any]:
        return case.numpy(case.backend.predict(parameters, case.buffers, case.batch))

    columns = [
        central(lambda h, e=e: outputs(case.moved(e, h)))  # type: ignore[misc]
        for e in map(case.array, np.eye(case.P))
    ]
    jacobian, z = np.stack(columns, axis=-1), outputs(case.parameters)
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    hessians = np.einsum("nc,cd->ncd", p, np.eye(p.shape[1])) - np.einsum("nc,nd->ncd", p, p)
    found: NDArray[Any] = np.einsum("n,ncp,ncd,ndq->pq", weights, jacobian, hessians, jacobian, optimize=True)
    return found
