"""The error over the epochs against runs that really end after each of them."""

import numpy as np
import pytest

import dataval as dv
from dataval.evaluation import ApproximationError, approximation_error
from dataval.evaluation.approximation import values_over_epochs
from tests.runs import make_learner, make_samples


@pytest.fixture
def validation():
    return make_samples("mlp", 8, seed=2)


def both_variants(zoo, **options):
    learner, samples = make_learner(zoo, **options), make_samples()
    exact = dv.HyDRA(learner, hessian=True).fit(*samples)
    return exact, dv.HyDRA(learner).fit(*samples, run=exact.run_)


@pytest.mark.parametrize("every", [1, 5])
def test_equals_runs_of_so_many_epochs(zoo, validation, every):
    checkpoints = dv.Checkpoints(every=every)
    methods = both_variants(zoo, epochs=4, checkpoints=checkpoints)
    found = values_over_epochs(methods, *validation)
    assert list(found) == [1, 2, 3, 4]
    for epoch, values in found.items():
        shorter = both_variants(zoo, epochs=epoch, checkpoints=checkpoints)
        expected = [method.score(*validation) for method in shorter]
        np.testing.assert_array_equal(values, expected)


def test_error_by_hand(zoo, validation):
    exact, free = both_variants(zoo)
    report = approximation_error(exact, free, *validation, epochs=[3, 1])
    assert report.epochs == (1, 3)
    true, approximate = exact.score(*validation), free.score(*validation)
    expected = np.linalg.norm(approximate - true) / np.linalg.norm(true)
    assert expected > 1e-3
    assert report.relative_error[1] == pytest.approx(expected, rel=1e-12)
    assert report.pearson[1] == pytest.approx(np.corrcoef(true, approximate)[0, 1], abs=1e-12)
    assert report.same_sign[1] == np.mean(np.sign(true) == np.sign(approximate))


def test_a_method_has_no_error_against_itself(zoo, validation):
    exact, _ = both_variants(zoo)
    report = approximation_error(exact, exact, *validation)
    assert report.relative_error == (0.0, 0.0, 0.0)
    assert report.same_sign == (1.0, 1.0, 1.0)
    assert report.pearson == pytest.approx([1, 1, 1])


def test_the_first_update_needs_no_hessian(zoo, validation):
    # One epoch of one batch: dropping the Hessian drops nothing.
    report = approximation_error(*both_variants(zoo, batch_size=20, epochs=3), *validation)
    assert report.relative_error[0] == pytest.approx(0.0, abs=1e-12)
    assert report.relative_error[2] > 1e-3


def test_the_run_is_left_as_it_was(zoo, validation):
    exact, free = both_variants(zoo, checkpoints=dv.Checkpoints(every=5))
    before = sorted(exact.run_.checkpoints), exact.run_.losses.copy(), exact.score(*validation)
    approximation_error(exact, free, *validation)
    assert sorted(exact.run_.checkpoints) == before[0]
    np.testing.assert_array_equal(exact.run_.losses, before[1])
    np.testing.assert_array_equal(exact.score(*validation), before[2])


def test_printed_and_stored(zoo, validation):
    report = approximation_error(*both_variants(zoo), *validation)
    assert len(str(report).splitlines()) == 4
    assert ApproximationError.model_validate_json(report.model_dump_json()) == report


def test_bad_input_is_refused(zoo, validation):
    exact, free = both_variants(zoo)
    other = dv.HyDRA(make_learner(zoo)).fit(*make_samples())
    with pytest.raises(ValueError, match="share a run"):
        approximation_error(exact, other, *validation)
    for epochs in ([0], [4], []):
        with pytest.raises(ValueError, match=r"from 1 to the run's 3|it is empty"):
            approximation_error(exact, free, *validation, epochs=epochs)
