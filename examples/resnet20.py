"""ResNet-20 for images of 32×32 pixels, the size of CIFAR-10; He et al. 2016, arXiv:1512.03385, section 4.2.

Arguments: epochs (5) and blocks of each size, n (3): the network has 6 n + 2 layers. It learns the digits, which need
no download; for other images, load them instead, and leave out the two layers behind Input.
"""

import sys

import fastnet
from fastnet import layers

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
blocks = int(sys.argv[2]) if len(sys.argv) > 2 else 3


def convolution(filters, size, strides=1):
    """A convolution without a bias, for the normalization behind it has one."""
    return layers.Conv2D(
        filters, size, strides, "same", use_bias=False, kernel_initializer="he_normal", kernel_regularizer=l2
    )


def block(filters, strides):
    """relu(branch(x) + x); where the block makes images smaller, a 1×1 convolution does that to x too."""
    branch = [
        convolution(filters, 3, strides), layers.BatchNormalization(momentum=0.9), layers.ReLU(),
        convolution(filters, 3), layers.BatchNormalization(momentum=0.9),
    ]  # fmt: skip
    shortcut = [convolution(filters, 1, strides), layers.BatchNormalization(momentum=0.9)] if strides > 1 else None
    return [layers.Residual(branch, shortcut), layers.ReLU()]


(x, y), (x_test, y_test) = fastnet.datasets.digits.load_data()
fastnet.utils.set_random_seed(0)
l2 = fastnet.regularizers.L2(1e-4)
model = fastnet.Sequential([layers.Input((8, 8)), layers.Reshape((8, 8, 1)), layers.Resizing(32, 32)])
for layer in [layers.Rescaling(1 / 16), convolution(16, 3), layers.BatchNormalization(momentum=0.9), layers.ReLU()]:
    model.add(layer)
for filters in (16, 32, 64):
    for i in range(blocks):
        for layer in block(filters, strides=2 if i == 0 and filters > 16 else 1):
            model.add(layer)
for layer in [layers.GlobalAveragePooling2D(), layers.Dense(10)]:
    model.add(layer)
model.compile(
    optimizer=fastnet.optimizers.Adam(2e-3),
    loss=fastnet.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.summary(costs=True)
model.fit(x, y, epochs=epochs, batch_size=64, validation_data=(x_test, y_test))
loss, accuracy = model.evaluate(x_test, y_test)
print(f"{accuracy:.1%} of the test digits are classified correctly")
