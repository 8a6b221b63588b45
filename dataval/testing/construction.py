"""What must hold of making a backend, of data on their way to it, and of its arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from dataval.backend import Backend
from dataval.data import as_data
from dataval.errors import InvalidDataError, InvalidModelError
from dataval.testing.comparison import ROUNDING, assert_near

__all__ = ["ConstructionConformance"]

Make = Callable[..., Backend]


class ConstructionConformance:
    """Tests of one simple model: labels, filters, and arrays that are neither shared nor changed.

    A subclass overrides the fixture `make`: a function ``(X, y, **options)`` that makes a backend of a
    classifier in float64 of vectors with `n_features` numbers, with the loss ``"cross_entropy"``. Options are
    those of `dataval.testing.make_backend`.
    """

    n_features: ClassVar[int] = 6
    n_classes: ClassVar[int] = 3

    @pytest.fixture
    def make(self) -> Make:
        """Return the function that makes a backend."""
        raise NotImplementedError("override the fixture `make`")

    @pytest.fixture
    def X(self) -> NDArray[np.float64]:  # noqa: N802 - as everywhere
        """Return inputs."""
        return np.random.default_rng(0).normal(size=(8, self.n_features))

    @pytest.fixture
    def y(self) -> NDArray[np.int64]:
        """Return labels, all classes among them."""
        return np.arange(8) % self.n_classes

    def test_it_handles_models_and_nothing_else(
        self, make: Make, X: NDArray[np.float64], y: NDArray[np.int64]
    ) -> None:
        """What `export` returns is a model; a function that builds one is not."""
        backend = make(X, y)
        model = backend.export(*backend.initial())
        assert type(backend).handles(model)
        assert not any(type(backend).handles(other) for other in (lambda: model, 3, None))

    def test_environment_is_text(self, make: Make, X: NDArray[np.float64], y: NDArray[np.int64]) -> None:
        """As it is kept in a run's manifest; what a replay depends on is in it."""
        backend = make(X, y)
        environment = backend.environment
        assert all(isinstance(text, str) for pair in environment.items() for text in pair)
        assert environment.keys() >= set(backend.replay_conditions)

    @pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
    def test_integer_label_types(
        self, make: Make, X: NDArray[np.float64], y: NDArray[np.int64], dtype: str
    ) -> None:
        """All give the same losses."""
        assert_near(_losses(make(X, y.astype(dtype)), X, y.astype(dtype)), _losses(make(X, y), X, y), ROUNDING)

    def test_labels_out_of_range_are_named(
        self, make: Make, X: NDArray[np.float64], y: NDArray[np.int64]
    ) -> None:
        """Among the examples, and among all data later."""
        wrong = np.where(np.arange(8) == 2, 99, y)
        with pytest.raises(InvalidDataError, match=r"label 99 of sample 2"):
            make(X, wrong)
        with pytest.raises(InvalidDataError, match=r"label 99 of sample 5"):
            make(X, y).check_targets(as_data(X, np.where(np.arange(8) == 5, 99, y)))

    def test_a_filter_without_match_is_named(
        self, make: Make, X: NDArray[np.float64], y: NDArray[np.int64]
    ) -> None:
        """With the name that selects nothing."""
        with pytest.raises(InvalidModelError, match="nothing_like_this"):
            make(X, y, params=["nothing_like_this"])

    def test_a_filter_leaves_the_others_as_they_are(
        self, make: Make, X: NDArray[np.float64], y: NDArray[np.int64]
    ) -> None:
        """The model is the same function; fewer of its parameters are free."""
        whole = make(X, y)
        (name, shape), *others = whole.signature.parameters
        part = make(X, y, params=[name])
        assert part.signature.parameters == ((name, shape),)
        assert others
        assert_near(_predictions(part, X, y), _predictions(whole, X, y), ROUNDING)

    def test_arrays_of_the_caller_are_neither_shared_nor_changed(
        self, make: Make, X: NDArray[np.float64], y: NDArray[np.int64]
    ) -> None:
        """Whatever their layout, and though the caller writes to them after a batch was taken."""
        expected = _predictions(make(X, y), X, y)
        for stored in (X, np.asfortranarray(X), np.repeat(X, 2, axis=1), X.astype(">f8")):
            store = stored.copy(order="A")
            given = store[:, :: store.shape[1] // self.n_features].view()
            given.flags.writeable = False
            backend, before = make(given, y), store.copy()
            batch = backend.batches(as_data(given, y)).take(np.arange(8))
            assert_near(_numpy(backend, batch), expected, ROUNDING)
            np.testing.assert_array_equal(store, before)
            store[:] = 0
            assert_near(_numpy(backend, batch), expected, ROUNDING)

    def test_memory_maps(
        self, make: Make, X: NDArray[np.float64], y: NDArray[np.int64], tmp_path: Path
    ) -> None:
        """Give what the array in memory gives."""
        np.save(tmp_path / "X.npy", X)
        mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
        assert_near(_predictions(make(mapped, y), mapped, y), _predictions(make(X, y), X, y), ROUNDING)

    def test_batches_take_any_samples(self, make: Make, X: NDArray[np.float64], y: NDArray[np.int64]) -> None:
        """In any order, several times."""
        backend, indices = make(X, y), np.array([3, 0, 3, 7])
        batch = backend.batches(as_data(X, y)).take(indices)
        assert len(batch) == 4
        assert_near(_numpy(backend, batch), _predictions(backend, X, y)[indices], ROUNDING)

    def test_initial_and_from_numpy_copy(
        self, make: Make, X: NDArray[np.float64], y: NDArray[np.int64]
    ) -> None:
        """What the caller does to an array later changes nothing."""
        arrays = make(X, y).arrays
        values = np.arange(3.0)
        array = arrays.from_numpy(values[::-1])
        values[:] = 0
        np.testing.assert_array_equal(arrays.to_numpy(array), [2, 1, 0])
        assert arrays.to_numpy(arrays.from_numpy(np.asarray(2.0))).shape == ()
        assert arrays.to_numpy(arrays.from_numpy(np.arange(3))).dtype.name == arrays.dtype

    def test_array_functions(self, make: Make, X: NDArray[np.float64], y: NDArray[np.int64]) -> None:
        """Against NumPy's."""
        arrays, rng = make(X, y).arrays, np.random.default_rng(0)
        a, b = rng.normal(size=(2, 3, 4))
        left, right = arrays.from_numpy(a), arrays.from_numpy(b)
        assert_near(arrays.to_numpy(arrays.inner(left, right)), (a * b).sum(-1, keepdims=True), ROUNDING)
        assert_near(arrays.to_numpy(arrays.outer(left, right)), a @ b.T, ROUNDING)
        np.testing.assert_array_equal(arrays.to_numpy(arrays.minimum(left, 0.1)), np.minimum(a, 0.1))
        np.testing.assert_array_equal(arrays.to_numpy(arrays.stack([left, right])), np.stack([a, b]))
        joined = arrays.to_numpy(arrays.concatenate([left, right]))
        np.testing.assert_array_equal(joined, np.concatenate([a, b], axis=-1))


def _numpy(backend: Backend, batch: Any) -> NDArray[Any]:
    return backend.arrays.to_numpy(backend.predict(*backend.initial(), batch)).copy()


def _predictions(backend: Backend, X: Any, y: Any) -> NDArray[Any]:
    return _numpy(backend, backend.batches(as_data(X, y)).take(np.arange(len(y))))


def _losses(backend: Backend, X: Any, y: Any) -> NDArray[Any]:
    batch = backend.batches(as_data(X, y)).take(np.arange(len(y)))
    return backend.arrays.to_numpy(backend.loss.losses(*backend.initial(), batch, 0))
