"""Models with what makes torch modules difficult: shared, stateful, hidden or odd parts."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


class OnImages(nn.Module):
    """Six features as an image (2, 1, 3) through a layer that works on channels, then a head."""

    def __init__(self, layer: nn.Module, calls: int = 1) -> None:
        super().__init__()
        self.first, self.layer, self.calls = nn.Linear(6, 12), layer, calls
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).reshape(-1, 4, 1, 3)
        for _ in range(self.calls):
            x = torch.tanh(self.layer(x))
        return self.head(x.flatten(1))


class OnSequence(nn.Module):
    """Six features as a sequence (3, 4) through a layer, then a head."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.first, self.layer, self.head = nn.Linear(6, 12), layer, nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).reshape(-1, 3, 4)
        out = self.layer(x, x, x)[0] if isinstance(self.layer, nn.MultiheadAttention) else self.layer(x)
        return self.head((out[0] if isinstance(out, tuple) else out).flatten(1))


class Wrapped(nn.Module):
    """A function between two linear layers, called by a submodule named `middle`."""

    class Middle(nn.Module):
        def __init__(self, function) -> None:
            super().__init__()
            self.function = function

        def forward(self, x: Tensor) -> Tensor:
            return self.function(x)

    def __init__(self, function) -> None:
        super().__init__()
        self.first, self.middle, self.head = nn.Linear(6, 8), self.Middle(function), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.middle(self.first(x)))


class Tied(nn.Module):
    """One weight used by two layers under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(6, 6), nn.Linear(6, 6)
        self.down.weight = self.up.weight
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.down(torch.tanh(self.up(x)))))


class Checkpointed(nn.Module):
    """A block that is recomputed in the backward pass."""

    def __init__(self, use_reentrant: bool = False) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.block = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh())
        self.head, self.use_reentrant = nn.Linear(8, 3), use_reentrant

    def forward(self, x: Tensor) -> Tensor:
        return self.head(checkpoint(self.block, self.first(x), use_reentrant=self.use_reentrant))


class MovingAverage(nn.Module):
    """A buffer of the user's own, reassigned or written to."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.linear, self.how = nn.Linear(6, 3), how
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        out = self.linear(x)
        if self.training:
            self.calls += 1
            new = 0.9 * self.mean + 0.1 * out.mean(0)
            if self.how == "assigned":
                self.mean = new
            elif self.how == "in_place":
                self.mean.copy_(new)
            else:
                self.mean = new.detach()
        return out - self.mean


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, bar):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * bar


class _Hidden(torch.autograd.Function):
    """Keeps its input outside of differentiation: first derivatives are right, second ones silently wrong."""

    @staticmethod
    def forward(ctx, x):
        ctx.kept = x.detach()
        return x**3

    @staticmethod
    def backward(ctx, bar):
        return 3 * ctx.kept**2 * bar


class _WrongForwardMode(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x**3

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, bar):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * bar

    @staticmethod
    def jvp(ctx, tangent):
        (x,) = ctx.saved_tensors
        return 2 * x**2 * tangent


once, hidden, wrong_forward_mode = _Once.apply, _Hidden.apply, _WrongForwardMode.apply


def attention(x: Tensor) -> Tensor:
    q = x.reshape(-1, 1, 4, 2)
    return F.scaled_dot_product_attention(q, q, q, is_causal=True).flatten(1)


def writes_in_place(x: Tensor) -> Tensor:
    return F.relu(x.mul_(2.0), inplace=True)
