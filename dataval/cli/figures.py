"""The figures of a comparison, as files' contents by name."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataval.datasets import Dataset
from dataval.evaluation import Comparison

__all__ = ["Noisy", "draw", "figure_names", "has_matplotlib"]

_DPI = 300


@dataclass(frozen=True, eq=False)
class Noisy:
    """Data with some wrong labels.

    Attributes
    ----------
    data : Dataset
        With clean labels.
    y : ndarray, shape (n,)
        The labels that the models were trained on.
    is_noisy : ndarray of bool, shape (n,)
    """

    data: Dataset
    y: Any
    is_noisy: Any


def figure_names(methods: Sequence[str]) -> list[str]:
    """Return the names of all files that figures of some methods could have."""
    each = [f"{kind}_{method}" for kind in ("agreement", "lowest") for method in methods]
    return [f"{name}.png" for name in ["comparison", "noise_detection", *each]]


def has_matplotlib() -> bool:
    """Whether figures can be drawn."""
    return importlib.util.find_spec("matplotlib") is not None


def draw(result: Comparison, samples: Noisy) -> dict[str, bytes]:
    """Draw the figures that apply, of the first seed where a figure shows one; none without matplotlib."""
    if not has_matplotlib():
        return {}
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    mpl.use("agg")
    files = {}
    for name, display in _displays(result, samples):
        stream = io.BytesIO()
        display.figure_.savefig(stream, format="png", dpi=_DPI)
        plt.close(display.figure_)
        files[f"{name}.png"] = stream.getvalue()
    return files


def _displays(result: Comparison, samples: Noisy) -> Iterator[tuple[str, Any]]:
    from dataval import plotting

    data = samples.data
    valued = {name: rows[0] for name, rows in result.values.items() if np.isfinite(rows[0]).all()}
    if result.metrics():
        yield "comparison", plotting.ComparisonDisplay.from_comparison(result)
    if valued and samples.is_noisy.any():
        yield "noise_detection", plotting.NoiseDetectionDisplay.from_values(valued, samples.is_noisy)
    if "loo" in valued:
        for name in valued.keys() - {"loo"}:
            yield f"agreement_{name}", plotting.AgreementDisplay.from_values(valued[name], valued["loo"])
    if data.X_train.ndim == 4 and valued:
        name = next(iter(valued))
        yield (
            f"lowest_{name}",
            plotting.SampleGalleryDisplay.from_values(
                data.X_train, valued[name], samples.y, data.y_train, class_names=data.class_names
            ),
        )
