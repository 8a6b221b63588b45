"""Which wrong labels are found, how many are said to be wrong, and what that costs.

`LabelErrors` beside cleanlab's self-confidence, by cross-validated logistic regression and by boosted trees, on
twelve tables; and beside the mean loss on *lenet2000*, 2,000 Fashion-MNIST images and LeNet. Tables, noise,
folds and seeds are the same for all. What was chosen was chosen on other tables (`label_tables.CHOSEN_ON`) and
other seeds (10). Run it by the peers' interpreter, which has cleanlab and the tables. Every cell is kept in
the cache folder as soon as it is known, so that an interrupted run goes on.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np
from cleanlab.rank import get_label_quality_scores
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import dataval as dv
from benchmarks.label_tables import NOISE, TABLES, load
from benchmarks.peers.environment import cache_folder
from benchmarks.runner.rows import AbsentError, Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Figures, Suite
from benchmarks.work import lenet
from dataval import datasets

Found = dict[str, Any]
VERSION = 1  # of what is kept; another for other methods

# of Fashion-MNIST: T-shirt and shirt, pullover and coat, the three shoes; dress, trouser and bag one way
CONFUSED = {0: 6, 6: 0, 2: 4, 4: 2, 3: 0, 5: 7, 7: 9, 9: 7, 1: 3, 8: 5}


def kept(name: str, find: Callable[[], Found]) -> Found:
    """Return what was found before, or find it and keep it."""
    path = cache_folder() / f"labels-{VERSION}" / f"{name}.json"
    if path.exists():
        return json.loads(path.read_text())
    found = find()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found))
    return found


def precision(scores: np.ndarray, is_noisy: np.ndarray) -> float:
    return float(average_precision_score(is_noisy, -scores)) if is_noisy.any() else float("nan")


def cleanlab(model: Any, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return get_label_quality_scores(y, cross_val_predict(model, X, y, cv=folds, method="predict_proba"))


def linear() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def boosting() -> Any:
    return HistGradientBoostingClassifier(random_state=0)


def judged(found: dv.LabelErrors, y: np.ndarray, is_noisy: np.ndarray) -> Found:
    return {
        "dataval": precision(found.values_, is_noisy),
        "expected": found.n_wrong_ / len(y),
        "flagged": float(found.is_wrong_.mean()),
        "noise": float(is_noisy.mean()),
        "right_suggestions": float((found.suggested_label_ == y)[is_noisy].mean()) if is_noisy.any() else None,
        "brier": float(((found.probability_wrong_ - is_noisy) ** 2).mean()),
    }


def table_cell(name: str, kind: str, share: float, seed: int, peers: bool = True) -> Found:
    X, y = load(name)
    given = NOISE[kind](X, y, share, seed)
    is_noisy = given != y
    clocks = [time.process_time()]
    found = judged(dv.LabelErrors(seed=seed).fit(X, given), y, is_noisy)
    clocks.append(time.process_time())
    if peers:
        for key, model in {"linear": linear(), "boosting": boosting()}.items():
            found[key] = precision(cleanlab(model, X, given), is_noisy)
            clocks.append(time.process_time())
    return found | {"seconds": np.diff(clocks).tolist()}


def cells(kind: str, share: float, settings: Settings, n_seeds: int) -> list[Found]:
    if settings.quick:
        return [table_cell("wine", kind, share, 0)]
    return [
        kept(f"{name}-{kind}-{share}-{seed}", partial(table_cell, name, kind, share, seed))
        for seed in range(min(settings.repeats, n_seeds))
        for name in TABLES
    ]


def find_tables(kind: str, share: float, settings: Settings) -> Iterator[Row]:
    found = cells(kind, share, settings, 1)
    title = f"{kind} {share:.0%}"
    best = [max(each["linear"], each["boosting"]) for each in found]
    ours = [each["dataval"] for each in found]
    for key in ("dataval", "linear", "boosting"):
        value = float(np.mean([each[key] for each in found]))
        yield Row(f"{title}: {key}", round(value, 3), "average precision", better="more")
    won = [a > b for a, b in zip(ours, best, strict=True)]
    yield Row(
        f"{title}: tables above the better of cleanlab's", round(float(np.mean(won)), 3), "share", better="more"
    )
    for key in ("expected", "flagged"):
        errors = [abs(each[key] / each["noise"] - 1) for each in found]
        yield Row(
            f"{title}: {key} count, relative error", round(float(np.median(errors)), 3), "median over tables"
        )
    details = {"tables": dict(zip(TABLES, found, strict=False))}
    suggested = float(np.mean([each["right_suggestions"] for each in found]))
    yield Row(f"{title}: right suggestions", round(suggested, 3), "share", better="more", details=details)


def find_none(settings: Settings) -> Iterator[Row]:
    names = ["wine"] if settings.quick else TABLES
    found = [
        kept(f"{name}-none-0", partial(table_cell, name, "symmetric", 0.0, 0, peers=False)) for name in names
    ]
    flagged = [each["flagged"] for each in found]
    details = {"flagged": dict(zip(names, flagged, strict=True))}
    yield Row("no label error: flagged", round(float(np.mean(flagged)), 4), "mean share", details=details)
    yield Row("no label error: flagged, median", round(float(np.median(flagged)), 4), "share")


def find_cost(settings: Settings) -> Iterator[Row]:
    found = [each for kind in NOISE for each in cells(kind, 0.1, settings, 1)]
    seconds = np.asarray([each["seconds"] for each in found])
    for column, peer in enumerate(("logistic regression", "boosting"), 1):
        ratios = seconds[:, 0] / seconds[:, column]
        yield Row(
            f"seconds over cleanlab's with {peer}",
            round(float(np.median(ratios)), 2),
            "x",
            low=round(float(ratios.min()), 2),
            high=round(float(ratios.max()), 2),
        )


def image_noise(y: np.ndarray, kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    if kind == "confusable":
        transition = 0.8 * np.eye(10)
        transition[list(CONFUSED), list(CONFUSED.values())] += 0.2
        return dv.noise.class_dependent_flips(y, transition, seed=seed)
    flip = {"symmetric": dv.noise.flip_labels, "pair": dv.noise.pair_flips}[kind]
    return flip(y, 0.2, seed=seed)


@cache
def first_images(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first training images of the file, whatever the seed."""
    folder = datasets._fashion_mnist_folder(None)
    if folder is None:
        raise AbsentError("the files of Fashion-MNIST are in no known folder")
    (pixels, labels), _ = datasets._read_fashion_mnist(folder)
    return datasets._as_images(pixels[:n], 28, 255.0), labels[:n].astype(np.int64)


