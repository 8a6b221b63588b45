"""The PyTorch backend of dataval."""

from dataval_torch.backend import TorchBackend
from dataval_torch.recorder import Recorder

__all__ = ["Recorder", "TorchBackend"]
