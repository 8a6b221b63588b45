"""Our training over the plain loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks.runner.clock import Action
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Ratio, Suite
from benchmarks.work import Work, adamw, lenet_work, mlp


def sgd_work(settings: Settings) -> Work:
    return lenet_work(settings, epochs=10)


def adamw_work(settings: Settings) -> Work:
    return lenet_work(settings, optimizer=adamw(), epochs=10)


def mlp_work(settings: Settings) -> Work:
    return lenet_work(settings, partial(mlp, 784, 256, 10), epochs=10)


WORKS = {
    "LeNet, SGD with momentum": sgd_work,
    "LeNet, AdamW with clipping": adamw_work,
    "MLP 784-256-10, SGD with momentum": mlp_work,
}


def ours(make: Callable[[Settings], Work], settings: Settings) -> Action:
    work = make(settings)
    return work.train


def plain(make: Callable[[Settings], Work], settings: Settings) -> Action:
    return make(settings).plain


SUITE = Suite(
    "train",
    "Training that records what valuation needs, over a plain PyTorch loop: 2,000 Fashion-MNIST images, "
    "batch 50, 10 epochs.",
    [Ratio(name, partial(ours, make), partial(plain, make), aim=1.1) for name, make in WORKS.items()],
)
