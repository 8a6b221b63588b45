"""How a model is trained: the configuration of one run."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field

from dataval.checks import real_number
from dataval.options import Options
from dataval.training.optimizers import SGD, AnyOptimizer
from dataval.training.schedules import AnySchedule, ConstantSchedule, CosineSchedule

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

    @classmethod
    def smooth(
        cls,
        *,
        effective_rate: float = 0.04,
        momentum: float = 0.5,
        weight_decay: float = 5e-4,
        **options: Any,
    ) -> Self:
        r"""Return a training under which exact values predict retraining.

        Stochastic gradient descent with a small effective rate :math:`\eta/(1-\mu)`, a moderate momentum, and a
        learning rate that falls to 0 along half a cosine: what decides first whether training is smooth in
        the samples' weights. The model plays its part: start with He's initialisation on standardised inputs;
        GELU and average pooling in place of ReLU and max-pooling; normalisation before the activations. The
        guide, *When values are true*, has what each of these does.

        Parameters
        ----------
        effective_rate : float, default 0.04
            :math:`\eta/(1-\mu)`, from which the learning rate follows. For standardised inputs and networks of
            a few layers; halve it where `dataval.evaluation.smoothness` says that training is not smooth.
        momentum : float, default 0.5
            :math:`\mu`, in [0, 1).
        weight_decay : float, default 5e-4
            Coupled, as `SGD` has it.
        **options
            The others of `Training`: ``epochs``, ``batch_size``, ``seed``, and a ``schedule`` other than the
            cosine.

        Returns
        -------
        Training

        Raises
        ------
        ValueError
            If an option is unknown or out of range.
        TypeError
            If an ``optimizer`` is given: this is what the method chooses.

        Examples
        --------
        >>> learner = dv.Learner(net, training=dv.Training.smooth(epochs=10, seed=1))
        """
        if "optimizer" in options:
            raise TypeError(
                "Training.smooth chooses the optimizer: give effective_rate and momentum, or use Training"
            )
        real_number("effective_rate", effective_rate)
        if not 0 <= real_number("momentum", momentum) < 1:
            raise ValueError(f"momentum must be at least 0 and below 1, got {momentum}")
        rate = effective_rate * (1 - momentum)
        optimizer = SGD(learning_rate=rate, momentum=momentum, weight_decay=weight_decay)
        return cls(**{"optimizer": optimizer, "schedule": CosineSchedule()} | options)
