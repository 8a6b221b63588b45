r"""The gradients of a batch's samples, in the form in which layers have them.

A layer that multiplies its inputs by a matrix has the gradient :math:`G_j = \sum_t \delta_{jt} a_{jt}^\top` in
sample j's loss, with a its inputs and :math:`\delta` the gradient in its outputs, over the positions t at
which the matrix is used. Inner products, norms, weighted sums and Kronecker factors follow from the two,
mostly without the products ever being formed for each sample.

Everything here is a function of such blocks and of the framework's `Arrays`; a framework only fills them in.
"""

from dataval.backend.layers.base import LayerGradients, Piece
from dataval.backend.layers.linear import LinearGradients
from dataval.backend.layers.lookup import LookupGradients
from dataval.backend.layers.plain import PlainGradients, TiedGradients
from dataval.backend.layers.sums import (
    Blocks,
    compact,
    gradient_of,
    inner_products,
    plain_gradients,
    rows_of,
    slopes_along,
    squared_norms_of,
)

__all__ = [
    "Blocks",
    "LayerGradients",
    "LinearGradients",
    "LookupGradients",
    "Piece",
    "PlainGradients",
    "TiedGradients",
    "compact",
    "gradient_of",
    "inner_products",
    "plain_gradients",
    "rows_of",
    "slopes_along",
    "squared_norms_of",
]
