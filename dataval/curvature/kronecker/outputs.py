r"""Directions in a model's outputs whose second moment is the Hessian of a named loss there.

The Gauss-Newton matrix of a sample is :math:`J^\top H J`, with H the Hessian of its loss in the outputs. Of
random directions u with :math:`\mathrm E[uu^\top] = H`, the gradients :math:`J^\top u` have it as their second
moment; so have those of all the columns of a root of H together. For losses that are a mean over positions, u
is that of each position times the root of its share, which is not quite the gradient of the mean loss.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from dataval.backend.losses import BinaryCrossEntropy, CrossEntropy, NamedLoss, TokenCrossEntropy

__all__ = ["OutputDirections", "directions_of"]

FloatArray = NDArray[np.float64]


class OutputDirections(ABC):
    """Of the losses of n samples, whose outputs have some shape ``(n, ...)``."""

    n_all: int
    """Number of directions that make up a sample's Hessian without chance."""

    @abstractmethod
    def drawn(self, generators: list[np.random.Generator]) -> FloatArray:
        """Return a random direction for each sample, of the outputs' shape, from generators of their own."""

    @abstractmethod
    def direction(self, number: int) -> FloatArray:
        """Return one of the `n_all` directions, for all samples."""


def directions_of(
    loss: NamedLoss, outputs: FloatArray, targets: NDArray[np.generic], class_axis: int
) -> OutputDirections:
    """Return the directions of a loss at some outputs.

    Parameters
    ----------
    loss : NamedLoss
        The learner's.
    outputs : ndarray of float64, shape (n, ...)
        The model's, for some samples.
    targets : ndarray
        The given ones, where weights and padding depend on them.
    class_axis : int
        Where `CrossEntropy` has the classes among the outputs' axes.
    """
    if isinstance(loss, TokenCrossEntropy):
        return _OfClasses(outputs, _token_shares(loss, targets), 2)
    if isinstance(loss, CrossEntropy):
        axis = class_axis % outputs.ndim
        return _OfClasses(outputs, _class_shares(loss, targets, outputs.shape[axis]), axis)
    flat = outputs.reshape(len(outputs), -1)
    if isinstance(loss, BinaryCrossEntropy):
        return _OfLogits(outputs, _label_shares(loss, targets.reshape(flat.shape)))
    return _OfSquares(outputs)


@dataclass(frozen=True)
class _OfClasses(OutputDirections):
    """Of softmax cross-entropy: H is ``share (diag(p) - p p')`` at each position, with p the probabilities."""

    outputs: FloatArray
    shares: FloatArray  # (n, M)
    axis: int

    @property
    def n_all(self) -> int:  # type: ignore[override]
        return int(np.prod(self.outputs.shape[1:]))

    def drawn(self, generators: list[np.random.Generator]) -> FloatArray:
        probabilities = self._probabilities()
        n_positions, n_classes = probabilities.shape[1:]
        draws = np.array([generator.random(n_positions) for generator in generators])
        drawn = (probabilities.cumsum(-1) < draws[:, :, None]).sum(-1).clip(max=n_classes - 1)
        found = probabilities - (drawn[:, :, None] == np.arange(n_classes))
        return self._placed(found * np.sqrt(self.shares)[:, :, None])

    def direction(self, number: int) -> FloatArray:
        probabilities = self._probabilities()
        position, label = divmod(number, probabilities.shape[2])
        found = np.zeros_like(probabilities)
        along = probabilities[:, position] - np.eye(probabilities.shape[2])[label]
        scale = np.sqrt(self.shares[:, position] * probabilities[:, position, label])
        found[:, position] = along * scale[:, None]
        return self._placed(found)

    def _probabilities(self) -> FloatArray:
        moved = np.moveaxis(self.outputs, self.axis, -1)
        found: FloatArray = softmax(moved.reshape(len(moved), -1, moved.shape[-1]), axis=-1)
        return found

    def _placed(self, found: FloatArray) -> FloatArray:
        moved = np.moveaxis(self.outputs, self.axis, -1)
        return np.asarray(np.moveaxis(found.reshape(moved.shape), -1, self.axis))


@dataclass(frozen=True)
class _OfLogits(OutputDirections):
    """Of sigmoid cross-entropy: H is ``share p (1 - p)`` for each output."""

    outputs: FloatArray
    shares: FloatArray  # (n, M)

    @property
    def n_all(self) -> int:  # type: ignore[override]
        return int(np.prod(self.outputs.shape[1:]))

    def drawn(self, generators: list[np.random.Generator]) -> FloatArray:
        probabilities = expit(self.outputs.reshape(self.shares.shape))
        draws = np.array([generator.random(self.shares.shape[1]) for generator in generators])
        found: FloatArray = (probabilities - (draws < probabilities)) * np.sqrt(self.shares)
        return found.reshape(self.outputs.shape)

    def direction(self, number: int) -> FloatArray:
        logits = self.outputs.reshape(self.shares.shape)[:, number]
        found = np.zeros(self.shares.shape)
        found[:, number] = np.sqrt(self.shares[:, number] * expit(logits) * expit(-logits))
        return found.reshape(self.outputs.shape)


@dataclass(frozen=True)
class _OfSquares(OutputDirections):
    """Of the squared error averaged over M outputs: H is 2/M times the identity."""

    outputs: FloatArray

    @property
    def n_all(self) -> int:  # type: ignore[override]
        return int(np.prod(self.outputs.shape[1:]))

    def drawn(self, generators: list[np.random.Generator]) -> FloatArray:
        draws = np.array([generator.standard_normal(self.n_all) for generator in generators])
        found: FloatArray = np.sqrt(2 / self.n_all) * draws
        return found.reshape(self.outputs.shape)

    def direction(self, number: int) -> FloatArray:
        found = np.zeros((len(self.outputs), self.n_all))
        found[:, number] = np.sqrt(2 / self.n_all)
        return found.reshape(self.outputs.shape)


def _class_shares(loss: CrossEntropy, targets: NDArray[np.generic], n_classes: int) -> FloatArray:
    """Return the weights of the classes that a position's target distribution has, over the positions."""
    labels = targets.reshape(len(targets), -1).astype(np.int64)
    weights = np.ones(n_classes) if loss.class_weights is None else np.array(loss.class_weights)
    smooth = loss.label_smoothing
    return np.asarray(((1 - smooth) * weights[labels] + smooth * weights.mean()) / labels.shape[1])


def _token_shares(loss: TokenCrossEntropy, targets: NDArray[np.generic]) -> FloatArray:
    counts = targets != loss.ignore_index
    if loss.shift:  # the logits at a token predict the next one
        counts = np.concatenate([counts[:, 1:], np.zeros_like(counts[:, :1])], axis=1)
    shares: FloatArray = counts.astype(np.float64)
    if loss.reduction == "sum":
        return shares
    return np.asarray(shares / shares.sum(1, keepdims=True).clip(1))


def _label_shares(loss: BinaryCrossEntropy, targets: NDArray[np.generic]) -> FloatArray:
    negative, positive = loss.class_weights or (1.0, 1.0)
    found: FloatArray = negative + (positive - negative) * targets.astype(np.float64)
    return np.asarray(found / targets.shape[1])
