"""Methods of states: they need the parameters at some moments of training, and nothing of how it got there."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from dataval.data import Samples
from dataval.methods.of_run import RunValuator
from dataval.training.program import Program, State
from dataval.training.replay import Replay

__all__ = ["StateValuator", "States"]


class States(Protocol):
    """Parameters at moments of training, with the program that they are parameters of.

    A `Replay` is one; so is anything that can hand out the states that are asked for.
    """

    @property
    def program(self) -> Program:
        """Model, loss, data, weights and plan."""

    @property
    def final(self) -> State:
        """The state that training ended with."""

    def at(self, step: int) -> State:
        """Return the state before update number `step`; step T is the end."""


class StateValuator(RunValuator):
    """Base of the methods that look at some states alone.

    Subclasses implement ``_score(states, validation)`` with nothing but what `States` has, so that whatever
    holds states can serve them: no update is repeated on their behalf.
    """

    needs: ClassVar[str] = "states of a training run"
    needs_updates: ClassVar[bool] = False

    def _check_run(self, replay: Replay) -> None:
        """Take any run: they all have states."""

    @abstractmethod
    def _score(self, source: States, validation: Samples) -> NDArray[np.float64]:
        """Return the value of every training sample, shape ``(N,)``."""
