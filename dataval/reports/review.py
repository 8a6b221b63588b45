"""The way back: decisions of a person as labels and weights."""

from __future__ import annotations

import math
import os
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataval.checks import described, real_number
from dataval.reports.decisions import DECISIONS, Decision, Decisions, read_decisions
from dataval.reports.labels import are_amounts, column, digest, label_text

__all__ = ["Review", "apply_review"]

_SHOWN = 5


class Review(NamedTuple):
    """Labels and weights after a review: ``y, weights = dv.apply_review(y, file)``.

    Attributes
    ----------
    labels : ndarray of y's dtype and shape
        A copy; of texts wide enough for the new ones.
    weights : ndarray of float64, shape (N,)
        0 for samples to drop, `unsure_weight` for unsure ones, 1 for all others.
    """

    labels: NDArray[Any]
    weights: NDArray[np.float64]


def apply_review(
    y: Any,
    file: str | os.PathLike[str],
    *,
    ids: Any = None,
    classes: Any = None,
    unsure_weight: float = 1.0,
) -> Review:
    """Turn the decisions that a report exported into labels and weights.

    Train on them with ``learner.train(X, labels, weights=weights)``. The file has one line a decision, with the
    columns ``index``, ``id``, ``decision`` (keep, relabel, drop or unsure) and ``new_label``; the report adds
    ``given_label``, and to JSON the number and a digest of all labels, by which a file of other labels is
    found out. Samples without a decision stay as they are.

    Parameters
    ----------
    y : array, shape (N,)
        The labels that the report was made of.
    file : path
        CSV or JSON.
    ids : array, shape (N,), optional
        The samples' names that the report was made with, to be held against the file's; without them the
        file's are not looked at.
    classes : sequence, optional
        Labels that are allowed beside those in y.
    unsure_weight : float, default 1.0
        Weight of the samples that a person was unsure of, in [0, 1].

    Returns
    -------
    Review
        ``labels`` and ``weights``, in this order.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no file of decisions, or of other labels; if it names a sample twice or one that isn't there,
        or a label that is no class. Every problem is named, or the first five; nothing is skipped.

    Examples
    --------
    >>> labels, weights = dv.apply_review(y, "review.csv")
    >>> run = learner.train(X, labels, weights=weights)
    """
    given = column("y", y)
    weight = real_number("unsure_weight", unsure_weight, minimum=0, maximum=1)
    names = None if ids is None else [label_text(each) for each in column("ids", ids, len(given)).tolist()]
    known = _Known(given, classes)
    decisions = read_decisions(file)
    _check_belongs(decisions, known, file)
    labels, weights, problems = given.astype(object), np.ones(len(given)), []
    seen: set[int] = set()
    for each in decisions.each:
        found = known.problem(each, names, seen)
        if found:
            problems.append(found)
            continue
        index = int(each.index)
        seen.add(index)
        if each.decision == "relabel":
            labels[index] = known.value(each.new_label)
        weights[index] = {"drop": 0.0, "unsure": weight}.get(each.decision, 1.0)
    if problems:
        more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
        raise ValueError(f"file {os.fspath(file)} can't be applied: {'; '.join(problems[:_SHOWN])}{more}")
    return Review(_as_given(labels, y, given), weights)


class _Known:
    """The labels as they are, by their text."""

    def __init__(self, given: NDArray[Any], classes: Any) -> None:
        self.texts = [label_text(each) for each in given.tolist()]
        self.are_amounts = are_amounts(given)
        more = [] if classes is None else column("classes", classes).tolist()
        if more and self.are_amounts:
            raise ValueError("classes are those of labels, and y holds amounts: leave them out")
        if given.dtype.kind in "biuf":
            odd = next((each for each in more if isinstance(each, str)), None)
            if odd is not None:
                raise ValueError(f"classes must be numbers as y holds them, got {described(odd)}")
        self.values = {label_text(each): each for each in [*given.tolist(), *more]}

    def value(self, text: str) -> Any:
        """Return a label by its text."""
        return float(text) if self.are_amounts else self.values[text]

    def problem(self, each: Decision, names: list[str] | None, seen: set[int]) -> str:
        """Return what is wrong with a decision, or nothing."""
        if not (each.index.isascii() and each.index.isdigit()):
            return f"the index {described(each.index)} is no whole number"
        index = int(each.index)
        where = f"sample {index}"
        if index >= len(self.texts):
            return f"there is no {where}: y holds {len(self.texts)}"
        if index in seen:
            return f"{where} is there twice"
        if names is not None and each.id != names[index]:
            return f"{where} is called {each.id!r}, not {names[index]!r} as in ids"
        if each.given_label is not None and each.given_label != self.texts[index]:
            return f"{where} had the label {each.given_label!r}, but in y it is {self.texts[index]!r}"
        if each.decision not in DECISIONS:
            return f"the decision on {where} is {each.decision!r}, not one of {', '.join(DECISIONS)}"
        return self._problem_of_label(each, index, where)

    def _problem_of_label(self, each: Decision, index: int, where: str) -> str:
        if each.decision != "relabel":
            return f"{where} has a new label, but is to {each.decision}" if each.new_label else ""
        if each.new_label == self.texts[index]:
            return f"the new label of {where} is the one that it has"
        if self.are_amounts:
            return (
                ""
                if _is_number(each.new_label)
                else f"the new label {each.new_label!r} of {where} is no number"
            )
        if each.new_label not in self.values:
            return f"the new label {each.new_label!r} of {where} is none in y (name others with classes)"
        return ""


def _check_belongs(decisions: Decisions, known: _Known, file: Any) -> None:
    where = f"file {os.fspath(file)}"
    if decisions.n_samples is not None and decisions.n_samples != len(known.texts):
        raise ValueError(f"{where} is about {decisions.n_samples} samples, but y holds {len(known.texts)}")
    if decisions.labels is not None and decisions.labels != digest(known.texts):
        raise ValueError(f"{where} is about other labels than y: pass the labels that the report was made of")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _as_given(labels: NDArray[Any], y: Any, given: NDArray[Any]) -> NDArray[Any]:
    """Return labels in the dtype and shape of y."""
    kind = given.dtype.kind
    as_text = np.array(labels.tolist()) if kind in "US" else labels
    return (as_text if kind in "USO" else labels.astype(given.dtype)).reshape(np.shape(y))
