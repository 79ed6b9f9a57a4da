"""The command `fastnet demo`: trains a classifier of handwritten digits and draws its results, in seconds."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from fastnet import callbacks, datasets, layers, losses, optimizers, utils
from fastnet.models import feature_maps
from fastnet.sequential import Sequential

BATCH = 32
EPOCHS, IMAGE_EPOCHS = 60, 20  # of the dense and of the convolutional network


def make_model(images: bool = False) -> Sequential:
    """Make and compile the demo's network: dense, or convolutional where ``images`` are asked for.

    Of the test digits they have 98.1 to 98.9 % and 98.0 to 99.5 % correct with seeds 0 to 9.
    """
    model = Sequential(
        [layers.Input((8, 8)), layers.Rescaling(1 / 16), *(_convolutional() if images else _dense())], name="digits"
    )
    model.compile(
        optimizer=optimizers.Adam(1e-3),
        loss=losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def _dense() -> list[layers.Layer]:
    return [
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        layers.Dropout(0.3),
        layers.Dense(64, activation="relu"),
        layers.Dense(10),
    ]


def _convolutional() -> list[layers.Layer]:
    return [
        layers.Reshape((8, 8, 1)),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dropout(0.3),
        layers.Dense(10),
    ]


class StopWatch(callbacks.Callback):
    """Measures the seconds spent in training epochs, without their validation."""

    def __init__(self) -> None:
        self.seconds, self._since = 0.0, 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._since = time.perf_counter()

    def on_test_begin(self, logs=None):
        self.seconds += time.perf_counter() - self._since


def run(epochs: int | None, seed: int, output: Path, images: bool = False) -> float:
    """Train on the digits of the package, print the results, and write the model and pictures.

    Args:
        epochs: passes over the 1,438 training digits; None for `EPOCHS` or `IMAGE_EPOCHS`.
        seed: of weights, shuffling and dropout.
        output: folder for the results, which is made if it does not exist.
        images: whether the network is convolutional.

    Returns:
        The share of test digits that are classified correctly.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise OSError(f"{output} is a file; name a folder to write to.") from None
    if epochs is None:
        epochs = IMAGE_EPOCHS if images else EPOCHS
    train, test = datasets.digits.load_data()
    print("Kernels this machine does not have yet are compiled first, once; that takes some seconds.\n", flush=True)
    make_model(images).fit(*train, batch_size=BATCH, validation_data=test, verbose=0)  # compiles the kernels
    utils.clear_session()
    utils.set_random_seed(seed)
    model = make_model(images)
    model.summary(costs=images)
    print(f"\n{len(train[0]):,} digits to train on, {len(test[0]):,} to test, {epochs} epochs in batches of {BATCH}.")
    watch = StopWatch()
    history = model.fit(*train, epochs=epochs, batch_size=BATCH, validation_data=test, callbacks=[watch])
    _, accuracy = model.evaluate(*test, verbose=0)
    steps = epochs * -(-len(train[0]) // BATCH)
    print(f"\nTest accuracy: {accuracy:.2%}")
    print(
        f"{steps:,} training steps in {watch.seconds:.2f} s: {steps / watch.seconds:,.0f} per second, "
        f"{watch.seconds / steps * 1e6:.0f} µs each with shuffling, callbacks and display."
    )
    saved = output / "digits.fastnet"
    model.save(saved)
    print("\nWhere the time within a step goes, without what is around it:\n")
    print(model.profile(*train, batch_size=BATCH, seconds=0.5))
    print()
    for path in [saved, *_pictures(model, history.history, test, output)]:
        print(f"saved {path.resolve()}")
    return accuracy


def _pictures(model: Sequential, history: dict[str, list[float]], test: tuple, output: Path) -> list[Path]:
    from fastnet import pictures

    x, y = test
    predicted = model.predict(x, verbose=0).argmax(-1)
    wrong_first = np.argsort(predicted == y, kind="stable")
    try:
        drawn = [
            pictures.learning_curves(history, output / "learning_curves.png"),
            pictures.labelled_images(x, y, predicted, wrong_first[:40].tolist(), output / "digits.png"),
            pictures.confusion_matrix(y, predicted, output / "confusion.png"),
        ]
        convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
        if convolutions:  # the filters of the first one, and what the last one sees in a digit
            maps = feature_maps(model, x[:1], convolutions[-1])
            drawn += [
                pictures.filters(convolutions[0].kernel, output / "filters.png"),
                pictures.feature_maps(maps[0], output / "feature_maps.png"),
            ]
        return drawn
    except ImportError:
        print("No pictures: matplotlib is not installed (pip install matplotlib).")
        return []
