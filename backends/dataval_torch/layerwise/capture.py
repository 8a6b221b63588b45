"""Watching a forward pass for what it does with its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F  # noqa: N812 - its usual name
from torch.overrides import TorchFunctionMode

from dataval_torch.layerwise.patches import Geometry
from dataval_torch.layerwise.sites import (
    ConvolutionSite,
    ElementwiseSite,
    LinearSite,
    LookupSite,
    Place,
    Site,
    Term,
)
from dataval_torch.model.layers import scale_and_shift

__all__ = ["LayerCapture"]


class LayerCapture(TorchFunctionMode):
    """While it is entered, layers use their parameters detached, and their outputs are watched on the way back.

    What of a parameter still gets a gradient was used in another way, which isn't captured.

    Parameters
    ----------
    leaves : dict of Tensor
        The parameters that are looked out for.
    starts : mapping
        Where each starts in the flat vector.
    n : int
        Samples in the batch.
    shared : sequence of bool, optional
        Of the sites in their order, where it is known: whether they stand for all samples at once.

    Attributes
    ----------
    sites : list of Site
    anchor : Tensor
        What a pass back has to reach so that it comes by all sites.
    """

    def __init__(
        self,
        leaves: Mapping[str, Tensor],
        starts: Mapping[str, int],
        n: int,
        shared: Sequence[bool] | None = None,
    ) -> None:
        super().__init__()
        self.sites: list[Site] = []
        first = next(iter(leaves.values()))
        self.anchor = torch.zeros((), dtype=first.dtype, device=first.device, requires_grad=True)
        self._places = {id(leaf): Place(name, starts[name]) for name, leaf in leaves.items()}
        self._n, self._shared = n, shared

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Let a known use of parameters be captured, and leave everything else as it is."""
        kwargs = kwargs or {}
        known = _USES.get(func)
        if known is not None and self._has_places(args, kwargs):
            found = known(self, *args, **kwargs)
            if found is not None:
                return found
        return func(*args, **kwargs)

    def place(self, tensor: Any) -> Place | None:
        """Return which parameter this is, None if it is none."""
        return self._places.get(id(tensor))

    def detached(self, tensor: Any) -> Any:
        """Return a parameter without its ties; anything else as it is."""
        return tensor.detach() if id(tensor) in self._places else tensor

    def watch(self, outputs: Tensor, site: Site) -> Tensor:
        """Return the outputs, whose gradient the site will get."""
        site.is_shared = self._is_shared(outputs)
        if site.is_shared:
            outputs = outputs.expand(self._n, *outputs.shape[1:]).clone()
            site.spread(self._n)
        self.sites.append(site)
        watched: Tensor = _Watched.apply(outputs, self.anchor, site)  # type: ignore[no-untyped-call]
        return watched

    def _is_shared(self, outputs: Tensor) -> bool:
        """Whether outputs are the same for all samples, and have to be spread out to be told apart."""
        if self._shared is not None and len(self.sites) < len(self._shared):
            return self._shared[len(self.sites)]
        return outputs.ndim > 1 and outputs.shape[0] == 1 and self._n not in outputs.shape[:-1]

    def _has_places(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        return any(id(arg) in self._places for arg in (*args, *kwargs.values()))


class _Watched(Function):
    """Nothing but a note of the gradient that comes by, which no later work in place can spoil."""

    @staticmethod
    def forward(ctx: Any, outputs: Tensor, anchor: Tensor, site: Site) -> Tensor:
        ctx.site = site
        ctx.mark_dirty(outputs)
        return outputs

    @staticmethod
    def backward(ctx: Any, bar: Tensor) -> Any:
        ctx.site.bar = bar
        return bar, None, None


def _linear(capture: LayerCapture, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:  # noqa: A002
    if input.ndim < 2 or weight.ndim != 2:
        return None
    site = LinearSite(capture.place(weight), capture.place(bias), input.detach(), "goi")
    return capture.watch(F.linear(input, capture.detached(weight), capture.detached(bias)), site)


def _matmul(capture: LayerCapture, input: Tensor, other: Tensor) -> Any:  # noqa: A002
    weight = capture.place(other)
    if weight is None or capture.place(input) is not None or input.ndim < 2 or other.ndim != 2:
        return None
    return capture.watch(input @ other.detach(), LinearSite(weight, None, input.detach(), "igo"))


def _addmm(
    capture: LayerCapture,
    input: Tensor,  # noqa: A002
    mat1: Tensor,
    mat2: Tensor,
    *,
    beta: float = 1,
    alpha: float = 1,
) -> Any:
    if (beta, alpha) != (1, 1) or capture.place(mat1) is not None or input.ndim != 1:
        return None
    outputs = torch.addmm(capture.detached(input), mat1, capture.detached(mat2))
    return capture.watch(outputs, LinearSite(capture.place(mat2), capture.place(input), mat1.detach(), "igo"))


def _convolve(
    function: Callable[..., Tensor],
    n_axes: int,
    capture: LayerCapture,
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    if input.ndim != n_axes + 2 or capture.place(input) is not None:
        return None
    geometry = Geometry.of_call(n_axes, weight, stride, padding, dilation, groups)
    site = ConvolutionSite(capture.place(weight), capture.place(bias), input.detach(), geometry)
    options = stride, padding, dilation, groups
    return capture.watch(function(input, capture.detached(weight), capture.detached(bias), *options), site)


def _embedding(
    capture: LayerCapture,
    input: Tensor,  # noqa: A002
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    place = capture.place(weight)
    if place is None or max_norm is not None or scale_grad_by_freq:
        return None
    padding = None if padding_idx is None else padding_idx % len(weight)
    site = LookupSite(place, input, len(weight), padding)
    return capture.watch(F.embedding(input, weight.detach(), padding_idx), site)


def _attention(
    capture: LayerCapture,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    **options: Any,
) -> Any:
    """Do the projections of attention as layers of their own, and the rest with projections that do nothing."""
    if in_proj_weight is None or options.pop("use_separate_proj_weight", False) or query.ndim != 3:
        return None
    size, packed = embed_dim_to_check, (in_proj_weight, in_proj_bias)
    query, key, value = _projected(capture, size, packed, query, key, value)
    nothing = torch.eye(size, dtype=query.dtype, device=query.device)
    in_projections, out_projection = (nothing.repeat(3, 1), None), (nothing, None)
    middle = size, num_heads, *in_projections, bias_k, bias_v, add_zero_attn, dropout_p, *out_projection
    found, attention = F.multi_head_attention_forward(query, key, value, *middle, **options)
    outputs = _linear(capture, found, out_proj_weight, out_proj_bias)
    return outputs, attention


def _projected(
    capture: LayerCapture, size: int, packed: tuple[Tensor, Tensor | None], *parts: Tensor
) -> Sequence[Tensor]:
    """Return query, key and value after their projections, whose matrices are packed one above the other."""
    query, key, value = parts
    weight, bias = packed
    if query is key and key is value:
        whole: Tensor = _linear(capture, query, weight, bias)
        return whole.chunk(3, dim=-1)
    found = []
    for k, part in enumerate(parts):
        rows = slice(k * size, (k + 1) * size)
        place = _moved(capture.place(weight), k * size * weight.shape[1])
        bias_place = None if bias is None else _moved(capture.place(bias), k * size)
        site = LinearSite(place, bias_place, part.detach(), "goi")
        of_bias = None if bias is None else capture.detached(bias)[rows]
        found.append(capture.watch(F.linear(part, capture.detached(weight)[rows], of_bias), site))
    return found


def _moved(place: Place | None, by: int) -> Place | None:
    return None if place is None else Place(place.name, place.start + by)


def _layer_norm(
    capture: LayerCapture,
    input: Tensor,  # noqa: A002
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Any:
    normalised = F.layer_norm(input, normalized_shape, None, None, eps)
    return _scaled(capture, normalised, weight, bias, (1,) * (input.ndim - len(normalized_shape)), ())


def _rms_norm(
    capture: LayerCapture,
    input: Tensor,  # noqa: A002
    normalized_shape: Any,
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Any:
    normalised = F.rms_norm(input, normalized_shape, None, eps)
    return _scaled(capture, normalised, weight, None, (1,) * (input.ndim - len(normalized_shape)), ())


def _group_norm(
    capture: LayerCapture,
    input: Tensor,  # noqa: A002
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Any:
    return _scale_and_shift(capture, F.group_norm(input, num_groups, None, None, eps), weight, bias)


def _scale_and_shift(capture: LayerCapture, x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Any:
    return _scaled(capture, x, weight, bias, (1,), (1,) * (x.ndim - 2))


def _scaled(
    capture: LayerCapture,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    before: tuple[int, ...],
    after: tuple[int, ...],
) -> Tensor:
    """Multiply by a weight and add a bias, whose axes stand between `before` and `after`."""
    terms, outputs = [], x
    for tensor, factor in ((weight, x.detach()), (bias, 1.0)):
        if tensor is None:
            continue
        shape = (*before, *tensor.shape, *after)
        aligned = capture.detached(tensor).view(shape)
        outputs = outputs * aligned if tensor is weight else outputs + aligned
        if (place := capture.place(tensor)) is not None:
            terms.append(Term(place, shape, factor))
    return capture.watch(outputs, ElementwiseSite(terms))


def _elementwise(
    function: Callable[..., Tensor],
    kind: Literal["product", "sum", "difference"],
    capture: LayerCapture,
    input: Any,  # noqa: A002
    other: Any,
    **options: Any,
) -> Any:
    """Capture a product, sum or difference of one parameter and one other tensor."""
    parameter, rest = (input, other) if capture.place(input) is not None else (other, input)
    place = capture.place(parameter)
    if options or place is None or not isinstance(rest, Tensor) or capture.place(rest) is not None:
        return None
    outputs = function(capture.detached(input), capture.detached(other))
    if outputs.ndim < 2 or parameter.shape == outputs.shape:
        return None
    shape = (1,) * (outputs.ndim - parameter.ndim) + tuple(parameter.shape)
    sign = -1.0 if kind == "difference" and parameter is other else 1.0
    factor = rest.detach().expand(outputs.shape) if kind == "product" else sign
    return capture.watch(outputs, ElementwiseSite([Term(place, shape, factor)]))


_PRODUCTS = (torch.mul, torch.multiply, Tensor.mul, Tensor.multiply, Tensor.__mul__, Tensor.__rmul__)
_SUMS = (torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__)
_DIFFERENCES = (torch.sub, torch.subtract, Tensor.sub, Tensor.subtract, Tensor.__sub__)
_USES: dict[Any, Callable[..., Any]] = {
    F.linear: _linear,
    torch.addmm: _addmm,
    torch.conv1d: partial(_convolve, torch.conv1d, 1),
    torch.conv2d: partial(_convolve, torch.conv2d, 2),
    torch.conv3d: partial(_convolve, torch.conv3d, 3),
    F.embedding: _embedding,
    F.multi_head_attention_forward: _attention,
    F.layer_norm: _layer_norm,
    F.rms_norm: _rms_norm,
    F.group_norm: _group_norm,
    scale_and_shift: _scale_and_shift,
    **dict.fromkeys((torch.matmul, torch.mm, Tensor.matmul, Tensor.mm, Tensor.__matmul__), _matmul),
    **dict.fromkeys(_PRODUCTS, partial(_elementwise, torch.mul, "product")),
    **dict.fromkeys(_SUMS, partial(_elementwise, torch.add, "sum")),
    **dict.fromkeys(_DIFFERENCES, partial(_elementwise, torch.sub, "difference")),
}
