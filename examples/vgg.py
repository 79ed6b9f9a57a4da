"""A network like VGG with batch normalization, for images of 32×32 pixels; Simonyan, Zisserman 2015, arXiv:1409.1556.

Arguments: epochs (5) and filters of the first convolutions (32). It learns the digits, which need no download; for
other images, load them instead, and leave out the two layers behind Input.
"""

import sys

import fastnet
from fastnet import layers

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
filters = int(sys.argv[2]) if len(sys.argv) > 2 else 32


def stage(filters):
    """Two convolutions, each normalized, and half as many pixels along each axis."""
    convolutions = []
    for _ in range(2):
        convolutions += [
            layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal"),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
        ]
    return [*convolutions, layers.MaxPooling2D()]


(x, y), (x_test, y_test) = fastnet.datasets.digits.load_data()
fastnet.utils.set_random_seed(0)
model = fastnet.Sequential(
    [
        layers.Input((8, 8)),
        layers.Reshape((8, 8, 1)),
        layers.Resizing(32, 32),
        layers.Rescaling(1 / 16),
        *stage(filters),
        *stage(2 * filters),
        *stage(4 * filters),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(10),
    ]
)
model.compile(
    optimizer=fastnet.optimizers.Adam(1e-3),
    loss=fastnet.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.summary(costs=True)
model.fit(x, y, epochs=epochs, batch_size=64, validation_data=(x_test, y_test))
loss, accuracy = model.evaluate(x_test, y_test)
print(f"{accuracy:.1%} of the test digits are classified correctly")
