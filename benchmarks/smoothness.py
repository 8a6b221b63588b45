"""Trainings of many kinds, each with what the check of smoothness says of it and what retraining does.

One line of JSON a training in `RECORDS`, so that an interrupted measurement goes on where it stopped. The
check's constants in `dataval.evaluation.smoothness_calibration` are what `fit` finds on the even ones of
`SETTINGS`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import nn

import dataval as dv
from dataval.evaluation.smoothness_calibration import FEATURES, Sign
from dataval.training.learner import Learner

RECORDS = Path(__file__).parent / "results" / "smoothness_records.jsonl"
TRUE, FALSE = 0.9, 0.5  # linear datamodeling scores at 1 % removed that count as such
N_SUBSETS = 14


@dataclass(frozen=True)
class Setting:
    """One kind of training.

    Attributes
    ----------
    model : {"lenet", "mlp", "softmax"}
        LeNet on images of 14 x 14, the others on 28 x 28.
    rate, momentum : float
    schedule : {"constant", "cosine"}
    optimizer : {"sgd", "adamw"}
    activation : {"gelu", "relu"}
        With average pooling and max-pooling.
    norm : {"", "group", "batch"}
        Before each activation; by layer in dense layers where it is by groups of channels in convolutions.
    start : {"he", "framework"}
    pixels : {"standardised", "raw"}
    batch_size : int
    """

    model: str
    rate: float
    momentum: float = 0.9
    schedule: str = "constant"
    optimizer: str = "sgd"
    activation: str = "gelu"
    norm: str = ""
    start: str = "he"
    pixels: str = "standardised"
    batch_size: int = 50

    @property
    def name(self) -> str:
        """What the records call it."""
        return ", ".join(str(value) for value in asdict(self).values() if value != "")

    def training(self, seed: int, epochs: int = 10) -> dv.Training:
        """Return how it trains."""
        sgd = dv.SGD(learning_rate=self.rate, momentum=self.momentum, weight_decay=5e-4)
        adamw = dv.AdamW(learning_rate=self.rate, weight_decay=0.01)
        return dv.Training(
            optimizer=sgd if self.optimizer == "sgd" else adamw,
            schedule=dv.CosineSchedule() if self.schedule == "cosine" else dv.ConstantSchedule(),
            epochs=epochs,
            batch_size=self.batch_size,
            seed=seed,
        )


RECIPE: dict[str, Any] = {"momentum": 0.5, "schedule": "cosine"}
SETTINGS = (
    Setting("lenet", 0.05, activation="relu"),
    Setting("lenet", 0.04, **RECIPE),
    Setting("lenet", 0.04, norm="group", **RECIPE),
    Setting("mlp", 0.04, **RECIPE),
    Setting("lenet", 0.05),
    Setting("softmax", 0.02, start="framework", **RECIPE),
    Setting("lenet", 0.05, norm="group"),
    Setting("mlp", 0.1, activation="relu"),
    Setting("lenet", 0.05, start="framework", pixels="raw"),
    Setting("lenet", 0.04, activation="relu", **RECIPE),
    Setting("mlp", 0.05, activation="relu"),
    Setting("lenet", 0.05, schedule="cosine"),
    Setting("lenet", 0.05, norm="group", activation="relu"),
    Setting("mlp", 0.02, start="framework"),
    Setting("lenet", 0.1, **RECIPE),
    Setting("softmax", 0.1, start="framework"),
    Setting("lenet", 0.02),
    Setting("lenet", 0.002, optimizer="adamw", schedule="cosine"),
    Setting("lenet", 0.04, batch_size=20, **RECIPE),
    Setting("mlp", 0.002, optimizer="adamw"),
    Setting("lenet", 0.1, start="framework", pixels="raw"),
    Setting("lenet", 0.05, norm="batch", **RECIPE),
    Setting("lenet", 0.04, momentum=0.5),
    Setting("lenet", 0.04, start="framework", **RECIPE),
)
"""Even ones calibrate the check, odd ones judge it."""


def build(setting: Setting) -> nn.Module:
    """Return the untrained model of a setting."""
    is_relu = setting.activation == "relu"
    act, pool = (nn.ReLU, nn.MaxPool2d) if is_relu else (nn.GELU, nn.AvgPool2d)
    plain: dict[str, Any] = {"group": nn.LayerNorm, "batch": nn.BatchNorm1d}

    def dense(n_in: int, n_out: int) -> list[nn.Module]:
        return [nn.Linear(n_in, n_out), *([plain[setting.norm](n_out)] if setting.norm else []), act()]

    def convolution(n_in: int, n_out: int, groups: int, padding: int) -> list[nn.Module]:
        norms = {"group": lambda: [nn.GroupNorm(groups, n_out)], "batch": lambda: [nn.BatchNorm2d(n_out)]}
        norm = norms[setting.norm]() if setting.norm else []
        return [nn.Conv2d(n_in, n_out, 5, padding=padding), *norm, act(), pool(2)]

    layers = {
        "lenet": lambda: [
            *convolution(1, 6, 2, 2),
            *convolution(6, 16, 4, 0),
            nn.Flatten(),
            *dense(16, 120),
            *dense(120, 84),
            nn.Linear(84, 10),
        ],
        "mlp": lambda: [nn.Flatten(), *dense(784, 64), *dense(64, 64), nn.Linear(64, 10)],
        "softmax": lambda: [nn.Flatten(), nn.Linear(784, 10)],
    }
    model = nn.Sequential(*layers[setting.model]())
    if setting.start == "he":
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
    return model


def load(setting: Setting, seed: int, n: int = 500) -> tuple[NDArray[Any], ...]:
    """Return images, labels of which a fifth are wrong, validation images and labels."""
    data = dv.datasets.load_fashion_mnist(n_train=n, n_val=n, seed=seed)
    y = dv.noise.flip_labels(data.y_train, 0.2, seed=seed)[0]
    X, X_val = data.X_train, data.X_val
    if setting.model == "lenet":
        X, X_val = (images.reshape(-1, 1, 14, 2, 14, 2).mean(axis=(3, 5)) for images in (X, X_val))
    if setting.pixels == "standardised":
        mean, scale = X.mean(axis=0), X.std(axis=0) + 1e-8
        X, X_val = (np.clip((images - mean) / scale, -10, 10) for images in (X, X_val))
    return X.astype(np.float32), y, X_val.astype(np.float32), data.y_val


def measure(setting: Setting, seed: int, n: int = 500, n_subsets: int = N_SUBSETS) -> dict[str, Any]:
    """Train, check, and retrain without random 1 % and 20 %; return what is kept of it."""
    X, y, X_val, y_val = load(setting, seed, n)
    learner = Learner(partial(build, setting), training=setting.training(seed), progress=False)
    hydra = dv.HyDRA(learner, hessian=True).fit(X, y)
    values = hydra.score(X_val, y_val)
    check = dv.evaluation.smoothness(learner, X, y, X_val, y_val, run=hydra.run_, seed=seed)
    scores = {}
    for share in (0.01, 0.2):
        judged = hydra.verify(
            X_val, y_val, values=values, fraction=share, n_subsets=n_subsets, seed=seed + round(100 * share)
        )
        scores[f"score_{share:g}"] = judged.score
    outputs = learner.replay(X, y, hydra.run_).export()(_tensor(X_val)).argmax(dim=1).numpy()
    return {
        "setting": setting.name,
        "seed": seed,
        **scores,
        "accuracy": float((outputs == y_val).mean()),
        "growth": hydra.diagnostics_["growth"],
        **{name: getattr(check, name) for name in ("metasmoothness", "bend", "displacement", "agreement")},
        **{name: getattr(check, name) for name in ("actual", "predicted")},
        "plateau": check.run.plateau,
        "effective_rate": check.run.effective_rate,
        "last_rate": check.run.last_rate,
    }


def _tensor(array: NDArray[Any]) -> Any:
    import torch

    return torch.from_numpy(array)


def records(
    settings: Sequence[Setting], seeds: Sequence[int], path: Path = RECORDS, **size: int
) -> Iterator[dict[str, Any]]:
    """Yield the records of settings and seeds, measuring and keeping those that are missing."""
    kept = {}
    if path.exists():
        lines = map(json.loads, path.read_text().splitlines())
        kept = {(line["setting"], line["seed"]): line for line in lines}
    for seed in seeds:
        for setting in settings:
            if (setting.name, seed) not in kept:
                found = measure(setting, seed, **size)
                with path.open("a") as file:
                    file.write(json.dumps(found) + "\n")
                kept[setting.name, seed] = found
            yield kept[setting.name, seed]


def halves(found: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Split records into those that calibrate and those that judge, setting by setting."""
    number = {setting.name: i for i, setting in enumerate(SETTINGS)}
    parts = [[each for each in found if number[each["setting"]] % 2 == half] for half in (0, 1)]
    return parts[0], parts[1]


def fit(found: Sequence[dict[str, Any]]) -> dict[Sign, tuple[float, float]]:
    """Return intercept and slope of the log-odds of a score of at least 0.9, for each sign."""
    is_true = np.array([each["score_0.01"] >= TRUE for each in found])
    fitted = {}
    for name, feature in FEATURES.items():
        x = np.array([[feature(each[name])] for each in found])
        model = LogisticRegression(C=1.0).fit(x, is_true)
        fitted[name] = float(model.intercept_[0]), float(model.coef_[0, 0])
    return fitted
