"""Whether a training is smooth enough for exact values, asked before they are believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from dataval.backend import ObjectiveFunction
from dataval.backend.registry import framework_settings
from dataval.checks import described, one_of, real_number, share, whole_number
from dataval.data import as_data
from dataval.evaluation.smoothness_calibration import Sign, probability_of
from dataval.metrics.statistics import rank_correlation
from dataval.objectives.validation import ValidationObjective
from dataval.progress import progress_bar
from dataval.training.recording import carry_out
from dataval.training.reweighted import trained_under
from dataval.training.stability import RunStability, run_stability
from dataval.training.sweep import BackwardSweep, SweepResult

if TYPE_CHECKING:
    from dataval.training.learner import Learner
    from dataval.training.replay import Replay
    from dataval.training.run import TrainingRun

__all__ = ["Smoothness", "SmoothnessPart", "smoothness"]

FloatArray = npt.NDArray[np.float64]
SmoothnessPart = Literal["weights", "mask", "values"]

_ENOUGH, _LITTLE = 0.7, 0.3


class Smoothness(BaseModel):
    r"""What `smoothness` found; printable, and JSON by `model_dump_json`. What was not asked for is None.

    Attributes
    ----------
    probability : float or None
        That exact values predict the removal of a random 1 % with a linear datamodeling score of at least 0.9,
        as the parts that were asked for tell it; None where none was.
    run : RunStability
        What the recording tells: effective rate, schedule, plateau, kinks, growth of the cotangent.
    metasmoothness : float or None
        Share of the parameters whose changes from w to w + hv and from there to w + 2hv agree in sign: 1/2 by
        chance, near 1 where training is smooth in the weights.
    bend : float or None
        :math:`\lVert\Delta_2-\Delta_1\rVert/\lVert\Delta_1\rVert` of these changes: 0 for a straight line.
    curvature : float or None
        :math:`(F(w+2hv)-2F(w+hv)+F(w))/h^2`: the objective's second difference along v.
    displacement : float or None
        :math:`\lVert\theta_T(w_S)-\theta_T(w)\rVert/\lVert\theta_T(w)\rVert`, with the masked samples S at 0.
    actual : float or None
        :math:`F(w_S)-F(w)`, the change of the objective that the mask makes.
    predicted : float or None
        What the plain values say of it: the sum of the masked samples' values.
    agreement : float or None
        Spearman's correlation of plain values with those of the masked run, over samples that both have.
    fraction : float
        Share of the samples that the mask puts to 0.
    step : float
        h.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    probability: float | None
    run: RunStability
    metasmoothness: float | None = None
    bend: float | None = None
    curvature: float | None = None
    displacement: float | None = None
    actual: float | None = None
    predicted: float | None = None
    agreement: float | None = None
    fraction: float
    step: float

    @property
    def verdict(self) -> Literal["smooth", "doubtful", "chaotic", "not asked"]:
        """The probability in a word: "smooth" from 0.7, "chaotic" below 0.3, "doubtful" between."""
        if self.probability is None:
            return "not asked"
        if self.probability >= _ENOUGH:
            return "smooth"
        return "chaotic" if self.probability < _LITTLE else "doubtful"

    def __str__(self) -> str:
        lines = []
        if self.probability is not None:
            lines.append(
                f"training is {self.verdict}: exact values predict removing 1 % (score 0.9 or more) with "
                f"probability {self.probability:.2f}"
            )
        if self.metasmoothness is not None:
            lines.append(f"metasmoothness {self.metasmoothness:.3f}, bend {self.bend:.2g} (h = {self.step:g})")
        if self.displacement is not None:
            lines.append(f"{self.fraction:.2%} masked: the parameters move by {self.displacement:.2%}")
        if self.agreement is not None:
            lines.append(
                f"values of both runs: Spearman {self.agreement:.3f}; predicted change {self.predicted:+.3g}, "
                f"actual {self.actual:+.3g}"
            )
        return "\n".join([*lines, str(self.run)])


