"""The Hessian-free approximation against the paper's forward recursion, written plainly."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.data import as_data
from dataval.objectives.validation import ValidationObjective
from tests.runs import crossed, shared_model
from tests.zoo.data import samples_for

N, N_VAL = 21, 8


def forward_recursion(learner, samples, validation):
    """One hypergradient vector a sample for the parameters and one for the momentum, updated at every step.

    With the Hessian dropped, dg_t/dw_j is the sample's own gradient over b where it is in the batch, else 0:

        dv_j <- mu dv_j + s (1[j in B_t] grad l_j / b + lambda dtheta_j)
        dtheta_j <- dtheta_j - eta (nesterov: 1[j in B_t] grad l_j / b + lambda dtheta_j + mu dv_j; else dv_j)
    """
    replay = learner.prepare(*samples)
    program, plan, sgd = replay.program, replay.run.plan, learner.training.optimizer
    backend, n_parameters = program.backend, program.backend.signature.n_parameters
    d_theta, d_momentum = np.zeros((N, n_parameters)), np.zeros((N, n_parameters))
    state, batches = program.initial_state(), backend.batches(program.data)
    for t in range(plan.n_steps):
        batch = plan.batch(t)
        rows = backend.loss.rows(state.parameters, state.buffers, batches.take(batch), int(plan.seeds[t]))
        d_gradient = np.zeros((N, n_parameters))
        d_gradient[batch] = backend.arrays.to_numpy(rows) / plan.batch_size
        d_gradient += sgd.weight_decay * d_theta
        share = 1.0 if t == 0 else 1.0 - sgd.dampening
        d_momentum = sgd.momentum * d_momentum + share * d_gradient
        direction = d_gradient + sgd.momentum * d_momentum if sgd.nesterov else d_momentum
        d_theta = d_theta - plan.learning_rates[t] * direction
        state, _ = program.step(state, t)
    measure = ValidationObjective(backend, as_data(*validation), None)
    gradient = backend.arrays.to_numpy(measure.gradient(state)[0])
    return -d_theta @ gradient


MODELS = ["mlp", "cnn_batch_norm", "cnn_max_pool", "dropout", "transformer"]
OPTIMIZERS = {
    "plain": dv.SGD(learning_rate=0.1, weight_decay=0.05),
    "momentum": dv.SGD(learning_rate=0.1, momentum=0.9, weight_decay=0.02),
    "nesterov": dv.SGD(learning_rate=0.1, momentum=0.8, nesterov=True, weight_decay=0.01),
    "dampening": dv.SGD(learning_rate=0.1, momentum=0.9, dampening=0.3),
}


@pytest.mark.parametrize(("model", "optimizer"), crossed(MODELS, OPTIMIZERS, always=("mlp", "nesterov")))
def test_equals_the_papers_forward_recursion(zoo, model, optimizer):
    training = dv.Training(
        optimizer=OPTIMIZERS[optimizer],
        epochs=3,
        batch_size=6,
        schedule=dv.CosineSchedule(min_factor=0.1),
    )
    learner = dv.Learner(shared_model(zoo, model), training=training, progress=False)
    samples, validation = samples_for(model, N, seed=1), samples_for(model, N_VAL, seed=2)
    values = dv.HyDRA(learner).fit(*samples).score(*validation)
    expected = forward_recursion(learner, samples, validation)
    # Both are exact in exact arithmetic; 1e-8 leaves room for another order of summation.
    np.testing.assert_allclose(values, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max())


@pytest.mark.parametrize("optimizer", [dv.Adam(learning_rate=0.01), dv.AdamW(learning_rate=0.01)])
def test_adam_equals_a_forward_recursion_by_differences_of_the_update(zoo, optimizer):
    """Hypergradients carried forward, the update differentiated by central differences along them."""
    training = dv.Training(optimizer=optimizer, epochs=2, batch_size=6, clip_norm=0.5)
    learner = dv.Learner(shared_model(zoo, "mlp"), training=training, progress=False)
    samples, validation = samples_for("mlp", N, seed=1), samples_for("mlp", N_VAL, seed=2)
    hydra = dv.HyDRA(learner).fit(*samples)
    program, plan = hydra._replay.program, hydra.run_.plan
    backend, step_size = program.backend, 1e-5
    batches = backend.batches(program.data)
    moved = {j: [0.0, 0.0, 0.0] for j in range(3)}
    state = program.initial_state()
    for t in range(plan.n_steps):
        batch = plan.batch(t)
        arguments = (state.parameters, state.buffers, batches.take(batch))
        rows = backend.arrays.to_numpy(backend.loss.rows(*arguments, int(plan.seeds[t])))
        weights = backend.arrays.from_numpy(np.full(len(batch), 1 / plan.batch_size))
        gradient = backend.arrays.to_numpy(backend.loss.gradient(*arguments, weights, int(plan.seeds[t]))[1])
        current = [backend.arrays.to_numpy(a) for a in (state.parameters, *state.slots)]
        for j, tangent in moved.items():
            d_gradient = rows[list(batch).index(j)] / plan.batch_size if j in batch else 0.0
            ends = [
                update(
                    optimizer,
                    [a + sign * step_size * d for a, d in zip(current, tangent, strict=True)],
                    gradient + sign * step_size * d_gradient,
                    program.update.factors(t),
                )
                for sign in (1, -1)
            ]
            moved[j] = [(a - b) / (2 * step_size) for a, b in zip(*ends, strict=True)]
        state, _ = program.step(state, t)
    measure = ValidationObjective(backend, as_data(*validation), None)
    gradient = backend.arrays.to_numpy(measure.gradient(state)[0])
    expected = [-float(tangent[0] @ gradient) for tangent in moved.values()]
    values = hydra.score(*validation)
    # Differences along a tangent, relative to Adam's epsilon of 1e-8: good to about 1e-6.
    np.testing.assert_allclose(values[:3], expected, rtol=1e-5)


def update(optimizer, arrays, gradient, factors):
    norm = np.sqrt((gradient**2).sum())
    gradient = gradient * min(1.0, 0.5 / (norm + 1e-6))
    parameters, slots = optimizer.update(arrays[0], tuple(arrays[1:]), gradient, factors)
    return [parameters, *slots]
