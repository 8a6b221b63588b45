"""What must hold of a backend's loss in training mode."""

from __future__ import annotations

import numpy as np
import pytest

from dataval.backend import TrainingLoss
from dataval.backend.second_order import check_gauss_newton, check_second_order
from dataval.testing.case import SEED, Case
from dataval.testing.comparison import DIFFERENCES, ROUNDING, SUMMED, assert_near, central

__all__ = ["LossConformance"]


class LossConformance:
    """Tests of `TrainingLoss` against finite differences and against its own slow, obvious forms.

    A subclass overrides the fixture `case`.
    """

    @pytest.fixture
    def case(self) -> Case:
        """One model with a batch."""
        raise NotImplementedError("override the fixture `case`")

    def test_signature_describes_the_initial_state(self, case: Case) -> None:
        """Lengths and dtype are those of the arrays."""
        signature = case.backend.signature
        assert (signature.n_parameters, signature.n_buffers) == (case.P, case.S)
        assert signature.dtype == case.numpy(case.parameters).dtype.name == "float64"
        assert case.backend.arrays.dtype == signature.dtype
        assert len(case.batch) == case.n

    def test_gradient_equals_differences_of_losses(self, case: Case) -> None:
        """Along a random direction; and it returns the same losses."""
        direction, weights = case.draw(case.P), case.weights()
        losses, gradient, _ = case.gradient(case.parameters, weights)
        assert_near(losses, case.losses(case.parameters), ROUNDING)
        expected = central(lambda h: case.losses(case.moved(direction, h)) @ case.numpy(weights))
        assert_near(gradient @ case.numpy(direction), np.asarray(expected), DIFFERENCES)

    def test_gradient_is_linear_in_weights(self, case: Case) -> None:
        """The weighted sum of the rows."""
        weights = case.weights()
        gradient = case.gradient(case.parameters, weights)[1]
        assert_near(gradient, case.numpy(weights) @ case.rows(), SUMMED)

    def test_gradients_over_a_leading_axis_equal_one_by_one(self, case: Case) -> None:
        """At other parameters, buffers and weights each."""
        shifts = np.array([[0.0], [0.1], [0.2]])
        points = case.array(case.numpy(case.parameters) + shifts * case.numpy(case.draw(3, case.P)))
        buffers = case.array(case.numpy(case.buffers) + shifts)
        weights = case.weights(3)
        together = case.backend.loss.gradient(points, buffers, case.batch, weights, SEED)
        each = [case.gradient(points[k], weights[k], buffers[k]) for k in range(3)]
        for found, column in zip(together, zip(*each, strict=True), strict=True):
            assert_near(case.numpy(found), np.stack(column), ROUNDING)

    def test_rows_do_not_depend_on_the_split(self, case: Case) -> None:
        """The forward pass sees the whole batch whatever part is asked for."""
        whole = case.rows()
        split = (slice(0, 1), slice(1, 4), slice(4, None))
        parts = [case.numpy(case.backend.loss.rows(*case.at, SEED, part)) for part in split]
        assert whole.shape == (case.n, case.P)
        assert_near(np.concatenate(parts), whole, ROUNDING)

    def test_rows_equal_single_weight_gradients(self, case: Case) -> None:
        """A sample's row is the gradient where it alone has a weight."""
        each = [case.gradient(case.parameters, case.array(weights))[1] for weights in np.eye(case.n)]
        assert_near(case.rows(), np.stack(each), SUMMED)

    @pytest.mark.parametrize("lead", [(), (1,), (2,), (5,)], ids=str)
    def test_slopes_equal_rows(self, case: Case, lead: tuple[int, ...]) -> None:
        """Along one vector, few and many."""
        vectors = case.draw(*lead, case.P)
        found = case.numpy(case.backend.loss.slopes(*case.at, vectors, SEED))
        assert found.shape == (*lead, case.n)
        assert_near(found, case.numpy(vectors) @ case.rows().T, SUMMED)

    def test_slopes_equal_differences_of_losses(self, case: Case) -> None:
        """Sample by sample."""
        vector = case.draw(case.P)
        found = case.numpy(case.backend.loss.slopes(*case.at, vector, SEED))
        assert_near(found, central(lambda h: case.losses(case.moved(vector, h))), DIFFERENCES)

    def test_slopes_do_not_depend_on_the_memory_budget(
        self, case: Case, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Rows that are found two at a time give the same."""
        vectors = case.draw(5, case.P)
        monkeypatch.setattr(case.backend.loss, "row_bytes", 2 * 8 * case.P)
        found = case.numpy(case.backend.loss.slopes(*case.at, vectors, SEED))
        assert_near(found, case.numpy(vectors) @ case.rows().T, SUMMED)

    def test_overrides_equal_what_the_contract_derives(self, case: Case) -> None:
        """`losses`, `slope` and `slopes` as the base class finds them from the other functions."""
        loss, vectors = case.backend.loss, case.draw(5, case.P)
        derived = [
            TrainingLoss.losses(loss, *case.at, SEED),
            TrainingLoss.slope(loss, *case.at, vectors[0], SEED),
            *(TrainingLoss.slopes(loss, *case.at, vectors[:k], SEED) for k in (2, 5)),
        ]
        own = [
            loss.losses(*case.at, SEED),
            loss.slope(*case.at, vectors[0], SEED),
            *(loss.slopes(*case.at, vectors[:k], SEED) for k in (2, 5)),
        ]
        for found, expected in zip(own, derived, strict=True):
            assert_near(case.numpy(found), case.numpy(expected), SUMMED)

    def test_pullback_equals_differences_of_gradient(self, case: Case) -> None:
        """One scalar <u, gradient> + <s, buffers> differentiated in all of parameters, weights and buffers."""
        vector, buffer_vector, weights = case.draw(case.P), case.draw(case.S), case.weights()
        bars = case.pullback(weights, vector, buffer_vector)
        origin = [case.numpy(a) for a in (case.parameters, weights, case.buffers)]
        moves = [case.numpy(case.draw(len(a))) for a in origin]

        def value(at: int, h: float) -> float:
            point = [o + (h * m if i == at else 0) for i, (o, m) in enumerate(zip(origin, moves, strict=True))]
            parameters, moved_weights, buffers = map(case.array, point)
            _, gradient, after = case.gradient(parameters, moved_weights, buffers)
            return float(gradient @ case.numpy(vector) + after @ case.numpy(buffer_vector))

        for at, (bar, move) in enumerate(zip(bars, moves, strict=True)):
            expected = central(lambda h, at=at: value(at, h))  # type: ignore[misc]
            # Relative to the derivative, which may be smaller than the function by some orders of magnitude.
            assert bar @ move == pytest.approx(expected, rel=1e-6, abs=1e-8)

    def test_linearization_gives_the_gradient_and_the_slopes(self, case: Case) -> None:
        """Those that the other functions give."""
        vector, weights = case.draw(case.P), case.weights()
        gradient = case.backend.loss.linearize(*case.at, weights, SEED).gradient
        assert_near(case.numpy(gradient), case.gradient(case.parameters, weights)[1], ROUNDING)
        slopes = case.numpy(case.backend.loss.slopes(*case.at, vector, SEED))
        assert_near(case.pullback(weights, vector)[1], slopes, SUMMED)

    def test_many_cotangents_equal_one_by_one(self, case: Case) -> None:
        """A leading axis of 3."""
        vectors, buffer_vectors, weights = case.draw(3, case.P), case.draw(3, case.S), case.weights()
        together = case.pullback(weights, vectors, buffer_vectors)
        each = [case.pullback(weights, vectors[k], buffer_vectors[k]) for k in range(3)]
        for found, column in zip(together, zip(*each, strict=True), strict=True):
            assert_near(found, np.stack(column), SUMMED)

    def test_gauss_newton_pullback_has_exact_slopes_and_buffers(self, case: Case) -> None:
        """All but the product: gradient, slopes, and what flows through new buffers."""
        vector, buffer_vector, weights = case.draw(case.P), case.draw(case.S), case.weights()
        gradient = case.backend.loss.linearize_gauss_newton(*case.at, weights, SEED).gradient
        assert_near(case.numpy(gradient), case.gradient(case.parameters, weights)[1], ROUNDING)
        found = case.pullback(weights, vector, buffer_vector, gauss_newton=True)
        assert_near(found[1], case.pullback(weights, vector, buffer_vector)[1], SUMMED)
        nothing = case.array(np.zeros(case.P))
        alone = case.pullback(weights, nothing, buffer_vector, gauss_newton=True)
        for bar, expected in zip(alone, case.pullback(weights, nothing, buffer_vector), strict=True):
            assert_near(bar, expected, SUMMED)

    def test_gauss_newton_product_is_that_of_the_objective(self, case: Case) -> None:
        """Where training mode is evaluation mode; elsewhere it is symmetric, as its matrix is, and positive."""
        vectors, weights = case.draw(2, case.P), case.weights()
        one, other = (case.pullback(weights, vectors[k], gauss_newton=True)[0] for k in range(2))
        first, second = case.numpy(vectors)
        assert one @ second == pytest.approx(other @ first, rel=1e-8, abs=1e-8 * abs(one @ first))
        assert one @ first > 0
        objective = case.backend.objective()
        values = case.numpy(objective.values(*case.at))
        if np.allclose(values, case.losses(case.parameters), rtol=1e-12, atol=0):
            expected = objective.gauss_newton_products(*case.at, weights, vectors[0])
            assert_near(one, case.numpy(expected), SUMMED)

    def test_many_gauss_newton_cotangents_equal_one_by_one(self, case: Case) -> None:
        """A leading axis of 3, and of 1."""
        vectors, buffer_vectors, weights = case.draw(3, case.P), case.draw(3, case.S), case.weights()
        each = [case.pullback(weights, vectors[k], buffer_vectors[k], gauss_newton=True) for k in range(3)]
        for k in (1, 3):
            together = case.pullback(weights, vectors[:k], buffer_vectors[:k], gauss_newton=True)
            for found, column in zip(together, zip(*each[:k], strict=True), strict=True):
                assert_near(found, np.stack(column), SUMMED)

    def test_the_same_call_gives_the_same_bits(self, case: Case) -> None:
        """No function changes what another sees, nor its arguments."""
        weights, vector = case.weights(), case.draw(case.P)
        given = [case.numpy(a).copy() for a in (case.parameters, case.buffers, weights, vector)]
        first = case.gradient(case.parameters, weights)
        case.backend.objective().rows(*case.at)
        case.backend.loss.slopes(*case.at, vector, SEED + 1)
        case.pullback(weights, vector)
        for one, other in zip(first, case.gradient(case.parameters, weights), strict=True):
            np.testing.assert_array_equal(one, other)
        for before, array in zip(given, (case.parameters, case.buffers, weights, vector), strict=True):
            np.testing.assert_array_equal(case.numpy(array), before)

    def test_the_second_order_check_accepts_it(self, case: Case) -> None:
        """What HyDRA asks first that follows curvature."""
        check_second_order(case.backend, case.batch)
        check_gauss_newton(case.backend, case.batch)
