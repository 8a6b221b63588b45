"""
Find wrong labels with your own model
=====================================

Given a model, the way it is trained and a data set in which some labels are wrong: which ones? We put wrong
labels into a real data set, so that the answer can be checked, and compare what three methods find.
"""

# %%
# Data with known errors
# ----------------------
#
# scikit-learn's handwritten digits, with a different label on every fifth training image. ``is_noisy`` says
# which; no method sees it. The validation labels stay clean: values measure what a sample does to the
# validation loss, so they are as good as the validation set.

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import dataval as dv
from dataval.plotting import NoiseDetectionDisplay, SampleGalleryDisplay

data = dv.datasets.load_digits(n_val=500)
y, is_noisy = dv.noise.flip_labels(data.y_train, 0.2, seed=0)
print(data)

# %%
# A model and how it is trained
# -----------------------------
#
# Any ``torch.nn.Module`` will do. Here it is a function that builds one, so that the training seed also
# decides the initialisation. ``train`` records the run, and every method below shares that recording.


def build() -> nn.Module:
    """Build a small CNN for images of shape (1, 8, 8)."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.GELU(),
        nn.AvgPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.GELU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


training = dv.Training(optimizer=dv.SGD(learning_rate=0.1, momentum=0.9), epochs=15, batch_size=50)
learner = dv.Learner(build, loss="cross_entropy", training=training)
run = learner.train(data.X_train, y)

# %%
# One value a training sample
# ---------------------------
#
# Values are in the unit of the validation loss. Positive: the sample helps. Negative: it hurts. To look for
# errors, sort ascending and inspect from the top.

methods = {
    "HyDRA, Hessian-free": dv.HyDRA(learner),
    "HyDRA, exact": dv.HyDRA(learner, hessian=True),
    "mean training loss": dv.MeanLoss(learner),
}
values = {
    name: method.fit(data.X_train, y, run=run).score(data.X_val, data.y_val) for name, method in methods.items()
}
assert all(each.shape == (len(y),) and each.dtype == np.float64 for each in values.values())

# %%
# What they find
# --------------
#
# The report puts beside each metric what a random and a perfect order get. Average precision and the
# precision among the first k inspected say most about the work saved; the F1 of two-means is there to
# compare with published figures only.

reports = {name: dv.evaluation.noise_detection(each, is_noisy, k=50) for name, each in values.items()}
print(reports["HyDRA, Hessian-free"])

for name, report in reports.items():
    print(f"{name:20} AUROC {report.auroc.value:.3f}, precision at 50 {report.at_k[1].precision.value:.2f}")

# %%
# The Hessian-free values put nearly all wrong labels first; the exact ones do not. That is no
# contradiction: the exact values answer what would happen to the validation loss without one sample, and
# for this model leaving out one wrong label among hundreds changes little. :doc:`plot_2_trust` shows that
# they are right about that.
#
# The mean training loss does best here, as it often does on random label errors, and it costs nothing. It
# is the baseline to compare with: a label can be wrong and harmless, or correct and harmful, and only
# values tell these apart.

assert reports["HyDRA, Hessian-free"].auroc.value > 0.95
assert reports["HyDRA, exact"].auroc.value < 0.9
assert reports["mean training loss"].auroc.value > reports["HyDRA, Hessian-free"].auroc.value

NoiseDetectionDisplay.from_values(values, is_noisy)
plt.show()

# %%
# Look at them
# ------------
#
# The samples of lowest value, with the label they carry and, in brackets, the right one.

SampleGalleryDisplay.from_values(
    data.X_train,
    values["HyDRA, Hessian-free"],
    y,
    data.y_train,
    class_names=data.class_names,
    n=18,
    columns=6,
)
plt.show()

# %%
# Why a sample hurts
# ------------------
#
# ``attribute`` splits values up by validation sample: row i says which training samples raised or lowered
# the loss of validation sample i. Its mean over the rows is ``score``.

some = slice(0, 40)
hydra = methods["HyDRA, Hessian-free"]
matrix = hydra.attribute(data.X_val[some], data.y_val[some])
assert matrix.shape == (40, len(y))
np.testing.assert_allclose(
    matrix.mean(axis=0), hydra.score(data.X_val[some], data.y_val[some]), rtol=1e-3, atol=1e-5
)

# %%
# After the clean-up
# ------------------
#
# Drop what the values call suspicious, as many as we flipped, and train again. A weight of 0 leaves a
# sample out and keeps the batches as they were. The validation loss falls by more than half. Accuracy
# hardly changes: with every fifth label wrong this model still puts the right class first, and only becomes
# less sure of it.

n_flipped = int(is_noisy.sum())
keep = np.ones(len(y))
keep[values["HyDRA, Hessian-free"].argsort()[:n_flipped]] = 0.0
cleaned = learner.train(data.X_train, y, weights=keep)


def evaluate(run: dv.TrainingRun) -> tuple[float, float]:
    """Loss and accuracy on the validation set of the model that a run ended with."""
    model = learner.replay(data.X_train, y, run).export()
    targets = torch.from_numpy(data.y_val)
    with torch.no_grad():
        outputs = model(torch.from_numpy(data.X_val))
    return nn.functional.cross_entropy(outputs, targets).item(), (
        outputs.argmax(1) == targets
    ).float().mean().item()


for what, each in {"all samples": run, f"without the {n_flipped} of lowest value": cleaned}.items():
    loss, accuracy = evaluate(each)
    print(f"{what}: validation loss {loss:.3f}, accuracy {accuracy:.3f}")
assert evaluate(cleaned)[0] < evaluate(run)[0]
