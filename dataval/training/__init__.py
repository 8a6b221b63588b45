"""One training run: its configuration, its program, its recording, and walks through it."""

from dataval.training.config import Training

__all__ = ["Training"]
