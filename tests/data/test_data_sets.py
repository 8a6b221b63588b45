"""Data sets and loaders of torch give the very values that the same samples give as arrays."""

from __future__ import annotations

import copy
import pickle
import random

import numpy as np
import pytest

import dataval as dv
from dataval.data import as_data
from dataval.errors import InvalidDataError, RunMismatchError

torch = pytest.importorskip("torch")
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset, TensorDataset  # noqa: E402

N = 37  # a multiple of no batch size, nor of what is read at a time
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(N, 4)).astype(np.float32), RNG.integers(0, 3, N)
X_VAL, Y_VAL = RNG.normal(size=(9, 4)).astype(np.float32), RNG.integers(0, 3, 9)


class Pairs(Dataset):
    """Pairs of what `inputs_of` makes of a row, and a label."""

    def __init__(self, X, Y, inputs_of=lambda row: row):
        self.X, self.Y, self.inputs_of = X, Y, inputs_of

    def __len__(self):
        return len(self.X)

    def __getitem__(self, index):
        return self.inputs_of(self.X[index]), self.Y[index]


class Rows(Pairs):
    """Pairs of plain Python numbers, of what `__getitem__` alone says."""

    def __getitem__(self, index):
        return self.X[index].tolist(), int(self.Y[index])


class Dicts(Pairs):
    def __getitem__(self, index):
        return {"input": self.X[index], "label": self.Y[index]}


class Failing(Pairs):
    def __getitem__(self, index):
        if index == 20:
            raise OSError("the disk is gone")
        return super().__getitem__(index)


def tensors(X, Y):
    return TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))


def hugging_face(X, Y):
    datasets = pytest.importorskip("datasets")
    return datasets.Dataset.from_dict({"input": X, "label": Y})


SOURCES = {
    "a data set": Pairs,
    "of tensors": tensors,
    "a subset": lambda X, Y: Subset(
        tensors(np.concatenate([X, X]), np.concatenate([Y, Y])), range(len(X), 2 * len(X))
    ),
    "joined": lambda X, Y: ConcatDataset([tensors(X[:5], Y[:5]), tensors(X[5:], Y[5:])]),
    "a loader": lambda X, Y: DataLoader(tensors(X, Y), batch_size=10, shuffle=True),
    "a loader with a collate_fn": lambda X, Y: DataLoader(Pairs(X, Y), batch_size=10, collate_fn=collated),
}


def collated(samples):
    return torch.stack([torch.from_numpy(x) for x, _ in samples]), torch.tensor([y for _, y in samples])


class Net(torch.nn.Linear):
    """Takes its input also as the keyword `input`."""


def learner(model=None, **options):
    torch.manual_seed(0)
    training = dv.Training(epochs=2, batch_size=8, seed=1)
    return dv.Learner(Net(4, 3) if model is None else model, training=training, progress=False, **options)


@pytest.fixture(scope="module")
def expected():
    run = learner().train(X, Y)
    return run, dv.HyDRA(learner(), hessian=True).fit(X, Y, run=run).score(X_VAL, Y_VAL)


@pytest.mark.parametrize("source", SOURCES)
def test_values_are_those_of_arrays(source, expected):
    """Bit for bit: the same batches reach the same computation."""
    train, validation = SOURCES[source](X, Y), SOURCES[source](X_VAL, Y_VAL)
    method = dv.HyDRA(learner(), hessian=True).fit(train)
    np.testing.assert_array_equal(method.run_.losses, expected[0].losses)
    np.testing.assert_array_equal(method.score(validation), expected[1])
    np.testing.assert_array_equal(method.score(X_VAL, Y_VAL), expected[1])


@pytest.mark.parametrize(("make", "key"), [(Dicts, None), (Dicts, "label"), (hugging_face, "label")])
def test_samples_that_are_dicts(make, key, expected):
    method = dv.HyDRA(learner(), hessian=True).fit(make(X, Y), key)
    np.testing.assert_array_equal(method.score(make(X_VAL, Y_VAL), key), expected[1])


def test_numbers_of_python_are_float64():
    data = as_data(Rows(X, Y)).take(np.arange(3))
    assert data.inputs.dtype == np.float64
    assert data.targets.dtype == np.int64
    np.testing.assert_array_equal(data.inputs, X[:3])


def test_processes_read_the_same(expected):
    loader = DataLoader(Pairs(X, Y, np.copy), batch_size=10, num_workers=2)
    whole = as_data(loader).take(np.arange(N)[::-1])
    np.testing.assert_array_equal(whole.inputs, X[::-1])
    np.testing.assert_array_equal(whole.targets, Y[::-1])