@framework_settings()
def smoothness(
    learner: Learner,
    X: Any,
    y: Any = None,
    X_val: Any = None,
    y_val: Any = None,
    *,
    run: TrainingRun | None = None,
    objective: ObjectiveFunction | None = None,
    parts: Sequence[SmoothnessPart] = ("weights", "mask", "values"),
    step: float = 0.1,
    fraction: float = 0.01,
    seed: int = 0,
) -> Smoothness:
    r"""Ask whether a training is smooth enough for exact values to predict retraining.

    A derivative predicts what removing samples does if training is smooth in the samples' weights, as far as
    the removal goes. Each part looks at that in another way, at a cost beside the training itself:

    ===========  ======================================================================  =======================
    part         what it does                                                            cost
    ===========  ======================================================================  =======================
    (always)     reads rates, schedule, plateau and kinks off the run                    nothing
    "weights"    trains under :math:`w+hv` and :math:`w+2hv` along random signs v        2 trainings
    "mask"       trains with a random share of the weights at 0                          1 training
    "values"     exact values of the run; with "mask" those of the masked run as well    1 or 2 exact sweeps
    ===========  ======================================================================  =======================

    "mask" alone is the cheapest that says much. "values" with "mask" says most; the probability then is that of
    all parts that were asked for. `verify` retrains some 40 times, and is the judge.

    Parameters
    ----------
    learner : Learner
        What is trained.
    X, y
        Training samples, see `Learner.train`.
    X_val, y_val
        Validation samples.
    run : TrainingRun, optional
        A run of the learner on the same data; it is trained by default.
    objective : callable, optional
        What the validation set measures, as for `HyDRA`; the learner's loss by default.
    parts : sequence of {"weights", "mask", "values"}, default all
        What to look at; empty for what the run tells alone.
    step : float, default 0.1
        h, in (0, 0.5).
    fraction : float, default 0.01
        Share of the samples that the mask puts to 0, at least one.
    seed : int, default 0
        Draws v and the mask.

    Returns
    -------
    Smoothness

    Raises
    ------
    InvalidDataError, InvalidModelError, RunMismatchError
        As `Learner.train`; also if the run holds states alone.
    NotTwiceDifferentiableError
        If "values" are asked for and don't exist.
    ValueError
        If a part is unknown, or another argument out of range.

    Notes
    -----
    The probability comes from logistic regressions on trainings of small networks (convolutional, perceptrons,
    linear) on 500 images; see the guide, *When values are true*. For much larger models take it as an order.

    References
    ----------
    Ilyas & Engstrom (2025). MAGIC: Near-optimal data attribution for deep learning. arXiv:2504.16430.
    Engstrom, Ilyas, Chen, Feldmann, Moses & Madry (2025). Optimizing ML training with metagradient descent.
    arXiv:2503.13751. They weigh each parameter's agreement by how far it moves.

    Examples
    --------
    >>> found = dv.evaluation.smoothness(learner, X, y, X_val, y_val, run=hydra.run_)
    >>> print(found)
    >>> found.run.risks
    """
    if not hasattr(learner, "prepare"):
        raise TypeError(f"learner must be a dataval.Learner, got {described(learner)}")
    asked = _checked_parts(parts)
    if not 0 < real_number("step", step) < 0.5:
        raise ValueError(f"step must be above 0 and below 0.5, got {step}")
    share("fraction", fraction)
    whole_number("seed", seed, minimum=0)
    replay = learner.prepare(X, y, run=run)
    replay.check_updates("smoothness")
    judge = ValidationObjective(replay.program.backend, as_data(X_val, y_val, "validation"), objective)
    mask = _draw_mask(replay.run.weights, fraction, seed)
    if "values" in asked:
        replay.program.check_second_order()
    if run is None:
        carry_out(replay.program, replay.run, progress=learner.progress)
    replay.check_complete()
    found = _Check(replay, judge, learner.progress)
    if "weights" in asked:
        found.look_along(step, seed)
    if "mask" in asked:
        found.look_without(mask)
    if "values" in asked:
        found.look_at_values(mask)
    return found.result(fraction, step)


