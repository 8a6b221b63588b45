"""The exact configuration of ``dataval compare``, as a value that can be written down and read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dataval.cli.errors import UsageError
from dataval.training.config import Training
from dataval.training.optimizers import SGD

__all__ = ["CompareConfig", "read_config", "write_config"]

DatasetName = Literal["digits", "breast-cancer", "wine", "fashion-mnist"]
ModelName = Literal["linear", "mlp", "cnn", "lenet", "lenet-relu"]
NoiseName = Literal["symmetric", "pair"]

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
        Training seeds; the first also draws data and noise.
    ground_truth : int or None
        Number of random subsets that the model is retrained without; None for none.
    fraction : float
        Share of the samples that each removes.
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
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0,)
    ground_truth: Annotated[int, Field(ge=3)] | None = None
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.01
    training: Training = _TRAINING


def read_config(path: Path | None, changes: dict[str, Any]) -> CompareConfig:
    """Return what a JSON or YAML file says, with some fields replaced; the defaults without a file.

    Raises
    ------
    UsageError
        If the file can't be read, or a field makes no sense.
    """
    fields = {} if path is None else _read(path)
    training = changes.pop("training", {})
    fields |= changes
    if training:
        base = Training.model_validate(fields.get("training", _TRAINING.model_dump()))
        fields["training"] = _merged(base.model_dump(mode="json"), training)
    try:
        return CompareConfig.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"configuration: {where}: {first['msg']}") from error


def write_config(config: CompareConfig, folder: Path) -> Path:
    """Write a configuration as ``config.json``, to be fed back with ``--config``."""
    path = folder / "config.json"
    path.write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return path


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    nested = {
        key: _merged(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
        for key, value in changes.items()
    }
    return base | nested


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        fields = _parse_yaml(text) if path.suffix in {".yaml", ".yml"} else json.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"can't read {path}: {error}") from error
    except ValueError as error:
        raise UsageError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(fields, dict):
        raise UsageError(f"{path} must hold one mapping of options, not {type(fields).__name__}")
    return fields


def _parse_yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise UsageError(
            'a YAML configuration needs PyYAML: pip install "dataval[yaml]", or use JSON'
        ) from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"the configuration is not valid YAML: {' '.join(str(error).split())}") from error
