"""Values through Hugging Face's Trainer, against finite differences of the user's script; values by token."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pytest
import torch

import dataval as dv
from dataval.errors import InvalidDataError, InvalidModelError, RecordingWarning, RunMismatchError
from dataval_torch import TrainerRecorder

transformers = pytest.importorskip("transformers")
transformers.logging.set_verbosity_error()
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

N, LENGTH, N_WORDS = 14, 6, 20
RNG = np.random.default_rng(0)
IDS, IDS_VAL = RNG.integers(1, N_WORDS, (N, LENGTH)), RNG.integers(1, N_WORDS, (5, LENGTH))
WORDS = np.where(RNG.random((N, LENGTH)) < 0.2, -100, IDS)
CLASSES, CLASSES_VAL = RNG.integers(0, 3, N), RNG.integers(0, 3, 5)
SAMPLES = [0, 3, 5, 9, 13]


class Sentences(torch.utils.data.Dataset):
    def __init__(self, labels):
        self.labels = labels

    def __len__(self):
        return N

    def __getitem__(self, i):
        ids = torch.tensor(IDS[i])
        return {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "labels": torch.tensor(self.labels[i]),
        }


def gpt2(dropout=0.0):
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        n_layer=1,
        n_head=2,
        n_embd=8,
        vocab_size=N_WORDS,
        n_positions=LENGTH,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=dropout,
        bos_token_id=0,
        eos_token_id=0,
    )
    return transformers.GPT2LMHeadModel(config).double()


def bert(dropout=0.0):
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=N_WORDS,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=LENGTH,
        num_labels=3,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    return transformers.BertForSequenceClassification(config).double()


class Weighted(transformers.Trainer):
    """The user's script with a weight for each sample: only for the differences."""

    weights = None

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        rows = [int(np.flatnonzero((row.numpy() == IDS).all(1))[0]) for row in inputs["input_ids"]]
        weights = torch.tensor(self.weights[rows])
        labels = inputs.pop("labels")
        logits = model(**inputs).logits
        if labels.ndim == 1:
            losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
            return (losses * weights).mean() / self.args.gradient_accumulation_steps
        by_token = torch.nn.functional.cross_entropy(
            logits[:, :-1].transpose(1, 2), labels[:, 1:], ignore_index=-100, reduction="none"
        )
        return (by_token.sum(1) * weights).sum() / num_items_in_batch


def trainer_of(model, labels, folder, kind=transformers.Trainer, given=None, **options):
    settings = {
        "num_train_epochs": 2,
        "per_device_train_batch_size": 4,
        "learning_rate": 5e-3,
        "weight_decay": 0.1,
        "warmup_steps": 2,
        "report_to": [],
        "disable_tqdm": True,
        "save_strategy": "no",
        "logging_strategy": "no",
        "use_cpu": True,
    }
    arguments = transformers.TrainingArguments(str(folder), **(settings | options))
    sentences = Sentences(labels)
    return kind(model, arguments, train_dataset=sentences, eval_dataset=sentences, **(given or {}))


def recorded(*arguments, **options):
    """Return the trainer that was recorded, the recorder and its run."""
    trainer = trainer_of(*arguments, **options)
    recorder = TrainerRecorder(trainer)
    trainer.train()
    return trainer, recorder, recorder.finish()


def validation_loss(model, labels):
    with torch.no_grad():
        logits = model.eval()(torch.tensor(IDS_VAL)).logits
    labels = torch.tensor(labels)
    if labels.ndim == 1:
        return float(torch.nn.functional.cross_entropy(logits, labels))
    losses = torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), labels[:, 1:], reduction="none")
    return float(losses.sum(1).mean())