class _Check:
    """Trains what is asked for and collects what it tells."""

    def __init__(self, replay: Replay, judge: ValidationObjective, progress: bool | None) -> None:
        self._replay, self._judge, self._progress = replay, judge, progress
        self._final, self._value = self._parameters(replay), float(judge.value(replay.final))
        self._masked: Replay | None = None
        self._found: dict[str, float] = {}

    def look_along(self, step: float, seed: int) -> None:
        """Train under w + hv and w + 2hv; v is a random sign of every sample times its weight."""
        weights = self._replay.run.weights
        direction = weights * np.random.default_rng([seed, 5]).choice([-1.0, 1.0], len(weights))
        ends = [self._trained(weights + k * step * direction) for k in (1, 2)]
        one, two = map(self._parameters, ends)
        first, second = one - self._final, two - one
        values = [float(self._judge.value(end.final)) for end in ends]
        size = float(np.linalg.norm(first))
        self._found |= {
            "metasmoothness": float(np.mean(np.sign(first) == np.sign(second))),
            "bend": float(np.linalg.norm(second - first)) / size if size > 0 else 0.0,
            "curvature": (values[1] - 2 * values[0] + self._value) / step**2,
        }

    def look_without(self, mask: npt.NDArray[np.bool_]) -> None:
        """Train with some weights at 0."""
        self._masked = self._trained(np.where(mask, 0.0, self._replay.run.weights))
        moved = np.linalg.norm(self._parameters(self._masked) - self._final)
        self._found |= {
            "displacement": float(moved / np.linalg.norm(self._final)),
            "actual": float(self._judge.value(self._masked.final)) - self._value,
        }

    def look_at_values(self, mask: npt.NDArray[np.bool_]) -> None:
        """Sweep back through the run, and through the masked one where there is one."""
        plain = self._swept(self._replay)
        self._found["growth"] = _growth(plain)
        if self._masked is None:
            return
        masked, weights = self._swept(self._masked), self._replay.run.weights
        both = np.isfinite(plain.values) & np.isfinite(masked.values)
        is_known = len(np.unique(plain.values[both])) > 1 and bool(both.sum() > 2)
        self._found |= {
            "agreement": rank_correlation(plain.values[both], masked.values[both]) if is_known else 0.0,
            "predicted": float((weights * np.nan_to_num(plain.values))[mask].sum()),
        }

    def result(self, fraction: float, step: float) -> Smoothness:
        """Return what was found."""
        found = dict(self._found)
        run = run_stability(self._replay, found.pop("growth", None))
        signs: dict[Sign, float] = {name: found[name] for name in get_args(Sign) if name in found}
        probability = 0.0 if run.is_chaotic else probability_of(signs)
        return Smoothness(probability=probability, run=run, fraction=fraction, step=step, **found)

    def _trained(self, weights: FloatArray) -> Replay:
        return trained_under(self._replay, weights, progress=self._progress)

    def _parameters(self, replay: Replay) -> FloatArray:
        return np.asarray(replay.program.backend.arrays.to_numpy(replay.final.parameters), dtype=np.float64)

    def _swept(self, replay: Replay) -> SweepResult:
        start = replay.program.cotangent_of(*self._judge.gradient(replay.final))
        with progress_bar("sweeping back", replay.run.n_steps, self._progress) as bar:
            return BackwardSweep(replay, start, replay.program.pullback).carry_out(bar.update)


def _growth(found: SweepResult) -> float:
    norms = found.cotangent_norm
    if found.stopped_at >= 0:
        return float("inf")
    return float(np.nanmax(norms / norms[-1])) if 0 < norms[-1] < np.inf else 0.0


def _checked_parts(parts: Any) -> tuple[SmoothnessPart, ...]:
    if isinstance(parts, str) or not hasattr(parts, "__iter__"):
        raise TypeError(
            f"parts must be a sequence of {list(get_args(SmoothnessPart))}, got {described(parts)}: write "
            "parts=['mask']"
        )
    return tuple(one_of("parts", part, get_args(SmoothnessPart)) for part in parts)


def _draw_mask(weights: FloatArray, fraction: float, seed: int) -> npt.NDArray[np.bool_]:
    """Draw the samples, of those that have a weight, that are put to 0."""
    counted = np.flatnonzero(weights)
    size = max(1, round(fraction * len(counted)))
    if size >= len(counted):
        raise ValueError(
            f"fraction={fraction} masks all {len(counted)} samples: choose one that keeps at least one"
        )
    mask = np.zeros(len(weights), dtype=bool)
    mask[np.random.default_rng([seed, 6]).choice(counted, size, replace=False)] = True
    return mask
