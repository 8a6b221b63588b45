"""Results that are kept belong to one loss, one objective, one utility and one model, and to no other."""

from __future__ import annotations

import copy
import threading

import numpy as np
import pytest

import dataval as dv
from dataval.data import as_data
from dataval.errors import RunMismatchError, UnknownIdentityError
from dataval.retraining.retrain import retraining_key

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

F = torch.nn.functional
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(16, 4)).astype("float32"), RNG.integers(0, 3, 16)
X_VAL, Y_VAL = RNG.normal(size=(8, 4)).astype("float32"), RNG.integers(0, 3, 8)
TRAINING = dv.Training(optimizer=dv.SGD(learning_rate=0.1), epochs=2, batch_size=8)


class Net(nn.Module):
    """Linear, and something between that may differ in one mode, in the gradient, or in a constant."""

    def __init__(self, between, constant=1.0):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.between = nn.Linear(4, 5), nn.Linear(5, 3), between
        self.register_buffer("constant", torch.tensor(constant))

    def forward(self, x):
        return self.last(self.between(self, torch.tanh(self.first(x))) * self.constant)


class Frozen(nn.Module):
    """Embeddings that are not trained, one row of which only one sample reads."""

    def __init__(self, last_row):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.out = nn.Embedding(20, 4), nn.Linear(4, 3)
        self.table.weight.requires_grad_(False)
        self.table.weight[19] = last_row

    def forward(self, x):
        return self.out(self.table(x).mean(1))


def plain(net, x):
    return x


def only_in_evaluation(net, x):
    return x if net.training else 0.5 * x


def only_in_training(net, x):
    return 0.5 * x if net.training else x


def other_gradient(net, x):
    return x.detach() + 0.5 * (x - x.detach())


def only_far_away(net, x):
    return torch.where(x.abs().amax(1, keepdim=True) > 0.97, 0.9 * x, x)


def cross_entropy(outputs, targets):
    return F.cross_entropy(outputs, targets, reduction="none")


def key(model, loss="cross_entropy", data=None, *parts):
    data = (X, Y) if data is None else data
    learner = dv.Learner(model, loss=loss, training=TRAINING, progress=False)
    return retraining_key(learner.prepare(*data), as_data(*data), *parts)


MODELS = [plain, only_in_evaluation, only_in_training, other_gradient, only_far_away]


def test_models_of_the_same_parameters_are_told_apart():
    keys = [key(Net(between)) for between in MODELS] + [key(Net(plain, constant=1.001))]
    assert len(set(keys)) == 6
    assert keys[:5] == [key(Net(between)) for between in MODELS]


def test_dropout_in_training_only_is_told_apart():
    models = [nn.Sequential(nn.Linear(4, 5), nn.Dropout(p), nn.Linear(5, 3)) for p in (0.1, 0.2)]
    models[1].load_state_dict(models[0].state_dict())
    assert key(models[0]) != key(models[1])
    assert key(models[0]) == key(copy.deepcopy(models[0]))


def test_a_frozen_parameter_that_one_sample_reads_is_told_apart():
    tokens = np.zeros((16, 3), dtype="int64")
    tokens[15, 2] = 19
    keys = {key(Frozen(value), "cross_entropy", (tokens, Y)) for value in (0.0, 1.0, 1.01)}
    assert len(keys) == 3


def smoothed(amount):
    return lambda outputs, targets: F.cross_entropy(outputs, targets, reduction="none", label_smoothing=amount)


def clipped_late(outputs, targets):
    """Equal to cross-entropy at the start, where no loss is as small."""
    return cross_entropy(outputs, targets).clamp(min=0.05)


def test_losses_are_told_apart():
    losses = [
        cross_entropy,
        clipped_late,
        smoothed(0.1),
        smoothed(0.2),
        nn.CrossEntropyLoss(reduction="none"),
        nn.CrossEntropyLoss(reduction="none", label_smoothing=0.1),
    ]
    keys = [key(Net(plain), loss) for loss in losses]
    assert len(set(keys)) == len(losses)
    assert keys[2] == key(Net(plain), smoothed(0.1))


