"""Sequential: a network as a list of layers."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fastnet import losses, optimizers
from fastnet import metrics as metrics_module
from fastnet.callbacks import History
from fastnet.engine import fitting
from fastnet.engine.variable import Variable
from fastnet.layers.base import Layer, assign_all, check_shape
from fastnet.layers.core import InputLayer
from fastnet.saving import weights as weights_files
from fastnet.summary import summary_text

_names = itertools.count()


class Sequential:
    """A network in which each layer reads what the one before it gives.

    Args:
        layers: the layers, in order; an `Input` first says the shape of a sample, else the first data do.
        trainable: False to keep all weights as they are.
        name: as shown.

    Raises:
        ValueError: what is no layer, a layer's name twice, shapes that do not fit.

    Example:
        >>> import numpy as np, fastnet
        >>> from fastnet import layers
        >>> model = fastnet.Sequential([layers.Input((2,)), layers.Dense(1)])
        >>> model.compile(optimizer="sgd", loss="mse")
        >>> history = model.fit(np.ones((8, 2)), np.ones(8), epochs=2, verbose=0)
        >>> sorted(history.history)
        ['loss']
    """

    def __init__(self, layers: Iterable[Layer] | None = None, trainable: bool = True, name: str | None = None):
        number = next(_names)
        self.name = name or ("sequential" if number == 0 else f"sequential_{number}")
        self._layers: list[Layer] = []
        self.built = False
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: losses.Loss | None = None
        self.history: History | None = None
        self.stop_training = False
        self._metrics: list[Any] = []
        self._trainer = fitting.new_trainer(self)
        for layer in layers or []:
            self.add(layer, rebuild=False)
        self._maybe_build()
        if not trainable:
            self.trainable = False

    # ---- the network

    def add(self, layer: Layer, rebuild: bool = True) -> None:
        """Append a layer.

        Raises:
            ValueError: no layer, a name that is taken, a shape that does not fit; the model is unchanged then.
        """
        if not isinstance(layer, Layer):
            raise ValueError(f"A Sequential takes layers, received {layer!r}. Layers are found in fastnet.layers.")
        if any(layer is other for other in self._layers):
            raise ValueError(f"The layer {layer.name!r} is in this model already; make a second one.")
        if any(layer.name == other.name for other in self._layers):
            raise ValueError(f"Two layers have the name {layer.name!r}; give one of them another (name=...).")
        if self.built and (shape := self._layers[-1].output_shape) is not None:
            layer.connect(shape)
        self._layers.append(layer)
        self._trainer.forget()
        if rebuild:
            try:
                self._maybe_build()
            except ValueError:
                self._layers.pop()
                raise

    def pop(self, rebuild: bool = True) -> Layer:
        """Remove the last layer and return it.

        Raises:
            ValueError: there is none.
        """
        if not self._layers:
            raise ValueError(f"The model {self.name!r} has no layer to remove.")
        layer = self._layers.pop()
        self.built = self.built and bool(self._layers)
        self._trainer.forget()
        return layer

    def build(self, input_shape: Any = None) -> None:
        """Make the weights for data of this shape.

        Args:
            input_shape: with the batch first, as in Keras: ``(None, 784)``.

        Raises:
            ValueError: no layers, or shapes that do not fit.
        """
        if not self._layers:
            raise ValueError(f"The model {self.name!r} has no layers; add some first.")
        given = self._layers[0].given_input_shape
        if input_shape is not None:
            shape = check_shape(tuple(input_shape)[1:], f"model {self.name!r}")
            if given is not None and shape != given:
                raise ValueError(f"The model {self.name!r} has an Input of shape {given}; build was given {shape}.")
        elif given is not None:
            shape = given
        else:
            raise ValueError(
                f"The model {self.name!r} does not know the shape of its input: put fastnet.layers.Input(shape) first, "
                "or call build((None, ...))."
            )
        self._connect(shape)

    def _maybe_build(self) -> None:
        if self._layers and not self.built and self._layers[0].given_input_shape is not None:
            self._connect(self._layers[0].given_input_shape)

    def _connect(self, shape: tuple[int, ...]) -> None:
        self.sample_output_shape(shape)  # first: where one layer does not fit, none may be built
        for layer in self._layers:
            shape = layer.connect(shape)
        self.built = True

    def sample_output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of one sample's prediction for samples of this shape; nothing is built.

        Raises:
            ValueError: the shape does not fit a layer.
        """
        if self.built and shape == self._layers[0].input_shape:
            return self._layers[-1].output_shape or ()
        for layer in self._layers:
            shape = layer.compute_output_shape(shape)
        return shape

    @property
    def trainable(self) -> bool:
        """Whether an optimizer changes any weight; setting it sets it for every layer, as in Keras."""
        return any(layer.trainable for layer in self._layers)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self._layers:
            layer.trainable = bool(value)

    @property
    def layers(self) -> list[Layer]:
        """The layers, without Input."""
        return [layer for layer in self._layers if not isinstance(layer, InputLayer)]

    @property
    def layers_to_run(self) -> list[Layer]:
        """The layers a plan is made of: at least one."""
        first = self._layers[:1]
        return self._layers[1:] if len(self._layers) > 1 and isinstance(first[0], InputLayer) else self._layers

    @property
    def input_shape(self) -> tuple:
        """Shape of the data, None for the batch."""
        self._must_be_built()
        return (None, *(self._layers[0].input_shape or ()))

    @property
    def output_shape(self) -> tuple:
        """Shape of a prediction, None for the batch."""
        self._must_be_built()
        return (None, *(self._layers[-1].output_shape or ()))

    @property
    def weights(self) -> list[Variable]:
        """All weights, layer by layer."""
        return [v for layer in self._layers for v in layer.weights]

    @property
    def trainable_weights(self) -> list[Variable]:
        """What the optimizer changes."""
        return [v for layer in self._layers for v in layer.trainable_weights]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by name or by index.

        Raises:
            ValueError: both or neither given, or no such layer.
        """
        if (name is None) == (index is None):
            raise ValueError(f"get_layer takes a name or an index, received name={name!r}, index={index!r}.")
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(f"The model {self.name!r} has {len(self.layers)} layers; there is no layer {index}.")
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        from fastnet._kernels.registry import unknown

        raise ValueError(unknown("layer", name, [layer.name for layer in self.layers]))

    def count_params(self) -> int:
        """How many numbers the weights hold.

        Raises:
            ValueError: the model is not built.
        """
        self._must_be_built()
        return sum(layer.count_params() for layer in self._layers)

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights' values, layer by layer, as Keras orders them."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all weights' values.

        Raises:
            ValueError: another number of arrays, or other shapes; nothing has changed then.
        """
        assign_all(self.weights, list(weights), f"model {self.name!r}")

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Write the weights to a file; see `fastnet.saving.save_weights`."""
        weights_files.save_weights(self, filepath, overwrite)

    def load_weights(self, filepath: Any) -> None:
        """Set the weights from a file; see `fastnet.saving.load_weights`."""
        weights_files.load_weights(self, filepath)

    def summary(self, line_length: int | None = None, print_fn: Any = None) -> None:
        """Print a table of the layers: name, shape of the result, number of weights."""
        (print_fn or print)(summary_text(self, line_length))

    def _must_be_built(self) -> None:
        if not self.built:
            raise ValueError(
                f"The model {self.name!r} is not built yet: its input's shape is unknown. Put fastnet.layers.Input "
                "first, call build((None, ...)), or fit it to data."
            )

    # ---- training

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Any = None) -> None:
        """Choose how to train.

        Args:
            optimizer: a name or one of `fastnet.optimizers`.
            loss: a name or one of `fastnet.losses`.
            metrics: a list of names or of `fastnet.metrics`.

        Raises:
            ValueError: an unknown name; offers the nearest known ones.
        """
        optimizer = optimizers.get(optimizer)
        loss = None if loss is None else losses.get(loss)
        metrics = [] if metrics is None else (list(metrics) if isinstance(metrics, (list, tuple)) else [metrics])
        for metric in metrics:
            metrics_module.get(metric)
        self.optimizer, self.loss, self._metrics = optimizer, loss, metrics
        self._trainer = fitting.new_trainer(self)

    def metrics_for(self, output_shape: tuple[int, ...]) -> list[metrics_module.Metric]:
        """The metrics as compiled, for predictions of this shape."""
        sparse = self.loss is not None and self.loss.sparse
        return [metrics_module.get(m, output_shape, sparse) for m in self._metrics]

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: tuple | None = None,
        shuffle: bool = True,
        initial_epoch: int = 0,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> History:
        """Train.

        Args:
            x: data (n, ...), any real dtype, any strides, also a memory map; rows are converted as they are used.
            y: targets (n, ...).
            batch_size: rows in a step, 32 by default; the last step has what is left.
            epochs: number of the last epoch.
            verbose: 0 silent, 1 bar, 2 a line an epoch, "auto" a bar on a terminal or in a notebook.
            callbacks: a list of `fastnet.callbacks.Callback`.
            validation_split: share of the last rows that is kept for validation.
            validation_data: (x, y) for validation.
            shuffle: whether each epoch has an order of its own.
            initial_epoch: number of the first epoch, from 0.
            validation_batch_size: as ``batch_size``.
            validation_freq: epochs between two validations.

        Returns:
            The `History`: ``history.history["loss"]`` and so on, one number an epoch.

        Raises:
            ValueError: what does not fit, before anything is computed.
            fastnet.NonFiniteError: NaN or infinity; the model has the last good weights.
            RuntimeError: `compile` was not called.
        """
        return fitting.fit(
            self,
            *(x, y, batch_size, epochs, verbose, callbacks, validation_split, validation_data, shuffle),
            *(initial_epoch, validation_batch_size, validation_freq),
        )

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics over data.

        Returns:
            The loss, or a list of the loss and the metrics, or a dictionary where ``return_dict``.
        """
        logs = fitting.evaluate(self, x, y, batch_size, verbose, callbacks)
        return fitting.as_results(logs, return_dict)

    def predict(
        self, x: Any, batch_size: int | None = None, verbose: int | str = "auto", callbacks: Any = None
    ) -> np.ndarray:
        """What the last layer gives for each row: (n, ...). Several threads may call it at once."""
        return fitting.predict(self, x, batch_size, verbose, callbacks)

    def train_on_batch(self, x: Any, y: Any = None, return_dict: bool = False) -> Any:
        """One step on these rows; its loss and metrics."""
        return fitting.as_results(fitting.train_on_batch(self, x, y), return_dict)

    def test_on_batch(self, x: Any, y: Any = None, return_dict: bool = False) -> Any:
        """Loss and metrics of these rows."""
        return fitting.as_results(fitting.evaluate_rows(self, x, y), return_dict)

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """What the last layer gives for these rows."""
        return fitting.predict_rows(self, x)

    def __call__(self, x: Any) -> np.ndarray:
        """The same as `predict_on_batch`."""
        return fitting.predict_rows(self, x)

    def profile(self, x: Any, y: Any, batch_size: int | None = None, seconds: float = 1.0) -> fitting.Profile:
        """Train for some time and tell where it went: a table of time, GF/s and GB/s for each layer."""
        return fitting.profile(self, x, y, batch_size, seconds)

    def __repr__(self) -> str:
        return f"<Sequential {self.name}, {len(self.layers)} layers>"
