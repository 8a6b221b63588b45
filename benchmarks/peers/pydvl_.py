"""pyDVL: influence functions by low-rank and Kronecker-factored curvature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pydvl.influence import SequentialInfluenceCalculator
from pydvl.influence.torch import EkfacInfluence, NystroemSketchInfluence
from pydvl.influence.torch.util import NestedTorchCatAggregator
from torch.utils.data import DataLoader

from benchmarks.peers.task import Task, as_matrix

DISTRIBUTION = "pyDVL"
CHUNK = 100


def influence(make: Callable[[Task], Any]) -> Callable[[Task], Callable[[], Any]]:
    def prepare(task: Task) -> Callable[[], Any]:
        def action() -> Any:
            fitted = make(task).fit(DataLoader(task.train_set, CHUNK))
            lazy = SequentialInfluenceCalculator(fitted).influences(
                DataLoader(task.questions, CHUNK), DataLoader(task.train_set, CHUNK)
            )
            return as_matrix(lazy.compute(aggregator=NestedTorchCatAggregator()))

        return action

    return prepare


def ekfac(task: Task) -> Any:
    return EkfacInfluence(task.model, update_diagonal=True, hessian_regularization=0.1)


def nystroem(task: Task) -> Any:
    return NystroemSketchInfluence(task.model, torch.nn.functional.cross_entropy, regularization=0.1, rank=20)


METHODS = {"EK-FAC": influence(ekfac), "Nystroem sketch of rank 20": influence(nystroem)}
