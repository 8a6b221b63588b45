"""What the suites share: fidelity by sample, the same training on both sides, memory, the environment."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from benchmarks import work
from benchmarks.fidelity import lds_by_sample, retrained_losses, subsets
from benchmarks.peers import environment
from benchmarks.runner.memory import in_fresh_process, seconds_and_rises
from benchmarks.runner.rows import AbsentError
from benchmarks.runner.settings import Settings
from benchmarks.suites import agreement, growth, load
from benchmarks.work import Work, adamw, mlp, sgd
from dataval.datasets import load_digits


@pytest.fixture
def small():
    def build():
        return mlp(64, 5, 10)

    return Work(build, load_digits(n_train=40, n_val=6), sgd(0.1), epochs=2, batch_size=10)


def test_lds_by_sample_is_spearmans_correlation_row_by_row():
    rng = np.random.default_rng(0)
    values, removed = rng.normal(size=(3, 12)), rng.random((8, 12)) < 0.5
    changes = rng.normal(size=(8, 3))
    wanted = [spearmanr(values[i] @ removed.T, changes[:, i]).statistic for i in range(3)]
    np.testing.assert_allclose(lds_by_sample(values, removed, changes), wanted, rtol=0, atol=1e-12)  # float64


def test_values_that_say_nothing_score_nothing():
    removed = np.eye(4, dtype=bool)
    assert lds_by_sample(np.zeros((1, 4)), removed, np.arange(4.0)[:, None]) == 0


def test_retrained_losses_are_those_of_training_again(small):
    removed = subsets(40, 3, 0.5, seed=0)
    found = retrained_losses(small.learner(), small.train(), small.data, removed, n_val=2)

    def losses(weights):
        run = small.learner().train(small.X, small.y, weights)
        model = small.learner().replay(small.X, small.y, run).export()
        x, y = (torch.from_numpy(each) for each in small.validation(2))
        return torch.nn.functional.cross_entropy(model(x), y, reduction="none").detach().numpy()

    wanted = [losses(1.0 - mask) - losses(np.ones(40)) for mask in removed]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)  # float32, differences of losses near 2


@pytest.mark.parametrize("optimizer", [sgd(0.1), adamw(0.01)], ids=["sgd", "adamw"])
def test_the_plain_loop_does_the_updates_that_ours_does(small, optimizer):
    """With one batch an epoch, the order of the samples doesn't count."""
    same = small.but(optimizer=optimizer, batch_size=40)
    plain = torch.nn.utils.parameters_to_vector(same.plain().parameters()).detach().numpy()
    run = same.train()
    model = same.learner().replay(same.X, same.y, run).export()
    ours = torch.nn.utils.parameters_to_vector(model.parameters()).detach().numpy()
    np.testing.assert_allclose(ours, plain, rtol=0, atol=1e-5)  # float32, other order of sums


def test_a_slope_is_the_power_by_which_costs_grow():
    assert growth.slope([10, 20, 40], [3.0, 12.0, 48.0]) == pytest.approx(2.0)  # exact powers
    assert np.isnan(growth.slope([1, 2], [0.0, 1.0]))


def test_operations_of_a_product_are_counted():
    a, b = torch.ones(3, 5), torch.ones(5, 7)
    assert growth.measure(lambda: a @ b)[0] == 2 * 3 * 5 * 7


def test_differences_are_relative_to_the_largest_value():
    here = np.array([1.0, -4.0, np.nan])
    assert agreement.difference(here, here) == 0
    assert agreement.difference(here, np.array([1.0, -4.4, np.nan])) == pytest.approx(0.1)
    assert agreement.difference(here, np.array([1.0, -4.0, 0.0])) == np.inf


def test_a_method_agrees_with_itself_on_the_cpu(monkeypatch):
    digits = load_digits(n_train=60, n_val=20)
    monkeypatch.setattr(agreement, "fashion", lambda *_: digits)
    monkeypatch.setitem(agreement.BUILDS, "float32", lambda: mlp(64, 10))
    (row,) = agreement.find("exact HyDRA, score", "float32", Settings(quick=True))
    assert row.value == 0
    assert row.verdict == "floor"


def test_memory_is_seen_where_the_system_tells():
    try:
        found = seconds_and_rises(lambda: np.ones(2**22).sum())
    except AbsentError as error:
        pytest.skip(str(error))
    assert found["RssAnon"] > 16  # of 32 MiB; the allocator may have had some


def test_a_function_runs_in_a_fresh_process():
    assert in_fresh_process(environment.name_of, "captum==0.9.0") == "captum"


def test_a_process_that_fails_is_told():
    with pytest.raises(RuntimeError, match="load"):
        in_fresh_process(load, "no such suite")


def test_every_requirement_of_the_peers_is_pinned():
    lines = environment.requirements()
    assert lines
    assert all("==" in line for line in lines)
    assert {"torch", "numpy"}.isdisjoint(map(environment.name_of, lines))


def test_models_that_are_named_take_fashion_images():
    x = torch.zeros(2, 1, 28, 28)
    for build in (work.lenet, work.smooth_lenet, work.normalised_lenet, work.dropped_lenet):
        assert build()(x).shape == (2, 10)
    assert work.softmax_regression()(x).shape == (2, 10)
