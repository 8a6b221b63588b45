"""Values through a language model's own loop: a small GPT-2, trained on the text of Python's manual.

2,000 packed sequences of 64 bytes from the topics of ``pydoc``, which ship with Python, the next 200 for
validation; AdamW without decay on biases and norms, warm-up and linear decay, clipping at 1, batch 32. The loop
is plain PyTorch under a recorder. Values: exact and Hessian-free, and their linear datamodeling score over the
same retrainings without random 5 % of the sequences.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from time import perf_counter
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from pydoc_data.topics import topics

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset
from transformers import GPT2Config, GPT2LMHeadModel

import dataval as dv
import dataval_torch
from benchmarks.runner.rows import Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Figures, Suite
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


def experiment(settings: Settings, seed: int = 0) -> dict[str, Any]:
    """Train, find values and retrain."""
    epochs, rate, n_train = settings.pick(5, 1), 1e-3, settings.pick(2000, 128)
    rows, n_kinds = sequences()
    order = np.random.default_rng(0).permutation(len(rows))
    ids, validation = rows[order[:n_train]], rows[order[n_train : n_train + settings.pick(200, 10)]]
    times: dict[str, list[float]] = {"plain": [], "recorded": []}
    for _ in range(settings.pick(3, 1)):
        for name, seconds_of in times.items():
            model = make_model(n_kinds, seed)
            seconds, recorder, run = train(
                model, torch.tensor(ids), epochs, rate, seed, recorded=name == "recorded"
            )
            seconds_of.append(seconds)
    found: dict[str, Any] = {}
    values = {}
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
        n_subsets=settings.pick(40, 3),
        fraction=0.05,
    )
    found["retraining_seconds"] = perf_counter() - start
    for name, own in values.items():
        judged = linear_datamodeling_score(own, truth)
        found[name] |= {"lds": judged.score, "interval": list(judged.confidence_interval)}
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "updates": run.n_steps,
        "grade": run.evidence.grade,
        "notes": list(run.evidence.notes),
        "first_loss": float(np.nanmean(run.losses[0])) / (LENGTH - 1),
        "last_loss": float(np.nanmean(run.losses[-1])) / (LENGTH - 1),
        "seconds": times,
        "overhead": float(np.median(np.array(times["recorded"]) / np.array(times["plain"]))),
        **found,
    }


def rows_of(found: dict[str, Any]) -> Iterator[Row]:
    """Yield fidelity and cost."""
    plain = float(np.median(found["seconds"]["plain"]))
    kept = {key: found[key] for key in found if key not in ("exact", "hessian_free", "seconds", "settings")}
    yield Row("recording", round(found["overhead"], 3), "x plain loop", details=kept)
    for name in ("exact", "hessian_free"):
        each = found[name]
        yield Row(f"{name}: fidelity", round(each["lds"], 3), "LDS", *each["interval"], better="more")
        yield Row(f"{name}: time", round(each["seconds"] / plain, 3), "x plain loop")


def find(settings: Settings) -> Iterator[Row]:
    yield from rows_of(experiment(settings))


SUITE = Suite(
    "language_model",
    "Values through a language model's own loop: a GPT-2 of two layers on 2,000 sequences of Python's "
    "manual, AdamW, linear decay, clipping; fidelity over 40 trainings without a random 5 %. Elapsed "
    "time.",
    [Figures("language model", find, "LDS")],
)