def image_cell(kind: str, seed: int, n_train: int = 2000, epochs: int = 20) -> Found:
    X, true = first_images(n_train)
    y, is_noisy = image_noise(true, kind, seed)
    training = dv.Training(
        optimizer=dv.SGD(learning_rate=0.05, momentum=0.9, weight_decay=5e-4),
        epochs=epochs,
        batch_size=50,
        schedule=dv.ConstantSchedule(),
        seed=seed,
    )
    learner = dv.Learner(lenet, training=training, progress=False)
    clocks = [time.process_time()]
    run = learner.train(X, y)
    clocks.append(time.process_time())
    detector = dv.LabelErrors(learner, seed=seed).fit(X, y, run=run)
    clocks.append(time.process_time())
    kernel = dv.KernelLeaveOneOut(learner, features="first_layers", seed=seed).fit(X, y, run=run)
    found = judged(detector, true, is_noisy)
    return found | {
        "mean_loss": precision(-run.losses.mean(axis=0), is_noisy),
        "kernel": precision(kernel.values_, is_noisy),
        "seconds": np.diff(clocks).tolist(),
    }


def find_images(kind: str, settings: Settings) -> Iterator[Row]:
    if settings.quick:
        found = [image_cell(kind, 0, 100, 1)]
    else:
        seeds = range(min(settings.repeats, 5))
        found = [kept(f"lenet2000-{kind}-{seed}", partial(image_cell, kind, seed)) for seed in seeds]
    for key in ("dataval", "kernel", "mean_loss"):
        values = [each[key] for each in found]
        yield Row(
            f"lenet2000, {kind} 20%: {key}",
            round(float(np.mean(values)), 4),
            "average precision",
            round(min(values), 4),
            round(max(values), 4),
            better="more",
            details={"seeds": values},
        )
    errors = [abs(each["flagged"] / each["noise"] - 1) for each in found]
    yield Row(
        f"lenet2000, {kind} 20%: flagged count, relative error", round(float(np.median(errors)), 3), "median"
    )
    cost = [sum(each["seconds"]) / each["seconds"][0] for each in found]
    yield Row(f"lenet2000, {kind} 20%: cost with training", round(float(np.median(cost)), 2), "trainings")


def quietly(find: Callable[[Settings], Iterator[Row]], settings: Settings) -> Iterator[Row]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield from find(settings)


FINDERS: dict[str, Callable[[Settings], Iterator[Row]]] = {
    **{f"lenet2000, {kind}": partial(find_images, kind) for kind in NOISE},
    **{
        f"{kind} {share:.0%}": partial(find_tables, kind, share) for share in (0.1, 0.2, 0.05) for kind in NOISE
    },
    "no label error": find_none,
    "cost": find_cost,
}

SUITE = Suite(
    "labels",
    "Wrong labels: LabelErrors beside cleanlab on twelve tables under three kinds of noise, and beside the"
    " mean loss on 2,000 Fashion-MNIST images with LeNet.",
    [Figures(name, partial(quietly, find), "average precision") for name, find in FINDERS.items()],
)
