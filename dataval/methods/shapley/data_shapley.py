"""Data Shapley."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from dataval.backend import ObjectiveFunction
from dataval.checks import real_number
from dataval.methods.shapley.by_permutations import PermutationValuator
from dataval.methods.shapley.estimate import Estimate
from dataval.methods.shapley.game import Game
from dataval.methods.shapley.semivalues import beta_sizes
from dataval.training.learner import Learner

__all__ = ["DataShapley"]


class DataShapley(PermutationValuator):
    r"""What a sample adds, on average, as samples come in a random order: values that share out all there is.

    .. math:: \mathrm{value}_j = \frac1N \sum_{S \not\ni j} \binom{N-1}{|S|}^{-1} [v(S \cup j) - v(S)]

    where v(S) is minus the validation loss, or the utility, of what is trained on the samples of S alone: of a
    learner the run with all other weights at 0 (same initialisation, batches, divisor b and random draws), of
    an estimator the fit on S. The values sum to v(all) - v(none), for the loss: to its rise without all
    samples. Samples that do the same have equal values, those that do nothing have 0.

    A permutation takes N trainings, many at once as one vectorised program. For a few hundred samples and more
    take `DataBanzhaf`, which learns of all samples from each training, or `HyDRA` and `verify`.

    Parameters
    ----------
    learner : Learner or scikit-learn estimator
        An estimator is cloned, with a `random_state` of None held fixed, also inside of others. Where it gives
        no model (no sample, one class that it refuses), the prior prediction is judged: the shares of the
        classes, or the mean, of all training targets. For any other failure the same, with a
        `RetrainingWarning`.
    method : {"antithetic", "random", "stratified", "exact"}, default "antithetic"
        ``"random"`` draws permutations; ``"antithetic"`` each with its reverse; ``"stratified"`` each with its
        rotations by eighths, so that a sample comes at positions spread evenly. ``"exact"`` trains on all
        2^N coalitions, for N up to 16.
    n_permutations : int, default 100
        The most permutations, rounded up to whole groups of 2 or 8 that are drawn together.
    tolerance : float or None, default 0.05
        Stop earlier, once the standard errors are this small: the length of their vector over that of the
        values'. None goes on to the end.
    truncation : float, optional
        End a permutation once five coalitions in a row gain what all samples do, up to this share of v(all) -
        v(none); what is left to gain is shared equally by the samples that remain, so that sums stay right. It
        saves trainings and costs a bias that no standard error shows.
    seed : int, default 0
        Draws the permutations.
    utility : str or callable, default "loss"
        As for `LeaveOneOut`.
    objective : callable, optional
        What ``"loss"`` averages, as for `HyDRA`. Not for estimators.
    seeds : sequence of int, optional
        Average v over training with each of these seeds, as for `LeaveOneOut`.
    n_jobs : int, optional
        Processes that train in parallel, -1 for as many as there are cores; by default one, or what
        `joblib.parallel_config` says, such as all workers of a Dask cluster.
    group_size : int, optional
        Runs that are trained at once, as for `LeaveOneOut`. Not for estimators.
    folder : path, optional
        Where results of trainings are kept and looked up, for this and for all other methods of coalitions.
        Not for estimators.

    Attributes
    ----------
    run_ : TrainingRun or None
        Of a learner; None for an estimator. It plays no part but for its weights and its start.
    diagnostics_ : dict
        ``"standard_error"``: of `score`, shape ``(N,)``, over independent permutations; ``"relative_error"``,
        and whether the tolerance was met, ``"converged"``; ``"utility"`` of all samples, ``"utility_of_none"``;
        ``"n_permutations"``; ``"n_trainings"``: coalitions trained on, each once; ``"n_without_model"``: those
        that the prior prediction stands for; ``"n_truncated"``: prefixes that truncation saved.

    References
    ----------
    Ghorbani & Zou (2019). Data Shapley: Equitable valuation of data for machine learning. ICML.
    Mitchell, Cooper, Frank & Holmes (2022). Sampling permutations for Shapley value estimation. JMLR 23.
    Castro, Gomez, Molina & Tejada (2017). Improving polynomial estimation of the Shapley value by stratified
    random sampling with optimum allocation. Computers & Operations Research 82.

    Examples
    --------
    >>> shapley = dv.DataShapley(learner, n_permutations=200, folder="retrained").fit(X, y)
    >>> values = shapley.score(X_val, y_val)
    >>> shapley.diagnostics_["standard_error"]
    """

    def __init__(
        self,
        learner: Learner | Any,
        *,
        method: Literal["antithetic", "random", "stratified", "exact"] = "antithetic",
        n_permutations: int = 100,
        tolerance: float | None = 0.05,
        truncation: float | None = None,
        seed: int = 0,
        utility: str | Callable[..., float] = "loss",
        objective: ObjectiveFunction | None = None,
        seeds: Sequence[int] | None = None,
        n_jobs: int | None = None,
        group_size: int | None = None,
        folder: str | Path | None = None,
    ) -> None:
        super().__init__(
            learner,
            method=method,
            n_permutations=n_permutations,
            tolerance=tolerance,
            seed=seed,
            utility=utility,
            objective=objective,
            seeds=seeds,
            n_jobs=n_jobs,
            group_size=group_size,
            folder=folder,
        )
        self.truncation = truncation

    def _check_numbers(self) -> None:
        super()._check_numbers()
        if self.truncation is not None:
            real_number("truncation", self.truncation, minimum=0, maximum=1)

    def _estimate(self, game: Game) -> Estimate:
        return self._sampled(game, beta_sizes(game.n_samples, 1.0, 1.0), self.truncation)