CASES = {
    "gpt-2, accumulated by tokens": (gpt2, WORDS, IDS_VAL, {"gradient_accumulation_steps": 2}),
    "bert": (bert, CLASSES, CLASSES_VAL, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_values_equal_differences_of_the_script(tmp_path, name):
    """transformers computes losses in single precision: differences of step 1e-4 are good to about 1e-6."""
    build, labels, labels_val, options = CASES[name]
    trainer = trainer_of(build(), labels, tmp_path, **options)
    recorder = TrainerRecorder(trainer)
    trainer.train()
    run = recorder.finish()
    assert run.evidence.grade == "rounding"
    assert run.plan.hyperparameters.n_groups == 2
    validation = {"input_ids": IDS_VAL, "attention_mask": np.ones_like(IDS_VAL)}, labels_val
    hydra = dv.HyDRA(recorder.learner, hessian=True).fit(recorder.loader, run=run)
    values = hydra.score(*validation)
    expected = []
    for move in 1e-4 * np.eye(N)[SAMPLES]:
        ends = []
        for sign in (-1, 1):
            weighted = trainer_of(build(), labels, tmp_path, Weighted, **options)
            weighted.weights = 1 + sign * move
            weighted.train()
            ends.append(validation_loss(weighted.model, labels_val))
        expected.append((ends[0] - ends[1]) / 2e-4)
    np.testing.assert_allclose(values[SAMPLES], expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    if labels.ndim == 2:
        tokens = hydra.score_tokens(*validation)
        np.testing.assert_allclose(tokens.sum(axis=1), values, rtol=1e-10, atol=1e-15)
        assert (tokens[labels == -100] == 0).all()
        assert (tokens[:, 0] == 0).all()  # nothing predicts the first token
        free = dv.HyDRA(recorder.learner).fit(recorder.loader, run=run)
        np.testing.assert_allclose(
            free.score_tokens(*validation).sum(axis=1), free.score(*validation), rtol=1e-10, atol=1e-15
        )


def test_dropout_and_what_is_refused(tmp_path):
    trainer = trainer_of(bert(0.1), CLASSES, tmp_path)
    recorder = TrainerRecorder(trainer)
    trainer.train()
    run = recorder.finish()
    validation = {"input_ids": IDS_VAL, "attention_mask": np.ones_like(IDS_VAL)}, CLASSES_VAL
    hydra = dv.HyDRA(recorder.learner, hessian=True).fit(recorder.loader, run=run)
    assert np.isfinite(hydra.score(*validation)).all()
    assert run.evidence.is_proved.all()
    with pytest.raises(TypeError, match="values by token need a loss that is a sum over tokens"):
        hydra.score_tokens(*validation)
    with pytest.raises(InvalidModelError, match="label_smoothing_factor"):
        TrainerRecorder(trainer_of(bert(), CLASSES, tmp_path, label_smoothing_factor=0.1))


def test_token_losses_are_the_models_own():
    """The model's mean over all tokens, in single precision, against the sum of the samples' losses."""
    model = gpt2()
    training = dv.Training(batch_size=4)
    learner = dv.Learner(model, loss=dv.TokenCrossEntropy(shift=True), training=training, progress=False)
    inputs = {"input_ids": IDS}
    replay = learner.prepare(inputs, WORDS, None)
    state, batch = replay.initial, replay.program.batches.take(np.arange(N))
    losses = replay.program.backend.loss.losses(state.parameters, state.buffers, batch, 0)
    own = model(input_ids=torch.tensor(IDS), labels=torch.tensor(WORDS)).loss
    n_tokens = (WORDS[:, 1:] != -100).sum()
    assert float(losses.sum()) == pytest.approx(float(own) * n_tokens, rel=1e-6)


def of_outputs(outputs, labels, num_items_in_batch=None):
    return torch.nn.functional.cross_entropy(outputs.logits, labels)


class Popping(transformers.Trainer):
    """Takes the target out of the batch, as scripts with losses of their own do."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs.pop("labels")
        return of_outputs(model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]), labels)


@pytest.mark.parametrize(
    "own", [{"kind": Popping}, {"given": {"compute_loss_func": of_outputs}}], ids=["override", "function"]
)
def test_losses_of_the_users_own(tmp_path, own):
    _, recorder, run = recorded(bert(), CLASSES, tmp_path, **own)
    assert (run.n_steps, run.evidence.grade) == (8, "rounding")
    dv.HyDRA(recorder.learner).fit(recorder.loader, run=run).score(
        {"input_ids": IDS_VAL, "attention_mask": np.ones_like(IDS_VAL)}, CLASSES_VAL
    )
    assert run.evidence.is_proved.all()


def test_the_best_model_is_loaded_at_the_end(tmp_path):
    """A rate as high as 1 makes the second epoch worse than the first."""
    options = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True}
    trainer, _, run = recorded(bert(), CLASSES, tmp_path, learning_rate=1.0, **options)
    assert trainer.state.best_global_step == 4
    assert (run.n_steps, run.marks, run.evidence.grade) == (8, {"best": 4}, "rounding")
    best = torch.cat([p.detach().reshape(-1) for p in trainer.model.parameters()])
    assert torch.equal(run.until("best").final.parameters, best)


def test_a_training_that_is_taken_up_again(tmp_path):
    """AdamW has done 4 updates before; the batches of the first epoch are skipped."""
    trainer_of(bert(), CLASSES, tmp_path, save_strategy="epoch", num_train_epochs=1).train()
    trainer = trainer_of(bert(), CLASSES, tmp_path)
    recorder = TrainerRecorder(trainer)
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    run = recorder.finish()
    assert (run.n_steps, run.evidence.grade) == (4, "rounding")
    assert (run.plan.hyperparameters.counts[0] == 4).all()
    np.testing.assert_array_equal(np.sort(run.plan.order), np.arange(N))


def test_mixed_precision_is_noted_and_methods_of_states_work(tmp_path):
    with pytest.warns(RecordingWarning, match=r"mixed precision \(bf16\)"):
        _, recorder, run = recorded(bert().float(), CLASSES, tmp_path, bf16=True)
    assert (run.n_steps, run.evidence.grade) == (8, "states")
    with pytest.raises(RunMismatchError, match="mixed precision"):
        dv.HyDRA(recorder.learner).fit(recorder.loader, run=run)
    validation = {"input_ids": IDS_VAL, "attention_mask": np.ones_like(IDS_VAL)}, CLASSES_VAL
    influence = dv.InfluenceFunction(recorder.learner, damping=1.0).fit(recorder.loader, run=run)
    assert np.isfinite(influence.score(*validation)).all()


class Meddling(transformers.TrainerCallback):
    """Does something behind the optimizer's back, before a step or after it."""

    def __init__(self, before=None, after=None):
        self.before, self.after = before, after

    def on_pre_optimizer_step(self, args, state, control, **given):
        if self.before:
            self.before(given["model"], given["optimizer"], state.global_step)

    def on_optimizer_step(self, args, state, control, **given):
        if self.after:
            self.after(given["model"], given["optimizer"], state.global_step)


def divided(model, *_):
    for p in model.parameters():
        p.grad /= 3


@torch.no_grad()
def decayed(model, *_):
    model.classifier.weight.mul_(0.98)


@torch.no_grad()
def averaged(model, _, step):
    average = model.__dict__.setdefault("kept", [p.clone() for p in model.parameters()])
    for kept, p in zip(average, model.parameters(), strict=True):
        kept.lerp_(p, 0.5)
        if step == 2:
            p.copy_(kept)


def cycled(_, optimizer, step):
    def swap(optimizer, *_):
        for group in optimizer.param_groups:
            group["betas"] = (0.7, 0.999)

    if step == 0:
        optimizer.optimizer.register_step_pre_hook(swap)


DEVIATIONS = {
    "divisor": (Meddling(before=divided), "divided by 3"),
    "decay by hand": (Meddling(after=decayed), r"classifier\.weight were changed .* multiplied by 0\.98"),
    "averaging": (Meddling(after=averaged), "averaging of weights .EMA, SWA. that is written back"),
    "betas": (Meddling(before=cycled), r"beta1: .*beta1=0\.7,"),
}


@pytest.mark.parametrize("name", DEVIATIONS)
def test_what_deviates_is_named_and_refused(tmp_path, name):
    meddling, cause = DEVIATIONS[name]
    trainer = trainer_of(bert(), CLASSES, tmp_path, given={"callbacks": [meddling]}, warmup_steps=0)
    recorder = TrainerRecorder(trainer)
    with pytest.warns(RecordingWarning, match=cause):
        trainer.train()
    run = recorder.finish()
    with pytest.raises(RunMismatchError, match=cause):
        dv.HyDRA(recorder.learner).fit(recorder.loader, run=run)


def test_one_recorder_for_one_training(tmp_path):
    trainer = trainer_of(bert(), CLASSES, tmp_path, num_train_epochs=1)
    recorder = TrainerRecorder(trainer)
    trainer.train()
    with pytest.raises(InvalidDataError, match="has recorded a training already"):
        trainer.train()
    recorder.finish()
    trainer.train()
    assert not {"get_train_dataloader", "training_step"} & set(vars(trainer))
    with pytest.raises(InvalidModelError, match="torch_compile changes the model"):
        TrainerRecorder(trainer_of(bert(), CLASSES, tmp_path, torch_compile=True))
    trainer.train_dataset = torch.utils.data.ChainDataset([])
    trainer.args.max_steps = 2
    TrainerRecorder(trainer)
    with pytest.raises(InvalidDataError, match="IterableDataset, whose samples have no numbers"):
        trainer.train()