def test_methods_of_every_kind(expected):
    train, validation, run = Pairs(X, Y), Pairs(X_VAL, Y_VAL), expected[0]
    methods = [
        dv.InfluenceFunction(learner()),
        dv.TracIn(learner()),
        dv.AreaUnderMargin(learner()),
        dv.EL2N(learner()),
        dv.LeaveOneOut(learner(), indices=[3, 30], utility="accuracy"),
        dv.LeaveOneOut(learner(), indices=[3], mode="removal"),
        dv.RandomValues(),
    ]
    for method in methods:
        found = copy.copy(method).fit(train).score(validation)
        np.testing.assert_array_equal(found, method.fit(X, Y).score(X_VAL, Y_VAL))
    truth = dv.HyDRA(learner()).fit(X, Y, run=run).verify(X_VAL, Y_VAL, n_subsets=3, fraction=0.1)
    found = dv.HyDRA(learner()).fit(train).verify(validation, n_subsets=3, fraction=0.1)
    np.testing.assert_array_equal(found.actual, truth.actual)


def test_comparison():
    methods = {"HyDRA": dv.HyDRA(learner()), "mean loss": dv.MeanLoss(learner())}
    found = dv.compare(methods, Pairs(X, Y), X_val=Pairs(X_VAL, Y_VAL), progress=False)
    expected = dv.compare(methods, X, Y, X_VAL, Y_VAL, progress=False)
    for name in methods:
        np.testing.assert_array_equal(found.values[name], expected.values[name])


def test_a_run_is_adopted_with_its_own_data_only():
    train = Pairs(X, Y)
    run = learner().train(train)
    run.binding = None
    dv.HyDRA(learner()).fit(Pairs(X, Y), run=run)
    other = X.copy()
    other[0] += 1
    with pytest.raises(RunMismatchError, match="other data"):
        dv.HyDRA(learner()).fit(Pairs(other, Y), run=run)
    train.X = other  # the very same data set, which is another one now
    with pytest.raises(RunMismatchError, match="other data"):
        dv.HyDRA(learner()).fit(train, run=run)


def test_retraining_in_processes(tmp_path):
    """The data set travels to the processes, and results are found again by its fingerprint."""
    arguments = {"indices": [2, 5], "folder": tmp_path, "n_jobs": 2}
    found = dv.LeaveOneOut(learner(), **arguments).fit(tensors(X, Y)).score(tensors(X_VAL, Y_VAL))
    expected = dv.LeaveOneOut(learner(), indices=[2, 5]).fit(X, Y).score(X_VAL, Y_VAL)
    np.testing.assert_allclose(found[[2, 5]], expected[[2, 5]], rtol=0, atol=1e-6)  # float32, other groups
    files = {each.stat().st_mtime_ns for each in tmp_path.rglob("*") if each.is_file()}
    again = dv.LeaveOneOut(learner(), **arguments).fit(tensors(X, Y)).score(tensors(X_VAL, Y_VAL))
    np.testing.assert_array_equal(again, found)
    assert {each.stat().st_mtime_ns for each in tmp_path.rglob("*") if each.is_file()} == files


# ---- structures ----------------------------------------------------------------------------------


class Nested(torch.nn.Module):
    """Takes (a, {"b": c}) and returns two outputs."""

    def __init__(self):
        super().__init__()
        self.left, self.right = torch.nn.Linear(2, 3), torch.nn.Linear(2, 1)

    def forward(self, a, more):
        return {"class": self.left(a), "size": self.right(more["b"])[:, 0]}


def both(outputs, targets):
    labels, sizes = targets
    entropy = torch.nn.functional.cross_entropy(outputs["class"], labels["label"], reduction="none")
    return entropy + (outputs["size"] - sizes) ** 2


def nested(X, Y):
    return (X[..., :2], {"b": X[..., 2:]}), ({"label": Y}, X[..., 0] * 2)


class NestedPairs(Pairs):
    def __getitem__(self, index):
        return nested(self.X[index], self.Y[index])


