"""No public call leaves a trace in the process: random streams, modes, settings, files, signals."""

from __future__ import annotations

import os
import random
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import dataval as dv
from tests.runs import make_learner, make_samples


def torch_state():
    import torch

    backends = torch.backends
    return {
        "stream": torch.get_rng_state().tolist(),
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "fast attention": backends.mha.get_fastpath_enabled(),
        "attention": (backends.cuda.flash_sdp_enabled(), backends.cuda.mem_efficient_sdp_enabled()),
        "kernels": (backends.cudnn.enabled, backends.cudnn.deterministic, backends.mkldnn.enabled),
    }


def tensorflow_state():
    import keras
    import tensorflow as tf

    return {
        "stream": tf.random.get_global_generator().state.numpy().tolist(),
        "eager": tf.config.functions_run_eagerly(),
        "floats": keras.backend.floatx(),
        "policy": keras.mixed_precision.global_policy().name,
        "moments": tf.nn.moments,
        "call": keras.Layer.__call__,
    }


def process_state(framework):
    streams = {"python": random.getstate(), "numpy": np.random.get_state()[1].tolist()}  # noqa: NPY002 - it is what must stay
    settings = {
        "errors": np.geterr(),
        "filters": list(warnings.filters),
        "interrupt": signal.getsignal(signal.SIGINT),
        "folder": Path.cwd(),
        "environment": {
            k: v for k, v in os.environ.items() if k != "TORCHINDUCTOR_CACHE_DIR"
        },  # PyTorch sets it
        "hooks": (sys.excepthook, sys.displayhook),
        "recursion": sys.getrecursionlimit(),
    }
    return streams | settings | (torch_state() if framework == "torch" else tensorflow_state())


CALLS = {
    "train": lambda c: c.learner.train(*c.samples),
    "replay": lambda c: c.learner.replay(*c.samples, c.run).export(),
    "hydra": lambda c: dv.HyDRA(c.learner).fit(*c.samples, run=c.run).score(*c.validation),
    "exact": lambda c: dv.HyDRA(c.learner, hessian=True).fit(*c.samples, run=c.run).attribute(*c.validation),
    "influence": lambda c: dv.InfluenceFunction(c.learner).fit(*c.samples, run=c.run).score(*c.validation),
    "tracin": lambda c: dv.TracIn(c.learner).fit(*c.samples, run=c.run).score(*c.validation),
    "leave one out": lambda c: dv.LeaveOneOut(c.learner, indices=[0, 1]).fit(*c.samples).score(*c.validation),
    "el2n": lambda c: dv.EL2N(c.learner).fit(*c.samples, run=c.run).score(*c.validation),
    "grand": lambda c: dv.GraNd(c.learner).fit(*c.samples, run=c.run).score(*c.validation),
    "verify": lambda c: (
        dv.MeanLoss(c.learner).fit(*c.samples, run=c.run).verify(*c.validation, n_subsets=3, fraction=0.2)
    ),
    "compare": lambda c: dv.compare({"mean loss": dv.MeanLoss(c.learner)}, *c.samples, *c.validation),
    "save": lambda c: dv.TrainingRun.load(c.run.save(c.folder / "run")),
}


class Context:
    """A learner with dropout, whose every update draws, and a run of it."""

    def __init__(self, zoo, folder):
        self.learner = make_learner(zoo, "dropout", epochs=1)
        self.samples, self.validation = make_samples("dropout"), make_samples("dropout", 4, seed=2)
        self.run, self.folder = self.learner.train(*self.samples), folder


@pytest.mark.parametrize("call", CALLS)
def test_the_process_is_as_it_was(zoo, framework, call, tmp_path):
    context = Context(zoo, tmp_path)
    before = process_state(framework)
    CALLS[call](context)
    after = process_state(framework)
    for name, state in before.items():
        assert after[name] == state, name


def test_a_builder_leaves_the_streams_alone(framework):
    if framework == "torch":
        from torch import nn

        def build():
            random.random(), np.random.random()  # noqa: NPY002
            return nn.Linear(6, 3)
    else:
        import keras

        def build():
            random.random(), np.random.random()  # noqa: NPY002
            return keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])

    X, y = make_samples()
    learner = dv.Learner(build, training=dv.Training(epochs=1, batch_size=6), progress=False)
    before = process_state(framework)
    learner.train(X.astype("float32"), y)
    after = process_state(framework)
    for name, state in before.items():
        assert after[name] == state, name
