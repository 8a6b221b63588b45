r"""Optimal transport between weighted points, with its dual potentials.

The cost of moving masses a to masses b is :math:`\min_P \langle P, C\rangle` over plans with these marginals.
Its potentials f and g are the derivatives of the cost in a and in b, up to a constant each: mass may only be
moved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_array, eye_array, kron, vstack
from scipy.special import logsumexp

__all__ = ["Transport", "exact_transport", "sinkhorn"]

FloatArray = NDArray[np.float64]

_BLOCK = 100  # iterations on one kernel
_WARM = 10  # iterations under a regularization that is still too large
_LARGEST = 1e100  # factor in front of a kernel


@dataclass(frozen=True)
class Transport:
    """A plan's cost, and the potentials.

    Attributes
    ----------
    cost : float
        Of the plan, without any entropy.
    source : ndarray of float64, shape (n,)
        f, whose mean under a is 0.
    target : ndarray of float64, shape (m,)
        g.
    error : float
        How much mass (of 1) the plan's marginals are off.
    n_iterations : int
    """

    cost: float
    source: FloatArray
    target: FloatArray
    error: float = 0.0
    n_iterations: int = 0


def exact_transport(costs: FloatArray, a: FloatArray, b: FloatArray) -> Transport:
    """Solve the linear program, by HiGHS: for a few hundred points.

    Where some of the masses a sum to as much as some of the masses b, potentials are not unique.

    Parameters
    ----------
    costs : ndarray of float64, shape (n, m)
        C.
    a, b : ndarray of float64, shapes (n,) and (m,)
        Masses that sum to the same.
    """
    n, m = costs.shape
    rows = kron(eye_array(n), np.ones((1, m)))
    columns = kron(np.ones((1, n)), eye_array(m))
    found = linprog(
        costs.ravel(), A_eq=csr_array(vstack([rows, columns])), b_eq=np.concatenate([a, b]), method="highs"
    )
    if found.status != 0:  # the program has a solution for all finite costs
        raise RuntimeError(f"the transport problem was not solved: {found.message}")
    return _centred(float(found.fun), found.eqlin.marginals[:n], found.eqlin.marginals[n:], a)


def sinkhorn(
    costs: FloatArray,
    a: FloatArray,
    b: FloatArray,
    regularization: float,
    *,
    tolerance: float = 1e-6,
    max_iterations: int = 10_000,
) -> Transport:
    r"""Minimise :math:`\langle P, C\rangle + \varepsilon\,\mathrm{KL}(P\,\|\,a b^\top)` by Sinkhorn's method.

    The regularization falls to its value by halves. Iterations multiply by a kernel that has the potentials
    found so far in it, and begin anew in the logarithm, so that nothing underflows. The potentials are the
    derivatives of this minimum. They are unique, and near the linear program's for a small regularization.

    Parameters
    ----------
    costs : ndarray of float64, shape (n, m)
        C, from 0.
    a, b : ndarray of float64, shapes (n,) and (m,)
        Positive masses that sum to 1.
    regularization : float
        Epsilon, in the unit of the costs.
    tolerance : float, default 1e-6
        How much mass the plan's first marginal may be off.
    max_iterations : int, default 10,000
        After so many (or up to a hundred more) the plan is returned as it is.

    References
    ----------
    Schmitzer (2019). Stabilized sparse scaling algorithms for entropy regularized transport problems. SIAM
    Journal on Scientific Computing.
    """
    f, g = np.zeros(len(a)), np.zeros(len(b))
    epsilon, done, error = max(regularization, float(costs.max())), 0, np.inf
    while epsilon > regularization:
        f, g, _, steps = _iterations(costs, a, b, f, g, epsilon, _WARM, tolerance)
        done, epsilon = done + steps, max(regularization, epsilon / 2)
    while error > tolerance and done < max_iterations:
        f, g, error, steps = _iterations(costs, a, b, f, g, regularization, _BLOCK, tolerance)
        done += steps
    plan = a[:, None] * _kernel(costs, f, g, regularization) * b
    return _centred(float((plan * costs).sum()), f, g, a, error, done)


def _iterations(
    costs: FloatArray,
    a: FloatArray,
    b: FloatArray,
    f: FloatArray,
    g: FloatArray,
    epsilon: float,
    most: int,
    tolerance: float,
) -> tuple[FloatArray, FloatArray, float, int]:
    """Return potentials after at most so many iterations, the first marginal's error, and how many."""
    f = -epsilon * logsumexp((g - costs) / epsilon, b=b, axis=1)
    g = -epsilon * logsumexp((f[:, None] - costs) / epsilon, b=a[:, None], axis=0)
    kernel = _kernel(costs, f, g, epsilon)
    u, v = np.ones(len(a)), np.ones(len(b))
    sums, done, error = kernel @ b, 0, np.inf
    while done < most:
        done += 1
        error = float(np.abs(a * (u * sums - 1)).sum())
        if error <= tolerance or not 1 / _LARGEST < sums.min() <= sums.max() < _LARGEST:
            break
        u = 1 / sums
        v = 1 / (kernel.T @ (a * u))
        sums = kernel @ (b * v)
    return f + epsilon * np.log(u), g + epsilon * np.log(v), error, done


def _kernel(costs: FloatArray, f: FloatArray, g: FloatArray, epsilon: float) -> FloatArray:
    return np.asarray(np.exp((f[:, None] + g - costs) / epsilon))


def _centred(
    cost: float, f: FloatArray, g: FloatArray, a: FloatArray, error: float = 0.0, n_iterations: int = 0
) -> Transport:
    """Move a constant from f to g."""
    mean = float((f * a).sum() / a.sum())
    return Transport(cost, f - mean, g + mean, error, n_iterations)
