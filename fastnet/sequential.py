"""Sequential: a network as a list of layers."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet import checks, hooks, losses, optimizers, saving
from fastnet import metrics as metrics_module
from fastnet.callbacks import History
from fastnet.default_names import numbered
from fastnet.engine import devices
from fastnet.layers.calls import refuse_layer
from fastnet.layers.layer import Layer
from fastnet.layers.network import Network
from fastnet.losses.penalties_alone import PENALTIES_ALONE
from fastnet.metrics.compiled import CompiledMetrics
from fastnet.refused import NotAnEstimator, attribute_error
from fastnet.saving.saveable import Saveable
from fastnet.symbolic.array import SymbolicArray
from fastnet.tracebacks import trimmed
from fastnet.training import loop
from fastnet.training.differentiation import Differentiable
from fastnet.training.step_methods import StepMethods

if TYPE_CHECKING:
    from fastnet.engine.profiling import Profile

#: Arguments of `Sequential.compile` → the attributes that hold them.
_COMPILED = {"optimizer": "optimizer", "loss": "loss", "loss_weights": "_loss_weights"}
_TRAINED_WITH = ("optimizer", "loss")


class Sequential(Differentiable, StepMethods, Saveable, NotAnEstimator, Network):
    """A network in which each layer reads the result of the one before it.

    Args:
        layers: the layers, in order. An `Input` in front gives the shape of a sample; otherwise the first data do. A
            `Sequential` may be one of them: its layers run where it stands.
        trainable: False to freeze all weights.
        name: for tables and errors.
        seed: of its new weights, masks and permutations, which then follow from nothing else: neither from
            `fastnet.utils.set_random_seed` nor from other models and threads. Weights that a layer has already stay,
            and a layer or an initializer with a seed follows its own. `compile` begins masks and permutations again.

    Raises:
        ValueError: an item is not a layer, two layers share a name, shapes do not fit, or the seed is negative.

    Example:
        >>> import numpy as np, fastnet
        >>> from fastnet import layers
        >>> model = fastnet.Sequential([layers.Input((2,)), layers.Dense(1)])
        >>> model.compile(optimizer="sgd", loss="mse")
        >>> history = model.fit(np.ones((8, 2)), np.ones(8), epochs=2, verbose=0)
        >>> sorted(history.history)
        ['loss']
    """

    _kind = "model"
    _fixed = ("seed",)

    def __init__(
        self,
        layers: Iterable[Layer] | None = None,
        trainable: bool = True,
        name: str | None = None,
        seed: int | None = None,
    ):
        self.seed = checks.seed("Sequential: seed", seed)
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: losses.Loss | None = None
        self.history: History | None = None
        self.stop_training = self.stop_evaluating = self.stop_predicting = False
        self.columns: tuple[str, ...] | None = None
        self.compiled_metrics = CompiledMetrics()
        self._loss_weights: float | None = None
        self.device = devices.default()
        self._trainer = loop.new_trainer(self)
        with trimmed:
            super().__init__(layers, trainable, numbered("sequential") if name is None else name)

    def is_argument(self, name: str) -> bool:
        """Another optimizer or loss counts from the next step on, as after `compile`."""
        return (name in _TRAINED_WITH and "_trainer" in vars(self)) or super().is_argument(name)

    def checked_argument(self, name: str, value: Any) -> Any:
        """The optimizer or the loss that was set, which may be a name."""
        if name not in _TRAINED_WITH:
            return super().checked_argument(name, value)
        self._must_be_idle()
        return (optimizers if name == "optimizer" else losses).get(value)

    def set_argument(self, name: str, value: Any) -> None:
        """Set the optimizer or the loss; plans from before are void."""
        super().set_argument(name, value)
        if name in _TRAINED_WITH:
            self._trainer.forget()
        if name == "loss":
            self._loss_weights = None  # they were the other's

    def _must_be_idle(self) -> None:
        self._trainer.plans.must_be_idle()
        super()._must_be_idle()

    def _changed(self, shapes: list[tuple[int, ...]] | None = None) -> None:
        self._trainer.forget()
        super()._changed(shapes)

    @property
    def random_counters(self) -> dict[str, int]:
        """The numbers that decide masks and permutations: the ``seed``, and the count of epochs that used it.

        A model that gets these counters, the weights and the optimizer's state of another one trains on to the same
        bits.
        """
        return {"seed": self._trainer.seed, "epochs_done": self._trainer.epochs_done}

    @random_counters.setter
    def random_counters(self, counters: Mapping[str, int]) -> None:
        self._trainer.seed, self._trainer.epochs_done = int(counters["seed"]), int(counters["epochs_done"])

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
        device: str | None = None,
    ) -> None:
        """Choose how to train.

        Args:
            optimizer: a name or one of `fastnet.optimizers`; None to evaluate only.
            loss: a name, one of `fastnet.losses`, or a plain function of two numbers ``f(y_true, y_pred)``, which is
                differentiated. This and the following arguments may stand in a list or a dictionary of one entry, for
                the one output. None to train on penalties and what layers `add_loss` alone: targets are not read.
            loss_weights: a number, by which the loss is multiplied.
            metrics: a list of names, of `fastnet.metrics`, or of functions: of two numbers, or of a batch's arrays.
                Functions of arrays, and metrics written in Python (see `fastnet.metrics.Metric`), make the runner stop
                after each batch.
            weighted_metrics: the same; they weigh rows by ``sample_weight`` and ``class_weight``.
            run_eagerly, steps_per_execution, jit_compile, auto_scale_loss: accepted; every step is compiled, as many
                are executed at a time as callbacks allow, and float32 losses need no scaling.
            device: "cpu", "cuda" for an NVIDIA GPU, or "auto" for it where there is one and a step is large enough;
                by default that of `fastnet.config.set_device`.

        Raises:
            ValueError: an unknown name (the error offers the nearest ones), or a function that cannot become a kernel.
            RuntimeError: the model is being trained.
            TypeError: the class defines a `train_step` or a `test_step` that does not call that of its parent.
        """
        with trimmed:
            hooks.refuse(type(self), "model", at_compile=True)
            device = devices.default() if device is None else devices.checked(device, f"The model {self.name!r}")
            self._must_be_idle()
            optimizer = optimizers.get(optimizer)
            loss = losses.get(losses.of_one_output(loss, "loss"))
            weight = losses.loss_weight(loss_weights)
            if loss is not None and weight != loss.compiled_weight:
                loss = copy.copy(loss)
                loss.compiled_weight = weight
                loss.completed()
            self.compiled_metrics = CompiledMetrics(metrics, weighted_metrics)
            self.optimizer, self.loss = optimizer, loss
            self._loss_weights, self.device = None if weight == 1 else weight, device
            self._trainer = loop.new_trainer(self)

    def get_compile_config(self) -> dict[str, Any] | None:
        """The arguments of `compile` as plain data, without the optimizer's state; None before it was called."""
        if not self.compiled:
            return None
        given = {name: getattr(self, attribute) for name, attribute in _COMPILED.items()}
        given |= dict(zip(("metrics", "weighted_metrics"), self.compiled_metrics.given))
        given = {name: value for name, value in given.items() if name == "optimizer" or value not in (None, [])}
        return saving.serialize_keras_object(given)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """`compile` with the arguments that `get_compile_config` gave."""
        self.compile(**{name: saving.deserialize_keras_object(value) for name, value in config.items()})

    @property
    def metrics_names(self) -> list[str]:
        """The keys of the logs: "loss" and the metrics, in the order in which `evaluate` returns them."""
        return ["loss", *(name for name, _, _ in self.metrics_for(self._shapes[-1] if self.built else None))]

    @property
    def metrics(self) -> list[metrics_module.Metric]:
        """The metrics in the order of the logs, with their last results; until it is built, "accuracy" is binary."""
        return [metric for _, metric, _ in self.metrics_for(self._shapes[-1] if self.built else None)]

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> float:
        """The loss of predictions, and the penalties of the weights.

        Args:
            x: data (n, ...), where ``y_pred`` is missing.
            y: targets (n, ...).
            y_pred: predictions (n, ...); by default those of ``x``.
            sample_weight: weight of each row.
            training: accepted.

        Raises:
            ValueError: shapes do not fit, both ``x`` and ``y_pred`` are missing, or a layer has an
                activity_regularizer, whose penalty does not follow from predictions.
            RuntimeError: `compile` was not called.
        """
        with trimmed:
            return loop.compute_loss(self, x, y, y_pred, sample_weight)

    @property
    def loss_of_steps(self) -> losses.Loss:
        """The loss, or what stands for it where penalties and `add_loss` are trained on alone."""
        return PENALTIES_ALONE if self.loss is None else self.loss

    def metrics_for(self, output_shape: tuple[int, ...] | None) -> list[tuple[str, metrics_module.Metric, bool]]:
        """(key in the logs, metric, whether it is weighted), as compiled, for predictions of this shape."""
        if self.is_open:  # one metric counts predictions of all shapes
            output_shape = self._shapes[-1]
        return self.compiled_metrics.counted(output_shape, self.loss is not None and self.loss.sparse)

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
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ) -> History:
        """Train.

        Args:
            x: data (n, ...), any real dtype, any strides, also a memory map, a frame or a sparse matrix; rows are
                converted as they are used. Or batches: a generator, a `fastnet.utils.PyDataset`, a PyTorch DataLoader,
                a list or anything else that can be iterated, of (x, y) or (x, y, sample_weight); they may differ in
                their number of rows and their dtypes only.
            y: targets (n, ...); left out where ``x`` yields them, or `compile` was given no loss.
            batch_size: rows in a step of arrays, 32 by default; the last step has the remaining rows.
            epochs: number of the last epoch, from 1.
            verbose: 0 silent, 1 bar, 2 a line an epoch, "auto" a bar on a terminal or in a notebook.
            callbacks: a list of `fastnet.callbacks.Callback`.
            validation_split: share of the rows, the last ones, that is held out for validation.
            validation_data: (x, y) or (x, y, sample_weight) for validation, or batches, as ``x``.
            shuffle: whether each epoch has an order of its own: of the rows of arrays, or of the batches of a
                PyDataset; "batch" for the rows of each batch among themselves. Other streams keep their order.
            class_weight: {class: weight} of each row, by its label or the index of its largest target; other classes
                weigh 1. Validation does not use it.
            sample_weight: weight of each row (n,), or of each element (n, ...) of targets with more axes. The loss and
                ``weighted_metrics`` use it; ``validation_split`` divides it too. Batches bring their own.
            initial_epoch: number of the first epoch, from 0.
            steps_per_epoch: steps in an epoch; the next one goes on where this one ended. By default an epoch lasts
                until the data end, and an endless generator needs it. Where data run out early, fastnet warns and goes
                on.
            validation_steps: steps of a validation; each begins anew, except with an iterator.
            validation_batch_size: as ``batch_size``.
            validation_freq: epochs between two validations, or a list of the epochs, counted from 1, they follow.

        Returns:
            The `History`: ``history.history["loss"]`` and so on, one number an epoch.

        Raises:
            ValueError: an argument or the data do not fit; raised before anything is computed.
            fastnet.NonFiniteError: NaN or infinity; the model has the last good weights.
            RuntimeError: `compile` was not called.
        """
        with trimmed:
            return loop.fit(
                self, x, y, sample_weight, batch_size=batch_size, epochs=epochs, verbose=verbose, callbacks=callbacks,
                validation_split=validation_split, validation_data=validation_data, shuffle=shuffle,
                class_weight=class_weight, initial_epoch=initial_epoch, steps_per_epoch=steps_per_epoch,
                validation_steps=validation_steps, validation_batch_size=validation_batch_size,
                validation_freq=validation_freq,
            )  # fmt: skip

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics over data: arrays, or ``steps`` batches of a stream (see `fit`).

        Args:
            sample_weight: weight of each row, as in `fit`.

        Returns:
            The loss, or a list of the loss and the metrics, or a dictionary where ``return_dict``.
        """
        with trimmed:
            logs = loop.evaluate(self, x, y, batch_size, verbose, sample_weight, steps, callbacks)
        return loop.as_results(logs, return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> np.ndarray:
        """The results of the last layer, one for each row: (n, ...). Several threads may call it at once.

        ``x`` are rows, or a stream of ``steps`` batches (see `fit`), whose targets are ignored.
        """
        with trimmed:
            return loop.predict(self, x, batch_size, verbose, steps, callbacks)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step on these rows; its loss and metrics. Weights as in `fit`."""
        with trimmed:
            logs = loop.train_on_batch(self, x, y, sample_weight, class_weight)
        return loop.as_results(logs, return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Loss and metrics of these rows. Weights as in `fit`."""
        with trimmed:
            return loop.as_results(loop.test_on_batch(self, x, y, sample_weight), return_dict)

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """The results of the last layer for these rows."""
        with trimmed:
            return loop.predict_rows(self, x)

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self.optimizer is not None or self.loss is not None

    def __call__(self, inputs: Any, training: bool | None = None, mask: Any = None) -> np.ndarray:
        """The same as `predict_on_batch`, or with ``training`` or a ``mask`` what a layer called so gives."""
        if training or mask is not None or isinstance(inputs, SymbolicArray):
            return super().__call__(inputs, training, mask)
        refuse_layer(self._owner, inputs)
        with trimmed:
            return loop.predict_rows(self, inputs)

    def profile(self, x: Any, y: Any, batch_size: int | None = None, seconds: float = 1.0) -> Profile:
        """Train for some time and measure where it goes.

        Args:
            x: data (n, ...).
            y: targets (n, ...).
            batch_size: rows in a step, 32 by default.
            seconds: how long to train; one step at least. Weights and optimizer are then restored.

        Returns:
            A `Profile`; print it. For each layer, forward and backward: microseconds a step, share of the step, GF/s
            (exact for products, one operation for each element of other kernels), GB/s (all bytes that are read and
            written, in whichever memory), and the share of the machine: max(operations / peak, bytes / bandwidth) over
            the time. Peak and bandwidth are measured before, between and after the steps, on the same number of
            threads, and the best of this process counts: multiply-adds on registers, and ``a += 3·b`` over as much
            memory as a step touches. Where a layer exceeds them, the table says why.

        Raises:
            ValueError: an argument or the data do not fit; raised before anything is computed.
            fastnet.NonFiniteError: NaN or infinity.
            RuntimeError: `compile` was not called.

        Example:
            >>> model = fastnet.Sequential([layers.Dense(1, name="out")])
            >>> model.compile("sgd", "mse")
            >>> {row.layer for row in model.profile(np.ones((8, 2)), np.ones(8), seconds=0.01).rows} >= {"out", "sgd"}
            True
        """
        with trimmed:
            return loop.profile(self, x, y, batch_size, seconds)

    def __getattr__(self, name: str) -> Any:
        """Raise for a missing attribute; where Keras has it, the error names the remedy."""
        if isinstance(getattr(type(self), name, None), property):
            return object.__getattribute__(self, name)  # raises the property's error again
        raise attribute_error("Sequential", name)

    def __repr__(self) -> str:
        return f"<Sequential {self.name}, {len(self.layers)} layers>"
