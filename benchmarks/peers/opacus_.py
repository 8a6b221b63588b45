"""Opacus and torch.func: per-sample gradients, beside ours; time and memory alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.peers.task import Task
from benchmarks.suites.attribute import opacus, our_gradients, torch_func

DISTRIBUTION = "opacus"


def without_values(
    make: Callable[..., Callable[[], Any]], *arguments: Any
) -> Callable[[Task], Callable[[], None]]:
    def prepare(task: Task) -> Callable[[], None]:
        action = make(*arguments, task.settings)

        def timed() -> None:
            action()

        return timed

    return prepare


METHODS = {
    "per-sample gradients": without_values(opacus),
    "per-sample gradients by torch.func": without_values(torch_func),
    "per-sample gradients by dataval": without_values(our_gradients, "rows"),
}
