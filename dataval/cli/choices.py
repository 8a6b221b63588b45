"""What the command line lets one choose by name, kept apart so that ``--help`` imports nothing else."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = [
    "DATASETS",
    "DETECT_METHODS",
    "METHODS",
    "MODELS",
    "MOST_EPOCHS",
    "MOST_SEED",
    "TASKS",
    "DatasetName",
    "DetectMethod",
    "MethodName",
    "ModelName",
    "NoiseName",
    "TaskName",
]

DatasetName = Literal["digits", "breast-cancer", "wine", "fashion-mnist"]
ModelName = Literal["linear", "mlp", "cnn", "lenet", "lenet-norm", "lenet-relu"]
NoiseName = Literal["symmetric", "pair"]
DetectMethod = Literal["mean-loss", "held-out-loss"]
TaskName = Literal["classification", "regression"]
MethodName = Literal[
    "hydra",
    "hydra-exact",
    "influence",
    "loo",
    "tracin",
    "aum",
    "forgetting",
    "el2n",
    "grand",
    "mean-loss",
    "knn-shapley",
    "lava",
    "data-oob",
    "random",
]

DATASETS: tuple[str, ...] = get_args(DatasetName)
MODELS: tuple[str, ...] = get_args(ModelName)
METHODS: tuple[str, ...] = get_args(MethodName)
DETECT_METHODS: tuple[str, ...] = get_args(DetectMethod)
TASKS: tuple[str, ...] = get_args(TaskName)

MOST_SEED = 2**32 - 1
"""The largest seed that NumPy, scikit-learn and both frameworks take."""

MOST_EPOCHS = 10_000
"""The order of all batches is drawn before the first, so epochs without end would never begin."""
