"""The values of every method for three small runs, which no change of the code's structure may move.

``python -m tests.stored_values`` writes them anew, one file for each installed framework.
"""

from __future__ import annotations

import platform
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import dataval as dv
from tests.zoo.data import samples_for

FOLDER = Path(__file__).parent / "fixtures"

RUNS = {
    "mlp": dv.Training(
        optimizer=dv.SGD(learning_rate=0.1, momentum=0.9, weight_decay=1e-3), epochs=3, batch_size=6
    ),
    "cnn_batch_norm": dv.Training(optimizer=dv.Adam(learning_rate=0.01), epochs=2, batch_size=8, clip_norm=0.5),
    "dropout": dv.Training(optimizer=dv.AdamW(learning_rate=0.01), epochs=2, batch_size=7),
}

METHODS = {
    "hydra": lambda learner: dv.HyDRA(learner),
    "hydra_exact": lambda learner: dv.HyDRA(learner, hessian=True),
    "influence": lambda learner: dv.InfluenceFunction(
        learner, solver=dv.solvers.ConjugateGradient(tolerance=1e-2)
    ),
    "influence_exact": lambda learner: dv.InfluenceFunction(
        learner, solver="exact", curvature="hessian", damping=5.0
    ),
    "influence_identity": lambda learner: dv.InfluenceFunction(learner, solver="identity", normalize=True),
    "tracin": lambda learner: dv.TracIn(learner),
    "tracin_updates": lambda learner: dv.TracIn(learner, checkpoints="updates"),
    "leave_one_out": lambda learner: dv.LeaveOneOut(learner, indices=range(4)),
    "leave_one_out_removal": lambda learner: dv.LeaveOneOut(learner, indices=range(2), mode="removal"),
    "mean_loss": dv.MeanLoss,
    "area_under_margin": dv.AreaUnderMargin,
    "forgetting_events": dv.ForgettingEvents,
    "el2n": dv.EL2N,
    "grand": dv.GraNd,
}
ATTRIBUTED = {"hydra", "hydra_exact", "influence", "tracin", "leave_one_out"}


def values_of(framework: str) -> dict[str, NDArray[np.float64]]:
    """Return the values of every method for every run."""
    zoo = import_module(f"tests.zoo.{framework}_models")
    found = {}
    for model, training in RUNS.items():
        X, y = samples_for(model, 20, seed=1)
        X_val, y_val = samples_for(model, 6, seed=2)
        learner = dv.Learner(getattr(zoo, model)(), training=training, progress=False)
        run = learner.train(X, y)
        found[f"{model}/losses"] = run.losses
        for name, make in METHODS.items():
            method = make(learner).fit(X, y, run=run)
            found[f"{model}/{name}"] = method.score(X_val, y_val)
            if name in ATTRIBUTED:
                found[f"{model}/{name}/attribute"] = method.attribute(X_val, y_val)
    return found


def environment(framework: str) -> str:
    """Return what decides the last bits besides the code: processor, versions, threads."""
    backend = import_module(framework)
    cpu = Path("/proc/cpuinfo")
    names = [line for line in cpu.read_text().splitlines() if "model name" in line] if cpu.is_file() else []
    processor = names[0].split(":")[1].strip() if names else platform.processor()
    threads = str(backend.get_num_threads()) if framework == "torch" else ""
    return f"{processor}, {sys.platform}, {framework}, {backend.__version__}, {np.__version__}, {threads}"


def main() -> None:
    """Write the values of this machine."""
    for framework in ("torch", "tensorflow"):
        np.savez_compressed(
            FOLDER / f"values_{framework}.npz", environment=environment(framework), **values_of(framework)
        )


if __name__ == "__main__":
    main()
