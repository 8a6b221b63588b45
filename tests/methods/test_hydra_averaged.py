"""HyDRA averaged over runs in which random samples have weight 0."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import dataval as dv
from dataval.data import as_data
from dataval.errors import DamagedFileWarning
from dataval.methods.removed_shares import draw_masks
from dataval.metrics.statistics import rank_correlation
from dataval.objectives.validation import ValidationObjective
from dataval.training import masked_runs
from tests.runs import N, make_learner, make_samples, trained

N_VAL, K, SHARE = 5, 3, 0.3
WEIGHTS = np.linspace(0.5, 1.5, N)
MASKS = draw_masks(SHARE, WEIGHTS, K, seed=0)
OPTIMIZERS = {
    "momentum": dv.SGD(learning_rate=0.1, momentum=0.9, weight_decay=0.01),
    "adam": dv.Adam(learning_rate=0.01),
}
slow_on_tensorflow = pytest.mark.slow_on_tensorflow


def averaged(learner, **options):
    return dv.HyDRA(learner, **{"hessian": True, "removed": SHARE, "n_runs": K} | options)


def validation_of(model="mlp"):
    return make_samples(model, N_VAL, seed=2)


def objective_after(replay, weights, validation):
    program, state = replay.program.with_weights(weights), replay.initial
    for step in range(program.plan.n_steps):
        state, _ = program.step(state, step)
    return float(ValidationObjective(program.backend, as_data(*validation), None).value(state))


def slope_of_the_average(replay, validation, j, step=1e-3):
    """Central differences of fourth order of F's mean over the masked runs, in the weight of one sample."""

    def at(shift):
        moved = WEIGHTS * ~MASKS
        moved[:, j] += shift
        return np.mean([objective_after(replay, weights, validation) for weights in moved])

    return (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)


@pytest.fixture
def n_trained(monkeypatch):
    """The masked runs that are trained from now on."""
    done, carry_out = [], masked_runs.carry_out
    monkeypatch.setattr(
        masked_runs, "carry_out", lambda *args, **options: (carry_out(*args, **options), done.append(1))
    )
    return done


@pytest.mark.parametrize(
    ("model", "optimizer"),
    [
        ("mlp", "momentum"),
        ("mlp", "adam"),
        pytest.param("cnn_batch_norm", "momentum", marks=slow_on_tensorflow),
    ],
)
def test_values_equal_finite_differences_of_the_average(zoo, model, optimizer):
    learner, samples = make_learner(zoo, model, optimizer=OPTIMIZERS[optimizer], epochs=2), make_samples(model)
    run = learner.train(*samples, WEIGHTS)
    method = averaged(learner, include_plain=False).fit(*samples, run=run)
    values = method.score(*validation_of(model))
    # Two samples that some masks leave out and one that none does; the differences err by about 1e-10.
    chosen = [*np.flatnonzero(MASKS.any(axis=0))[:2], np.flatnonzero(~MASKS.any(axis=0))[0]]
    replay = learner.replay(*samples, run)
    expected = [-slope_of_the_average(replay, validation_of(model), j) for j in chosen]
    np.testing.assert_allclose(values[chosen], expected, rtol=0, atol=1e-5 * np.abs(values).max())


