"""The recording of a training run, as a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dataval.backend import Signature
from dataval.checks import described, flag, some_folder
from dataval.training.binding import Binding
from dataval.training.checkpoints import Checkpoints
from dataval.training.config import Training
from dataval.training.evidence import Evidence
from dataval.training.plan import Plan
from dataval.training.program import State
from dataval.training.serialization import Origin, pack, unpack
from dataval.training.storage import load_folder, save_folder

__all__ = ["TrainingRun"]


@dataclass
class TrainingRun:
    """Everything that is needed to replay one training run, except model and data.

    Made by `Learner.train`, by a recorder of somebody else's loop, or from states that were kept
    (`from_checkpoints`, `Learner.adopt`). Methods share a run through ``fit(X, y, run=run)``.

    Attributes
    ----------
    training : Training
        The configuration.
    plan : Plan
        Batches, learning rates and seeds of all updates.
    weights : ndarray of float64, shape (N,)
        Sample weights.
    losses : ndarray of float64, shape (epochs, N)
        Every sample's loss when it was seen (training mode, before the update); NaN where an epoch
        didn't see it. Of a run of states, what was logged elsewhere, in any number of epochs.
    checkpoints : dict of int to State
        Kept states: key t is the state before update t, key T the final one. Of a run of states alone, the
        keys are 1 ... T, and each update stands for the training up to a state.
    policy : Checkpoints
        Which states are kept.
    n_completed : int
        Number of updates done; less than `n_steps` only for an interrupted run.
    backend, loss, signature, environment
        What trained it: the backend's name, the loss, the model's parameters, versions and device.
    data_fingerprint : str
        Hash of the training data; empty where a recording did not know them.
    origin : {"trained", "recorded", "states"}
        Whether a learner trained it, somebody else's loop was recorded, or there are states alone, between
        which nothing can be replayed.
    marks : dict of str to int
        Names of moments: the number of updates that were done by then; see `until`.
    evidence : Evidence or None
        What a recording knows of each update, to hold a replay against.
    margins : ndarray of float64, shape (epochs, N)
        Of a run of states, the logit of every sample's label minus the largest other one, as it was logged
        elsewhere; NaN where an epoch didn't see it. No epochs where nothing was logged; other runs compute it.
    binding : Binding or None
        The program that the run is joined with in this process; it is not saved, copied or pickled.
    """

    training: Training
    plan: Plan
    weights: NDArray[np.float64]
    losses: NDArray[np.float64]
    checkpoints: dict[int, State]
    policy: Checkpoints
    n_completed: int
    backend: str
    loss: str
    signature: Signature
    environment: dict[str, str]
    data_fingerprint: str
    origin: Origin = "trained"
    marks: dict[str, int] = field(default_factory=dict)
    evidence: Evidence | None = None
    margins: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    binding: Binding | None = field(default=None, init=False, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        """Leave behind what the run is joined with: model and data are no part of it."""
        return self.__dict__ | {"binding": None}

    def __repr__(self) -> str:
        trained = "" if self.is_complete else f", {self.n_completed} of them done"
        return (
            f"TrainingRun({self.origin} by {self.backend}, {self.n_samples} samples, {self.n_steps} "
            f"updates{trained}, {len(self.checkpoints)} states kept)"
        )

    @property
    def n_steps(self) -> int:
        """Number of updates T of the whole run."""
        return self.plan.n_steps

    @property
    def n_samples(self) -> int:
        """Number of training samples N."""
        return self.plan.n_samples

    @property
    def is_complete(self) -> bool:
        """Whether all updates were done."""
        return self.n_completed == self.n_steps

    @property
    def has_updates(self) -> bool:
        """Whether its updates can be done again, as far as is known; otherwise it is of use for its states."""
        is_noted = self.evidence is not None and bool(self.evidence.notes)
        return self.origin != "states" and not is_noted

    @property
    def final(self) -> State:
        """The state after the last update that was done."""
        return self.checkpoints[self.n_completed]

    @property
    def state_bytes(self) -> int:
        """Size of one state in bytes."""
        n_values = sum(int(array.shape[0]) for array in self.final.arrays())
        return n_values * np.dtype(self.signature.dtype).itemsize

    @classmethod
    def from_checkpoints(
        cls,
        learner: Any,
        X: Any,
        y: Any = None,
        states: Sequence[Any] = (),
        learning_rates: ArrayLike | None = None,
        *,
        batch_size: int | None = None,
        losses: ArrayLike | None = None,
        margins: ArrayLike | None = None,
        weights: ArrayLike | None = None,
    ) -> TrainingRun:
        r"""Return a run of states that somebody else's training kept; nothing is trained.

        It serves the methods that need states alone: `InfluenceFunction` (at the last one), `TracIn`, `GraNd`,
        `EL2N`; and with what was logged `MeanLoss`, `AreaUnderMargin` and `ForgettingEvents`.

        Parameters
        ----------
        learner : Learner
            Of the same model and loss. Of its training only the weight decay plays a part, and the batch size
            where none is given.
        X, y
            The samples that the states were trained on, as for `Learner.train`.
        states : list
            In the order of training; the last one is the trained model. Each a model like the learner's; its
            arrays by name (a ``state_dict``); the path of a file with them (PyTorch: of ``torch.save``, a
            Lightning checkpoint, or safetensors; Keras: ``.keras`` or ``.weights.h5``); the list that Keras's
            ``get_weights()`` returns; or a `State` of another run. What the learner does not train must be as
            in its model, or be left out.
        learning_rates : sequence of float, shape (T,), optional
            One a state, :math:`\eta_i` of TracInCP; only `TracIn` needs them. A state that stands for k epochs
            takes k times the rate.
        batch_size : int, optional
            Number of samples b of an update, as :math:`\eta_i/b` is a sample's share in state i. The
            learner's by default. 1 gives the unscaled sum of TracInCP's paper.
        losses, margins : array, shape (E, N), optional
            Every sample's training loss, and margin (the logit of its label minus the largest other one), as
            they were logged in each epoch; NaN where an epoch didn't see it.
        weights : array, shape (N,), optional
            Of the samples' losses, all 1 by default.

        Returns
        -------
        TrainingRun
            With ``origin="states"``.

        Raises
        ------
        InvalidModelError
            If a state is not of the learner's model, or not finite; it is named.
        InvalidDataError
            If the data don't fit each other, the model or the loss.
        FileNotFoundError
            If there is no such file.
        TypeError, ValueError
            If another argument makes no sense.

        Examples
        --------
        >>> run = dv.TrainingRun.from_checkpoints(learner, X, y, ["epoch1.pt", "epoch2.pt"], [0.1, 0.1])
        >>> values = dv.TracIn(learner).fit(X, y, run=run).score(X_val, y_val)
        """
        if not hasattr(learner, "adopt"):
            raise TypeError(f"learner must be a dataval.Learner, got {described(learner)}")
        if states is None:
            raise TypeError(
                "states must be a list of states; learner.adopt(X, y) takes the learner's own model"
            )
        logged = {"losses": losses, "margins": margins}
        found: TrainingRun = learner.adopt(
            X, y, states, learning_rates, batch_size=batch_size, weights=weights, **logged
        )
        return found

    def until(self, moment: str | int) -> TrainingRun:
        """Return the run as it stood at a moment, as a run of its own: values of it are of that model.

        Parameters
        ----------
        moment : str or int
            A name among `marks`, or a number of updates whose state is kept (a key of `checkpoints`).

        Raises
        ------
        ValueError
            If there is no such moment, or its state was not kept.
        """
        step = self._step_of(moment)
        plan = self.plan.until(step)
        kept = {key: state for key, state in self.checkpoints.items() if key <= step}
        evidence = self.evidence and self.evidence.until(step)
        return replace(
            self,
            plan=plan,
            losses=self._logged_until(self.losses, plan.n_epochs),
            margins=self._logged_until(self.margins, plan.n_epochs),
            checkpoints=kept,
            n_completed=step,
            marks={name: at for name, at in self.marks.items() if at <= step},
            evidence=evidence,
        )

    def _logged_until(self, record: NDArray[np.float64], n_epochs: int) -> NDArray[np.float64]:
        """Return the first epochs of a log; none of one whose epochs may not be the states'."""
        is_known = self.origin != "states" or len(record) == self.plan.n_epochs
        return record[: n_epochs if is_known else 0]

    def _step_of(self, moment: str | int) -> int:
        if isinstance(moment, str):
            if moment not in self.marks:
                raise ValueError(f"the run has no mark {moment!r}: it has {sorted(self.marks) or 'none'}")
            return self.marks[moment]
        if moment not in self.checkpoints or moment == 0:
            kept = [step for step in sorted(self.checkpoints) if step]
            raise ValueError(f"the state after {moment} updates is not kept; kept are those after {kept}")
        return moment

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write the run into a folder: a JSON manifest and safetensors files, no pickle.

        At every moment, also of a crash, the folder holds either the run that it held or this one, complete.
        Files of others in it stay.

        Parameters
        ----------
        folder : path
            Made if needed.
        overwrite : bool, default False
            Replace an earlier run that was saved there.

        Returns
        -------
        Path

        Raises
        ------
        FileExistsError
            If the folder exists and isn't empty, unless `overwrite` and it holds a run.
        OSError
            If it can't be written; what was there is unchanged then.
        """
        where = some_folder("folder", folder)
        document, arrays = pack(vars(self))
        save_folder(where, document, arrays, overwrite=flag("overwrite", overwrite))
        return where

    @classmethod
    def load(cls, folder: str | Path) -> TrainingRun:
        """Read a run that `save` wrote. It is checked against model and data when a method adopts it.

        Raises
        ------
        FileNotFoundError
            If the folder holds no run.
        DamagedFileError
            If a file is not what was written, or makes no sense. It is a `ValueError`.
        ValueError
            If the run's format is of a later version.
        """
        return cls(**load_folder(some_folder("folder", folder), unpack))


def state_bytes(signature: Signature, training: Training) -> int:
    """Return the size in bytes of one state of a run."""
    n_vectors = 1 + training.optimizer.n_slots
    return (n_vectors * signature.n_parameters + signature.n_buffers) * np.dtype(signature.dtype).itemsize
