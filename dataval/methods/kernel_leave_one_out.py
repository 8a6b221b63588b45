"""What a kernel method that has not seen a sample's label says of it, in closed form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from dataval.checks import whole_number
from dataval.data import Samples
from dataval.errors import InvalidDataError
from dataval.labels.calibration import calibrated, of_labels
from dataval.labels.kernel import HeldOut, kernel_held_out, standardised
from dataval.labels.residuals import log_densities
from dataval.methods.features import check_features, features_of
from dataval.methods.of_data import DataOnlyValuator
from dataval.methods.untrained import first_layers
from dataval.objectives.predictions import is_classification
from dataval.training.learner import Learner
from dataval.training.run import TrainingRun

__all__ = ["KernelLeaveOneOut"]

FloatArray = NDArray[np.float64]


class KernelLeaveOneOut(DataOnlyValuator):
    r"""How likely a sample's label is to kernel ridge regression on all the other samples.

    .. math:: f_i = y_i - \frac{\alpha_i}{[(K+\lambda I)^{-1}]_{ii}}, \qquad
              \alpha = (K+\lambda I)^{-1}Y, \qquad \mathrm{value}_i = \log p(y_i \mid f_i)

    with Y the labels one-hot less their means, and the Laplace kernel :math:`K_{ij} =
    e^{-\lVert x_i-x_j\rVert/(\gamma m)}` on standardised inputs, m their median distance. :math:`f_i` is the
    prediction of the fit without sample i, all of them from one decomposition. Width :math:`\gamma` and
    :math:`\lambda` are those whose leave-one-out error on the given labels is least; p is the softmax of
    :math:`f/\tau + b` whose likelihood is largest. No label is held against itself, so a wrong one can't be
    learned by heart as a network does: beside `MeanLoss` this finds others, and under noise that goes from
    class to class it finds more.

    Targets that are whole numbers are classes, others are regressed on: then the value is the log-density of
    the residual under a Student distribution with four degrees of freedom, which outliers don't widen.
    The validation set plays no part, and `score` gives the same answer for any. Up to 2,000 samples the kernel
    is decomposed as it is, in :math:`O(N^3)`; beyond, m landmarks stand for it (Nyström), in :math:`O(Nm^2)`
    and in memory that does not grow with N.

    Parameters
    ----------
    learner : Learner, optional
        What `verify` retrains, and whose network `features` may be of.
    features : "first_layers" or callable, optional
        What distances are taken of; the inputs by default. ``"first_layers"``: what reaches the second layer of
        an untrained copy of the learner's network, which serves images better than their pixels. Or a function
        of NumPy inputs (some samples at a time) that returns ``(n, ...)``: an embedding.
    landmarks : int, optional
        N or more: exact. By default N up to 2,000 samples, then 1,000, and 300 from 20,000 samples on.
    n_networks : int, default 2
        Untrained copies whose predictions are averaged.
    seed : int, default 0
        Draws landmarks and untrained copies.

    Attributes
    ----------
    values_ : ndarray of float64, shape (N,)
        What `score` returns.
    probabilities_ : ndarray of float64, shape (N, C)
        Of every class, leave-one-out; only for classes.
    predictions_ : ndarray of float64, shape (N,) or (N, outputs)
        Leave-one-out; only for a regression.
    classes_ : ndarray of int64, shape (C,)
        The labels that columns of ``probabilities_`` are about.
    width_, ridge_ : float
        gamma and lambda that were chosen; of the first copy where there are several.
    run_ : TrainingRun or None

    References
    ----------
    Rifkin & Lippert (2007). Notes on regularized least squares. MIT-CSAIL-TR-2007-025.

    Examples
    --------
    >>> values = dv.KernelLeaveOneOut().fit(X, y).values_
    >>> values = dv.KernelLeaveOneOut(learner, features="first_layers").fit(X, y, run=run).values_
    """

    def __init__(
        self,
        learner: Learner | None = None,
        *,
        features: Literal["first_layers"] | Callable[[Any], Any] | None = None,
        landmarks: int | None = None,
        n_networks: int = 2,
        seed: int = 0,
    ) -> None:
        self.learner = learner
        self.features = features
        self.landmarks = landmarks
        self.n_networks = n_networks
        self.seed = seed

    def fit(self, X: Any, y: Any = None, *, run: TrainingRun | None = None) -> Self:
        """Take the training samples, as `DataOnlyValuator.fit`, and find the predictions.

        Raises
        ------
        InvalidDataError
            If inputs or features are no numbers, there are fewer than 3 samples, or one class alone.
        InvalidModelError
            If the learner's network has no first layers that can serve.
        TypeError
            If there is no learner to have first layers.
        """
        self._check_parameters()
        super().fit(X, y, run=run)
        targets = np.concatenate([np.asarray(part) for _, part in self._data.target_parts()])
        if len(targets) < 3:
            raise InvalidDataError(f"KernelLeaveOneOut needs at least 3 samples, got {len(targets)}")
        rows = [standardised(rows) for rows in self._rows()]
        loss = None if self.learner is None else self.learner.loss
        if is_classification(targets.dtype, loss):
            self._classify(rows, targets)
        else:
            self._regress(rows, targets.astype(np.float64).reshape(len(targets), -1), targets.shape)
        return self

    def _check_parameters(self) -> None:
        whole_number("n_networks", self.n_networks, minimum=1)
        whole_number("seed", self.seed, minimum=0)
        if self.landmarks is not None:
            whole_number("landmarks", self.landmarks, minimum=2)
        if self.features == "first_layers":
            if self.learner is None:
                raise TypeError(
                    "features='first_layers' are of the learner's network: KernelLeaveOneOut(learner, ...)"
                )
        elif isinstance(self.features, str):
            raise ValueError(
                f"features must be 'first_layers', a function of the inputs or None, got {self.features!r}"
            )
        else:
            check_features(self.features)

    def _rows(self) -> list[FloatArray]:
        """Return what distances are taken of, once or for each untrained copy."""
        if self.features != "first_layers":
            features: Any = self.features
            return [features_of(self._data, features)]
        assert self.learner is not None
        program = self.learner.prepare(*self._data.as_arguments()).program
        return [first_layers(program, self.seed + copy) for copy in range(self.n_networks)]

    def _held_out(self, rows: list[FloatArray], targets: FloatArray) -> list[HeldOut]:
        found = [
            kernel_held_out(each, targets, landmarks=self.landmarks, seed=self.seed + copy)
            for copy, each in enumerate(rows)
        ]
        self.width_, self.ridge_ = found[0].width, found[0].ridge
        return found

    def _classify(self, rows: list[FloatArray], targets: NDArray[Any]) -> None:
        if targets.size != len(targets):
            raise InvalidDataError(
                f"KernelLeaveOneOut needs one label a sample, the targets y have shape {targets.shape}"
            )
        self.classes_, labels = np.unique(targets.reshape(-1).astype(np.int64), return_inverse=True)
        if len(self.classes_) < 2:
            raise InvalidDataError(f"all labels are {self.classes_[0]}: at least two classes are needed")
        found = self._held_out(rows, np.eye(len(self.classes_))[labels])
        logs = np.mean([calibrated(each.predictions, labels) for each in found], axis=0)
        self.probabilities_ = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
        self.values_ = of_labels(np.log(self.probabilities_), labels)

    def _regress(self, rows: list[FloatArray], targets: FloatArray, shape: tuple[int, ...]) -> None:
        predictions = np.mean([each.predictions for each in self._held_out(rows, targets)], axis=0)
        self.predictions_ = predictions.reshape(shape)
        self.values_ = log_densities(targets - predictions).sum(axis=1)

    def _score(self, data: Samples, validation: Samples) -> FloatArray:
        check_is_fitted(self, "values_")
        return np.array(self.values_)

    def _attribute(self, data: Samples, validation: Samples) -> FloatArray:
        return np.tile(self._score(data, validation), (len(validation), 1))
