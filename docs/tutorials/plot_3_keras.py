"""
Value the data of a Keras model
===============================

Everything works on TensorFlow as it does on PyTorch. This page trains a Keras model on digits with wrong
labels, values the training samples, saves the run, and asks which samples drove one prediction.
"""

# %%
# A Keras model
# -------------
#
# A function that builds the model lets the training seed decide the initialisation. A model that exists already
# works too: its present weights are where training starts, and it is never changed. Give the outputs as logits,
# without a softmax.

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers

import dataval as dv
from dataval.plotting import SampleGalleryDisplay

data = dv.datasets.load_digits(n_val=500)
y, is_noisy = dv.noise.flip_labels(data.y_train, 0.2, seed=0)
X, X_val = data.X_train.transpose(0, 2, 3, 1), data.X_val.transpose(0, 2, 3, 1)  # channels last


def build() -> keras.Model:
    """Build a small CNN for images of shape (8, 8, 1)."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="gelu"),
            layers.AveragePooling2D(2),
            layers.Conv2D(32, 3, padding="same", activation="gelu"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


# %%
# Train, record, value
# --------------------
#
# There is no ``compile`` and no ``fit`` of Keras: dataval trains the model itself, so that every update can be
# differentiated.

training = dv.Training(optimizer=dv.SGD(learning_rate=0.1, momentum=0.9), epochs=10, batch_size=50)
learner = dv.Learner(build, loss="cross_entropy", training=training)
run = learner.train(X, y)

hydra = dv.HyDRA(learner).fit(X, y, run=run)
values = hydra.score(X_val, data.y_val)
found = dv.evaluation.noise_detection(values, is_noisy, n_bootstrap=0)
print(f"AUROC of finding the wrong labels: {found.auroc.value:.3f}")
assert found.auroc.value > 0.9

SampleGalleryDisplay.from_values(
    data.X_train, values, y, data.y_train, class_names=data.class_names, n=18, columns=6
)
plt.show()

# %%
# The trained model
# -----------------
#
# ``export`` returns a Keras model with the final weights.

model = learner.replay(X, y, run).export()
accuracy = (np.asarray(model(X_val)).argmax(1) == data.y_val).mean()
print(f"validation accuracy {accuracy:.3f}")
assert accuracy > 0.8

# %%
# One prediction
# --------------
#
# Row i of ``attribute`` says which training samples raised or lowered the loss of validation sample i.

matrix = hydra.attribute(X_val[:20], data.y_val[:20])
helped, hurt = matrix[0].argmax(), matrix[0].argmin()
print(f"validation sample 0 is a {data.y_val[0]}; the most helpful training sample is a {y[helped]}")
print(f"the most harmful is labelled {y[hurt]}, and is a {data.y_train[hurt]}")
