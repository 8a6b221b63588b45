"""Values through Keras's fit: one line before it, one after. About twenty seconds."""

from __future__ import annotations

import sys

import keras

import dataval as dv
import dataval_tensorflow

data = dv.datasets.load_digits(n_train=600, n_val=500)
y, is_noisy = dv.noise.flip_labels(data.y_train, 0.2, seed=0)
layers = [
    keras.Input((1, 8, 8)),
    keras.layers.Flatten(),
    keras.layers.Dense(64, "gelu"),
    keras.layers.Dense(10),
]
model = keras.Sequential(layers)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])

recorder = dataval_tensorflow.Recorder(model)
model.fit(data.X_train, y, batch_size=50, epochs=2 if "--quick" in sys.argv else 10, verbose=0)
run = recorder.finish()

print(f"{run.n_steps} updates, {run.evidence.is_proved.sum()} of them proved: {run.evidence.grade}")
values = dv.HyDRA(recorder.learner).fit(data.X_train, y, run=run).score(data.X_val, data.y_val)
print(f"wrong among the 20 lowest: {is_noisy[values.argsort()[:20]].mean():.2f} (0.2 at random)")