@pytest.mark.parametrize("hessian", [False, True])
def test_nested_inputs_and_several_targets(hessian):
    torch.manual_seed(0)
    one = learner(Nested(), loss=both)
    method = dv.HyDRA(one, hessian=hessian).fit(*nested(X, Y))
    values = method.score(*nested(X_VAL, Y_VAL))
    assert np.isfinite(values).all()
    assert np.ptp(values) > 0
    np.testing.assert_array_equal(
        dv.HyDRA(one, hessian=hessian).fit(NestedPairs(X, Y)).score(NestedPairs(X_VAL, Y_VAL)), values
    )
    rows = method.attribute(*nested(X_VAL, Y_VAL))
    np.testing.assert_allclose(rows.mean(axis=0), values, rtol=0, atol=1e-6)  # float32


def test_named_losses_take_one_array_of_targets():
    with pytest.raises(InvalidDataError, match="'cross_entropy' takes one array of targets, not a tuple"):
        learner(Nested(), outputs=lambda found: found["class"]).train(*nested(X, Y))


# ---- augmentation --------------------------------------------------------------------------------


class Noisy(Pairs):
    """Draws from all three generators."""

    def __getitem__(self, index):
        noise = random.random() + np.random.rand() + torch.rand(()).item()  # noqa: NPY002
        return self.X[index] + np.float32(noise), self.Y[index]


def test_a_seed_decides_what_is_drawn():
    data, at = as_data(Noisy(X, Y)), np.array([3, 9, 3])
    first = data.take(at, np.array([7, 8, 7])).inputs
    np.testing.assert_array_equal(first[0], first[2])
    np.testing.assert_array_equal(data.take(at[1:2], np.array([8])).inputs[0], first[1])
    assert not np.array_equal(data.take(at, np.array([1, 2, 1])).inputs, first)
    assert not np.array_equal(data.take(np.array([3, 3]), np.array([1, 2])).inputs[0], first[0])
    np.testing.assert_array_equal(data.take(at).inputs, data.take(at).inputs)


def generator_states():
    numpy = np.random.get_state()[1].tolist()  # noqa: NPY002
    return random.getstate(), numpy, torch.get_rng_state().tolist()


def test_the_callers_generators_stay():
    method, before = dv.HyDRA(learner()), generator_states()
    method.fit(Noisy(X, Y)).score(Noisy(X_VAL, Y_VAL))
    assert generator_states() == before


def test_batches_hand_the_draws_on():
    replay = learner().prepare(Noisy(X, Y))
    batches, at = replay.program.batches, np.array([3, 9])
    first = batches.take(at, np.array([1, 2])).inputs
    np.testing.assert_array_equal(first.numpy(), as_data(Noisy(X, Y)).take(at, np.array([1, 2])).inputs)
    assert not torch.equal(batches.take(at, np.array([3, 4])).inputs, first)


def test_processes_draw_the_same():
    draws = np.arange(100, 100 + N)
    expected = as_data(Noisy(X, Y)).take(np.arange(N), draws).inputs
    loader = DataLoader(Noisy(X, Y), batch_size=5, num_workers=2)
    np.testing.assert_array_equal(as_data(loader).take(np.arange(N), draws).inputs, expected)


def test_a_data_set_that_turns_out_to_be_random():
    """Its first samples draw nothing; from the first that does on, each has its seed."""

    class Late(Pairs):
        def __getitem__(self, index):
            return self.X[index] + np.float32(random.random() if index == 20 else 0), self.Y[index]

    data = as_data(Late(X, Y))
    np.testing.assert_array_equal(data.take(slice(18, 22)).inputs, data.take(slice(18, 22)).inputs)
    assert not np.array_equal(data.take(np.array([20]), np.array([5])).inputs, data.take(np.array([20])).inputs)


# ---- what can't be used --------------------------------------------------------------------------


class Own(Pairs):
    """Draws from a generator of its own."""

    rng = np.random.default_rng(0)

    def __getitem__(self, index):
        return self.X[index] + self.rng.random(), self.Y[index]


class Stream(IterableDataset):
    def __iter__(self):
        yield from zip(X, Y, strict=True)


def changed(at, value):
    rows = list(X)
    rows[at] = value
    return Pairs(rows, Y)


class Same(Pairs):
    """All of its samples are one."""

    def __init__(self, sample):
        self.sample = sample

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return self.sample


