"""Where modules were before this version: their old paths import for one more release, with a warning."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["MOVED", "find_moved"]

MOVED = {
    "dataval.checkpoints": "dataval.training.checkpoints",
    "dataval.classification": "dataval.objectives.logits",
    "dataval.commands": "dataval.cli",
    "dataval.commands.compare": "dataval.cli.compare",
    "dataval.commands.config": "dataval.cli.config",
    "dataval.commands.detect": "dataval.cli.detect",
    "dataval.commands.errors": "dataval.cli.errors",
    "dataval.commands.methods": "dataval.cli.methods",
    "dataval.commands.tables": "dataval.cli.samples",
    "dataval.ensemble": "dataval.retraining.ensemble",
    "dataval.estimators": "dataval.retraining.estimators",
    "dataval.evaluation.agreement": "dataval.metrics.agreement",
    "dataval.evaluation.fidelity": "dataval.metrics.fidelity",
    "dataval.evaluation.noise_detection": "dataval.metrics.noise_detection",
    "dataval.evaluation.ranking": "dataval.metrics.ranking",
    "dataval.evaluation.stability": "dataval.metrics.stability",
    "dataval.evaluation.subsets": "dataval.retraining.subsets",
    "dataval.evaluation.two_means": "dataval.metrics.two_means",
    "dataval.learner": "dataval.training.learner",
    "dataval.losses": "dataval.backend.losses",
    "dataval.memory": "dataval.evaluation.memory",
    "dataval.objective": "dataval.objectives.validation",
    "dataval.optimizers": "dataval.training.optimizers",
    "dataval.optimizers.adam": "dataval.training.optimizers.adam",
    "dataval.optimizers.base": "dataval.training.optimizers.base",
    "dataval.optimizers.clipping": "dataval.training.optimizers.clipping",
    "dataval.optimizers.sgd": "dataval.training.optimizers.sgd",
    "dataval.plan": "dataval.training.plan",
    "dataval.predictions": "dataval.objectives.predictions",
    "dataval.program": "dataval.training.program",
    "dataval.recording": "dataval.training.recording",
    "dataval.registry": "dataval.backend.registry",
    "dataval.replay": "dataval.training.replay",
    "dataval.run": "dataval.training.run",
    "dataval.schedules": "dataval.training.schedules",
    "dataval.solvers.system": "dataval.curvature.system",
    "dataval.storage": "dataval.training.storage",
    "dataval.sweep": "dataval.training.sweep",
    "dataval.utility": "dataval.objectives.utility",
}
"""New paths by old ones."""


class _OldPaths(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in MOVED:
            return None
        return ModuleSpec(fullname, self, is_package=fullname in {"dataval.commands", "dataval.optimizers"})

    def exec_module(self, module: ModuleType) -> None:
        new = MOVED[module.__name__]
        warnings.warn(f"{module.__name__} is now {new}", DeprecationWarning, stacklevel=2)
        sys.modules[module.__name__] = import_module(new)
        sys.modules[module.__name__.rpartition(".")[0]].__class__ = _KeepsItsNames


class _KeepsItsNames(ModuleType):
    """A package whose functions no module replaces: imports set what they found as the parent's attribute."""

    def __setattr__(self, name: str, value: object) -> None:
        taken = self.__dict__.get(name)
        if taken is None or isinstance(taken, ModuleType) or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


def find_moved() -> None:
    """Let the old paths be imported, before any finder sees a moved package's files under its old name."""
    sys.meta_path.insert(0, _OldPaths())
