"""LoGra against the damped empirical Fisher matrix, and the index that it is asked from."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import dataval as dv
from dataval.errors import DamagedFileError, InsufficientMemoryError, InvalidDataError, RunMismatchError
from dataval.methods import gradient_index
from tests.runs import BATCH_NORM, DROPOUT, TRANSFORMER, N, make_learner, make_samples, trained

N_VAL = 5


def rows_at(replay, state, samples):
    """Gradients one by one, from the contract alone."""
    backend, objective = replay.program.backend, replay.program.backend.objective()
    found = []
    for i in range(len(samples.X)):
        data = dv.data.as_data(samples.X[i : i + 1], samples.y[i : i + 1])
        batch = backend.batches(data).take(np.arange(1))
        found.append(backend.arrays.to_numpy(objective.gradient(state.parameters, state.buffers, batch)[0]))
    return np.array(found)


@pytest.mark.parametrize("model", ["mlp", BATCH_NORM, TRANSFORMER])
@pytest.mark.parametrize("rank", [None, 400])
def test_without_projection_it_is_influence_with_the_empirical_fisher_matrix(zoo, model, rank):
    learner, samples, run = trained(zoo, model, epochs=2)
    validation = make_samples(model, N_VAL, seed=2)
    logra = dv.LoGra(learner, rank=rank, damping=0.05).fit(*samples, run=run)
    replay = learner.replay(*samples, run)
    mine, theirs = (rows_at(replay, replay.final, each) for each in (samples, validation))
    scale = 1 / (4 * 6)  # 4 updates of 6 an epoch, of which the last has 2 samples
    fisher = scale * mine.T @ mine + 0.05 * np.eye(mine.shape[1])
    expected = scale * theirs @ np.linalg.solve(fisher, mine.T)
    # The dual form cancels some digits at condition numbers of thousands.
    np.testing.assert_allclose(logra.attribute(*validation), expected, rtol=1e-7, atol=1e-11)
    np.testing.assert_allclose(logra.score(*validation), expected.mean(axis=0), rtol=1e-7, atol=1e-11)
    own = scale * np.einsum("jp,jp->j", mine, np.linalg.solve(fisher, mine.T).T)
    np.testing.assert_allclose(logra.self_scores(), own, rtol=1e-7)


@pytest.mark.slow_on_tensorflow
def test_a_tenth_of_the_mean_eigenvalue_is_the_default_damping(zoo):
    learner, samples, run = trained(zoo)
    logra = dv.LoGra(learner, rank=None).fit(*samples, run=run)
    logra.score(*samples)
    replay = learner.replay(*samples, run)
    rows = rows_at(replay, replay.final, samples)
    mean = (rows**2).sum() / 24 / N  # of 83 eigenvalues, 20 can be other than 0
    assert logra.diagnostics_ == {"damping": pytest.approx(0.1 * mean, rel=1e-9), "dimension": rows.shape[1]}


@pytest.mark.parametrize("projection", ["random", "pca"])
def test_chunks_do_not_matter_and_seeds_do(zoo, projection):
    learner, samples, run = trained(zoo)
    validation = make_samples(n=N_VAL, seed=2)

    def values(**options):
        method = dv.LoGra(learner, rank=3, projection=projection, **options).fit(*samples, run=run)
        return method.attribute(*validation), method.score(*validation)

    whole = values()
    np.testing.assert_allclose(whole[0].mean(axis=0), whole[1], rtol=1e-9, atol=1e-13)
    for found, expected in zip(values(chunk_size=3), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(values()[0], whole[0])
    if projection == "random":
        assert np.abs(values(seed=1)[0] - whole[0]).max() > 1e-3 * np.abs(whole[0]).max()


@pytest.mark.slow_on_tensorflow
def test_works_with_any_objective(zoo):
    learner, samples, run = trained(zoo)
    validation = make_samples(n=N_VAL, seed=2)
    one = dv.LoGra(learner, rank=3, objective=lambda outputs, _: outputs[:, 0]).fit(*samples, run=run)
    two = dv.LoGra(learner, rank=3, objective=lambda outputs, _: 2 * outputs[:, 0]).fit(*samples, run=run)
    np.testing.assert_allclose(two.attribute(*validation), 2 * one.attribute(*validation), rtol=1e-12)
    total = dv.LoGra(learner, rank=3, objective=scalar).fit(*samples, run=run)
    np.testing.assert_allclose(total.score(*validation), one.score(*validation), rtol=1e-9, atol=1e-14)
    with pytest.raises(TypeError, match="single number"):
        total.attribute(*validation)


def scalar(outputs, _):
    column = outputs[:, 0]
    return (column[None] @ (0 * column[:, None] + 1))[0, 0] / N_VAL  # the mean, in any framework


@pytest.mark.slow_on_tensorflow
@pytest.mark.parametrize("options", [{"rank": 3}, {"rank": 3, "projection": "pca"}, {"rank": None}])
def test_an_index_in_a_folder_answers_as_one_in_memory(zoo, options, tmp_path, monkeypatch):
    learner, samples, run = trained(zoo)
    validation = make_samples(n=N_VAL, seed=2)
    expected = dv.LoGra(learner, **options).fit(*samples, run=run).attribute(*validation)
    kept = dv.LoGra(learner, folder=tmp_path, **options).fit(*samples, run=run)
    np.testing.assert_array_equal(kept.attribute(*validation), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(kept)).attribute(*validation), expected)
    monkeypatch.setattr(gradient_index.GradientIndex, "_compressed", lambda *_: pytest.fail("computed again"))
    again = dv.LoGra(learner, folder=tmp_path, **options).fit(*samples, run=run)
    np.testing.assert_array_equal(again.attribute(*validation), expected)


@pytest.mark.slow_on_tensorflow
@pytest.mark.parametrize("where", ["folder", "memory"])
def test_an_interrupted_index_goes_on(zoo, where, tmp_path, monkeypatch):
    learner, samples, run = trained(zoo)
    validation = make_samples(n=N_VAL, seed=2)
    whole = dv.LoGra(learner, rank=3, chunk_size=6).fit(*samples, run=run).attribute(*validation)
    method = dv.LoGra(learner, rank=3, chunk_size=6, folder=tmp_path if where == "folder" else None)
    compressed, done = gradient_index.GradientIndex._compressed, []

    def interrupted(self, stage, indices):
        if indices[0] == 12:
            raise KeyboardInterrupt
        return compressed(self, stage, indices)

    def counted(self, stage, indices):
        done.extend(map(int, indices))
        return compressed(self, stage, indices)

    monkeypatch.setattr(gradient_index.GradientIndex, "_compressed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        method.fit(*samples, run=run)
    assert method._index.rows.n_done == 12
    monkeypatch.setattr(gradient_index.GradientIndex, "_compressed", counted)
    if where == "folder":
        method = dv.LoGra(learner, rank=3, chunk_size=6, folder=tmp_path)
    found = method.fit(*samples, run=run).attribute(*validation)
    assert sorted(done) == list(range(12, N))
    np.testing.assert_array_equal(found, whole)


@pytest.mark.slow_on_tensorflow
def test_an_index_of_something_else_is_refused(zoo, tmp_path):
    learner, samples, run = trained(zoo)
    dv.LoGra(learner, rank=3, folder=tmp_path).fit(*samples, run=run)
    for options, told in (({"rank": 2}, "its rank: 3, here 2"), ({"seed": 5}, "its seed: 0, here 5")):
        with pytest.raises(RunMismatchError, match=told):
            dv.LoGra(learner, **{"rank": 3, "folder": tmp_path} | options).fit(*samples, run=run)
    other = trained(zoo, seed=9)
    with pytest.raises(RunMismatchError, match="its states"):
        dv.LoGra(other.learner, rank=3, folder=tmp_path).fit(*samples, run=other.run)
    with pytest.raises(RunMismatchError, match="index of something else"):
        dv.TRAK(learner, folder=tmp_path).fit(*samples, run=run)


@pytest.mark.slow_on_tensorflow
def test_principal_matrices_that_are_damaged_or_gone_are_named(zoo, tmp_path):
    learner, samples, run = trained(zoo, "mlp")
    make = lambda: dv.LoGra(learner, rank=3, projection="pca", folder=tmp_path)  # noqa: E731
    make().fit(*samples, run=run)
    path = tmp_path / "factors.npz"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DamagedFileError, match=r"factors.npz is damaged"):
        make().fit(*samples, run=run)
    path.unlink()
    with pytest.raises(DamagedFileError, match=r"factors.npz is gone"):
        make().fit(*samples, run=run)


def test_files_of_others_are_seen_before_training(zoo, tmp_path, monkeypatch):
    monkeypatch.setattr("dataval.methods.of_run.carry_out", lambda *_, **__: pytest.fail("trained"))
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(FileExistsError, match=r"thesis.txt and no index"):
        dv.LoGra(make_learner(zoo), folder=tmp_path).fit(*make_samples())


@pytest.mark.slow_on_tensorflow
def test_a_singular_fisher_matrix_is_named(zoo):
    learner, samples, run = trained(zoo)
    method = dv.LoGra(learner, rank=None, damping=0).fit(*samples, run=run)
    with pytest.raises(InvalidDataError, match="singular: give a damping above 0"):
        method.score(*samples)


@pytest.mark.parametrize("model", [DROPOUT])
def test_a_sample_of_weight_0_is_no_part_of_the_matrix(zoo, model):
    """As if it were not there, but for its own value."""
    learner, samples = make_learner(zoo, model, epochs=1), make_samples(model)
    weights = np.ones(N)
    weights[3] = 0
    run = learner.train(*samples, weights)
    method = dv.LoGra(learner, rank=None, damping=0.1).fit(*samples, run=run)
    replay = learner.replay(*samples, run)
    rows = rows_at(replay, replay.final, samples)
    fisher = (rows * weights[:, None]).T @ rows / 24 + 0.1 * np.eye(rows.shape[1])
    expected = rows @ np.linalg.solve(fisher, rows.T) / 24
    np.testing.assert_allclose(method.attribute(*samples), expected, rtol=1e-7, atol=1e-11)


def test_an_index_that_can_not_fit_is_refused_with_its_cure(zoo, monkeypatch, tmp_path):
    learner, samples, run = trained(zoo)
    monkeypatch.setattr("dataval.methods.indexed.available_memory", lambda: 15_000)
    with pytest.raises(InsufficientMemoryError, match=r"1 x 20 compressed gradients take .*; give a folder"):
        dv.LoGra(learner, rank=None).fit(*samples, run=run)
    dv.LoGra(learner, rank=None, folder=tmp_path).fit(*samples, run=run)
