"""The fidelity suite as a figure: ``python -m benchmarks.figures [FOLDER]``, docs/guide/figures by default."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

from benchmarks.cells import FRACTIONS
from benchmarks.runner import documents
from benchmarks.runner.rows import Row
from benchmarks.trainings import TRAININGS
from dataval.metrics.context import attainable

FOLDER = Path(__file__).parents[1] / "docs" / "guide" / "figures"
METHODS = {
    "exact HyDRA": "tab:blue",
    "exact HyDRA, plain and 1 masked run": "tab:cyan",
    "Hessian-free HyDRA": "tab:green",
    "influence, EK-FAC": "tab:orange",
    "TRAK": "tab:purple",
    "TracIn": "tab:brown",
    "mean loss": "tab:red",
}
COLUMNS = 4


def fidelity(found: list[Row], path: Path) -> Path:
    """Draw a panel for every model that was measured, and return the file.

    Parameters
    ----------
    found : list of Row
        What the suite found.
    path : path
    """
    from matplotlib.figure import Figure

    scores = _scores(found)
    names = [name for name in TRAININGS if scores[name]]
    n_columns = min(COLUMNS, len(names))
    n_rows = -(-len(names) // n_columns)
    figure = Figure(figsize=(2.6 * n_columns + 0.4, 2.3 * n_rows + 0.9), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True).ravel()
    ticks = range(len(FRACTIONS))
    for panel, name in zip(panels, names, strict=False):
        for method, color in METHODS.items():
            own, other = zip(*[scores[name].get((method, f), (None, None)) for f in ticks], strict=True)
            panel.plot(ticks, _floats(own), color=color, marker="o", markersize=3, linewidth=1.2, label=method)
            panel.plot(ticks, _floats(other), color=color, linestyle=":", linewidth=1.2)
        agreed = [scores[name].get(("outcomes of another seed", f), (None, None))[0] for f in ticks]
        best = [attainable(r) for r in _floats(agreed)]
        panel.plot(ticks, best, color="grey", linestyle="--", linewidth=1, label="at best by another seed")
        panel.set_title(name, fontsize=9)
        panel.set_xticks(ticks, [f"{fraction:.0%}" for fraction in FRACTIONS])
        panel.axhline(0, color="lightgrey", linewidth=0.6, zorder=0)
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    for panel in panels[-n_columns:]:
        panel.set_xlabel("samples removed", fontsize=8)
    figure.supylabel("linear datamodeling score", fontsize=8)
    lines, labels = panels[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=n_columns, fontsize=7, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    return path


def _scores(found: list[Row]) -> dict[str, dict[tuple[str, int], tuple[float | None, float | None]]]:
    """Return own-seed and other-seed scores by model, method and share."""
    scores: dict[str, dict[tuple[str, int], tuple[float | None, float | None]]] = defaultdict(dict)
    for row in found:
        name, _, rest = row.name.partition(": ")
        for f, fraction in enumerate(FRACTIONS):
            if rest.endswith(f", {fraction:.0%} removed") and row.value is not None:
                other = row.details.get("another_seed", {}).get("median")
                scores[name][rest.removesuffix(f", {fraction:.0%} removed"), f] = row.value, other
    return scores


def _floats(numbers: tuple[float | None, ...] | list[float | None]) -> list[float]:
    return [float("nan") if number is None else number for number in numbers]


def main(arguments: list[str]) -> None:
    """Draw from the results of the CPU."""
    folder = Path(arguments[0]) if arguments else FOLDER
    kept = documents.read(documents.path_of("fidelity", documents.RESULTS))
    print(fidelity(documents.rows_of(kept), folder / "fidelity.png"))


if __name__ == "__main__":
    main(sys.argv[1:])
