"""The PyTorch backend of dataval."""

from dataval_torch.backend import TorchBackend

__all__ = ["TorchBackend"]
