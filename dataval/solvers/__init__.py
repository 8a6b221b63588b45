"""Solvers of symmetric linear systems whose matrix is known by its products with vectors."""

from dataval.solvers.arnoldi import Arnoldi
from dataval.solvers.base import Inverse, Operator, Solution, Solver
from dataval.solvers.conjugate_gradient import ConjugateGradient
from dataval.solvers.exact import Exact
from dataval.solvers.identity import Identity
from dataval.solvers.lissa import LiSSA

_BY_NAME: dict[str, type[Solver]] = {
    "exact": Exact,
    "cg": ConjugateGradient,
    "lissa": LiSSA,
    "arnoldi": Arnoldi,
    "identity": Identity,
}
__all__ = [
    "Arnoldi",
    "ConjugateGradient",
    "Exact",
    "Identity",
    "Inverse",
    "LiSSA",
    "Operator",
    "Solution",
    "Solver",
    "as_solver",
]


def as_solver(solver: str | Solver) -> Solver:
    """Return what a `solver` argument stands for: a solver, or the name of one with its default options.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If it is neither a name nor a solver.
    """
    if isinstance(solver, Solver):
        return solver
    if not isinstance(solver, str):
        raise TypeError(f"solver must be a name or one of dataval.solvers, got {solver!r}")
    if solver not in _BY_NAME:
        raise ValueError(f"unknown solver {solver!r}: choose one of {sorted(_BY_NAME)}")
    return _BY_NAME[solver]()  # type: ignore[call-arg]
