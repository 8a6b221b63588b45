"""Recording a training loop that is the user's own."""

from dataval_torch.recorder.recorder import Recorder

__all__ = ["Recorder"]
