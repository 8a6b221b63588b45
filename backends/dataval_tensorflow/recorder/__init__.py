"""Recording a Keras ``fit`` that is the user's own."""

from dataval_tensorflow.recorder.recorder import Recorder

__all__ = ["Recorder"]
