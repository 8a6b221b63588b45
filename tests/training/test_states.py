"""Runs of states that somebody else's training kept, against the run that they come from."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.errors import InvalidDataError, InvalidModelError, RunMismatchError, TrainedModelWarning
from tests.runs import N, assert_same_run, make_learner, make_samples, shared

EPOCHS, SIZE, RATE = 3, 5, 0.1
MODELS = ["mlp", pytest.param("cnn_batch_norm", marks=pytest.mark.slow_on_tensorflow)]


class Known:
    """A run that was trained here, and its states as those of somebody else."""

    def __init__(self, zoo, model):
        options = {"epochs": EPOCHS, "batch_size": SIZE, "optimizer": dv.SGD(learning_rate=RATE, momentum=0.9)}
        self.learner, self.samples = make_learner(zoo, model, **options), make_samples(model)
        self.validation = make_samples(model, 5, seed=2)
        self.run = self.learner.train(*self.samples)
        self.states = [self.run.checkpoints[int(end)] for end in self.run.plan.epoch_ends]

    def adopted(self, states=None, rates=(RATE,) * EPOCHS, **options):
        states = self.states if states is None else states
        return dv.TrainingRun.from_checkpoints(self.learner, *self.samples, states, rates, **options)

    def named(self, state):
        """The arrays of a state by name."""
        backend = self.learner.replay(*self.samples, self.run).program.backend
        found = {}
        for layout, flat in [
            (backend.signature.parameters, state.parameters),
            (backend.signature.buffers, state.buffers),
        ]:
            rest = np.asarray(flat)
            for name, shape in layout:
                found[name], rest = rest[: int(np.prod(shape))].reshape(shape), rest[int(np.prod(shape)) :]
        return found

    def net(self):
        return self.learner.replay(*self.samples, self.run).export()


@shared
def known(zoo, model="mlp"):
    return Known(zoo, model)


@pytest.mark.parametrize("model", MODELS)
def test_states_of_a_run_give_its_values(zoo, model):
    """Rounding of one product of two factors is all that differs."""
    case = known(zoo, model)
    adopted = case.adopted()
    for make in (
        dv.TracIn,
        dv.InfluenceFunction,
        lambda learner: dv.InfluenceFunction(learner, solver="identity"),
        lambda learner: dv.GraNd(learner, epoch=2),
        dv.EL2N,
        dv.GradDot,
        dv.LoGra,
        lambda learner: dv.TRAK(learner, dimension=16, checkpoints="epochs"),
    ):
        expected = make(case.learner).fit(*case.samples, run=case.run).score(*case.validation)
        found = make(case.learner).fit(*case.samples, run=adopted).score(*case.validation)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("make", [dv.TracIn, dv.InfluenceFunction])
def test_self_scores_are_those_of_the_run(zoo, make):
    case = known(zoo)
    expected = make(case.learner).fit(*case.samples, run=case.run).self_scores()
    found = make(case.learner).fit(*case.samples, run=case.adopted()).self_scores()
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_shares_are_the_rates_over_the_batch_size(zoo):
    """The sum of TracInCP, sample by sample in a plain loop; rounding differs by the order of summation."""
    case, rates = known(zoo), [0.3, 0.2, 0.1]
    backend = case.learner.replay(*case.samples, case.run).program.backend

    def gradient(state, samples, j):
        batch = backend.batches(dv.data.as_data(samples.X[j : j + 1], samples.y[j : j + 1])).take(np.arange(1))
        return backend.arrays.to_numpy(backend.objective().gradient(*arrays_of(state), batch)[0])

    def arrays_of(state):
        return state.parameters, state.buffers

    expected = np.zeros((5, N))
    for rate, state in zip(rates, case.states, strict=True):
        rows = np.array([gradient(state, case.validation, i) for i in range(5)])
        own = np.array([gradient(state, case.samples, j) for j in range(N)])
        expected += rate / 4 * rows @ own.T
    tracin = dv.TracIn(case.learner).fit(*case.samples, run=case.adopted(rates=rates, batch_size=4))
    np.testing.assert_allclose(tracin.attribute(*case.validation), expected, rtol=1e-9, atol=1e-12)
    last = dv.TracIn(case.learner, checkpoints=[3]).fit(*case.samples, run=tracin.run_)
    assert np.abs(last.score(*case.validation)).sum() > 0


def test_all_ways_of_giving_a_state_are_one(zoo, framework, tmp_path):
    case = known(zoo, "cnn_batch_norm" if framework == "torch" else "mlp")
    net = case.net()
    ways = [case.named(case.states[-1]), net, *files_and_lists(framework, net, tmp_path)]
    run = case.adopted(ways, rates=None)
    for step in range(1, len(ways) + 1):
        for found, expected in zip(
            run.checkpoints[step].arrays(),
            (case.states[-1].parameters, case.states[-1].buffers),
            strict=True,
        ):
            np.testing.assert_array_equal(found, np.asarray(expected))


def files_and_lists(framework, net, folder):
    if framework == "tensorflow":
        net.save_weights(folder / "net.weights.h5")
        net.save(folder / "net.keras")
        return [net.get_weights(), folder / "net.weights.h5", str(folder / "net.keras")]
    import torch
    from safetensors.torch import save_file

    state_dict = net.state_dict()
    larger = {f"model.{name}": value for name, value in state_dict.items()} | {"scale": torch.ones(1)}
    torch.save(state_dict, folder / "net.pt")
    torch.save({"state_dict": larger, "epoch": 3}, folder / "lightning.ckpt")
    save_file(state_dict, folder / "net.safetensors")
    files = [folder / name for name in ("net.pt", "lightning.ckpt", "net.safetensors")]
    return [state_dict, *files, torch.nn.ModuleDict({"inner": net})]


def test_the_learners_own_model_is_adopted_as_it_is(zoo, monkeypatch):
    case = known(zoo)
    monkeypatch.setattr("dataval.training.learner.carry_out", lambda *_, **__: pytest.fail("trained"))
    learner = dv.Learner(case.net(), progress=False)  # whose batch size of 50 exceeds the samples
    run = learner.adopt(*case.samples)
    assert (run.origin, run.n_steps, sorted(run.checkpoints)) == ("states", 1, [1])
    found = dv.InfluenceFunction(learner).fit(*case.samples, run=run).score(*case.validation)
    expected = dv.InfluenceFunction(case.learner).fit(*case.samples, run=case.run).score(*case.validation)
    # The same states, but for the rounding of an export.
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_a_saved_run_of_states_is_the_same(zoo, tmp_path):
    case, rng = known(zoo), np.random.default_rng(0)
    logged = {"losses": rng.uniform(size=(7, N)), "margins": rng.normal(size=(7, N))}
    run = case.adopted(**logged)
    loaded = dv.TrainingRun.load(run.save(tmp_path / "run"))
    assert_same_run(loaded, run)
    np.testing.assert_array_equal(loaded.margins, logged["margins"])
    assert loaded.origin == "states"
    for make in (dv.TracIn, dv.MeanLoss, dv.AreaUnderMargin):
        expected = make(case.learner).fit(*case.samples, run=run).score(*case.validation)
        found = make(case.learner).fit(*case.samples, run=loaded).score(*case.validation)
        np.testing.assert_array_equal(found, expected)


def test_until_keeps_a_log_only_where_it_is_of_the_states(zoo):
    case = known(zoo)
    assert case.adopted(losses=np.ones((EPOCHS, N))).until(2).losses.shape == (2, N)
    earlier = case.adopted(losses=np.ones((7, N))).until(2)
    assert earlier.losses.shape == (0, N)
    assert earlier.state_bytes == np.asarray(earlier.final.parameters).nbytes
    np.testing.assert_array_equal(earlier.final.parameters, np.asarray(case.states[1].parameters))


def test_other_data_or_another_model_are_refused(zoo):
    case = known(zoo)
    run, (X, y) = case.adopted(), case.samples
    with pytest.raises(RunMismatchError, match="other data"):
        dv.TracIn(case.learner).fit(X + 1, y, run=run)
    with pytest.raises(RunMismatchError, match="another model"):
        dv.TracIn(make_learner(zoo, "softmax_regression")).fit(X, y, run=run)


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda named, first: named.pop(first), r"states\[1\] is of another model .*lacks '.*adds nothing"),
        (lambda named, first: named.update(other=np.ones(2)), r"lacks nothing and adds 'other'"),
        (lambda named, first: named.update({first: np.ones((2, 2))}), r"has shape \(2, 2\), the model's"),
        (lambda named, first: named.update({first: named[first] * np.nan}), r"states\[1\] has infinite or NaN"),
        (lambda named, first: named.update({first: named[first].astype(str)}), "no real numbers"),
    ],
)
def test_a_state_that_does_not_fit_is_named(zoo, spoil, match):
    case = known(zoo)
    named = case.named(case.states[0])
    spoil(named, next(iter(named)))
    with pytest.raises((InvalidModelError, TypeError), match=match):
        case.adopted([case.states[0], named], rates=None)


@pytest.mark.parametrize(
    ("states", "error", "match"),
    [
        ([], ValueError, "states is empty"),
        ("net.pt", TypeError, r"states must be a list .*also of one: states=\[net\]"),
        (None, TypeError, r"learner.adopt\(X, y\) takes the learner's own model"),
        ([3], TypeError, r"states\[0\]: a state is a .*got int"),
        (["nowhere.pt"], FileNotFoundError, r"states\[0\]: there is no file 'nowhere.pt'"),
    ],
)
def test_what_are_no_states(zoo, states, error, match):
    case = known(zoo)
    with pytest.raises(error, match=match):
        dv.TrainingRun.from_checkpoints(case.learner, *case.samples, states)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"rates": [0.1]}, ValueError, r"one number a state, 3; got shape \(1,\)"),
        ({"rates": [0.1, -1, 0.1]}, ValueError, "finite, from 0 and not all 0"),
        ({"rates": [0, 0, 0]}, ValueError, "finite, from 0 and not all 0"),
        ({"rates": ["a", "b", "c"]}, ValueError, "learning_rates must be real numbers"),
        ({"batch_size": 21}, InvalidDataError, "batch_size=21 exceeds the 20 training samples"),
        ({"batch_size": 0}, ValueError, "batch_size must be"),
        ({"losses": np.ones(N)}, ValueError, r"losses must have shape \(epochs, 20\), got \(20,\)"),
        ({"margins": np.full((2, N), np.inf)}, ValueError, "margins are infinite"),
        ({"weights": np.ones(3)}, InvalidDataError, "weights must have shape"),
    ],
)
def test_other_arguments_are_checked(zoo, options, error, match):
    with pytest.raises(error, match=match):
        known(zoo).adopted(**options)


def test_states_are_no_run_to_go_on_with(zoo):
    case = known(zoo)
    with pytest.raises(RunMismatchError, match="resume needs the start and every update"):
        case.learner.train(*case.samples, resume=case.adopted())
    replay = case.learner.replay(*case.samples, case.adopted())
    for walk in (replay.forward, replay.backward):
        with pytest.raises(RunMismatchError, match="what is asked needs the start and every update"):
            next(walk())
    with pytest.raises(RunMismatchError, match="what is asked needs the start"):
        replay.at(0)


def test_a_builder_has_no_trained_model(zoo):
    learner = dv.Learner(lambda: zoo.mlp(), progress=False)
    with pytest.raises(InvalidModelError, match=r"builds its model anew, untrained: .*states=\[net\]"):
        learner.adopt(*make_samples())
    with pytest.raises(TypeError, match=r"learner must be a dataval.Learner, got 'mlp'"):
        dv.TrainingRun.from_checkpoints("mlp", *make_samples(), [1])


def test_what_is_frozen_must_be_as_in_the_model(zoo):
    case = known(zoo)
    names = list(case.named(case.states[0]))
    learner = make_learner(zoo, params=names[-2:])
    with pytest.raises(InvalidModelError, match=r"differs from the learner's model in .*which is not trained"):
        dv.TrainingRun.from_checkpoints(learner, *case.samples, [case.named(case.states[-1])])
    head = {name: array for name, array in case.named(case.states[-1]).items() if name in names[-2:]}
    run = dv.TrainingRun.from_checkpoints(learner, *case.samples, [head])
    np.testing.assert_array_equal(
        run.final.parameters, np.concatenate([head[name].ravel() for name in names[-2:]])
    )


class TestTrainingFurther:
    """A model that is trained already is told from one that isn't by its first losses."""

    def test_is_said_with_the_line_to_write_instead(self, zoo):
        X, y = make_samples()
        learner = make_learner(zoo, epochs=150, batch_size=N, optimizer=dv.SGD(learning_rate=1.0))
        net = learner.replay(X, y, learner.train(X, y)).export()
        again = dv.Learner(net, training=dv.Training(epochs=1, batch_size=N), progress=False)
        with pytest.warns(TrainedModelWarning, match=r"run = learner.adopt\(X, y\)"):
            again.train(X, y)
        with pytest.warns(TrainedModelWarning, match="looks trained"):
            dv.HyDRA(again).fit(X, y)
