"""How a model is trained: the configuration of one run."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dataval.options import Options
from dataval.training.optimizers import SGD, AnyOptimizer
from dataval.training.schedules import AnySchedule, ConstantSchedule

__all__ = ["Training"]


class Training(Options):
    r"""A training configuration: together with data, model and weights it determines a run bit for bit.

    Update :math:`t` follows the gradient :math:`g_t = \frac1b \sum_{j\in B_t} w_j\nabla\ell_j(\theta_t)`.
    :math:`b` is always `batch_size`, so that a sample's influence on the sum does not depend on how many
    others are in its batch; a short last batch therefore takes a proportionally smaller step than a
    loop that averages over the samples present. ``drop_last=True`` leaves it out.

    Parameters
    ----------
    optimizer : Optimizer, default SGD(learning_rate=0.05, momentum=0.9)
        `SGD`, `Adam`, `AdamW`, `NAdam`, `RAdam`, `RMSprop`, `Adagrad`, `Lion`, or one of your own.
    epochs : int, default 20
    batch_size : int, default 50
        Nominal batch size :math:`b`; at most the number of training samples.
    schedule : Schedule or callable, default ConstantSchedule()
        Multiplies the optimizer's learning rate, update by update; a function gets the progress, the share of
        the updates that are done, in [0, 1), and returns a factor.
    clip_norm : float, optional
        Largest global norm of the loss gradient, before weight decay is added.
    shuffle : bool, default True
        Draw a new order for every epoch.
    drop_last : bool, default False
        Leave out an epoch's last batch where it is short.
    seed : int, default 0
        Seeds the batch order, dropout masks, and the initialisation where the model is built by a callable.
    """

    optimizer: AnyOptimizer = SGD(learning_rate=0.05, momentum=0.9)
    epochs: Annotated[int, Field(gt=0)] = 20
    batch_size: Annotated[int, Field(gt=0)] = 50
    schedule: AnySchedule = ConstantSchedule()
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    shuffle: bool = True
    drop_last: bool = False
    seed: Annotated[int, Field(ge=0)] = 0
