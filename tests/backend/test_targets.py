"""Whether targets fit a named loss and the outputs of a model."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from dataval.backend.losses import BinaryCrossEntropy, CrossEntropy
from dataval.backend.targets import are_classes, check_named_targets
from dataval.errors import InvalidDataError, InvalidModelError

LABELS = np.array([0, 2, 1, 2])


def check(loss, outputs, targets, class_axis=1):
    check_named_targets(loss, outputs, np.asarray(targets), class_axis)


@pytest.mark.parametrize(
    ("loss", "outputs", "targets", "class_axis"),
    [
        ("cross_entropy", (4, 3), LABELS, 1),
        ("cross_entropy", (4, 3), LABELS.astype("uint8"), -1),
        ("cross_entropy", (4, 2), LABELS > 0, 1),
        ("cross_entropy", (4, 3, 5, 6), np.ones((4, 5, 6), int), 1),
        ("cross_entropy", (4, 5, 6, 3), np.ones((4, 5, 6), int), -1),
        (CrossEntropy(class_weights=(1, 2, 3)), (4, 3), LABELS, 1),
        ("binary_cross_entropy", (4, 1), LABELS > 0, 1),
        ("binary_cross_entropy", (4,), np.array([0.0, 0.3, 1, 1]), 1),
        ("mse", (4, 3), np.ones((4, 3)), 1),
        ("mse", (4, 3, 1), np.ones((4, 3)), 1),
    ],
)
def test_what_fits(loss, outputs, targets, class_axis):
    check(loss, np.zeros(outputs), targets, class_axis)


@pytest.mark.parametrize(
    ("loss", "outputs", "targets", "error", "message"),
    [
        ("cross_entropy", (4, 3), LABELS + 0.0, InvalidDataError, "dtype float64: use y.astype"),
        ("cross_entropy", (4,), LABELS, InvalidModelError, "binary_cross_entropy"),
        (
            "cross_entropy",
            (4, 3),
            LABELS[:, None],
            InvalidDataError,
            r"labels of shape \('n',\), got \('n', 1\)",
        ),
        ("cross_entropy", (4, 2), LABELS, InvalidDataError, "label 2 of sample 1 .* 2 outputs.* 0 ... 1"),
        ("cross_entropy", (4, 3), LABELS - 1, InvalidDataError, "label -1 of sample 0"),
        (CrossEntropy(class_weights=(1, 2)), (4, 3), LABELS, InvalidModelError, "2 entries.* 3 outputs"),
        ("mse", (4, 3), np.ones((4, 2)), InvalidDataError, "make them equal"),
        ("binary_cross_entropy", (4, 1), LABELS, InvalidDataError, r"targets in \[0, 1\]"),
        (BinaryCrossEntropy(), (4,), LABELS[:, None] > 0, InvalidDataError, "make them equal"),
    ],
)
def test_what_does_not_fit(loss, outputs, targets, error, message):
    with pytest.raises(error, match=message):
        check(loss, np.zeros(outputs), targets)


def test_the_first_wrong_label_of_an_image_is_named_by_its_sample():
    targets = np.zeros((4, 2, 2), int)
    targets[2, 1, 0] = 7
    with pytest.raises(InvalidDataError, match="label 7 of sample 2"):
        check("cross_entropy", np.zeros((4, 3, 2, 2)), targets)


def test_outputs_that_are_no_array():
    with pytest.raises(
        InvalidModelError, match=r"returned a dict; the loss 'mse'.*Say which it is: Learner\(outputs="
    ):
        check("mse", {"logits": np.zeros(4)}, np.zeros(4))


def test_a_loss_of_the_callers_own_is_not_looked_at():
    check(lambda outputs, targets: outputs, {"any": "thing"}, LABELS + 0.5)


def test_which_losses_compare_with_classes():
    assert are_classes("cross_entropy")
    assert are_classes(CrossEntropy(label_smoothing=0.1))
    assert not any(map(are_classes, ("mse", "binary_cross_entropy", partial(max, 0))))
