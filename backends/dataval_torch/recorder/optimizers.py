"""What PyTorch's optimizers are told, and what they remember, in this library's terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dataval.training.optimizers import SGD, Adagrad, Adam, AdamW, NAdam, Optimizer, RAdam, RMSprop
from dataval.training.tape import Setting

__all__ = ["Watched", "unwrapped"]

Group = Mapping[str, Any]


@dataclass(frozen=True)
class _Known:
    """How one of PyTorch's optimizers corresponds to one of ours.

    Attributes
    ----------
    kind : callable
        Our class, from a group's options.
    values : callable
        The hyperparameters by name, from a group's options.
    slots : tuple of str
        What it remembers of each parameter, in the order of our slots.
    fixed : dict of str to str
        Options of ours that say which arithmetic it is, by their name there.
    """

    kind: Callable[[Group], type[Optimizer]]
    values: Callable[[Group], dict[str, float]]
    slots: tuple[str, ...]
    fixed: Mapping[str, str]


def _sgd(group: Group) -> dict[str, float]:
    return {
        "learning_rate": group["lr"],
        "momentum": group["momentum"],
        "dampening": group["dampening"],
        "weight_decay": group["weight_decay"],
    }


def _adam(group: Group) -> dict[str, float]:
    beta1, beta2 = group["betas"]
    decay = group["weight_decay"]
    return {
        "learning_rate": group["lr"],
        "beta1": beta1,
        "beta2": beta2,
        "epsilon": group["eps"],
        "weight_decay": decay,
    }


def _nadam(group: Group) -> dict[str, float]:
    return _adam(group) | {"momentum_decay": group["momentum_decay"]}


def _rmsprop(group: Group) -> dict[str, float]:
    return {
        "learning_rate": group["lr"],
        "alpha": group["alpha"],
        "epsilon": group["eps"],
        "momentum": group["momentum"],
        "weight_decay": group["weight_decay"],
    }


def _adagrad(group: Group) -> dict[str, float]:
    return {
        "learning_rate": group["lr"],
        "learning_rate_decay": group["lr_decay"],
        "epsilon": group["eps"],
        "weight_decay": group["weight_decay"],
    }


def _adam_kind(group: Group) -> type[Optimizer]:
    return AdamW if group.get("decoupled_weight_decay") else Adam


_DECOUPLED = {"decoupled_weight_decay": "decoupled_weight_decay"}
_MOMENTS = ("exp_avg", "exp_avg_sq")
_KNOWN: dict[type[torch.optim.Optimizer], _Known] = {
    torch.optim.SGD: _Known(lambda _: SGD, _sgd, ("momentum_buffer",), {"nesterov": "nesterov"}),
    torch.optim.Adam: _Known(_adam_kind, _adam, _MOMENTS, {}),
    torch.optim.AdamW: _Known(lambda _: AdamW, _adam, _MOMENTS, {}),
    torch.optim.NAdam: _Known(lambda _: NAdam, _nadam, _MOMENTS, _DECOUPLED),
    torch.optim.RAdam: _Known(lambda _: RAdam, _adam, _MOMENTS, _DECOUPLED),
    torch.optim.RMSprop: _Known(
        lambda _: RMSprop, _rmsprop, ("square_avg", "grad_avg", "momentum_buffer"), {"centered": "centered"}
    ),
    torch.optim.Adagrad: _Known(lambda _: Adagrad, _adagrad, ("sum",), {}),
}
_RATE_ALONE = dict.fromkeys(SGD.hyperparameters, 0.0)
_UNKNOWN = _Known(lambda _: SGD, lambda group: _RATE_ALONE | {"learning_rate": group.get("lr", 0.0)}, (), {})
_REFUSED = ("maximize", "amsgrad")


class Watched:
    """An optimizer of PyTorch that a loop calls.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    parameters : sequence of Tensor
        Those of the model that it updates, in the model's order.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor]) -> None:
        self.optimizer, self.parameters = optimizer, list(parameters)
        self._is_known = type(optimizer) in _KNOWN
        self._known = _KNOWN.get(type(optimizer), _UNKNOWN)
        self._find_groups()

    def order(self, names: Sequence[str], net: nn.Module) -> None:
        """Take the parameters in the order of their names."""
        named = dict(net.named_parameters())
        self.parameters = [named[name] for name in names]
        self._find_groups()

    def _find_groups(self) -> None:
        groups = self.optimizer.param_groups
        places = {id(p): i for i, group in enumerate(groups) for p in group["params"]}
        self._groups = tuple(places[id(p)] for p in self.parameters)

    @property
    def problem(self) -> str | None:
        """Why its updates can't be done again, or None."""
        name = type(self.optimizer).__name__
        if not self._is_known:
            known = ", ".join(kind.__name__ for kind in _KNOWN)
            return f"the optimizer {name} isn't known (known are exactly {known}, and no subclasses)"
        for group in self.optimizer.param_groups:
            if on := [option for option in _REFUSED if group.get(option)]:
                return f"the optimizer has {on[0]}=True, which has no counterpart here"
        kinds = {(self._known.kind(g), *self._fixed(g).items()) for g in self.optimizer.param_groups}
        return (
            None if len(kinds) == 1 else "the optimizer's groups do different arithmetic (nesterov, decoupled)"
        )

    def described(self) -> Optimizer:
        """Return our optimizer of the same kind; its numbers are those of the group with most momentum."""
        group = max(self.optimizer.param_groups, key=lambda each: each.get("momentum", 0.0))
        values = {name: float(value) for name, value in self._known.values(group).items()}
        rate = float(group.get("initial_lr", values["learning_rate"])) or values["learning_rate"] or 1.0
        betas = (values.pop("beta1"), values.pop("beta2")) if "beta1" in values else None
        options = values | self._fixed(group) | {"learning_rate": rate}
        kind = self._known.kind(group)
        return kind(**options if betas is None else options | {"betas": betas})

    def setting(self) -> Setting:
        """Return what it is told now."""
        values = tuple(
            {name: float(value) for name, value in self._known.values(group).items()}
            for group in self.optimizer.param_groups
        )
        return Setting(values, self._groups, tuple(p.grad is not None for p in self.parameters))

    def counts(self) -> list[int]:
        """Return how many updates each parameter has had, as far as it matters to the next."""
        return [self._count(self.optimizer.state.get(p, {})) for p in self.parameters]

    def slots(self, n_slots: int) -> tuple[Tensor, ...]:
        """Return what it remembers, as flat vectors; what isn't there yet is 0."""
        return tuple(
            flat([self._slot(p, name) for p in self.parameters]) for name in self._known.slots[:n_slots]
        )

    def gradient(self) -> Tensor:
        """Return the gradients that it is about to use, as a flat vector; 0 where there are none."""
        return flat([torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters])

    def values(self) -> Tensor:
        """Return the parameters as a flat vector."""
        return flat(self.parameters)

    def _fixed(self, group: Group) -> dict[str, Any]:
        return {ours: group[theirs] for ours, theirs in self._known.fixed.items()}

    def _slot_names(self, n_slots: int) -> set[str]:
        """Return those that there are: a mean only where centered, a buffer only where there is momentum."""
        if len(self._known.slots) == n_slots or not n_slots:
            return set(self._known.slots[:n_slots])
        group = self.optimizer.param_groups[0]
        without = {"grad_avg"} - ({"grad_avg"} if group.get("centered") else set())
        without |= set() if any(g.get("momentum") for g in self.optimizer.param_groups) else {"momentum_buffer"}
        return set(self._known.slots) - without

    def _slot(self, parameter: Tensor, name: str) -> Tensor:
        found = self.optimizer.state.get(parameter, {}).get(name)
        return torch.zeros_like(parameter) if found is None else found

    def _count(self, state: Mapping[str, Any]) -> int:
        return int(state["step"]) if "step" in state else int(state.get("momentum_buffer") is not None)


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """Return tensors as one new vector."""
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def unwrapped(optimizer: Any) -> Any:
    """Return the optimizer of PyTorch inside of what Lightning and Accelerate put around it."""
    while type(optimizer) not in _KNOWN and isinstance(
        inner := getattr(optimizer, "optimizer", None), torch.optim.Optimizer
    ):
        optimizer = inner
    return optimizer
