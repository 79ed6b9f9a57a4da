"""Trains on MNIST with validation, shows the mistakes and saves the weights. The data are 11 MB, downloaded once."""

import sys

import numpy as np

import fastnet
from fastnet import layers

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
(x, y), (x_test, y_test) = fastnet.datasets.mnist.load_data()
model = fastnet.Sequential(
    [
        layers.Input((28, 28)),
        layers.Rescaling(1 / 255),
        layers.Flatten(),
        layers.Dense(512, activation="relu"),
        layers.Dropout(0.2),
        layers.Dense(10),
    ]
)
model.compile(
    optimizer=fastnet.optimizers.Adam(1e-3),
    loss=fastnet.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.summary()
model.fit(x, y, epochs=epochs, batch_size=128, validation_split=0.1)
loss, accuracy = model.evaluate(x_test, y_test)
print(f"{accuracy:.2%} of the test digits are classified correctly")

predicted = model.predict(x_test).argmax(-1)
confusion = np.zeros((10, 10), int)
np.add.at(confusion, (y_test, predicted), 1)
print("rows: labels; columns: predictions\n", confusion, sep="")

model.save_weights("mnist.weights.npz")
