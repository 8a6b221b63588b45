"""The exact configuration of ``dataval compare``, as a value that can be written down and read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dataval.cli.choices import MOST_EPOCHS, MOST_SEED, DatasetName, ModelName, NoiseName
from dataval.cli.documents import read_mapping
from dataval.cli.errors import UsageError
from dataval.cli.validation import explain
from dataval.training.config import Training
from dataval.training.optimizers import SGD

__all__ = ["CompareConfig", "read_config"]

_TRAINING = Training(
    optimizer=SGD(learning_rate=0.02, momentum=0.9, weight_decay=5e-4), epochs=20, batch_size=50
)


class CompareConfig(BaseModel):
    """Everything that decides the result of ``dataval compare``.

    Attributes
    ----------
    dataset : {"digits", "breast-cancer", "wine", "fashion-mnist"}
    n_train, n_val : int or None
        Samples drawn; None for 1,000 each of Fashion-MNIST, and of the others for a validation set of the
        loader's default size and all the rest for training.
    model : str
        One of `dataval.zoo.MODELS`.
    backend : str or None
        The first that is installed for None.
    methods : tuple of str
        Names of methods, as ``dataval compare --help`` lists them.
    noise : float
        Share of the training labels that is flipped, in [0, 1).
    noise_kind : {"symmetric", "pair"}
        To any other class, or to the next.
    seeds : tuple of int
        Training seeds, each once; the first also draws data and noise.
    ground_truth : int or None
        Number of random subsets that the model is retrained without; None for none.
    fraction : float
        Share of the samples that each removes.
    across_seeds : bool
        Whether the values of each seed are judged by the retrainings of the other seeds, too.
    training : Training
        Optimizer, schedule, epochs, batch size; its seed is replaced by each of `seeds`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: DatasetName = "fashion-mnist"
    n_train: Annotated[int, Field(gt=0)] | None = None
    n_val: Annotated[int, Field(gt=0)] | None = None
    model: ModelName = "lenet"
    backend: str | None = None
    methods: Annotated[tuple[str, ...], Field(min_length=1)] = ("hydra", "mean-loss", "random")
    noise: Annotated[float, Field(ge=0, lt=1)] = 0.2
    noise_kind: NoiseName = "symmetric"
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, le=MOST_SEED)], ...], Field(min_length=1)] = (0,)
    ground_truth: Annotated[int, Field(ge=3, le=100_000)] | None = None
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.01
    across_seeds: bool = False
    training: Training = _TRAINING

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: one is there twice: give each once")
        if self.across_seeds and (len(self.seeds) < 2 or self.ground_truth is None):
            raise ValueError("across_seeds: needs a ground_truth and at least two seeds")
        if self.training.epochs > MOST_EPOCHS:
            raise ValueError(f"training.epochs: must be at most {MOST_EPOCHS} (got {self.training.epochs})")
        if self.training.seed > MOST_SEED:
            raise ValueError(f"training.seed: must be at most {MOST_SEED} (got {self.training.seed})")
        return self


def read_config(path: Path | None, changes: dict[str, Any]) -> CompareConfig:
    """Return what a JSON or YAML file says, with some fields replaced; the defaults without a file.

    Whole numbers must be written as such: ``"2"`` or ``2.0`` is not one.

    Raises
    ------
    UsageError
        If the file can't be read, or a field makes no sense.
    """
    fields = {"training": _TRAINING.model_dump(mode="json"), **({} if path is None else read_mapping(path))}
    training = _changed(fields["training"], changes.get("training", {}))
    fields = {**fields, **changes, "training": training}
    try:
        return CompareConfig.model_validate_json(json.dumps(fields, default=str), strict=True)
    except ValidationError as error:
        raise UsageError(f"configuration: {explain(error)}") from error


def _changed(training: Any, changes: dict[str, Any]) -> Any:
    """Return a training's fields with some replaced; what is no mapping is left for the check to refuse."""
    if not isinstance(training, dict) or not changes:
        return training
    return _merged({"optimizer": Training().optimizer.model_dump(mode="json"), **training}, changes)


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    nested = {
        key: _merged(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
        for key, value in changes.items()
    }
    return base | nested
