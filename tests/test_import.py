"""What importing brings in: never a framework that the user didn't import."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FRAMEWORKS = ["torch", "tensorflow", "keras", "jax"]
NOT_NEEDED = ["matplotlib", "IPython"]  # pandas comes with scikit-learn where it is installed

TRAIN = """
import numpy as np
import torch
import dataval as dv
X, y = np.random.default_rng(0).normal(size=(8, 3)), np.arange(8) % 2
training = dv.Training(epochs=1, batch_size=4)
learner = dv.Learner(torch.nn.Linear(3, 2), training=training, progress=False)
for hessian in (False, True):
    dv.HyDRA(learner, hessian=hessian).fit(X, y).score(X, y)
"""


def modules_after(code: str) -> set[str]:
    """Return the names of the modules that a fresh interpreter holds after running the code."""
    show = "\nimport sys; print('\\n'.join(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code + show],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return set(result.stdout.split())


def test_the_core_imports_no_framework_and_no_plotting():
    loaded = modules_after("from dataval import *")
    assert "dataval.training.learner" in loaded
    assert not loaded & {*FRAMEWORKS, *NOT_NEEDED, "dataval_torch", "dataval_tensorflow"}


def test_importing_takes_no_time():
    """What takes it, NumPy and pydantic included, comes with the first name that needs it."""
    loaded = modules_after("import dataval; assert dataval.__version__")
    assert not loaded & {"numpy", "pandas", "pydantic", "scipy", "sklearn", *FRAMEWORKS, *NOT_NEEDED}
    assert {name for name in loaded if name.startswith("dataval.")} == {"dataval._moved"}


def test_naming_what_is_there_imports_nothing():
    loaded = modules_after("import dataval; assert {*dataval.__all__, '__version__'} <= {*dir(dataval)}")
    assert "dataval.training" not in loaded


def test_public_names_are_there():
    import dataval as dv

    with pytest.raises(AttributeError, match="module 'dataval' has no attribute 'HYDRA'"):
        dv.HYDRA  # noqa: B018
    for name in dv.__all__:
        assert getattr(dv, name) is not None
    assert sorted(dv.__all__, key=str.swapcase) == sorted(set(dv.__all__), key=str.swapcase)


def test_using_torch_imports_no_other_framework():
    pytest.importorskip("torch")
    loaded = modules_after(TRAIN)
    assert "dataval_torch" in loaded
    assert not loaded & {"tensorflow", "keras", "jax", "dataval_tensorflow"}


def test_asking_what_is_installed_imports_nothing():
    code = "from dataval.backend.registry import available_backends; assert type(available_backends()) is tuple"
    assert not modules_after(code) & set(FRAMEWORKS)


TRAIN_KERAS = """
import warnings
import numpy as np
import keras
import dataval as dv
X, y = np.random.default_rng(0).normal(size=(8, 3)).astype("float32"), np.arange(8) % 2
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
learner = dv.Learner(model, training=dv.Training(epochs=1, batch_size=4), progress=False)
for hessian in (False, True):
    dv.HyDRA(learner, hessian=hessian).fit(X, y).score(X, y)
"""


def test_using_tensorflow_imports_no_other_framework():
    pytest.importorskip("tensorflow")
    loaded = modules_after(TRAIN_KERAS)
    assert "dataval_tensorflow" in loaded
    assert not loaded & {"torch", "dataval_torch"}
