"""How well values find noisy samples, beside what a random order finds."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from dataval.checks import share, whole_number
from dataval.metrics.label_decisions import LabelDecisions, judge_decisions
from dataval.metrics.ranking import (
    LevelCounts,
    RankedSamples,
    area_under_recall,
    auroc,
    average_precision,
    expected_found,
    rank_samples,
)
from dataval.metrics.two_means import f1_score, lower_cluster_size, unit_scaled

__all__ = ["Metric", "MetricsAtK", "NoiseDetectionReport", "noise_detection"]

FloatArray = npt.NDArray[np.float64]

_SHARES = np.arange(101) / 100.0
_N_SCALARS = 5  # AUROC, average precision, F1 at the noise rate, two-means F1, area under recall


class Metric(BaseModel):
    """One metric, its confidence interval, and what a random and a perfect order get.

    Attributes
    ----------
    value : float
        The metric, in [0, 1]; higher is better.
    low, high : float or None
        Ends of the bootstrap interval; None without a bootstrap.
    random : float
        Expectation over all orders of the samples, each equally likely.
    perfect : float
        What an order with every noisy sample before every clean one gets.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float | None
    high: float | None
    random: float
    perfect: float


class MetricsAtK(BaseModel):
    """Precision and recall among the `k` samples of lowest value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    k: int
    precision: Metric
    recall: Metric


class NoiseDetectionReport(BaseModel):
    """What `noise_detection` found; printable, and JSON by `model_dump_json`.

    Attributes
    ----------
    n_samples, n_noisy : int
        Samples ranked, and how many of them are noisy.
    n_bootstrap, confidence : int, float
        Resamples drawn and coverage of the intervals.
    auroc, average_precision : Metric
        Area under the ROC curve; precision averaged over the noisy samples.
    f1_at_noise_rate : Metric
        F1 when as many samples are called noisy as there are. Precision and recall are then equal,
        so it is also the precision at k = n_noisy.
    f1_two_means : Metric
        F1 of OpenDataVal: two-means on the values, the lower cluster called noisy. Its `perfect` is
        often far below 1, as the split answers to the values' distances and not to their order.
    area_under_recall : Metric
        Area under `recall` against `share_inspected`.
    at_k : tuple of MetricsAtK
        At k = n_noisy first, then at each `k` asked for.
    share_inspected, recall : tuple of float, length 101
        Share of the noisy samples found in the lowest 0 %, 1 %, …, 100 % of the samples.
    recall_low, recall_high : tuple of float, length 101, or None
        Pointwise bootstrap interval of `recall`.
    decisions : LabelDecisions or None
        How good what a detector decided is, where that was given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_samples: int
    n_noisy: int
    n_bootstrap: int
    confidence: float
    auroc: Metric
    average_precision: Metric
    f1_at_noise_rate: Metric
    f1_two_means: Metric
    area_under_recall: Metric
    at_k: tuple[MetricsAtK, ...]
    share_inspected: tuple[float, ...]
    recall: tuple[float, ...]
    recall_low: tuple[float, ...] | None
    recall_high: tuple[float, ...] | None
    decisions: LabelDecisions | None = None

    def __str__(self) -> str:
        """Lay the metrics out as a table, random and perfect beside each."""
        title = (
            f"Noise detection: {self.n_noisy:,} of {self.n_samples:,} samples are noisy "
            f"({self.n_noisy / self.n_samples:.1%}); lowest values are inspected first"
        )
        interval = f"{100 * self.confidence:g} % interval"
        header = f"{'':<28}{'value':>7}  {interval:<17}{'random':>8}{'perfect':>9}"
        decided = [] if self.decisions is None else ["", str(self.decisions)]
        return "\n".join([title, "", header, *(_row(*named) for named in self._named_metrics()), *decided])

    def _named_metrics(self) -> Iterator[tuple[str, Metric]]:
        yield "AUROC", self.auroc
        yield "average precision", self.average_precision
        for at in self.at_k:
            yield f"precision at {at.k:,}", at.precision
            yield f"recall at {at.k:,}", at.recall
        yield "F1 at the noise rate", self.f1_at_noise_rate
        yield "F1 of two-means", self.f1_two_means
        yield "area under recall", self.area_under_recall


