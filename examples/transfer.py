"""Transfer learning: what a network learned from the digits 0 to 4 helps it to tell 5 to 9 apart, with few examples.

Arguments: epochs of each training (20), and examples of each of the digits 5 to 9 (40).
"""

import sys

import numpy as np

import fastnet
from fastnet import layers

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
examples = int(sys.argv[2]) if len(sys.argv) > 2 else 40


def trained(features, x, y):
    """A new head on the features, trained."""
    model = fastnet.Sequential([features, layers.Dropout(0.3), layers.Dense(5)])
    model.compile(
        optimizer=fastnet.optimizers.Adam(3e-3),
        loss=fastnet.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(x, y, epochs=epochs, verbose=0)
    return model


def new_features():
    return fastnet.Sequential(
        [
            layers.Input((8, 8)),
            layers.Rescaling(1 / 16),
            layers.Reshape((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
        ]
    )


fastnet.utils.set_random_seed(0)
(x, y), (x_test, y_test) = fastnet.datasets.digits.load_data()
features = new_features()
small = trained(features, x[y < 5], y[y < 5])
print(f"0 to 4: {small.evaluate(x_test[y_test < 5], y_test[y_test < 5], verbose=0)[1]:.1%} correct")

few = np.concatenate([np.flatnonzero(y == digit)[:examples] for digit in range(5, 10)])
features.trainable = False  # only the new head learns
large = trained(features, x[few], y[few] - 5)
large.summary()
accuracy = large.evaluate(x_test[y_test >= 5], y_test[y_test >= 5] - 5, verbose=0)[1]
print(f"5 to 9, from {examples} examples each: {accuracy:.1%} of the test digits are classified correctly")