@slow_on_tensorflow
@pytest.mark.parametrize("hessian", [True, False])
def test_it_is_what_single_runs_give(zoo, hessian):
    learner, samples, run = trained(zoo)
    validation = validation_of()

    def answer(weights):
        run = learner.train(*samples, weights)
        final = learner.replay(*samples, run).final
        objective = ValidationObjective(run.binding.program.backend, as_data(*validation), None)
        method = dv.HyDRA(learner, hessian=hessian).fit(*samples, run=run)
        return method.attribute(*validation), float(objective.value(final)), method.diagnostics_

    masks = draw_masks(SHARE, np.ones(N), K, seed=0)
    plain, *masked = map(answer, [np.ones(N), *(~masks).astype(float)])
    rows = np.stack([values for values, _, _ in masked])
    method = averaged(learner, hessian=hessian).fit(*samples, run=run)
    found, noticed = method.attribute(*validation), method.diagnostics_
    # Sums of the same float64 numbers in another order.
    close = {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(found, (plain[0] + rows.mean(axis=0)) / 2, **close)
    error = rows.std(axis=0, ddof=1) / np.sqrt(K) / 2
    np.testing.assert_allclose(noticed["standard_error"], error, **close)
    relative = np.median(np.median(error, axis=1) / found.std(axis=1))
    assert noticed["relative_error"] == pytest.approx(relative, rel=1e-9)
    means = rows.mean(axis=1)
    pairs = [rank_correlation(means[i], means[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert noticed["rank_correlation"] == pytest.approx(np.mean(pairs), rel=1e-9)
    with_plain = [rank_correlation(plain[0].mean(axis=0), mean) for mean in means]
    np.testing.assert_allclose(noticed["rank_correlation_with_plain"], with_plain, **close)
    np.testing.assert_allclose(noticed["predicted_change"], masks @ plain[0].mean(axis=0), **close)
    np.testing.assert_allclose(noticed["actual_change"], [F - plain[1] for _, F, _ in masked], **close)
    assert noticed["growth"] == pytest.approx(max(each["growth"] for _, _, each in (plain, *masked)), rel=0.2)
    assert noticed["n_runs"] == K
    np.testing.assert_allclose(noticed["share_removed"], SHARE)


@slow_on_tensorflow
def test_questions_of_all_kinds_agree(zoo):
    learner, samples, run = trained(zoo)
    method, (X, y) = averaged(learner, n_runs=2).fit(*samples, run=run), validation_of()
    score, groups = method.score(X, y), np.array([0, 0, 1, 1, 1])
    close = {"rtol": 1e-9, "atol": 1e-12}
    matrix = method.attribute(X, y)
    np.testing.assert_allclose(matrix.mean(axis=0), score, **close)
    correlation = method.diagnostics_["rank_correlation"]
    by_group = method.attribute(X, y, groups=groups)
    np.testing.assert_allclose(by_group[1], matrix[2:].mean(axis=0), **close)
    assert method.diagnostics_["standard_error"].shape == (2, N)
    assert method.diagnostics_["rank_correlation"] == pytest.approx(correlation, rel=1e-9)
    assert len(method.explain(X[:2], y[:2])) == 2
    assert method.verify(X, y, n_subsets=3, fraction=SHARE).n_subsets == 3


@slow_on_tensorflow
def test_when_the_plain_run_takes_part(zoo):
    learner, samples, run = trained(zoo)

    def score(**options):
        method = averaged(learner, hessian=False, n_runs=1, **options).fit(*samples, run=run)
        return method.score(*validation_of())

    plain = score(removed=None)
    for removed, is_part in ((0.3, True), (0.5, False), ("uniform", False), ([0.1, 0.2], True)):
        with_it, without = (score(removed=removed, include_plain=include) for include in (True, False))
        np.testing.assert_allclose(with_it, (plain + without) / 2, rtol=1e-9, atol=1e-13)
        np.testing.assert_array_equal(score(removed=removed), with_it if is_part else without)


@slow_on_tensorflow
def test_processes_and_folders_change_nothing(zoo, tmp_path, n_trained):
    learner, samples, run = trained(zoo)

    def score(**options):
        return averaged(learner, **options).fit(*samples, run=run).score(*validation_of())

    expected = score()
    assert len(n_trained) == K
    for options in ({"folder": tmp_path, "n_jobs": 2}, {"folder": tmp_path}):
        np.testing.assert_array_equal(score(**options), expected)
    assert len(n_trained) == K  # the others were trained elsewhere, or kept
    more = score(folder=tmp_path, n_runs=K + 1)
    assert len(n_trained) == K + 1
    np.testing.assert_array_equal(score(folder=tmp_path, n_runs=K + 1, n_jobs=2), more)
    score(folder=tmp_path, hessian=False)  # another question
    assert len(n_trained) == 2 * K + 1


@slow_on_tensorflow
def test_what_is_damaged_is_computed_again(zoo, tmp_path, n_trained):
    learner, samples, run = trained(zoo)
    method = averaged(learner, folder=tmp_path).fit(*samples, run=run)
    expected = method.score(*validation_of())
    (folder,) = tmp_path.iterdir()
    first, *_ = sorted(folder.glob("*.npz"))
    first.write_bytes(first.read_bytes()[:-20])
    with pytest.warns(DamagedFileWarning, match=f"{first.name} is damaged.*computed again"):
        np.testing.assert_array_equal(method.score(*validation_of()), expected)
    np.testing.assert_array_equal(method.score(*validation_of()), expected)
    assert len(list(folder.glob("*.npz"))) == K + 1


@slow_on_tensorflow
@pytest.mark.parametrize("where", ["training", "sweep"])
def test_it_goes_on_after_ctrl_c(zoo, monkeypatch, n_trained, where):
    learner, samples, run = trained(zoo)
    method = averaged(learner).fit(*samples, run=run)
    expected = averaged(learner).fit(*samples, run=run).score(*validation_of())
    del n_trained[:]
    name = {"training": "step", "sweep": "pullback"}[where]
    calls, original = [], getattr(dv.training.program.Program, name)

    def interrupted(self, *args):
        calls.append(1)
        if len(calls) == 2 * run.n_steps - 3:
            raise KeyboardInterrupt
        return original(self, *args)

    monkeypatch.setattr(dv.training.program.Program, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        method.score(*validation_of())
    before = len(calls)
    np.testing.assert_array_equal(method.score(*validation_of()), expected)
    assert len(n_trained) == K
    if where == "sweep":  # the plain run's and all masked ones', one update of which was begun twice
        assert len(calls) == (K + 1) * run.n_steps + 1
    assert len(calls) > before


@slow_on_tensorflow
def test_runs_are_kept_where_they_fit(zoo, n_trained):
    learner, samples, run = trained(zoo)
    method = averaged(learner).fit(*samples, run=run)
    expected = method.score(*validation_of())
    method.attribute(*validation_of())
    assert len(n_trained) == K
    revived = pickle.loads(pickle.dumps(method))
    np.testing.assert_array_equal(revived.score(*validation_of()), expected)
    assert len(n_trained) == 2 * K
    few = dv.Checkpoints(max_bytes=20 * run.state_bytes)
    learner = make_learner(zoo, checkpoints=few)
    method = averaged(learner).fit(*samples)
    np.testing.assert_array_equal(method.score(*validation_of()), expected)
    method.score(*validation_of())
    assert len(n_trained) == 2 * K + K + K - 1  # one of 13 states fits into what 20 take
    kept = [need for need in method.plan_memory(5).needs if need.what == "the masked runs that are kept"]
    assert kept[0].n_bytes == few.max_bytes


@slow_on_tensorflow
def test_it_stops_when_values_are_good_enough(zoo, n_trained):
    learner, samples, run = trained(zoo)

    def asked(**options):
        method = averaged(learner, n_runs=8, **options).fit(*samples, run=run)
        return method.score(*validation_of()), method.diagnostics_

    _, noticed = asked()
    assert noticed["n_runs"] == 8
    _, at_once = asked(tolerance=10.0)
    assert at_once["n_runs"] == 4
    middle = (at_once["relative_error"] + noticed["relative_error"]) / 2
    some, found = asked(tolerance=middle)
    assert found["relative_error"] <= middle
    assert 4 < found["n_runs"] <= 8
    again = averaged(learner, n_runs=found["n_runs"]).fit(*samples, run=run).score(*validation_of())
    np.testing.assert_array_equal(again, some)


def test_values_of_one_run_have_no_standard_error(zoo):
    learner, samples, run = trained(zoo)
    method = averaged(learner, n_runs=1, tolerance=0.1).fit(*samples, run=run)
    assert np.isfinite(method.score(*validation_of())).all()
    assert np.isnan(method.diagnostics_["standard_error"]).all()
    assert np.isnan(method.diagnostics_["rank_correlation"])
    assert np.isnan(method.diagnostics_["relative_error"])


@slow_on_tensorflow
def test_verify_proposes_it(zoo, monkeypatch):
    learner, samples, run = trained(zoo)
    truth = dv.evaluation.SubsetTruth(MASKS.repeat(4, axis=0), np.random.default_rng(0).normal(size=4 * K))
    monkeypatch.setattr("dataval.methods.verification.retrain_subsets_of", lambda *_, **__: truth)
    plain = dv.HyDRA(learner, hessian=True).fit(*samples, run=run)
    with pytest.warns(UserWarning, match=r"HyDRA\(learner, hessian=True, removed=0.3, n_runs=4\)"):
        plain.verify(*validation_of(), fraction=SHARE)
    plain.verify(*validation_of(), fraction=SHARE, values=np.arange(N))
    averaged(learner).fit(*samples, run=run).verify(*validation_of(), fraction=SHARE)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"removed": 0}, "removed must lie between 0 and 1, got 0"),
        ({"removed": 1.0}, "removed must lie between 0 and 1"),
        ({"removed": True}, "removed must be a number between 0 and 1"),
        ({"removed": "Uniform"}, "removed must be a share, shares or 'uniform', got 'Uniform'"),
        ({"removed": []}, "at least one share"),
        ({"removed": [0.1, 2]}, r"removed\[1\] must lie between 0 and 1, got 2"),
        ({"removed": 0.01}, "removed=0.01 leaves out 0 of 20 samples"),
        ({"removed": [0.5, 0.99]}, "removed=0.99 leaves out 20 of 20 samples"),
        ({"n_runs": 0}, "n_runs must be at least 1"),
        ({"n_runs": 2.0}, "n_runs must be a whole number"),
        ({"include_plain": 1}, "include_plain must be True or False"),
        ({"tolerance": -0.1}, "tolerance must be at least 0"),
        ({"n_jobs": 0}, "n_jobs must be a number of processes"),
        ({"folder": 3}, "folder must be the path of a folder"),
        ({"projection": 3}, "projection answers from probes of one run"),
        ({"removed": None, "tolerance": 0.1}, "tolerance is of averages over masked runs"),
        ({"removed": None, "include_plain": False}, "include_plain is of averages over masked runs"),
    ],
)
def test_bad_options_are_named_before_training(zoo, monkeypatch, options, match):
    monkeypatch.setattr("dataval.methods.of_run.carry_out", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises((TypeError, ValueError), match=match):
        averaged(make_learner(zoo), **options).fit(*make_samples())


def test_tokens_are_of_one_run(zoo):
    learner, samples, run = trained(zoo)
    with pytest.raises(TypeError, match="values of one run: leave removed out"):
        averaged(learner).fit(*samples, run=run).score_tokens(*validation_of())


def test_masks_are_drawn_without_replacement():
    masks = draw_masks(0.2, np.ones(50), 10, seed=3)
    assert (masks.sum(axis=1) == 10).all()
    assert (masks.sum(axis=0) == 2).all()
    np.testing.assert_array_equal(draw_masks(0.2, np.ones(50), 4, seed=3), masks[:4])
    assert (draw_masks(0.2, np.ones(50), 4, seed=4) != masks[:4]).any()
    uneven = draw_masks(0.3, np.ones(11), 40, seed=0)  # 3 of 11, so that decks end within a run
    assert (uneven.sum(axis=1) == 3).all()
    assert np.ptp(uneven.sum(axis=0)) <= 1
    halves = draw_masks(0.5, np.ones(12), 6, seed=0)
    np.testing.assert_array_equal(halves[1::2], ~halves[::2])


def test_masks_leave_out_what_has_a_weight():
    weights = np.repeat([1.0, 0.0], 20)
    masks = draw_masks(0.25, weights, 4, seed=0)
    assert (masks[:, :20].sum(axis=1) == 5).all()
    assert not masks[:, 20:].any()


def test_uniform_masks_have_all_sizes_alike():
    sizes = draw_masks("uniform", np.ones(9), 2000, seed=0).sum(axis=1)
    counts = np.bincount(sizes, minlength=9)
    assert len(counts) == 9  # all but one are left out at most, which stands for all of them as well
    np.testing.assert_allclose(counts[:8] / 2000, 0.1, atol=0.005)  # as evenly as 1,000 pairs allow
    assert (sizes[::2] + sizes[1::2] >= 8).all()
    shares = draw_masks([0.1, 0.5], np.ones(20), 5, seed=0).mean(axis=1)
    np.testing.assert_allclose(shares, [0.1, 0.5, 0.1, 0.5, 0.1])