def noise_detection(
    values: npt.ArrayLike,
    is_noisy: npt.ArrayLike,
    *,
    k: int | Sequence[int] | None = None,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int | np.random.Generator = 0,
    is_wrong: npt.ArrayLike | None = None,
    probability_wrong: npt.ArrayLike | None = None,
    suggested_label: npt.ArrayLike | None = None,
    true_label: npt.ArrayLike | None = None,
) -> NoiseDetectionReport:
    r"""Measure how well low values point at noisy samples.

    Samples are ranked by ascending value and the noisy ones are the positives. With :math:`P` noisy
    samples among :math:`N`, :math:`F_k` of them among the :math:`k` lowest values,

    .. math::
        \text{precision}_k = F_k / k, \qquad \text{recall}_k = F_k / P, \\
        \text{AUROC} = \Pr(v_\text{noisy} < v_\text{clean})
        + \tfrac12 \Pr(v_\text{noisy} = v_\text{clean}).

    Samples of equal value have no order. AUROC counts such a pair as one half; :math:`F_k`, the
    recall curve and the F1 at the noise rate are expectations over their random order; average
    precision makes each distinct value one threshold. AUROC and average precision are those of
    scikit-learn for the scores ``-values``.

    Beside each metric stands what a random order gets in expectation, in closed form: 1/2 for AUROC
    and the area under recall, :math:`P/N` for precision and the F1 at the noise rate, :math:`k/N`
    for recall, and

    .. math::
        \frac1N \Big[ H_N + \frac{P - 1}{N - 1} (N - H_N) \Big], \qquad H_N = \sum_{i=1}^N 1/i,

    for average precision. For the two-means F1 the values are dealt out to the samples at random:
    the lower cluster keeps its size :math:`m` and holds :math:`mP/N` noisy samples in expectation,
    hence :math:`2mP / (N(m + P))`.

    Parameters
    ----------
    values : array-like of float, shape (n,)
        One value a training sample: higher helps, negative hurts. Only the two-means F1 depends on
        their scale, all else on their order alone.
    is_noisy : array-like of bool, shape (n,)
        True where the sample really is noisy, for example from `dataval.noise.flip_labels`.
    k : int or sequence of int, optional
        Numbers of samples inspected at which to report precision and recall, beside the number of
        noisy samples, which is always reported.
    n_bootstrap : int, default 1000
        Resamples behind the intervals; 0 for none. Noisy and clean samples are resampled apart, so
        that each resample has as many of both. The intervals speak of other samples under the same
        values, not of another training run; with very few noisy samples they are too narrow.
    confidence : float, default 0.95
        Coverage of the percentile intervals, between 0 and 1.
    seed : int or numpy.random.Generator, default 0
        Seed of the resamples.
    is_wrong : array-like of bool, shape (n,), optional
        Samples that a detector calls noisy, as `LabelErrors.is_wrong_`: for precision, recall and the error of
        their number.
    probability_wrong : array-like of float, shape (n,), optional
        How probable it says that is: for the Brier score, the calibration error, and the error of the expected
        number.
    suggested_label, true_label : array-like, shape (n,), optional
        What it says a label should be, and what it was before the noise; both or neither.

    Returns
    -------
    NoiseDetectionReport
        Frozen; ``print`` it for a table.

    Raises
    ------
    ValueError
        If values are not finite, values and mask differ in length, the mask marks all samples or
        none, or `k`, `n_bootstrap` or `confidence` is out of range; if what a detector decided has
        another length, or probabilities leave [0, 1].

    Notes
    -----
    When noise is not marked there is nothing to detect: judge values by how well they predict
    retraining instead. The two-means F1 is reported to compare with published figures; a perfect
    ranking can score 0.12 on it, so do not choose a method by it.

    References
    ----------
    Jiang, Liang, Zou, Kwon. OpenDataVal: a Unified Benchmark for Data Valuation. NeurIPS 2023.
    Bestgen. Exact expected average precision of the random baseline for system evaluation. The
    Prague Bulletin of Mathematical Linguistics 103, 2015.

    Examples
    --------
    >>> report = noise_detection([-2.0, 0.5, -1.0, 0.7], [True, False, True, False])
    >>> report.auroc.value
    1.0
    """
    ranked = rank_samples(values, is_noisy)
    ks = _check_ks(k, ranked)
    _check_bootstrap(n_bootstrap, confidence)
    decisions = judge_decisions(
        np.asarray(is_noisy, dtype=np.bool_),
        is_wrong=is_wrong,
        probability_wrong=probability_wrong,
        suggested_label=suggested_label,
        true_label=true_label,
    )
    if not isinstance(seed, np.random.Generator):
        whole_number("seed", seed, minimum=0)
    scaled = unit_scaled(ranked.levels)
    counts = ranked.counts()
    rng = np.random.default_rng(seed)
    resamples = [_statistics(scaled, ranked.resampled_counts(rng), ks) for _ in range(n_bootstrap)]
    estimates = _Estimates(
        value=_statistics(scaled, counts, ks),
        interval=_percentiles(resamples, confidence),
        random=_at_random(scaled, counts, ks),
        perfect=_when_perfect(scaled, counts, ks),
    )
    return _report(estimates, ranked, ks, n_bootstrap, confidence, decisions)


def _statistics(scaled: FloatArray, counts: LevelCounts, ks: FloatArray) -> FloatArray:
    """Return the five scalars, then the precision at each k, then the recall at each share."""
    found = expected_found(counts, np.concatenate((ks, _SHARES * counts.n_samples)))
    size, hits = lower_cluster_size(scaled, counts)
    scalars = (
        auroc(counts),
        average_precision(counts),
        found[0] / counts.n_noisy,  # ks[0] is the number of noisy samples
        f1_score(hits, size, counts.n_noisy),
        area_under_recall(counts),
    )
    return np.concatenate((scalars, found[: len(ks)] / ks, found[len(ks) :] / counts.n_noisy))


