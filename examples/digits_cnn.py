"""Trains a convolutional network on the handwritten digits that are part of fastnet. Argument: epochs (20)."""

import sys

import fastnet
from fastnet import layers

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
(x, y), (x_test, y_test) = fastnet.datasets.digits.load_data()
fastnet.utils.set_random_seed(0)
model = fastnet.Sequential(
    [
        layers.Input((8, 8)),
        layers.Rescaling(1 / 16),
        layers.Reshape((8, 8, 1)),
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dropout(0.3),
        layers.Dense(10),
    ]
)
model.compile(
    optimizer=fastnet.optimizers.Adam(2e-3),
    loss=fastnet.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.summary(costs=True)
model.fit(x, y, epochs=epochs, validation_data=(x_test, y_test))
loss, accuracy = model.evaluate(x_test, y_test)
print(f"{accuracy:.1%} of the test digits are classified correctly")
