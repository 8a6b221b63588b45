"""
Which samples made the model predict this?
==========================================

One question about one prediction: which training samples speak for it, which against it, and, where it is
wrong, which moved the decision away from the truth. Some labels are wrong here, so the answer can be checked.
"""

# %%
# A model, some wrong labels, one run
# -----------------------------------

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import dataval as dv
from dataval.plotting import ExplanationDisplay

data = dv.datasets.load_digits(n_train=600, n_val=300)
y, is_noisy = dv.noise.flip_labels(data.y_train, 0.2, seed=0)
torch.manual_seed(0)
net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))
training = dv.Training(optimizer=dv.SGD(learning_rate=0.1, momentum=0.9), epochs=10, batch_size=50)
learner = dv.Learner(net, loss="cross_entropy", training=training)

method = dv.TracIn(learner).fit(data.X_train, y)

# %%
# Ask
# ---
#
# ``explain`` is there on every method that can ``attribute``: `HyDRA`, `InfluenceFunction`, `TracIn`, and
# `LeaveOneOut` of a learner. One call answers for all queries. The true labels are optional.

answer = method.explain(data.X_val, data.y_val, k=5)
wrong = [i for i, each in enumerate(answer) if each.is_wrong]
print(f"{len(wrong)} of {len(answer)} predictions are wrong; the first of them:")
print(answer[wrong[0]])

ExplanationDisplay.from_explanations(answer, wrong[0], class_names=data.class_names)
plt.show()

# %%
# Without a helpful sample (blue) the model would be less sure of its label, without a harmful one (orange)
# surer. The third row is the contrast: values for the predicted label minus those for the true one.
#
# Are the wrong labels to blame?
# ------------------------------
#
# A fifth of the labels is wrong. Of the samples that moved a wrong decision more are:

moved = np.concatenate([answer[i].contrast.helpful for i in wrong])
share = is_noisy[moved].mean()
print(f"{share:.0%} of the samples that moved wrong decisions carry wrong labels")
assert share > 2 * is_noisy.mean()

# %%
# A right prediction, for comparison:

right = next(i for i, each in enumerate(answer) if not each.is_wrong)
ExplanationDisplay.from_explanations(answer, right, class_names=data.class_names)
plt.show()