def _at_random(scaled: FloatArray, counts: LevelCounts, ks: FloatArray) -> FloatArray:
    """Return the expectation of each of `_statistics` when the values are shuffled."""
    n, noisy = counts.n_samples, counts.n_noisy
    rate = noisy / n
    harmonic = float(np.sum(1.0 / np.arange(1.0, n + 1.0)))
    precision = (harmonic + (noisy - 1.0) / (n - 1.0) * (n - harmonic)) / n
    size, _ = lower_cluster_size(scaled, counts)
    scalars = (0.5, precision, rate, f1_score(size * rate, size, noisy), 0.5)
    return np.concatenate((scalars, np.full(len(ks), rate), _SHARES))


def _when_perfect(scaled: FloatArray, counts: LevelCounts, ks: FloatArray) -> FloatArray:
    """Return each of `_statistics` when the lowest values belong to the noisy samples."""
    n, noisy = counts.n_samples, counts.n_noisy
    size, _ = lower_cluster_size(scaled, counts)
    scalars = (1.0, 1.0, 1.0, f1_score(min(size, noisy), size, noisy), 1.0 - 0.5 * noisy / n)
    recall = np.minimum(_SHARES * n / noisy, 1.0)
    return np.concatenate((scalars, np.minimum(noisy / ks, 1.0), recall))


def _percentiles(resamples: list[FloatArray], confidence: float) -> FloatArray | None:
    if not resamples:
        return None
    tails = (0.5 - 0.5 * confidence, 0.5 + 0.5 * confidence)
    return np.asarray(np.quantile(np.stack(resamples), tails, axis=0), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class _Estimates:
    """The same vector of statistics four times over, laid out as `_statistics` returns it."""

    value: FloatArray
    interval: FloatArray | None
    random: FloatArray
    perfect: FloatArray

    def metric(self, index: int, scale: float = 1.0) -> Metric:
        low, high = (None, None) if self.interval is None else self.interval[:, index] * scale
        return Metric(
            value=self.value[index] * scale,
            low=low,
            high=high,
            random=self.random[index] * scale,
            perfect=self.perfect[index] * scale,
        )


def _report(
    estimates: _Estimates,
    ranked: RankedSamples,
    ks: FloatArray,
    n_bootstrap: int,
    confidence: float,
    decisions: LabelDecisions | None,
) -> NoiseDetectionReport:
    first = _N_SCALARS
    curve = slice(first + len(ks), None)
    low, high = (None, None) if estimates.interval is None else estimates.interval[:, curve]
    return NoiseDetectionReport(
        n_samples=ranked.n_samples,
        n_noisy=ranked.n_noisy,
        n_bootstrap=n_bootstrap,
        confidence=confidence,
        auroc=estimates.metric(0),
        average_precision=estimates.metric(1),
        f1_at_noise_rate=estimates.metric(2),
        f1_two_means=estimates.metric(3),
        area_under_recall=estimates.metric(4),
        at_k=tuple(
            MetricsAtK(
                k=int(k),
                precision=estimates.metric(first + i),
                recall=estimates.metric(first + i, scale=k / ranked.n_noisy),
            )
            for i, k in enumerate(ks)
        ),
        share_inspected=_floats(_SHARES),
        recall=_floats(estimates.value[curve]),
        recall_low=None if low is None else _floats(low),
        recall_high=None if high is None else _floats(high),
        decisions=decisions,
    )


def _floats(array: FloatArray) -> tuple[float, ...]:
    return tuple(float(entry) for entry in array)


def _row(name: str, metric: Metric) -> str:
    known = metric.low is not None and metric.high is not None
    interval = f"{metric.low:.3f} to {metric.high:.3f}" if known else "none"
    reference = f"{metric.random:>8.3f}{metric.perfect:>9.3f}"
    return f"{name:<28}{metric.value:>7.3f}  {interval:<17}{reference}"


def _check_ks(k: int | Sequence[int] | None, ranked: RankedSamples) -> FloatArray:
    """Return the number of noisy samples and then each k asked for, without repeats."""
    asked = [] if k is None else np.atleast_1d(np.asarray(k, dtype=object)).tolist()
    if k is not None and not asked:
        raise ValueError("k must be one whole number or several: it is empty.")
    for number in asked:
        _check_k(number, ranked.n_samples)
    return np.array(list(dict.fromkeys([ranked.n_noisy, *asked])), dtype=np.float64)


def _check_k(k: object, n_samples: int) -> None:
    try:
        valid = not isinstance(k, bool) and 1 <= operator.index(k) <= n_samples  # type: ignore[arg-type]
    except TypeError:
        valid = False
    if not valid:
        raise ValueError(f"k must be whole numbers between 1 and {n_samples} samples, got {k!r}.")


def _check_bootstrap(n_bootstrap: int, confidence: float) -> None:
    if whole_number("n_bootstrap", n_bootstrap) < 0:
        raise ValueError(f"n_bootstrap must be 0 (no intervals) or more, got {n_bootstrap}.")
    share("confidence", confidence)
