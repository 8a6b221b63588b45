"""Clipping of a gradient by its global norm, and the pullback."""

from __future__ import annotations

from typing import Protocol

from dataval.training.optimizers.base import Array

__all__ = ["Arithmetic", "clip_by_norm", "clip_by_norm_vjp"]

_MARGIN = 1e-6  # torch.nn.utils.clip_grad_norm_ adds it to the norm
_TINY = 1e-30  # a zero gradient is not clipped, but must not divide by zero either


class Arithmetic(Protocol):
    """The two operations that operators alone don't spell on every framework; a backend has both."""

    def inner(self, left: Array, right: Array, /) -> Array:
        """Return the inner product along the last axis, kept with length 1."""

    def minimum(self, array: Array, bound: float, /) -> Array:
        """Return the elementwise minimum of an array and a number."""


def clip_by_norm(gradient: Array, max_norm: float, ops: Arithmetic) -> Array:
    r"""Scale a gradient down to a norm of at most `max_norm`, as ``torch.nn.utils.clip_grad_norm_``.

    .. math:: g' = g \cdot \min\!\left(1, \frac{c}{\lVert g\rVert + 10^{-6}}\right)

    Parameters
    ----------
    gradient : array, shape (..., P)
        Any gradient.
    max_norm : float
        :math:`c > 0`.
    ops : Arithmetic
        A backend.

    Returns
    -------
    array, shape (..., P)
    """
    return gradient * _factor(_norm(gradient, ops), max_norm, ops)


def clip_by_norm_vjp(cotangent: Array, gradient: Array, max_norm: float, ops: Arithmetic) -> Array:
    r"""Pull a cotangent back through `clip_by_norm`.

    Where the gradient is clipped, with :math:`f = c / (\lVert g\rVert + 10^{-6})`,

    .. math::
        \bar g = f\,\bar g' - \frac{f\,\langle \bar g', g\rangle}
                 {\lVert g\rVert(\lVert g\rVert + 10^{-6})}\, g
    """
    norm = _norm(gradient, ops)
    factor = _factor(norm, max_norm, ops)
    is_clipped = 1 - factor // 1
    shrink = is_clipped * factor / ((norm + _TINY) * (norm + _MARGIN))
    before = factor * cotangent
    before -= shrink * ops.inner(cotangent, gradient) * gradient
    return before


def _norm(gradient: Array, ops: Arithmetic) -> Array:
    return ops.inner(gradient, gradient) ** 0.5


def _factor(norm: Array, max_norm: float, ops: Arithmetic) -> Array:
    return ops.minimum(max_norm / (norm + _MARGIN), 1.0)
