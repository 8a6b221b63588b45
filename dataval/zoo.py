"""Models that go by a name, for the command line and for examples.

The models themselves belong to the backends: the package of each has a module ``zoo`` with a function
``build(name, input_shape, n_outputs, initialisation)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, Literal, get_args

from dataval.backend.registry import available_backends, load_backend
from dataval.checks import one_of
from dataval.errors import BackendNotFoundError

__all__ = ["MODELS", "named_model"]

MODELS: dict[str, int | None] = {
    "linear": None,
    "mlp": None,
    "cnn": 4,
    "lenet": 12,
    "lenet-norm": 12,
    "lenet-relu": 12,
}
"""The names, each with the least height and width of the images it takes; None where anything will do."""

Initialisation = Literal["framework", "he"]

_STARTING_WITH_HE = {"lenet", "lenet-norm"}
_DEFAULT = "torch"  # the command line's settings were chosen with it


def named_model(
    name: str,
    input_shape: Sequence[int],
    n_outputs: int,
    *,
    backend: str | None = None,
    initialisation: Initialisation | None = None,
) -> tuple[Callable[[], Any], str]:
    """Return what builds a model, for `Learner`, and the backend it belongs to.

    Parameters
    ----------
    name : str
        ``"linear"``, ``"mlp"`` (two hidden layers of 64), ``"cnn"`` (two convolutions), ``"lenet"`` (LeNet-5
        with GELU and average pooling), ``"lenet-norm"`` (the same, normalised by groups of channels and by
        layer before each activation) or ``"lenet-relu"`` (with ReLU and max-pooling, as in papers).
    input_shape : sequence of int
        Shape of one sample; of images ``(channels, height, width)``.
    n_outputs : int
        Number of outputs, such as classes.
    backend : str, optional
        PyTorch's by default, where it is installed.
    initialisation : {"framework", "he"}, optional
        ``"he"``: normal weights of variance 2 / fan-in, biases of 0 (He et al., 2015). ``"framework"``: its
        own, under which a LeNet on raw images sits on its first plateau for epochs, so that little decides
        when training begins. He's for ``"lenet"`` and ``"lenet-norm"`` by default, the framework's for others.

    Returns
    -------
    builder : callable
        Without arguments; can be pickled.
    backend : str

    Raises
    ------
    ValueError
        If a name is unknown, or the model doesn't take samples of this shape.
    BackendNotFoundError
        If no backend is installed.
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}: choose one of {list(MODELS)}")
    side = MODELS[name]
    if side is not None and (len(input_shape) != 3 or min(input_shape[1:]) < side):
        raise ValueError(
            f"the model {name!r} takes images (channels, height, width) from {side} x {side} pixels, not "
            f"samples of shape {tuple(input_shape)}: choose 'mlp'"
        )
    chosen = backend or _first_backend()
    package = load_backend(chosen).__module__.split(".")[0]
    build = import_module(f"{package}.zoo").build
    own = "he" if name in _STARTING_WITH_HE else "framework"
    start = one_of(
        "initialisation", own if initialisation is None else initialisation, get_args(Initialisation)
    )
    return partial(build, name, tuple(input_shape), n_outputs, start), chosen


def _first_backend() -> str:
    available = available_backends()
    if not available:
        raise BackendNotFoundError("no backend is installed: pip install 'dataval[torch]'")
    return _DEFAULT if _DEFAULT in available else available[0]
