"""TRAK's own implementation, one model, on the CPU's projector."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from trak import TRAKer
from trak.projectors import BasicProjector, ProjectionType

from benchmarks.peers.task import Task

DISTRIBUTION = "traker"
CHUNK, DIMENSIONS = 100, 512


def trak(task: Task) -> Callable[[], Any]:
    def action() -> Any:
        model = task.model
        n_parameters = sum(each.numel() for each in model.parameters())
        projector = BasicProjector(
            grad_dim=n_parameters,
            proj_dim=DIMENSIONS,
            seed=0,
            proj_type=ProjectionType.rademacher,
            device=torch.device(task.work.device),
            block_size=128,
        )
        with tempfile.TemporaryDirectory() as folder:
            traker = TRAKer(
                model=model,
                task="image_classification",
                train_set_size=len(task.train_set),
                save_dir=folder,
                device=task.work.device,
                projector=projector,
                proj_dim=DIMENSIONS,
                use_half_precision=False,
                logging_level=logging.ERROR,
            )
            traker.load_checkpoint(model.state_dict(), model_id=0)
            for batch in DataLoader(task.train_set, CHUNK):
                traker.featurize(batch, num_samples=len(batch[0]))
            traker.finalize_features()
            traker.start_scoring_checkpoint("questions", model.state_dict(), 0, num_targets=task.n_questions)
            for batch in DataLoader(task.questions, CHUNK):
                traker.score(batch, num_samples=len(batch[0]))
            return np.array(traker.finalize_scores("questions"), dtype=np.float64).T

    return action


METHODS = {"TRAK of one model, 512 dimensions": trak}
