"""Ctrl-C that comes where it would break something is put off, never lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from dataval.process import uninterrupted


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_the_body_is_finished_first():
    done = []

    def body():
        with uninterrupted():
            press()
            done.append(1)

    with pytest.raises(KeyboardInterrupt):
        body()
    assert done == [1]


def test_the_callers_handler_is_back():
    before = signal.getsignal(signal.SIGINT)
    with uninterrupted():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_without_ctrl_c_an_error_of_the_body_is_raised():
    with pytest.raises(ValueError, match="own"), uninterrupted():
        raise ValueError("own")


def test_other_threads_leave_signals_alone():
    seen = []

    def work():
        with uninterrupted():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]


INTERRUPTED_AT_FIRST_USE = """
import os, signal, sys, threading
import numpy as np
import torch
import dataval as dv
X, y = np.random.default_rng(0).normal(size=(16, 3)), np.arange(16) % 2
training = dv.Training(epochs=1, batch_size=4)
class Own(torch.nn.Linear):  # no layer that is known: its samples' gradients take vmap
    def forward(self, x):
        return x @ (1.0 * self.weight).T
learner = dv.Learner(Own(3, 2, bias=False).double(), training=training, progress=False)
hydra = dv.HyDRA(learner).fit(X, y)
class Press:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("torch._dynamo"):
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Press())
try:
    hydra.attribute(X, y)
except KeyboardInterrupt:
    print("interrupted")
again = hydra.attribute(X, y)
print(np.allclose(again.mean(0), hydra.score(X, y), rtol=1e-10, atol=0))
"""


def test_what_pytorch_imports_at_its_first_use_is_never_left_half_imported():
    pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT_FIRST_USE],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
    )
    assert done.stdout.split() == ["interrupted", "True"]
