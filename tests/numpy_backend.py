"""A backend that fits on a page: softmax regression in NumPy."""

from types import SimpleNamespace

import numpy as np

from dataval.backend import Arrays, Backend, Linearization, Objective, Signature, TrainingLoss
from dataval.backend.layers import LinearGradients
from dataval.backend.losses import CrossEntropy, resolve_loss
from dataval.backend.selection import select
from dataval.backend.targets import check_all_targets
from dataval.backend.trial import run_example
from dataval.errors import InvalidModelError


class SoftmaxRegression:
    """The model: logits x @ weights + bias."""

    def __init__(self, weights, bias):
        self.weights, self.bias = weights, bias

    def __call__(self, x):
        return x @ self.weights + self.bias


class Batch:
    """Samples: a column of ones stands for the bias; what isn't trained adds a fixed offset to the logits."""

    def __init__(self, x, y, matrix, free):
        x = np.column_stack([x, np.ones(len(x))])
        self.x, self.offset, self.y = (
            x[:, free],
            x[:, ~free] @ matrix[~free],
            np.eye(matrix.shape[1])[y.astype(int)],
        )

    def __len__(self):
        return len(self.x)

    def arrays(self):
        return [self.x, self.y]

    def push(self, vectors):  # parameters (..., P) to logits (..., n, classes)
        return self.x @ vectors.reshape(*vectors.shape[:-1], self.x.shape[1], self.y.shape[1])

    def pull(self, cotangents):  # and back
        found = self.x.T @ cotangents
        return found.reshape(*found.shape[:-2], -1)

    def softmax(self, parameters):  # losses (..., n) and probabilities (..., n, classes)
        z = self.push(parameters) + self.offset
        z = z - z.max(-1, keepdims=True)
        total = np.exp(z).sum(-1, keepdims=True)
        return np.log(total[..., 0]) - (z * self.y).sum(-1), np.exp(z) / total

    def rows(self, parameters):
        residuals = self.softmax(parameters)[1] - self.y
        return (self.x[:, :, None] * residuals[:, None, :]).reshape(len(self), -1)

    def products(self, parameters, weights, vectors):  # with the Hessian of the weighted loss
        p = self.softmax(parameters)[1]
        moved = p * self.push(vectors)
        return self.pull(weights[:, None] * (moved - p * moved.sum(-1, keepdims=True)))


class NumpyLoss(TrainingLoss):
    def gradient(self, parameters, buffers, batch, weights, seed):
        losses, p = batch.softmax(parameters)
        return losses, batch.pull(weights[..., None] * (p - batch.y)), buffers

    def rows(self, parameters, buffers, batch, seed, part=None):
        return batch.rows(parameters)[part or slice(None)]

    def linearize(self, parameters, buffers, batch, weights, seed):
        def pullback(vectors, buffer_vectors):
            slopes = self.slopes(parameters, buffers, batch, vectors, seed)
            return batch.products(parameters, weights, vectors), slopes, buffer_vectors

        return Linearization(lambda: self.gradient(parameters, buffers, batch, weights, seed)[1], pullback)

    linearize_gauss_newton = linearize  # as the logits are linear in the parameters


class NumpyObjective(Objective):
    def layer_gradients(self, parameters, buffers, batch, cotangents=None):
        p = batch.softmax(parameters)[1]
        outputs = p - batch.y if cotangents is None else cotangents
        one = slice(None), None, None
        return [LinearGradients("linear", batch.x[one], outputs[one], 0, order="igo")]

    def values(self, parameters, buffers, batch):
        return batch.softmax(parameters)[0]

    def rows(self, parameters, buffers, batch):
        return batch.rows(parameters), np.zeros((len(batch), 0), self.arrays.dtype)

    def hessian_products(self, parameters, buffers, batch, weights, vectors):
        return batch.products(parameters, weights, vectors)

    gauss_newton_products = hessian_products  # as the logits are linear in the parameters


class NumpyBackend(Backend):
    name = "numpy"
    signature = None  # each has its own

    def __init__(self, model, params):
        named = select({"weights": model.weights, "bias": model.bias}, params, has_frozen=False)
        self.matrix = np.vstack([model.weights, model.bias])
        self.free = np.repeat(["weights" in named, "bias" in named], [len(model.weights), 1])
        self.signature = Signature(tuple((n, a.shape) for n, a in named.items()), (), self.matrix.dtype.name)
        self.arrays = Arrays(self.signature.dtype)
        self.loss = NumpyLoss(self.arrays)

    @classmethod
    def handles(cls, model):
        return isinstance(model, SoftmaxRegression)

    @classmethod
    def create(cls, model, loss, *, device, params, seed, example, build=None, outputs=None):
        if resolve_loss(loss) != CrossEntropy() or outputs is not None:
            raise InvalidModelError("the NumPy backend knows the loss 'cross_entropy' of plain outputs alone")
        run_example(lambda: model(example.inputs), example.inputs, len(example))
        backend = cls(model, params)
        backend.check_targets(example)
        return backend

    def initial(self):
        return self.matrix[self.free].ravel(), np.zeros(0, self.arrays.dtype)

    def export(self, parameters, buffers):
        matrix = self.matrix.copy()
        matrix[self.free] = parameters.reshape(-1, matrix.shape[1])
        return SoftmaxRegression(matrix[:-1], matrix[-1])

    def batches(self, data):
        def take(indices, draws=None):
            samples = data.take(indices, draws)
            return Batch(samples.inputs, samples.targets, self.matrix, self.free)

        return SimpleNamespace(take=take)

    def check_targets(self, data):
        outputs = self.export(*self.initial())(data.take(slice(0, 1)).inputs)
        check_all_targets("cross_entropy", outputs, data, class_axis=1)

    def predict(self, parameters, buffers, batch):
        return batch.push(parameters) + batch.offset

    def objective(self, function=None):
        if function is not None:
            raise InvalidModelError("the NumPy backend knows no objective but its loss")
        return NumpyObjective(self.arrays)
