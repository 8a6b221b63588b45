"""dattri: TracIn, TRAK and influence functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from dattri.algorithm.influence_function import IFAttributorCG, IFAttributorEKFAC
from dattri.algorithm.tracin import TracInAttributor
from dattri.algorithm.trak import TRAKAttributor
from dattri.task import AttributionTask
from torch import nn
from torch.utils.data import DataLoader

from benchmarks.peers.task import RATE, Task, as_matrix

DISTRIBUTION = "dattri"
CHUNK = 250
PROJECTION = {"proj_dim": 512, "proj_max_batch_size": 32, "proj_seed": 0}


def attribution(task: Task, *, every_checkpoint: bool = False) -> AttributionTask:
    """Return dattri's view of the model."""
    model = task.work.model().eval()

    def loss(parameters: Any, data: Any) -> torch.Tensor:
        x, y = data
        outputs = torch.func.functional_call(model, parameters, x.unsqueeze(0) if x.ndim == 3 else x)
        return nn.functional.cross_entropy(outputs, y.reshape(-1))

    models = task.models if every_checkpoint else task.models[-1:]
    return AttributionTask(loss_func=loss, model=model, checkpoints=[each.state_dict() for each in models])


def loaders(task: Task) -> tuple[DataLoader[Any], DataLoader[Any]]:
    return DataLoader(task.train_set, CHUNK), DataLoader(task.questions, CHUNK)


def tracin(task: Task) -> Callable[[], Any]:
    def action() -> Any:
        weights = torch.full((len(task.models),), RATE)
        method = TracInAttributor(
            attribution(task, every_checkpoint=True), weights, normalized_grad=False, device=task.work.device
        )
        return as_matrix(method.attribute(*loaders(task))).T

    return action


def ekfac(task: Task) -> Callable[[], Any]:
    """EK-FAC, which dattri has for linear layers."""
    model = task.model

    def loss(parameters: Any, data: Any) -> torch.Tensor:
        x, y = data
        outputs = torch.func.functional_call(model, parameters, x.unsqueeze(0) if x.ndim == 3 else x)
        return nn.functional.cross_entropy(outputs, y.reshape(-1))

    def action() -> Any:
        own = AttributionTask(loss_func=loss, model=model, checkpoints=[model.state_dict()])
        method = IFAttributorEKFAC(own, damping=0.1, device=task.work.device)
        method.cache(DataLoader(task.train_set, CHUNK))
        return as_matrix(method.attribute(*loaders(task))).T

    return action


def conjugate_gradients(task: Task) -> Callable[[], Any]:
    def action() -> Any:
        method = IFAttributorCG(attribution(task), max_iter=10, regularization=0.1, device=task.work.device)
        method.cache(DataLoader(task.train_set, CHUNK))
        return as_matrix(method.attribute(*loaders(task))).T

    return action


def trak(task: Task) -> Callable[[], Any]:
    """TRAK of one model."""
    model, device = task.work.model().eval(), task.work.device

    def target(parameters: Any, data: Any) -> torch.Tensor:
        x, y = data
        outputs = torch.func.functional_call(model, parameters, x.unsqueeze(0) if x.ndim == 3 else x)
        log_p = -nn.functional.cross_entropy(outputs, y.reshape(-1))
        return log_p - torch.log(1 - torch.exp(log_p))

    def correct_probability(parameters: Any, data: Any) -> torch.Tensor:
        x, y = data
        outputs = torch.func.functional_call(model, parameters, x.unsqueeze(0) if x.ndim == 3 else x)
        return torch.exp(-nn.functional.cross_entropy(outputs, y.reshape(-1)))

    def action() -> Any:
        own = AttributionTask(
            loss_func=target, target_func=target, model=model, checkpoints=[task.model.state_dict()]
        )
        method = TRAKAttributor(
            own, correct_probability, projector_kwargs=PROJECTION | {"device": device}, device=device
        )
        return as_matrix(method.attribute(*loaders(task))).T

    return action


METHODS = {
    "EK-FAC of linear layers": ekfac,
    "TRAK of one model, 512 dimensions": trak,
    "TracIn": tracin,
    "influence by conjugate gradients": conjugate_gradients,
}
