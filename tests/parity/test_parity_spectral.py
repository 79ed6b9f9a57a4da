"""Spectral normalization trains as on Keras with PyTorch, which assigns the kernel; on JAX `fit` forgets it."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("torch")
PROGRAM = """
import keras
import numpy as np
import fastnet


def network(lib):
    layers = lib.layers
    return lib.Sequential([
        layers.Input((6, 5, 2)),
        layers.SpectralNormalization(layers.Conv2D(3, 2, activation="tanh")),
        layers.SpectralNormalization(layers.DepthwiseConv2D(2, depth_multiplier=2)),
        layers.SpectralNormalization(layers.EinsumDense("abcd,de->abce", (4, 3, 4), kernel_regularizer="l2")),
        layers.Flatten(),
        layers.SpectralNormalization(layers.Dense(4), power_iterations=3),
        layers.Dense(1, kernel_initializer="zeros"),
    ])


rng = np.random.default_rng(0)
x, y = rng.standard_normal((20, 6, 5, 2)).astype("f"), rng.standard_normal((20, 1)).astype("f")
theirs, ours = network(keras), network(fastnet)
ours.set_weights(theirs.get_weights())
losses = []
for model in (theirs, ours):
    model.compile("adam", "mse")
    losses.append(model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0).history["loss"])
np.testing.assert_allclose(*losses, rtol=2e-5)  # float32, nine steps
for left, right in zip(theirs.get_weights(), ours.get_weights(), strict=True):
    np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)
np.testing.assert_allclose(theirs.predict(x, verbose=0), ours.predict(x, verbose=0), rtol=1e-4, atol=1e-5)
"""


def test_three_epochs():
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
