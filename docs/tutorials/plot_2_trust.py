"""
How far to trust values
=======================

Exact values are derivatives of a training run. A derivative is right for a tiny change; leaving samples out is
not tiny. For some runs the difference is nil, for others the values mean nothing, and the model's accuracy does
not tell which. This tutorial trains the same data in three ways and asks each run.
"""

# %%
# Three ways to train
# -------------------
#
# The data are digits with every fifth label wrong. The first run has smooth activations, average pooling and a
# small learning rate. The second is the same model at six times the rate. The third has ReLU and max-pooling,
# whose kinks make the loss change abruptly with the parameters.

import warnings

import matplotlib.pyplot as plt
from torch import nn

import dataval as dv

data = dv.datasets.load_digits(n_val=500)
y, is_noisy = dv.noise.flip_labels(data.y_train, 0.2, seed=0)


def cnn(activation: type[nn.Module], pool: type[nn.Module]) -> nn.Module:
    """Build a small CNN for images of shape (1, 8, 8)."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        activation(),
        pool(2),
        nn.Conv2d(16, 32, 3, padding=1),
        activation(),
        pool(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


def learner(activation: type[nn.Module], pool: type[nn.Module], rate: float) -> dv.Learner:
    """Return the model and how it is trained."""
    optimizer = dv.SGD(learning_rate=rate, momentum=0.9)
    training = dv.Training(optimizer=optimizer, epochs=15, batch_size=50)
    return dv.Learner(lambda: cnn(activation, pool), training=training)


runs = {
    "smooth, rate 0.05": learner(nn.GELU, nn.AvgPool2d, 0.05),
    "smooth, rate 0.3": learner(nn.GELU, nn.AvgPool2d, 0.3),
    "kinks, rate 0.3": learner(nn.ReLU, nn.MaxPool2d, 0.3),
}

# %%
# What the sweep notices
# ----------------------
#
# Scoring pulls a cotangent back through the run: how strongly the final loss depends on the parameters before
# each update. If its norm grows by more than a factor of 1,000 on the way, a
# :class:`dataval.ChaoticTrainingWarning` says so.

exact, values = {}, {}
for name, each in runs.items():
    exact[name] = dv.HyDRA(each, hessian=True).fit(data.X_train, y)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", dv.ChaoticTrainingWarning)
        values[name] = exact[name].score(data.X_val, data.y_val)
    print(f"{name}: growth {exact[name].diagnostics_['growth']:.1f}, {len(caught)} warning(s)")

fig, ax = plt.subplots(figsize=(5.5, 3.2), layout="constrained")
for name, hydra in exact.items():
    norms = hydra.diagnostics_["cotangent_norm"]
    ax.semilogy(norms / norms[-1], label=name)
ax.set(xlabel="update", ylabel="cotangent norm / its last")
ax.legend(frameon=False)
plt.show()

assert exact["smooth, rate 0.05"].diagnostics_["growth"] < 10
assert exact["kinks, rate 0.3"].diagnostics_["growth"] > 1000

# %%
# What retraining says
# --------------------
#
# The growth is a hint, and `verify` is the judge. It leaves out random subsets, trains again from the same
# start with the same batches, and correlates the true change of the validation loss with the predicted one:
# the sum of the values of what was left out. The result is the linear datamodeling score, with a bootstrap
# interval.

checks = {
    name: hydra.verify(data.X_val, data.y_val, values=values[name], n_subsets=20)
    for name, hydra in exact.items()
}
for name, check in checks.items():
    print(f"{name}: {check}")

fig, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for ax, (name, check) in zip(axes, checks.items(), strict=True):
    ax.scatter(check.predicted, check.actual, s=18)
    ax.axline((0, 0), slope=1, color="0.6", linewidth=1)
    ax.set(title=f"{name}\nscore {check.score:.2f}", xlabel="predicted change of the loss")
    ax.locator_params(nbins=4)
axes[0].set_ylabel("true change of the loss")
plt.show()

assert checks["smooth, rate 0.05"].score > 0.8
assert all(checks[name].score < 0.7 for name in ("smooth, rate 0.3", "kinks, rate 0.3"))

# %%
# The first run's values predict retraining: its points lie on the diagonal. The third run was announced by the
# warning. The second is why the growth alone is not enough: no warning, and yet no prediction.
#
# What helps is what makes training less sensitive: a smaller learning rate, smooth activations (GELU, SiLU,
# tanh), average pooling or strided convolutions, larger batches, warm-up.
#
# Finding wrong labels is another question
# ----------------------------------------
#
# The Hessian-free values ask which samples pulled against the validation gradient during training. That doesn't
# predict retraining, but it can find wrong labels also where no derivative predicts anything.

for name, each in runs.items():
    free = dv.HyDRA(each).fit(data.X_train, y, run=exact[name].run_).score(data.X_val, data.y_val)
    found = dv.evaluation.noise_detection(free, is_noisy, n_bootstrap=0)
    print(f"{name}: Hessian-free AUROC {found.auroc.value:.2f}")
    assert found.auroc.value > 0.7

# %%
# So, before values are acted upon: for decisions about what removing or adding data would do, use the exact
# values of a run that `verify` approves. For ranking suspicious labels, compare the Hessian-free values with
# :class:`dataval.MeanLoss` on labels that you flipped yourself.
