"""Values through a language model's own loop: a small GPT-2, trained on the text of Python's manual.

2,000 packed sequences of 64 bytes from the topics of ``pydoc``, which ship with Python, the next 200 for
validation; AdamW without decay on biases and norms, warm-up and linear decay, clipping at 1, batch 32. The loop
is plain PyTorch under a recorder. Values: exact and Hessian-free, and their linear datamodeling score over the
same retrainings without random 5 % of the sequences.
"""

from __future__ import annotations

import argparse
import os
from time import perf_counter
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from pydoc_data.topics import topics

import numpy as np
import torch
from _common import report
from torch.utils.data import DataLoader, TensorDataset
from transformers import GPT2Config, GPT2LMHeadModel

import dataval as dv
import dataval_torch
from dataval.metrics.fidelity import linear_datamodeling_score
from dataval.retraining.subsets import retrain_subsets

LENGTH, BATCH = 64, 32


def sequences() -> tuple[np.ndarray, int]:
    """Return bytes of the manual, renumbered by what occurs, ``(n, 64)``."""
    text = np.frombuffer("\n".join(topics[key] for key in sorted(topics)).encode(), dtype=np.uint8)
    kinds, numbers = np.unique(text, return_inverse=True)
    return numbers[: len(numbers) // LENGTH * LENGTH].reshape(-1, LENGTH).astype(np.int64), len(kinds)


def make_model(n_kinds: int, seed: int) -> GPT2LMHeadModel:
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=n_kinds,
        n_positions=LENGTH,
        n_embd=64,
        n_layer=2,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPT2LMHeadModel(config)


def train(
    model: GPT2LMHeadModel, ids: torch.Tensor, epochs: int, rate: float, seed: int, *, recorded: bool
) -> tuple[float, Any, Any]:
    """Train as a script does; return the seconds, the recorder and its run."""
    named = dict(model.named_parameters())
    groups = [
        {"params": [p for p in named.values() if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in named.values() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=rate)
    generator = torch.Generator().manual_seed(seed)
    loader = DataLoader(TensorDataset(ids, ids), BATCH, shuffle=True, generator=generator)
    total = epochs * len(loader)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / (0.1 * total), 1.0) * (1 - step / total)
    )
    recorder = (
        dataval_torch.Recorder(model, optimizer, dv.TokenCrossEntropy(shift=True), clip_norm=1.0)
        if recorded
        else None
    )
    start = perf_counter()
    for _ in range(epochs):
        for x, y in recorder.batches(loader) if recorder else loader:
            logits = model(x).logits[:, :-1]
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y[:, 1:].flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    run = recorder.finish() if recorder else None
    return perf_counter() - start, recorder, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--subsets", type=int, default=40)
    parser.add_argument("--fraction", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n-train", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows, n_kinds = sequences()
    order = np.random.default_rng(0).permutation(len(rows))
    ids = rows[order[: arguments.n_train]]
    validation = rows[order[arguments.n_train : arguments.n_train + 200]]
    settings = arguments.epochs, arguments.rate, arguments.seed
    times: dict[str, list[float]] = {"plain": [], "recorded": []}
    for _ in range(3):
        for name, seconds_of in times.items():
            model = make_model(n_kinds, arguments.seed)
            seconds, recorder, run = train(model, torch.tensor(ids), *settings, recorded=name == "recorded")
            seconds_of.append(seconds)
    found, values = {}, {}
    for name, hessian in (("exact", True), ("hessian_free", False)):
        hydra = dv.HyDRA(recorder.learner, hessian=hessian).fit(ids, ids, run=run)
        start = perf_counter()
        values[name] = hydra.score(validation, validation)
        found[name] = {"seconds": perf_counter() - start, "growth": hydra.diagnostics_["growth"]}
    start = perf_counter()
    truth = retrain_subsets(
        recorder.learner,
        ids,
        ids,
        validation,
        validation,
        run=run,
        n_subsets=arguments.subsets,
        fraction=arguments.fraction,
    )
    found["retraining_seconds"] = perf_counter() - start
    for name, own in values.items():
        judged = linear_datamodeling_score(own, truth)
        found[name] |= {"lds": judged.score, "interval": list(judged.confidence_interval)}
    report(
        f"language_model_{arguments.seed}" if arguments.seed else "language_model",
        {
            "settings": vars(arguments),
            "parameters": sum(p.numel() for p in model.parameters()),
            "updates": run.n_steps,
            "grade": run.evidence.grade,
            "notes": list(run.evidence.notes),
            "first_loss": float(np.nanmean(run.losses[0])) / (LENGTH - 1),
            "last_loss": float(np.nanmean(run.losses[-1])) / (LENGTH - 1),
            "seconds": times,
            "overhead": float(np.median(np.array(times["recorded"]) / np.array(times["plain"]))),
            **found,
        },
    )


if __name__ == "__main__":
    main()
