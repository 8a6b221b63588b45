"""What a question for each validation sample costs: growth from few to more, and per-sample gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

import dataval as dv
from benchmarks.runner.clock import Action
from benchmarks.runner.rows import AbsentError
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Ratio, Suite
from benchmarks.work import Work, dropped_lenet, lenet, lenet_work, normalised_lenet

CHUNK = 250
MODELS = {
    "LeNet": lenet,
    "LeNet with batch normalisation": normalised_lenet,
    "LeNet with dropout": dropped_lenet,
}


def fitted(build: Callable[[], nn.Module], exact: bool, settings: Settings) -> tuple[dv.HyDRA, Work]:
    work = lenet_work(settings, build)
    return dv.HyDRA(work.learner(), hessian=exact).fit(work.X, work.y), work


def attribute(n: int, build: Callable[[], nn.Module], exact: bool, settings: Settings) -> Action:
    return _asking("attribute", n, build, exact, settings)


def score(n: int, build: Callable[[], nn.Module], exact: bool, settings: Settings) -> Action:
    return _asking("score", n, build, exact, settings)


def _asking(question: str, n: int, build: Callable[[], nn.Module], exact: bool, settings: Settings) -> Action:
    method, work = fitted(build, exact, settings)

    def action() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dv.ChaoticTrainingWarning)
            getattr(method, question)(*work.validation(n))

    return action


def gradients_at(work: Work) -> Callable[[str], Action]:
    """Return what makes the action that takes all samples' gradients by one of our backend's ways."""
    replay = work.learner().prepare(work.X, work.y)
    program = replay.program
    state, batches = program.initial_state(), program.backend.batches(program.data)
    objective = program.backend.objective()

    def make(way: str) -> Action:
        take = getattr(objective, way)

        def action() -> None:
            for start in range(0, len(work.X), CHUNK):
                chunk = np.arange(start, min(start + CHUNK, len(work.X)))
                take(state.parameters, state.buffers, batches.take(chunk))

        return action

    return make


def our_gradients(way: str, settings: Settings) -> Action:
    return gradients_at(lenet_work(settings))(way)


def torch_func(settings: Settings) -> Action:
    """Per-sample gradients as PyTorch's tutorial takes them."""
    work = lenet_work(settings)
    model = work.model()
    parameters = {name: each.detach() for name, each in model.named_parameters()}

    def loss(parameters: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(torch.func.functional_call(model, parameters, x[None]), y[None])

    gradients = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))

    def action() -> None:
        for x, y in chunks(work):
            gradients(parameters, x, y)

    return action


def opacus(settings: Settings) -> Action:
    """Per-sample gradients by Opacus' hooks, where it is installed (the suite *peers* installs it)."""
    try:
        from opacus.grad_sample import GradSampleModule
    except ImportError as error:
        raise AbsentError(f"opacus is not installed here: {error}") from error
    work = lenet_work(settings)
    model: Any = GradSampleModule(work.model(), loss_reduction="sum")

    def action() -> None:
        for x, y in chunks(work):
            model.zero_grad()
            nn.functional.cross_entropy(model(x), y, reduction="sum").backward()

    return action


def chunks(work: Work) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the training samples, some at a time."""
    inputs, targets = torch.from_numpy(work.X).to(work.device), torch.from_numpy(work.y).to(work.device)
    yield from zip(inputs.split(CHUNK), targets.split(CHUNK), strict=True)


def cases() -> Iterator[Ratio]:
    for name, build in MODELS.items():
        yield Ratio(
            f"Hessian-free attribute of 8 over 3, {name}",
            partial(attribute, 8, build, False),
            partial(attribute, 3, build, False),
            unit="x attribute of 3",
            floor=8 / 3 if build is lenet else 2.7,
        )
    yield Ratio(
        "exact attribute of 32 over one score, LeNet",
        partial(attribute, 32, lenet, True),
        partial(score, 32, lenet, True),
        unit="x score",
        floor=16,
        aim=10,
    )
    yield Ratio(
        "Hessian-free attribute of 100, LeNet",
        partial(attribute, 100, lenet, False),
        lambda settings: lenet_work(settings).plain,
    )
    for way, what in {
        "rows": "per-sample gradients",
        "layer_gradients": "per-sample gradients layer by layer",
    }.items():
        yield Ratio(
            f"{what} over torch.func, LeNet",
            partial(our_gradients, way),
            torch_func,
            unit="x torch.func",
            floor=1.0,
            aim=0.67,
        )
    yield Ratio(
        "per-sample gradients over Opacus, LeNet",
        partial(our_gradients, "rows"),
        opacus,
        unit="x Opacus",
        floor=1.0,
        aim=0.67,
    )


SUITE = Suite(
    "attribute",
    "Values for each validation sample: how cost grows from few samples to more, and per-sample gradients"
    " beside torch.func's and Opacus': 2,000 Fashion-MNIST images, batch 50, 5 epochs.",
    list(cases()),
)
