"""Compiles the kernels of networks before they run: for the image of a container, also for another processor."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np

import fastnet
from fastnet import layers
from fastnet._kernels import compile as compiler
from fastnet._kernels import registry
from fastnet._kernels.generate import Kernel
from fastnet._kernels.templates import data
from fastnet.engine.sources import Source
from fastnet.layers import open_shapes

# Batches of one row, of a few, and of more than 256, whose sums have a second launch, take other kernels.
TRAINED_ROWS = (32, 1, 300)
PREDICTED_ROWS = (256, 1)
READ_DTYPES = ("float32", "float64", "uint8", "int64")
LABEL_DTYPES = ("int64", "int32", "uint8")
TARGET_DTYPES = ("float32", "float64", "int64")
WEIGHT_DTYPES = ("float32", "float64")


def model(network: fastnet.Sequential) -> None:
    """Compile the kernels with which a model predicts, and trains and evaluates where it is compiled. None is run.

    Batches have usual sizes; x, targets and sample weights have usual dtypes and are contiguous.

    Raises:
        ValueError: the shape of a sample is unknown.
    """
    _check_shape(network)
    compiler.load(Kernel(data.permutation).source())
    network = fastnet.models.clone_model(network)  # plans give the optimizer its states
    for mode, rows, sources in _uses(network):
        network._trainer.plans.make(mode, rows, sources)


def training_of(network: fastnet.Sequential, rows: int) -> tuple[str, tuple[Source, ...]]:
    """The mode and the sources of a training step of contiguous rows, for `PlanCache.make`.

    Raises:
        ValueError: the shape of a sample is unknown, or the model was not compiled.
    """
    _check_shape(network)
    for mode, count, sources in _uses(network, (rows,)):
        if (mode, count) == ("train", rows):
            return mode, sources
    raise ValueError(f"The model {network.name!r} cannot be trained: call compile() with an optimizer and a loss.")


def _check_shape(network: fastnet.Sequential) -> None:
    if network.given_input_shape is None:
        raise ValueError(
            f"The model {network.name!r} does not know the shape of a sample; put an Input in front, or build it."
        )


def _uses(
    network: fastnet.Sequential, trained: tuple[int, ...] = TRAINED_ROWS
) -> Iterator[tuple[str, int, tuple[Source, ...]]]:
    """(mode, rows, sources) of the plans: each size and each dtype once, with the usual others."""
    assert network.given_input_shape is not None
    shape = open_shapes.probes(network.given_input_shape)[0]  # kernels take any size

    def source(rows: int, shape: tuple[int, ...], dtype: str) -> Source:
        return Source(np.zeros((rows, *shape), dtype))

    for rows, dtype in [*((rows, "float32") for rows in PREDICTED_ROWS), *((256, dtype) for dtype in READ_DTYPES[1:])]:
        yield "predict", rows, (source(rows, shape, dtype),)
    if network.optimizer is None or network.loss is None:
        return
    predicted = network.sample_output_shape(shape)
    labels = network.loss.sparse
    targets, of_rows = network.loss.target_shape(predicted), network.loss.along(predicted).shape[:-1]
    y_dtypes = LABEL_DTYPES if labels else TARGET_DTYPES
    for rows in trained:
        yield "train", rows, (source(rows, shape, "float32"), source(rows, targets, y_dtypes[0]))
    for mode, rows in (("train", 32), ("evaluate", 256)):
        x, y = source(rows, shape, "float32"), source(rows, targets, y_dtypes[0])
        for dtype in READ_DTYPES:
            yield mode, rows, (source(rows, shape, dtype), y)
        for dtype in y_dtypes[1:]:
            yield mode, rows, (x, source(rows, targets, dtype))
        for dtype in WEIGHT_DTYPES:
            yield mode, rows, (x, y, source(rows, of_rows, dtype))


def common() -> Iterator[fastnet.Sequential]:
    """Networks that most people train: classifiers and regressions of ReLU layers, with Adam and SGD."""
    for optimizer in ("adam", "sgd"):
        yield _network([], "relu", 3, optimizer, _from_logits(), ["accuracy"])
        yield _network([layers.Dropout(0.2)], "relu", 1, optimizer, "mse", ["mae"])
        yield _network([layers.Rescaling(1 / 255)], "relu", 3, optimizer, _from_logits(), ["accuracy"])
    yield _network([], "relu", (3, "softmax"), "adam", "sparse_categorical_crossentropy", ["accuracy"])
    yield _network([], "relu", (1, "sigmoid"), "adam", "binary_crossentropy", ["accuracy"])


def everything() -> Iterator[fastnet.Sequential]:
    """`common`, and a network for each activation, optimizer, loss and simple layer that fastnet has."""
    yield from common()
    for row in _own_rows(registry.activations):
        yield _network([], row.name, 1, "adam", "mse")
    for name in ("softmax", "log_softmax"):
        yield _network([], name, 3, "adam", "mse")
    for name, cls in vars(fastnet.optimizers).items():
        is_own = isinstance(cls, type) and issubclass(cls, fastnet.optimizers.Optimizer)
        if is_own and cls is not fastnet.optimizers.Optimizer and not _needed_arguments(cls):
            yield _network([], "relu", 1, name.lower(), "mse")
    for row in _own_rows(registry.losses):
        yield _network([], "relu", 3, "adam", row.name)
    for layer in (
        layers.AlphaDropout(0.1), layers.BatchNormalization(), layers.Dropout(0.1), layers.ELU(),
        layers.GaussianDropout(0.1), layers.GaussianNoise(0.1), layers.LayerNormalization(), layers.LeakyReLU(),
        layers.PReLU(), layers.ReLU(), layers.RMSNormalization(), layers.Softmax(), layers.UnitNormalization(),
    ):  # fmt: skip
        yield _network([layer], "linear", 1, "adam", "mse")


def _own_rows(table: registry.Table) -> list[Any]:
    """fastnet's rows; a user's may ask for other outputs."""
    return [row for row in table.unique() if row.name in table.built_in]


def _needed_arguments(cls: type) -> list[str]:
    """The arguments without a default: those of optimizers of other optimizers, which have no kernels of their own."""
    return [
        p.name for p in inspect.signature(cls).parameters.values() if p.default is p.empty and p.kind != p.VAR_KEYWORD
    ]


def _from_logits() -> Any:
    return fastnet.losses.SparseCategoricalCrossentropy(from_logits=True)


def _network(
    between: list[Any], activation: str, output: int | tuple[int, str], optimizer: Any, loss: Any, metrics: Any = ()
) -> fastnet.Sequential:
    """A network of an input of 8, a hidden layer of 16 units, the layers ``between``, and a second hidden layer."""
    units, last = output if isinstance(output, tuple) else (output, None)
    stack = [layers.Input((8,)), layers.Dense(16, activation=activation), *between]
    network = fastnet.Sequential([*stack, layers.Dense(16, activation=activation), layers.Dense(units, last)])
    network.compile(optimizer=optimizer, loss=loss, metrics=list(metrics))
    return network
