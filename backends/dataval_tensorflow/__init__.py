"""The TensorFlow backend of dataval: Keras models, modules, and plain functions with variables."""

from dataval_tensorflow.backend import TensorFlowBackend
from dataval_tensorflow.model.modules import FunctionModel
from dataval_tensorflow.recorder import Recorder

__all__ = ["FunctionModel", "Recorder", "TensorFlowBackend"]
