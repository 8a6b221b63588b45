"""Cost of recording a Trainer: Lightning's and Hugging Face's with a recorder over the same without, batch 64.

A small BERT (2 layers, width 64) on 1,280 random sentences of 32 words, without evaluation, default proof.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import warnings
from typing import Any

import lightning.pytorch as pl
import torch
from _common import interleaved, median_ratio, report
from recording import small_bert
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import dataval_torch

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    found = {}
    for train in (lightning, hugging_face):
        run = train(arguments.epochs, recorded=True)
        times = interleaved(
            {
                "plain": lambda train=train: train(arguments.epochs, recorded=False),
                "recorded": lambda train=train: train(arguments.epochs, recorded=True),
            },
            arguments.rounds,
        )
        found[train.__name__] = {
            "updates": run.n_steps,
            "proved": int(run.evidence.is_proved.sum()),
            "grade": run.evidence.grade,
            "seconds": times,
            "median_ratio": median_ratio(times["recorded"], times["plain"]),
        }
    report("recording_trainers", {"epochs": arguments.epochs, "batch_size": 64, **found})


if __name__ == "__main__":
    main()
