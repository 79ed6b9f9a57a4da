"""Trains a classifier of handwritten digits, which are part of fastnet."""

import fastnet
from fastnet import layers

(x, y), (x_test, y_test) = fastnet.datasets.digits.load_data()
model = fastnet.Sequential(
    [
        layers.Input((8, 8)),
        layers.Rescaling(1 / 16),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs=30)
loss, accuracy = model.evaluate(x_test, y_test)
print(f"{accuracy:.1%} of the test digits are classified correctly")
