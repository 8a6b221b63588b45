"""What kinds of Kronecker-factored curvature there are, and their options."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from dataval.checks import described
from dataval.objectives.training import CurvatureKind
from dataval.options import Options

__all__ = ["EKFAC", "KFAC", "Kronecker", "as_curvature"]

Fisher = Literal["sampled", "exact", "empirical"]
Sharing = Literal["expand", "reduce"]
Uncovered = Literal["diagonal", "block", "identity"]


class Kronecker(Options):
    r"""The options that both kinds have.

    A layer that multiplies its inputs a by a matrix has gradients :math:`\sum_t\delta_t a_t^\top` over the
    positions t at which the matrix is used, and its block of the Gauss-Newton matrix is approximated by two
    small factors, :math:`S \otimes A` with :math:`A \approx \mathrm E[aa^\top]` (a constant 1 among the inputs
    stands for the bias) and :math:`S \approx \mathrm E[\delta\delta^\top]`. Layers are taken as independent.

    ==============================  ===============================================================
    layer                           curvature
    ==============================  ===============================================================
    linear, convolution             two factors; each group of a convolution has its own
    embedding                       two factors, of which A is diagonal: how often each row was read
    scales and shifts               diagonal
    anything else                   as `uncovered` says; a `CurvatureWarning` names it
    ==============================  ===============================================================
    """

    name: str
    fisher: Fisher = "sampled"
    n_draws: int = Field(default=1, gt=0)
    sharing: Sharing = "expand"
    uncovered: Uncovered = "diagonal"
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _check_used(self) -> Self:
        for option in ("n_draws", "seed"):
            if self.fisher != "sampled" and option in self.model_fields_set:
                raise ValueError(f"{option} is for fisher='sampled': with fisher={self.fisher!r} leave it out")
        return self


class KFAC(Kronecker):
    r"""Kronecker-factored approximate curvature (Martens & Grosse, 2015): :math:`S \otimes A` for each layer.

    The damping is added to the products of the factors' eigenvalues, so that the inverse is exact. Choose
    `EKFAC`, which costs one more pass over the training samples and is the closer approximation, unless it is
    K-FAC itself that is to be studied.

    Parameters
    ----------
    fisher : {"sampled", "exact", "empirical"}, default "sampled"
        Which gradients the curvature is made of. ``"sampled"``: of losses whose targets are drawn from the
        model's own predictions; their expectation is the Gauss-Newton matrix. ``"exact"``: of every direction
        of the outputs, without chance, in as many passes as there are outputs. ``"empirical"``: of the given
        targets, the only one for a loss without a name; where the model fits its targets, it is no
        approximation of the Gauss-Newton matrix (Kunstner et al., 2019).
    n_draws : int, default 1
        Draws for each sample with ``fisher="sampled"``.
    sharing : {"expand", "reduce"}, default "expand"
        What a matrix that is used at several positions of a sample makes of them (Eschenhagen et al., 2023).
        ``"expand"``: every position counts as a sample of its own, as for tokens, and for convolutions since
        Grosse & Martens (2016). ``"reduce"``: inputs are averaged over the positions and gradients added up, as
        for a model that averages its positions; cheaper.
    uncovered : {"diagonal", "block", "identity"}, default "diagonal"
        What parameters get that no layer is known for: their squared gradients, a dense block (refused above
        2,000 parameters), or a multiple of the identity of the same trace.
    seed : int, default 0
        Draws the targets.

    References
    ----------
    Martens & Grosse (2015). Optimizing neural networks with Kronecker-factored approximate curvature. ICML.
    Grosse & Martens (2016). A Kronecker-factored approximate Fisher matrix for convolution layers. ICML.
    Eschenhagen, Immer, Turner, Schneider & Hennig (2023). Kronecker-factored approximate curvature for modern
    neural network architectures. NeurIPS.
    Kunstner, Hennig & Balles (2019). Limitations of the empirical Fisher approximation for natural gradient
    descent. NeurIPS.

    Examples
    --------
    >>> dv.InfluenceFunction(learner, curvature=dv.KFAC(sharing="reduce"))
    """

    name: Literal["kfac"] = "kfac"


class EKFAC(Kronecker):
    r"""K-FAC with corrected eigenvalues (George et al., 2018).

    In the eigenbasis :math:`Q_S \otimes Q_A` of K-FAC's factors, the eigenvalues are replaced by the mean
    squares of the samples' gradients there,
    :math:`\Lambda = \mathrm E[(Q_S^\top G_j Q_A)^{\circ 2}]`: of all matrices with these eigenvectors, the one
    nearest to the layer's block in Frobenius norm. One more pass over the training samples than `KFAC`.

    Parameters
    ----------
    fisher : {"sampled", "exact", "empirical"}, default "sampled"
        As for `KFAC`.
    n_draws : int, default 1
        As for `KFAC`.
    sharing : {"expand", "reduce"}, default "expand"
        As for `KFAC`; here it decides about the eigenvectors alone.
    uncovered : {"diagonal", "block", "identity"}, default "diagonal"
        As for `KFAC`.
    seed : int, default 0
        Draws the targets.

    References
    ----------
    George, Laurent, Bouthillier, Ballas & Vincent (2018). Fast approximate natural gradient descent in a
    Kronecker-factored eigenbasis. NeurIPS.
    Grosse et al. (2023). Studying large language model generalization with influence functions.
    arXiv:2308.03296.

    Examples
    --------
    >>> dv.InfluenceFunction(learner, curvature=dv.EKFAC(fisher="empirical"), damping="layer")
    """

    name: Literal["ekfac"] = "ekfac"


_BY_NAME: dict[str, type[Kronecker]] = {"kfac": KFAC, "ekfac": EKFAC}
_PRODUCTS: tuple[CurvatureKind, ...] = ("hessian", "gauss_newton")


def as_curvature(curvature: Any) -> CurvatureKind | Kronecker:
    """Return what a `curvature` argument stands for: options of factors, or the name of what has products.

    Raises
    ------
    ValueError
        If the name is unknown, or it is nothing of the kind.
    """
    if isinstance(curvature, Kronecker):
        return curvature
    if isinstance(curvature, str) and curvature in _BY_NAME:
        return _BY_NAME[curvature]()  # type: ignore[call-arg]
    for kind in _PRODUCTS:
        if isinstance(curvature, str) and curvature == kind:
            return kind
    raise ValueError(
        f"curvature must be {', '.join(map(repr, (*_PRODUCTS, *_BY_NAME)))}, or a dataval.KFAC or "
        f"dataval.EKFAC with options, got {described(curvature)}"
    )
