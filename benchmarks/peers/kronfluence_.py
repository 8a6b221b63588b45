"""kronfluence: EK-FAC and gradient products."""

from __future__ import annotations

import copy
import logging
import tempfile
from collections.abc import Callable
from typing import Any

import torch
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import FactorArguments
from kronfluence.task import Task as Measured
from torch import nn

from benchmarks.peers.task import Task, as_matrix

DISTRIBUTION = "kronfluence"
CHUNK = 250


class Classification(Measured):
    """Cross-entropy, of the labels or of labels drawn from the model."""

    def compute_train_loss(self, batch: Any, model: nn.Module, sample: bool = False) -> torch.Tensor:
        x, y = batch
        outputs = model(x)
        if sample:
            with torch.no_grad():
                y = torch.multinomial(torch.softmax(outputs.detach(), dim=1), 1).flatten()
        return nn.functional.cross_entropy(outputs, y, reduction="sum")

    def compute_measurement(self, batch: Any, model: nn.Module) -> torch.Tensor:
        return self.compute_train_loss(batch, model)


def strategy(name: str) -> Callable[[Task], Callable[[], Any]]:
    def prepare(task: Task) -> Callable[[], Any]:
        logging.disable(logging.WARNING)
        measured = Classification()
        model = prepare_model(copy.deepcopy(task.model), measured)

        def action() -> Any:
            with tempfile.TemporaryDirectory() as folder:
                analyzer = Analyzer(
                    "benchmark",
                    model,
                    measured,
                    cpu=task.work.device == "cpu",
                    output_dir=folder,
                    disable_tqdm=True,
                    disable_model_save=True,
                )
                analyzer.fit_all_factors(
                    "factors",
                    task.train_set,
                    per_device_batch_size=CHUNK,
                    factor_args=FactorArguments(strategy=name),
                )
                analyzer.compute_pairwise_scores(
                    "scores",
                    "factors",
                    query_dataset=task.questions,
                    train_dataset=task.train_set,
                    per_device_query_batch_size=CHUNK,
                    per_device_train_batch_size=CHUNK,
                )
                return as_matrix(analyzer.load_pairwise_scores("scores")["all_modules"])

        return action

    return prepare


METHODS = {"EK-FAC": strategy("ekfac"), "gradient products": strategy("identity")}
