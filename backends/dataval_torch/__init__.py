"""The PyTorch backend of dataval, and recorders of PyTorch loops."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dataval_torch.backend import TorchBackend
from dataval_torch.recorder import Recorder

if TYPE_CHECKING:
    from dataval_torch.recorder.lightning import LightningRecorder
    from dataval_torch.recorder.trainer import TrainerRecorder

__all__ = ["LightningRecorder", "Recorder", "TorchBackend", "TrainerRecorder"]

_OPTIONAL = {
    "LightningRecorder": "dataval_torch.recorder.lightning",
    "TrainerRecorder": "dataval_torch.recorder.trainer",
}


def __getattr__(name: str) -> Any:
    if name not in _OPTIONAL:
        raise AttributeError(f"module 'dataval_torch' has no attribute {name!r}")
    return getattr(import_module(_OPTIONAL[name]), name)
