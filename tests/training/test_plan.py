"""Which samples each update sees."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.training.plan import make_plan

FIELDS = ("order", "offsets", "learning_rates", "seeds")


def plan_of(n, **options):
    return make_plan(dv.Training(**{"epochs": 4, "batch_size": 6} | options), n)


def epochs_of(plan):
    for epoch in range(plan.n_epochs):
        yield [plan.batch(step) for step in np.flatnonzero(plan.epochs == epoch)]


@pytest.mark.parametrize("n", [6, 18, 20, 23])
@pytest.mark.parametrize("shuffle", [True, False])
def test_each_epoch_visits_every_sample_once(n, shuffle):
    plan = plan_of(n, shuffle=shuffle)
    assert plan.n_steps == 4 * -(-n // 6)
    for batches in epochs_of(plan):
        np.testing.assert_array_equal(np.sort(np.concatenate(batches)), np.arange(n))
        assert [len(batch) for batch in batches[:-1]] == [6] * (len(batches) - 1)
        assert len(batches[-1]) == n - 6 * (len(batches) - 1)


@pytest.mark.parametrize(("n", "per_epoch"), [(6, 1), (11, 1), (12, 2), (20, 3)])
def test_drop_last_leaves_out_the_short_batch_only(n, per_epoch):
    plan = plan_of(n, drop_last=True)
    assert plan.n_steps == 4 * per_epoch
    for batches in epochs_of(plan):
        assert [len(batch) for batch in batches] == [6] * per_epoch
        assert len(np.unique(np.concatenate(batches))) == 6 * per_epoch


def test_shuffling_draws_a_new_order_for_every_epoch():
    orders = [np.concatenate(batches) for batches in epochs_of(plan_of(18))]
    assert len({order.tobytes() for order in orders}) == 4
    for order in epochs_of(plan_of(18, shuffle=False)):
        np.testing.assert_array_equal(np.concatenate(order), np.arange(18))


def test_same_seed_same_plan_other_seed_other_plan():
    one, again, other = plan_of(20, seed=3), plan_of(20, seed=3), plan_of(20, seed=4)
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(one, field), getattr(again, field))
    assert not np.array_equal(one.order, other.order)
    assert not set(one.seeds) & set(other.seeds)


def test_seeds_of_updates_differ_and_are_positive():
    seeds = plan_of(600, epochs=10).seeds
    assert len(np.unique(seeds)) == len(seeds) == 1000
    assert seeds.min() >= 0


def test_more_epochs_extend_the_same_plan():
    short, long = plan_of(20, epochs=2), plan_of(20, epochs=4)
    for field in ("order", "learning_rates", "seeds"):
        found = getattr(short, field)
        np.testing.assert_array_equal(found, getattr(long, field)[: len(found)])


def test_learning_rates_are_the_optimizers_times_the_schedule():
    schedule = dv.StepSchedule(every_epochs=2, gamma=0.5)
    plan = plan_of(20, optimizer=dv.SGD(learning_rate=0.3), schedule=schedule)
    np.testing.assert_array_equal(plan.epoch_ends, [4, 8, 12, 16])
    np.testing.assert_array_equal(plan.learning_rates, [0.3] * 8 + [0.15] * 8)


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(dv.errors.InvalidDataError, match="batch_size=6 exceeds the 5 training samples"):
        plan_of(5)


def test_an_explicit_schedule_of_another_length_is_refused():
    with pytest.raises(ValueError, match="3 values per epoch, but the run has 4 epochs"):
        plan_of(12, schedule=dv.ExplicitSchedule(values=(1, 1, 1), per="epoch"))
