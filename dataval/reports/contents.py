"""What a report holds, put together within its budget."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dataval.checks import described
from dataval.reports.atlas import Atlases
from dataval.reports.encoding import encoded
from dataval.reports.explained import as_explained
from dataval.reports.history import check_run, facts, losses
from dataval.reports.labels import Labels, as_labels, column, digest, label_text
from dataval.reports.media import Media, Source, as_source, features_of, make_media, size_of
from dataval.reports.neighbours import neighbours
from dataval.reports.selection import choose
from dataval.reports.suggestions import suggestions
from dataval.reports.valued import Valued, as_valued
from dataval.training.run import TrainingRun

__all__ = ["Contents", "Subject", "contents"]

_OVERHEAD = 120_000  # of the client itself, in bytes
_LOSSES, _VALIDATION = 0.25, 0.3  # most of what is left that these may take
_BINS = 10


@dataclass(frozen=True, eq=False)
class Subject:
    """What a report is about, checked: everything but what samples look like."""

    valued: Valued
    labels: Labels | None
    suggested: dict[str, Any] | None
    noisy: NDArray[np.bool_] | None
    ids: list[str] | None
    run: TrainingRun | None

    @classmethod
    def of(
        cls,
        values: Any,
        y: Any,
        *,
        predictions: Any,
        is_noisy: Any,
        ids: Any,
        class_names: Any,
        verification: Any,
        run: Any,
    ) -> Self:
        """Check that there is one of everything for each sample."""
        valued = as_valued(values, verification)
        n = len(valued)
        if y is None and class_names is not None:
            raise ValueError("class_names are those of y: pass y too")
        labels = None if y is None else as_labels(y, class_names, n)
        suggested = suggestions(predictions, labels, n)
        return cls(valued, labels, suggested, _mask(is_noisy, n), _ids(ids, n), check_run(run, n))

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.valued)

    def groups(self) -> list[NDArray[np.int64]]:
        """Return the members of each class; of amounts, those of similar size; else all."""
        if self.labels is None:
            return [np.arange(self.n)]
        if self.labels.classes:
            codes = self.labels.codes(self.labels.texts, "y")
            return [np.flatnonzero(codes == i) for i in range(len(self.labels.classes))]
        amounts = np.array([float(text) for text in self.labels.texts])
        return [each for each in np.array_split(np.argsort(amounts, kind="stable"), _BINS) if len(each)]

    def document(self, diagnostics: Any, removal: Any) -> dict[str, Any]:
        """Return all of it as the page reads it."""
        labels: dict[str, Any] | None = None
        texts: list[str] = []
        if self.labels is not None:
            texts = list(self.labels.texts)
            held: dict[str, Any] = (
                {"codes": encoded(self.labels.codes(texts, "y"))} if self.labels.classes else {"texts": texts}
            )
            labels = {
                "classes": self.labels.classes,
                "names": self.labels.names,
                "digest": digest(texts),
                **held,
            }
        return {
            "n": self.n,
            "fingerprint": digest([*texts, "", *(self.ids or []), "", *self.valued.names, str(self.n)]),
            "methods": self.valued.document(self.noisy, diagnostics, removal),
            "labels": labels,
            "suggested": self.suggested,
            "noisy": None if self.noisy is None else encoded(self.noisy.astype(np.uint8)),
            "ids": self.ids,
        }


@dataclass(frozen=True, eq=False)
class Contents:
    """What the page holds."""

    document: dict[str, Any]
    atlases: dict[str, Atlases | None]
    facts: dict[str, Any]
    left_out: list[str] = field(default_factory=list)


def contents(
    subject: Subject,
    X: Any,
    *,
    kind: Any,
    layout: Any,
    feature_names: Any,
    explanations: Any,
    X_val: Any,
    y_val: Any,
    diagnostics: Any,
    removal: Any,
    budget: float,
    seed: int,
) -> Contents:
    """Put a report together; what doesn't fit into `budget` bytes is made smaller or left out."""
    source = as_source(X, kind, layout, feature_names)
    if source is not None and size_of(source) != subject.n:
        raise ValueError(f"X holds {size_of(source)} samples, but there are {subject.n} values")
    explained = as_explained(explanations, X_val, y_val, subject.n)
    document = subject.document(diagnostics, removal)
    left = budget - _OVERHEAD - len(json.dumps(document))
    if left < 0:
        needed = (budget - left) / 1e6
        raise ValueError(f"budget {budget / 1e6:g} MB is too small: values and labels take {needed:.2f} MB")
    order, chosen = choose(subject.valued.ranks(), seed)
    notes = list(subject.valued.notes)
    atlases: dict[str, Atlases | None] = {}
    if explained is not None:
        document["explained"], media = explained.document(kind, layout, feature_names, _VALIDATION * left)
        document["validation"], atlases["validation"] = _shown(media), media.atlases
        left -= len(json.dumps(document["explained"])) + media.n_bytes
        notes += [f"{note} (validation)" for note in [*media.notes, *_cut(document["explained"], media)]]
    document["history"] = losses(subject.run, chosen, _LOSSES * left)
    left -= len(json.dumps(document["history"]))
    groups = subject.groups()
    media = make_media(source, groups, order, chosen, left * 0.9)
    document["media"], atlases["training"] = _shown(media), media.atlases
    document["neighbours"] = _neighbours(source, groups, media, seed)
    notes += [*media.notes, *_missing(source, subject, document, media)]
    return Contents(document, atlases, facts(subject.run), notes)


def _shown(media: Media) -> dict[str, Any]:
    return media.document | {"shown": encoded(media.shown.astype(np.int32))}


def _neighbours(
    source: Source | None, groups: list[NDArray[np.int64]], media: Media, seed: int
) -> dict[str, Any] | None:
    features = None if source is None else features_of(source)
    if features is None:
        return None
    return encoded(neighbours(features, groups, media.shown, seed))


def _cut(explained: dict[str, Any], media: Media) -> list[str]:
    n, kept = explained["n"], len(explained["indices"])
    notes = [f"{n - kept:,} of {n:,} samples are left out, of those predicted rightly"] if kept < n else []
    hidden = kept - len(media.shown)
    return (
        [*notes, f"{hidden:,} samples are not shown"] if hidden and media.document["kind"] != "none" else notes
    )


def _missing(source: Source | None, subject: Subject, document: dict[str, Any], media: Media) -> list[str]:
    """Return what is said of samples without a picture, and without losses."""
    notes = []
    if source is not None and len(media.shown) < subject.n:
        what = {"images": "images", "table": "rows", "texts": "texts"}[media.document["kind"]]
        some = f"{len(media.shown):,} of {subject.n:,} {what} are shown"
        notes.append(f"{some}, of the lowest and the highest values and some at random")
    history = document["history"]
    if history is not None and history["rows"] is not None:
        notes.append("losses over the epochs are those of the samples that are shown")
    return notes


def _mask(is_noisy: Any, n: int) -> NDArray[np.bool_] | None:
    if is_noisy is None:
        return None
    given = column("is_noisy", is_noisy, n)
    if given.dtype.kind != "b":
        raise ValueError(f"is_noisy must be True or False for each sample, got {described(given)}")
    return given


def _ids(ids: Any, n: int) -> list[str] | None:
    if ids is None:
        return None
    texts = [label_text(each) for each in column("ids", ids, n).tolist()]
    if len(set(texts)) < n:
        twice = next(text for text, count in Counter(texts).items() if count > 1)
        raise ValueError(f"ids must all be different, but {twice!r} is there twice")
    return texts
