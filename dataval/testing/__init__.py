"""Tests that every backend must pass, for those who write one; they need pytest.

A test module makes subclasses, and gives the models:

>>> class TestDerivatives(BackendConformance):
...     @pytest.fixture(params=["linear", "convolutional"])
...     def case(self, request):
...         return make_case(AbacusBackend, MODELS[request.param](), X, y)
>>> class TestConstruction(ConstructionConformance):
...     @pytest.fixture
...     def make(self):
...         return partial(make_backend, AbacusBackend, MODELS["linear"]())

Failures show what was compared, as in a test module of one's own.
"""

try:
    import pytest
except ImportError as error:
    raise ImportError("dataval.testing needs pytest: pip install 'dataval[test]'") from error

pytest.register_assert_rewrite(
    *(
        f"dataval.testing.{name}"
        for name in ("comparison", "construction", "objective", "optimizer", "training_loss")
    )
)

from dataval.testing.case import SEED, Case, make_backend, make_case  # noqa: E402 - after the line above
from dataval.testing.comparison import assert_near, central  # noqa: E402
from dataval.testing.construction import ConstructionConformance  # noqa: E402
from dataval.testing.objective import ObjectiveConformance  # noqa: E402
from dataval.testing.optimizer import check_optimizer  # noqa: E402
from dataval.testing.training_loss import LossConformance  # noqa: E402

__all__ = [
    "SEED",
    "BackendConformance",
    "Case",
    "ConstructionConformance",
    "LossConformance",
    "ObjectiveConformance",
    "assert_near",
    "central",
    "check_optimizer",
    "make_backend",
    "make_case",
]


class BackendConformance(LossConformance, ObjectiveConformance):
    """All that must hold of one model: the loss in training mode, and objectives in evaluation mode."""
