"""What `compare` is asked to compare, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataval.checks import described, seed_list, whole_number
from dataval.metrics.fidelity import SubsetTruth
from dataval.metrics.statistics import check_values
from dataval.training.config import Training
from dataval.training.learner import Learner

if TYPE_CHECKING:
    from dataval.methods.base import DataValuator

__all__ = [
    "GroundTruth",
    "Truth",
    "check_across_seeds",
    "check_arrays",
    "check_methods",
    "check_seeds",
    "check_truth",
]

FloatArray = npt.NDArray[np.float64]
Truth = SubsetTruth | FloatArray | str | None
GroundTruth = int | str | SubsetTruth | Sequence[SubsetTruth] | npt.ArrayLike | None


def check_methods(methods: Mapping[str, DataValuator | npt.ArrayLike]) -> dict[str, Any]:
    """Return the methods, values that were passed in as arrays."""
    if not isinstance(methods, Mapping) or not methods:
        raise TypeError(
            f'methods must map names to methods, {{"HyDRA": dv.HyDRA(learner), ...}}, got {described(methods)}'
        )
    chosen = {}
    for name, method in methods.items():
        if not isinstance(name, str):
            raise TypeError(f"the name of a method must be a string, got {name!r}")
        is_method = hasattr(method, "fit") and hasattr(method, "score")
        if isinstance(method, type):
            raise TypeError(f"{name}: pass a method, {method.__name__}(learner), not its class")
        learner = getattr(method, "learner", None)
        needs_none = learner is None and not getattr(method, "needs_learner", True)
        if is_method and not isinstance(learner, Learner) and not needs_none:
            raise TypeError(f"{name}: a method must have a dataval.Learner as its learner, {method!r} has none")
        chosen[name] = method if is_method else _as_values(name, method)
    return chosen


def _as_values(name: str, values: Any) -> npt.NDArray[Any]:
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: the values can't be read as an array: {error}") from error
    if array.dtype.kind not in "iuf":
        what = "a method or an array of values, real numbers, one a sample"
        raise TypeError(f"{name} must be {what}, got {described(values)}")
    return array


def _learners(methods: Mapping[str, Any]) -> list[Learner]:
    """Return the different learners, in order."""
    found = [method.learner for method in methods.values() if not isinstance(method, np.ndarray)]
    found = [learner for learner in found if learner is not None]
    return list({id(learner): learner for learner in found}.values())


def check_seeds(seeds: Sequence[int] | None, methods: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the training seeds; by default that of the first learner."""
    if seeds is None:
        learners = _learners(methods)
        return ((learners[0].training or Training()).seed if learners else 0,)
    return seed_list(seeds)


def check_arrays(methods: Mapping[str, Any], n_samples: int, n_seeds: int) -> None:
    """Raise if values that were passed in are not one a sample, or one row a seed."""
    for name, values in methods.items():
        if isinstance(values, np.ndarray):
            _check_rows(f"the values of {name}", values, n_samples, n_seeds)


def _check_rows(what: str, values: npt.NDArray[Any], n_samples: int, n_seeds: int) -> None:
    if values.shape not in {(n_samples,), (n_seeds, n_samples)}:
        raise ValueError(
            f"{what} must have shape ({n_samples},), or ({n_seeds}, {n_samples}) with one row a seed, "
            f"got {values.shape}"
        )
    check_values(values.reshape(-1), what, partial=True)


def check_truth(
    truth: GroundTruth, methods: Mapping[str, Any], n_samples: int, n_seeds: int
) -> list[Truth | int]:
    """Return the truth of every seed, or the number of subsets to retrain without."""
    if truth is None or isinstance(truth, int | float | np.integer):
        if truth is None:
            return [None] * n_seeds
        n_subsets = whole_number("ground_truth", truth)
        if n_subsets < 3:
            raise ValueError(f"a correlation needs at least 3 subsets, got ground_truth={truth}")
        if len(_learners(methods)) != 1:
            raise ValueError(
                "retraining for the ground truth needs methods of one learner: compare those of each learner "
                "apart, or pass the truth from retrain_subsets"
            )
        return [n_subsets] * n_seeds
    if isinstance(truth, str):
        if truth not in methods:
            raise ValueError(f"ground_truth={truth!r} is not one of the methods {list(methods)}")
        return [truth] * n_seeds
    return _given_truth(truth, n_samples, n_seeds)


def check_across_seeds(truths: Sequence[Truth | int]) -> None:
    """Raise if there is nothing to judge the values of one seed by but its own training."""
    if len(truths) < 2:
        raise ValueError("across_seeds=True judges values by other seeds: give at least two, seeds=range(3)")
    if not all(isinstance(truth, SubsetTruth | int) for truth in truths):
        raise ValueError(
            "across_seeds=True needs subsets as the truth: ground_truth=40, or one SubsetTruth a seed"
        )


def _given_truth(truth: Any, n_samples: int, n_seeds: int) -> list[Truth | int]:
    subsets = [truth] if isinstance(truth, SubsetTruth) else truth
    if not isinstance(subsets, Sequence | np.ndarray) or not len(subsets):
        raise TypeError(
            "ground_truth must be a number of subsets, a SubsetTruth, effects of leaving samples out or the "
            f"name of a method, got {described(truth)}"
        )
    if all(isinstance(each, SubsetTruth) for each in subsets):
        if len(subsets) != n_seeds or any(each.n_samples != n_samples for each in subsets):
            raise ValueError(
                f"ground_truth must hold one SubsetTruth of {n_samples} samples for each of {n_seeds} seeds: "
                "what retraining does depends on the seed"
            )
        return list(subsets)
    effects = np.asarray(truth)
    if n_seeds > 1 and effects.ndim == 1:
        raise ValueError(
            f"ground_truth has shape {effects.shape} and there are {n_seeds} seeds: give one row a seed, as "
            "the effect of leaving a sample out depends on it"
        )
    _check_rows("ground_truth", effects, n_samples, n_seeds)
    return list(np.broadcast_to(effects, (n_seeds, n_samples)).astype(np.float64))
