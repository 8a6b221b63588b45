"""Values by method, with what they are judged by."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.checks import described
from dataval.evaluation.comparison import Comparison
from dataval.evaluation.removal import RemovalCurve
from dataval.metrics.fidelity import LinearDatamodelingScore
from dataval.metrics.ranking import average_precision, detection_curve, rank_samples
from dataval.metrics.statistics import check_values
from dataval.reports.encoding import scaled
from dataval.reports.trust import by_method, trust_line

__all__ = ["Valued", "as_valued"]

FloatArray = NDArray[np.float64]

_ALONE = "value"
_CURVE_POINTS = 200


@dataclass(frozen=True, eq=False)
class Valued:
    """The values of one or several methods.

    Attributes
    ----------
    values : dict of str to ndarray of float64, shape (N,)
        By method; NaN for samples without one.
    fidelity : dict of str to list of LinearDatamodelingScore
        What retraining said of them.
    notes : list of str
        What was left out.
    """

    values: dict[str, FloatArray]
    fidelity: dict[str, list[LinearDatamodelingScore]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The methods, in the order they were passed in."""
        return list(self.values)

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def ranks(self) -> NDArray[np.int64]:
        """Return every sample's place, 0 for the lowest value, shape (methods, N)."""
        orders = [np.argsort(each, kind="stable") for each in self.values.values()]
        places = np.empty((len(orders), len(self)), dtype=np.int64)
        for place, order in zip(places, orders, strict=True):
            place[order] = np.arange(len(order))
        return places

    def document(self, noisy: NDArray[np.bool_] | None, diagnostics: Any, removal: Any) -> list[dict[str, Any]]:
        """Return what the page shows of each method."""
        chaos = by_method("diagnostics", diagnostics, self.names, dict)
        removed = by_method("removal", removal, self.names, RemovalCurve)
        return [
            {
                "name": name,
                "values": scaled(values),
                "trust": trust_line(self.fidelity.get(name, []), chaos.get(name)),
                "detection": None if noisy is None else _detection(values, noisy),
                "removal": _removal(removed[name]) if name in removed else None,
            }
            for name, values in self.values.items()
        ]


def as_valued(values: Any, verification: Any) -> Valued:
    """Check values of one method, of several by name, or of a comparison."""
    if isinstance(values, Comparison):
        if verification is not None:
            raise ValueError("verification is part of the comparison: leave it out")
        return _of_comparison(values)
    given = dict(values) if isinstance(values, Mapping) else {_ALONE: values}
    if not given:
        raise ValueError("values is empty: pass an array, or a dict of arrays by method")
    checked = {}
    for name, each in given.items():
        if not isinstance(name, str):
            raise TypeError(f"values must be a dict of arrays by name, got the name {described(name)}")
        checked[name] = check_values(
            each, f"values of {name!r}" if isinstance(values, Mapping) else "values", partial=True
        )
    sizes = {name: len(each) for name, each in checked.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"values must hold as many samples for every method, got {sizes}")
    verified = by_method("verification", verification, list(checked), LinearDatamodelingScore)
    return Valued(checked, {name: [score] for name, score in verified.items()})


def _of_comparison(comparison: Comparison) -> Valued:
    """Return the mean of each method over the seeds that worked."""
    values, notes = {}, []
    for name, found in comparison.values.items():
        if np.isnan(found).all():
            notes.append(f"{name} failed: {'; '.join(comparison[name].errors)}")
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of samples without a value for any seed
            values[name] = np.nanmean(found, axis=0)
    if not values:
        raise ValueError(f"values is a comparison in which every method failed: {'; '.join(notes)}")
    fidelity = {
        name: [o.fidelity for o in comparison[name].outcomes if o.fidelity is not None] for name in values
    }
    return Valued(values, fidelity, [*notes, *comparison.problems])


def _detection(values: FloatArray, noisy: NDArray[np.bool_]) -> dict[str, Any] | None:
    known = ~np.isnan(values)
    if len(set(noisy[known].tolist())) < 2:
        return None
    shares, recall = detection_curve(values[known], noisy[known])
    at = np.linspace(0.0, 1.0, _CURVE_POINTS + 1)
    precision = average_precision(rank_samples(values[known], noisy[known]).counts())
    return {"recall": np.interp(at, shares, recall).round(4).tolist(), "average_precision": precision}


def _removal(curve: RemovalCurve) -> dict[str, Any]:
    return {
        "kind": curve.kind,
        "order": curve.order,
        "utility": curve.utility,
        "shares": list(curve.shares),
        "by_value": [each.mean for each in curve.mean],
        "at_random": [each.mean for each in curve.random_mean],
    }
