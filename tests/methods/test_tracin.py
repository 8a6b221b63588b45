"""TracIn against a plain loop over samples, states and updates."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.objectives.validation import ValidationObjective
from tests.runs import N, make_learner, make_samples

N_VAL = 5
MODELS = ["mlp", "cnn_batch_norm", "transformer"]


def gradient(backend, state, samples, index):
    """One sample's gradient, computed on its own in evaluation mode."""
    X, y = samples.X[index : index + 1], samples.y[index : index + 1]
    batch = backend.batches(dv.data.as_data(X, y)).take(np.arange(1))
    return backend.arrays.to_numpy(backend.objective().gradient(state.parameters, state.buffers, batch)[0])


def states(learner, samples, run):
    replay = learner.replay(*samples, run)
    return replay.program.backend, [*(state for _, state in replay.forward()), replay.final]


def plain_loop(learner, samples, validation, run, steps):
    """The attributions, shape (N_VAL, N): every update is looked up at the checkpoint that stands for it."""
    backend, all_states = states(learner, samples, run)
    plan, values = run.plan, np.zeros((N_VAL, N))
    for step in range(plan.n_steps):
        checkpoint = min((s for s in steps if s > step), default=steps[-1])
        rows = [gradient(backend, all_states[checkpoint], validation, i) for i in range(N_VAL)]
        for j in plan.batch(step):
            own = gradient(backend, all_states[checkpoint], samples, j)
            values[:, j] += plan.learning_rates[step] / plan.batch_size * (np.array(rows) @ own)
    return values


@pytest.mark.parametrize("model", MODELS)
def test_checkpoints_equal_a_plain_loop(zoo, model):
    learner = make_learner(zoo, model, epochs=2, schedule=dv.CosineSchedule())
    samples, validation = make_samples(model), make_samples(model, N_VAL, seed=2)
    run = learner.train(*samples)
    for checkpoints, steps in {"epochs": [4, 8], (3, 7): [3, 7]}.items():
        tracin = dv.TracIn(learner, checkpoints=checkpoints).fit(*samples, run=run)
        expected = plain_loop(learner, samples, validation, run, steps)
        # The same sums in float64 in another order.
        np.testing.assert_allclose(tracin.attribute(*validation), expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(tracin.score(*validation), expected.mean(axis=0), rtol=1e-9, atol=1e-12)


def test_every_update_equals_a_plain_loop(zoo):
    learner, samples, validation = make_learner(zoo, epochs=2), make_samples(), make_samples(n=N_VAL, seed=2)
    run = learner.train(*samples)
    backend, all_states = states(learner, samples, run)
    expected = np.zeros((N_VAL, N))
    for step in range(run.n_steps):
        rows = np.array([gradient(backend, all_states[step], validation, i) for i in range(N_VAL)])
        for j in run.plan.batch(step):
            own = gradient(backend, all_states[step], samples, j)
            expected[:, j] += run.plan.learning_rates[step] / run.plan.batch_size * (rows @ own)
    tracin = dv.TracIn(learner, checkpoints="updates").fit(*samples, run=run)
    np.testing.assert_allclose(tracin.attribute(*validation), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(tracin.score(*validation), expected.mean(axis=0), rtol=1e-9, atol=1e-12)


def test_values_of_small_sgd_steps_add_up_to_the_fall_of_the_loss(zoo):
    """The first order of each step: the error is of the order of the learning rate."""
    optimizer = dv.SGD(learning_rate=1e-4)
    learner, samples, validation = make_learner(zoo, optimizer=optimizer), make_samples(), make_samples(n=N_VAL)
    tracin = dv.TracIn(learner, checkpoints="updates").fit(*samples)
    replay = learner.replay(*samples, tracin.run_)
    objective = ValidationObjective(replay.program.backend, dv.data.as_data(*validation), None)
    fall = float(objective.value(replay.initial) - objective.value(replay.final))
    assert tracin.score(*validation).sum() == pytest.approx(fall, rel=1e-3)


def test_self_scores_are_the_diagonal(zoo):
    learner, samples = make_learner(zoo, "cnn_batch_norm"), make_samples("cnn_batch_norm")
    tracin = dv.TracIn(learner).fit(*samples)
    np.testing.assert_allclose(tracin.self_scores(), np.diag(tracin.attribute(*samples)), rtol=1e-9)


@pytest.mark.parametrize("checkpoints", ["epochs", "updates"])
def test_chunks_and_kept_states_do_not_matter(zoo, checkpoints):
    samples, validation = make_samples("dropout"), make_samples("dropout", N_VAL, seed=2)
    found = []
    for kept, chunk_size in [(None, None), (dv.Checkpoints(every=5), 2)]:
        learner = make_learner(zoo, "dropout", checkpoints=kept)
        tracin = dv.TracIn(learner, checkpoints=checkpoints, chunk_size=chunk_size).fit(*samples)
        found.append([tracin.score(*validation), tracin.attribute(*validation)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-14)


def test_works_with_any_objective(zoo):
    learner, samples, validation = make_learner(zoo), make_samples(), make_samples(n=N_VAL, seed=2)
    tracin = dv.TracIn(learner, objective=lambda outputs, targets: 2 * outputs[:, 0]).fit(*samples)
    half = dv.TracIn(learner, objective=lambda outputs, targets: outputs[:, 0]).fit(*samples, run=tracin.run_)
    np.testing.assert_allclose(tracin.score(*validation), 2 * half.score(*validation), rtol=1e-12)


@pytest.mark.parametrize("checkpoints", ["steps", [], [0, 3], [3, 3], [5, 2], [1, 13]])
def test_wrong_checkpoints_are_named_before_training(zoo, checkpoints):
    with pytest.raises(ValueError, match="checkpoints must be"):
        dv.TracIn(make_learner(zoo), checkpoints=checkpoints).fit(*make_samples())


def test_self_scores_need_checkpoints(zoo):
    tracin = dv.TracIn(make_learner(zoo), checkpoints="updates").fit(*make_samples())
    with pytest.raises(ValueError, match="choose checkpoints='epochs'"):
        tracin.self_scores()


@pytest.mark.filterwarnings("default")  # another library's
def test_captum_gives_the_same_at_the_same_checkpoints():
    """TracInCP multiplies by one rate a checkpoint; here every sample is seen once between two of them."""
    torch = pytest.importorskip("torch")
    captum = pytest.importorskip("captum.influence")
    from tests.zoo import torch_models

    learner, samples = make_learner(torch_models, batch_size=5), make_samples()
    validation = make_samples("mlp", N_VAL, seed=2)
    run = learner.train(*samples)
    backend, all_states = states(learner, samples, run)

    def load(model, step):
        exported = backend.export(all_states[step].parameters, all_states[step].buffers)
        model.load_state_dict(exported.state_dict())
        return learner.training.optimizer.learning_rate / 5

    data = torch.utils.data.TensorDataset(torch.from_numpy(samples.X), torch.from_numpy(samples.y))
    loss = torch.nn.CrossEntropyLoss(reduction="none")
    tracin = captum.TracInCP(torch_models.mlp(), data, [4, 8, 12], load, loss_fn=loss, batch_size=N)
    expected = tracin.influence((torch.from_numpy(validation.X), torch.from_numpy(validation.y))).numpy()
    found = dv.TracIn(learner).fit(*samples, run=run).attribute(*validation)
    # Float64 sums of the same terms in another order.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())
