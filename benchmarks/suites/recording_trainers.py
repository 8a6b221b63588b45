"""Cost of recording a Trainer: Lightning's and Hugging Face's with a recorder over the same without, batch 64.

A small BERT (2 layers, width 64) on 1,280 random sentences of 32 words, without evaluation, default proof.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import dataval_torch
from benchmarks.runner.clock import Action
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Ratio, Suite
from benchmarks.suites.recording import small_bert

WORDS = torch.randint(0, 1000, (1280, 32), generator=torch.Generator().manual_seed(0))
LABELS = WORDS[:, 0] % 4


class Rows(torch.utils.data.Dataset):
    """Sentences as dicts."""

    def __len__(self) -> int:
        return len(WORDS)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": WORDS[index], "labels": LABELS[index]}


class Classifier(pl.LightningModule):
    """The BERT as a LightningModule."""

    def __init__(self) -> None:
        super().__init__()
        self.model = small_bert()

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        x, y = batch
        return nn.functional.cross_entropy(self.model(x).logits, y)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


def lightning(epochs: int, *, recorded: bool) -> Any:
    torch.manual_seed(0)
    recorder = dataval_torch.LightningRecorder() if recorded else None
    trainer = pl.Trainer(
        max_epochs=epochs,
        callbacks=[recorder] if recorder else None,
        gradient_clip_val=1.0,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Classifier(), DataLoader(TensorDataset(WORDS, LABELS), 64, shuffle=True))
    return recorder.finish() if recorder else None


def hugging_face(epochs: int, *, recorded: bool) -> Any:
    from transformers import Trainer, TrainingArguments

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            num_train_epochs=epochs,
            per_device_train_batch_size=64,
            learning_rate=1e-3,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
        )
        trainer = Trainer(small_bert(), arguments, train_dataset=Rows())
        recorder = dataval_torch.TrainerRecorder(trainer) if recorded else None
        trainer.train()
        return recorder.finish() if recorder else None


def action(train: Callable[..., Any], recorded: bool, settings: Settings) -> Action:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    def timed() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            train(settings.pick(5, 1), recorded=recorded)

    return timed


SUITE = Suite(
    "recording_trainers",
    "Recording Lightning's and Hugging Face's Trainer over the same without a recorder, default proof: a "
    "small BERT on 1,280 random sentences, batch 64, 5 epochs.",
    [
        Ratio(
            name, partial(action, train, True), partial(action, train, False), unit="x trainer without recorder"
        )
        for name, train in {"Lightning": lightning, "Hugging Face": hugging_face}.items()
    ],
)