def objectives():
    first = lambda outputs, targets: cross_entropy(outputs, targets)  # noqa: E731
    second = lambda outputs, targets: (F.one_hot(targets, 3) - outputs.softmax(1)).pow(2).sum(1)  # noqa: E731
    return first, second


def left_out(folder=None, **options):
    learner = dv.Learner(Net(plain), training=TRAINING, progress=False)
    return dv.LeaveOneOut(learner, indices=[0, 1], folder=folder, **options).fit(X, Y).score(X_VAL, Y_VAL)[:2]


def test_leave_one_out_under_another_objective_or_utility(tmp_path):
    for objective in objectives():
        expected = left_out(objective=objective)
        np.testing.assert_array_equal(left_out(tmp_path, objective=objective), expected)
        np.testing.assert_array_equal(left_out(tmp_path, objective=objective), expected)
    for share in (0.1, 0.9):
        utility = lambda outputs, targets: float(share * outputs.sum())  # noqa: B023, E731
        np.testing.assert_array_equal(left_out(tmp_path, utility=utility), left_out(utility=utility))
    assert len(list(tmp_path.iterdir())) == 4


def test_random_subsets_under_another_objective(tmp_path):
    learner = dv.Learner(Net(plain), training=TRAINING, progress=False)
    options = {"removed": np.eye(16, dtype=bool)[:3]}
    for objective in objectives():
        found = [
            dv.evaluation.retrain_subsets(learner, X, Y, X_VAL, Y_VAL, objective=objective, folder=f, **options)
            for f in (tmp_path, None)
        ]
        np.testing.assert_array_equal(found[0].changes, found[1].changes)


def test_what_cannot_be_told_apart_is_refused_only_where_results_are_kept(tmp_path):
    lock = threading.Lock()

    def guarded(outputs, targets):
        with lock:
            return cross_entropy(outputs, targets)

    expected = left_out(objective=guarded)
    with pytest.raises(UnknownIdentityError, match="attribute dataval_identity"):
        left_out(tmp_path, objective=guarded)
    assert not list(tmp_path.iterdir())
    guarded.dataval_identity = "cross-entropy under a lock"
    np.testing.assert_array_equal(left_out(tmp_path, objective=guarded), expected)


class TestAdoption:
    """A run is adopted by a learner of the same loss, told by what the loss does and not by its name."""

    def adopted(self, recorded, mine):
        run = copy.copy(dv.Learner(Net(plain), loss=recorded, training=TRAINING, progress=False).train(X, Y))
        run.binding = None  # as if loaded
        return run, dv.Learner(Net(plain), loss=mine, training=TRAINING, progress=False)

    def test_by_an_equal_loss(self):
        run, learner = self.adopted(smoothed(0.1), smoothed(0.1))
        assert learner.replay(X, Y, run).run is run

    @pytest.mark.parametrize("pair", [(smoothed(0.1), smoothed(0.2)), (cross_entropy, clipped_late)])
    def test_by_no_other(self, pair):
        run, learner = self.adopted(*pair)
        with pytest.raises(RunMismatchError, match="recorded with another loss"):
            learner.replay(X, Y, run)

    def test_an_earlier_versions_run_is_told_by_the_name(self):
        run, learner = self.adopted(cross_entropy, cross_entropy)
        run.loss = run.loss.partition("#")[0]
        assert run.loss == f"{__name__}.cross_entropy"
        assert learner.replay(X, Y, run).run is run

    def test_another_version_of_pythons_too(self):
        run, learner = self.adopted(cross_entropy, cross_entropy)
        run.loss = f"{__name__}.cross_entropy#py2.7:0"
        assert learner.replay(X, Y, run).run is run