BAD = {
    "a stream": (lambda: Stream(), None, r"Stream: a sample's value needs the same sample again .*map-style"),
    "a loader of a stream": (lambda: DataLoader(Stream(), batch_size=4), None, "map-style data set"),
    "a loader of some": (
        lambda: DataLoader(Pairs(X, Y), 4, sampler=torch.utils.data.SubsetRandomSampler([1, 2])),
        None,
        r"draws by a SubsetRandomSampler.*Subset\(dataset, indices\)",
    ),
    "a loader without batches": (lambda: DataLoader(Pairs(X, Y), batch_size=None), None, "has no batch_size"),
    "targets besides": (
        lambda: Pairs(X, Y),
        Y,
        "Pairs, which yields targets with its inputs, so y must",
    ),
    "a key for pairs": (lambda: Pairs(X, Y), "label", "y='label' names the target in samples that are dicts"),
    "no such key": (lambda: Dicts(X, Y), "class", r"hold \['input', 'label'\], no 'class'"),
    "no usual key": (
        lambda: Same({"a": 1.0, "b": 0}),
        None,
        r"hold \['a', 'b'\], none of which is called",
    ),
    "the target alone": (lambda: Same({"label": 0}), None, "nothing but their target 'label'"),
    "triples": (lambda: Same((X[0], 0, 1)), None, "sample is a tuple of 3: it must be a pair"),
    "no pair": (lambda: Same(X[0]), None, "sample is an array of float32.*must be a pair"),
    "texts": (lambda: Same(("a text", 0)), None, r"sample\[0\] of sample 0 is 'a text'"),
    "no samples": (lambda: Pairs(X[:0], Y[:0]), None, "training set is empty"),
    "own random numbers": (lambda: Own(X, Y), None, "sample 0 is another one when it is read again"),
    "a shape": (lambda: changed(5, X[0, :3]), None, r"sample\[0\] of the training sample 5 has shape \(3,\)"),
    "a shape in another batch": (
        lambda: changed(slice(18, 30), np.zeros((12, 3), np.float32)),
        None,
        r"X of sample|sample\[0\] of the training sample 18 has shape \(3,\)",
    ),
    "a dtype": (
        lambda: Pairs([*(X[:20] > 0), *X[20:]], Y),
        None,
        "is float32, of sample 0 bool: give all samples one dtype",
    ),
    "NaN": (lambda: changed(30, X[0] * np.nan), None, "X contains NaN or infinity, first at sample 30"),
    "a failure": (lambda: Failing(X, Y), None, "training sample 20 can't be read: OSError: the disk is gone"),
    "a label": (
        lambda: Pairs(X, np.where(np.arange(N) == 33, 7, Y)),
        None,
        "label 7 of sample 33 is out of",
    ),
    "a batch that is too short": (
        lambda: DataLoader(Pairs(X, Y), 4, collate_fn=lambda samples: collated(samples[:1] * 2)),
        None,
        "holds 2 samples after the collate_fn of 1",
    ),
    "a random collate_fn": (
        lambda: DataLoader(Pairs(X, Y), 4, collate_fn=lambda samples: (torch.rand(len(samples), 4), Y[:1])),
        None,
        "the collate_fn draws random numbers",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_says_what_is_wrong(case):
    """Before any training: with a named loss, all targets are read."""
    make, y, match = BAD[case]
    with pytest.raises(InvalidDataError, match=match):
        learner().train(make(), y)


def test_arrays_without_targets():
    with pytest.raises(InvalidDataError, match=r"training y is None: pass an array of targets, .* a data set"):
        learner().train(X)


def test_validation_is_named():
    method = dv.HyDRA(learner()).fit(Pairs(X, Y))
    with pytest.raises(InvalidDataError, match="validation X contains NaN or infinity, first at sample 5"):
        method.score(Pairs(np.where(np.arange(9)[:, None] == 5, np.nan, X_VAL), Y_VAL))
    with pytest.raises(InvalidDataError, match=r"validation inputs hold \[\"X\['input'\]\"\], the training"):
        method.score(Dicts(X_VAL, Y_VAL))


def test_an_estimator_needs_arrays():
    from sklearn.linear_model import LogisticRegression

    with pytest.raises(InvalidDataError, match="an estimator of scikit-learn takes inputs and targets apart"):
        dv.LeaveOneOut(LogisticRegression()).fit(Pairs(X, Y))


def test_can_be_pickled():
    data = pickle.loads(pickle.dumps(as_data(DataLoader(tensors(X, Y), batch_size=4, num_workers=2))))
    np.testing.assert_array_equal(data.take(np.arange(N)).inputs, X)


def test_targets_are_read_once(monkeypatch):
    data = as_data(Pairs(X, Y))
    first = [targets for _, targets in data.target_parts()]
    monkeypatch.setattr(Pairs, "__getitem__", None)
    assert all(a is b for a, (_, b) in zip(first, data.target_parts(), strict=True))
