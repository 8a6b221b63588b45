"""Values through Hugging Face's Trainer: a small GPT-2 on the text of Python's manual. Half a minute."""

from __future__ import annotations

import os
import sys
from tempfile import TemporaryDirectory

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from pydoc_data.topics import topics

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

import dataval as dv
import dataval_torch

LENGTH = 32
n_train = 64 if "--quick" in sys.argv else 400
text = np.frombuffer("\n".join(topics[key] for key in sorted(topics)).encode(), dtype=np.uint8)
kinds, numbers = np.unique(text, return_inverse=True)
rows = numbers[: (n_train + 50) * LENGTH].reshape(-1, LENGTH).astype(np.int64)
rows, validation = rows[:n_train], rows[n_train:]


class Sequences(torch.utils.data.Dataset):
    """Packed sequences, whose labels are the tokens themselves."""

    def __len__(self) -> int:
        return len(rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        ids = torch.tensor(rows[index])
        return {"input_ids": ids, "labels": ids}


model = GPT2LMHeadModel(
    GPT2Config(
        vocab_size=len(kinds),
        n_positions=LENGTH,
        n_embd=32,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
    )
)
with TemporaryDirectory() as folder:
    arguments = TrainingArguments(
        folder,
        num_train_epochs=2,
        per_device_train_batch_size=16,
        learning_rate=3e-3,
        weight_decay=0.1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
    )
    trainer = Trainer(model, arguments, train_dataset=Sequences())
    recorder = dataval_torch.TrainerRecorder(trainer)
    trainer.train()
run = recorder.finish()

print(f"{run.n_steps} updates, {run.evidence.is_proved.sum()} of them proved: {run.evidence.grade}")
hydra = dv.HyDRA(recorder.learner).fit(recorder.loader, run=run)
values = hydra.score({"input_ids": validation}, validation)
tokens = hydra.score_tokens({"input_ids": validation}, validation)
best = int(values.argmax())
print("most helpful:", bytes(kinds[rows[best]]).decode(errors="replace").replace("\n", " "))
print("its tokens add up to its value:", np.isclose(tokens[best].sum(), values[best], rtol=1e-3))
