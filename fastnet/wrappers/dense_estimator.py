"""The base class of the ready-made classifier and regressor: it scales the inputs, builds the network and trains it."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from fastnet import activations, checks, initializers, layers, optimizers, regularizers
from fastnet._kernels.errors import quoted
from fastnet.callbacks import Callback, History
from fastnet.callbacks.callback import Logs
from fastnet.sequential import Sequential
from fastnet.wrappers.class_labels import weights_of
from fastnet.wrappers.travel import TravellingEstimator

_DTYPES = [np.float64, np.float32]
_Rows = tuple[Any, ...]  # X, targets, and weights or None


class Plateau(Callback):
    """Ends training after ``patience`` epochs that improve the loss by less than ``tol``, by scikit-learn's rule.

    An epoch is compared with the lowest loss so far. `EarlyStopping` compares with the last improvement, so that many
    small steps count as one: on the digits it took 125 epochs instead of 70, at the same score. After training the
    model has the weights of the lowest loss where that is of held-out rows (``val_loss``).
    """

    def __init__(self, monitor: str, tol: float, patience: int | None):
        self.monitor, self.tol, self.patience = monitor, tol, np.inf if patience is None else patience
        self.lowest, self.wait = np.inf, 0
        self.weights: list[np.ndarray] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        loss = (logs or {})[self.monitor]
        self.wait = 0 if loss <= self.lowest - self.tol else self.wait + 1
        if loss < self.lowest:
            self.lowest = loss
            if self.monitor == "val_loss":
                self.weights = self.model.get_weights()
        self.model.stop_training = self.wait > self.patience

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.weights is not None:
            self.model.set_weights(self.weights)


class DenseEstimator(TravellingEstimator):
    """A network of dense layers as an estimator. Its subclasses have the loss and the targets.

    A subclass defines `_loss` and `_targets`, and may override the methods after them.
    """

    _options: dict[str, Any] = {}  # of validate_data
    scaler_: Any

    def __init__(
        self, hidden: Any, activation: Any, dropout: float, l2: float, optimizer: Any, learning_rate: Any,
        batch_size: int, epochs: int, tol: float, n_iter_no_change: int | None, early_stopping: bool,
        validation_fraction: float, scale: bool, dtype: str | None, warm_start: bool, random_state: Any, verbose: Any,
    ):  # fmt: skip
        self.hidden = hidden
        self.activation = activation
        self.dropout = dropout
        self.l2 = l2
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.scale = scale
        self.dtype = dtype
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # ---- what subclasses say

    def _loss(self, outputs: int) -> Any:
        raise NotImplementedError

    def _targets(self, y: np.ndarray, weights: np.ndarray | None, reset: bool) -> tuple[np.ndarray, int]:
        """The targets, and the number of the network's outputs."""
        raise NotImplementedError

    def _scaled_targets(self, targets: np.ndarray) -> np.ndarray:
        """The targets as the loss reads them."""
        return targets

    def _row_weights(self, y: np.ndarray, weights: np.ndarray | None) -> np.ndarray | None:
        """The weights of rows that follow from their targets too."""
        return weights

    def _stratified_by(self, targets: np.ndarray) -> np.ndarray | None:
        """The classes whose shares a held-out part keeps."""
        return None

    # ---- training

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train.

        Args:
            X: (n, features), also a sparse matrix.
            y: the targets, one for each row.
            sample_weight: weight of each row, (n,), from 0. Rows of weight 0 are left out; where all rows are one
                batch, a row of weight 2 is a row that is there twice.

        Returns:
            The estimator itself.

        Raises:
            ValueError: the data or an argument do not fit.
            fastnet.NonFiniteError: training diverged.
        """
        self._check_arguments()
        goes_on = self.warm_start and hasattr(self, "model_")
        rng = check_random_state(self.random_state)
        train, outputs = self._checked(X, y, sample_weight, reset=not goes_on)
        held_out = None
        if self.early_stopping:
            train, held_out = self._split(train, rng)
        if not goes_on:
            self._start(train, outputs, rng)
        held_out = held_out and _with_mean_weight_1(*held_out)
        return self._train(_with_mean_weight_1(*train), held_out, self.epochs, self._stopping())

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any) -> Any:
        """One epoch; the first call makes the network."""
        self._check_arguments()
        is_first = not hasattr(self, "model_")
        train, outputs = self._checked(X, y, sample_weight, reset=is_first, partial=True)
        if is_first:
            self._start(train, outputs, check_random_state(self.random_state))
        elif self.scaler_ is not None:
            self._learn_scales(*train)
        return self._train(train, None, 1, [])

    def _check_arguments(self) -> None:
        owner = type(self).__name__
        for name in ("early_stopping", "scale", "warm_start"):
            checks.flag(f"{owner}: {name}", getattr(self, name))
        for units in self._units:
            checks.integer(f"{owner}: hidden: each number of units", units)
        checks.number(f"{owner}: dropout", self.dropout, checks.UNIT)
        checks.number(f"{owner}: l2", self.l2, checks.NOT_NEGATIVE)
        checks.integer(f"{owner}: batch_size", self.batch_size)
        checks.integer(f"{owner}: epochs", self.epochs)
        checks.number(f"{owner}: tol", self.tol, checks.NOT_NEGATIVE)
        if self.n_iter_no_change is not None:
            checks.integer(f"{owner}: n_iter_no_change", self.n_iter_no_change)
        fraction = checks.number(f"{owner}: validation_fraction", self.validation_fraction, checks.CLOSED_UNIT)
        if not 0 < fraction < 1:
            raise ValueError(f"{owner}: validation_fraction must be between 0 and 1, received {quoted(fraction)}.")
        checks.one_of(f"{owner}: dtype", self.dtype, "float32", "float64", None)

    @property
    def _units(self) -> list[Any]:
        return list(self.hidden) if isinstance(self.hidden, Iterable) else [self.hidden]

    def _checked(self, X: Any, y: Any, sample_weight: Any, reset: bool, partial: bool = False) -> tuple[_Rows, int]:
        """The rows whose weight is not 0, and the number of outputs.

        Args:
            reset: whether the number of features is learned.
            partial: whether other rows may have other classes.
        """
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=_DTYPES, reset=reset, **self._options)
        weights = weights_of(type(self).__name__, sample_weight, X)
        targets, outputs = self._targets(y, weights, reset and not partial)
        weights = self._row_weights(y, weights)
        if weights is not None and not weights.all():  # a row of weight 0 would still take a place in a batch
            chosen = weights > 0
            X, targets, weights = X[chosen], targets[chosen], weights[chosen]
        return (X, targets, weights), outputs

    def _split(self, rows: _Rows, rng: Any) -> tuple[_Rows, _Rows]:
        """The rows to train on, and those held out."""
        X, targets, weights = rows
        arrays = [X, targets] if weights is None else [X, targets, weights]
        parts = train_test_split(
            *arrays, test_size=self.validation_fraction, random_state=rng, stratify=self._stratified_by(targets)
        )
        train, held_out = parts[::2], parts[1::2]
        if weights is None:
            return (*train, None), (*held_out, None)
        return tuple(train), tuple(held_out)

    def _start(self, train: _Rows, outputs: int, rng: Any) -> None:
        """Make the network, and learn the scales of the data."""
        X = train[0]
        self.scaler_ = StandardScaler(with_mean=not scipy.sparse.issparse(X)) if self.scale else None
        if self.scale:
            self._learn_scales(*train)
        self.model_ = self._new_network(X.shape[1], outputs, self.dtype or X.dtype.name, rng)

    def _learn_scales(self, X: np.ndarray, targets: np.ndarray, weights: np.ndarray | None) -> None:
        self.scaler_.partial_fit(X, sample_weight=weights)

    def _new_network(self, inputs: int, outputs: int, dtype: str, rng: Any) -> Sequential:
        def seed() -> int:
            return int(rng.randint(np.iinfo(np.int32).max))

        def dense(units: int, activation: Any = None) -> layers.Dense:
            penalty = regularizers.L2(self.l2) if self.l2 else None
            start = initializers.GlorotUniform(seed=seed())
            return layers.Dense(units, activation, kernel_initializer=start, kernel_regularizer=penalty, dtype=dtype)

        activation = activations.get(self.activation)
        steps: list[layers.Layer] = [layers.Input((inputs,), dtype=dtype)]
        for units in self._units:
            steps.append(dense(units, activation))
            if self.dropout:
                steps.append(layers.Dropout(self.dropout, seed=seed(), dtype=dtype))
        model = Sequential([*steps, dense(outputs)])
        model.compile(self._new_optimizer(), self._loss(outputs))
        model.random_counters = {"seed": seed(), "epochs_done": 0}
        return model

    def _new_optimizer(self) -> Any:
        given = self.optimizer
        optimizer = copy.deepcopy(given) if isinstance(given, optimizers.Optimizer) else optimizers.get(given)
        if self.learning_rate is not None:
            optimizer.learning_rate = self.learning_rate
        return optimizer

    def _stopping(self) -> list[Callback]:
        if self.early_stopping:
            return [Plateau("val_loss", self.tol, self.n_iter_no_change)]
        return [] if self.n_iter_no_change is None else [Plateau("loss", self.tol, self.n_iter_no_change)]

    def _train(self, train: _Rows, held_out: _Rows | None, epochs: int, callbacks: list[Callback]) -> Any:
        x, y, weights = self._as_read(*train)
        self.history_: History = self.model_.fit(
            x, y, sample_weight=weights, batch_size=min(self.batch_size, len(y)), epochs=epochs, callbacks=callbacks,
            validation_data=None if held_out is None else self._as_read(*held_out),
            verbose=int(self.verbose) if isinstance(self.verbose, bool) else self.verbose,
        )  # fmt: skip
        self.loss_curve_ = self.history_.history["loss"]
        self.n_iter_ = len(self.history_.epoch)
        return self

    def _as_read(self, X: np.ndarray, targets: np.ndarray, weights: np.ndarray | None) -> tuple[Any, Any, Any]:
        """Data as the network reads them: scaled."""
        return self._scaled(X), self._scaled_targets(targets), weights

    def _scaled(self, X: np.ndarray) -> np.ndarray:
        scaled = X if self.scaler_ is None else self.scaler_.transform(X)
        return scaled.astype(self.model_.dtype, copy=False)

    def _outputs(self, X: Any) -> np.ndarray:
        """The network's outputs, (n, outputs)."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=_DTYPES, reset=False)
        return self.model_.predict(self._scaled(X), verbose=0)


def _with_mean_weight_1(X: np.ndarray, targets: np.ndarray, weights: np.ndarray | None) -> _Rows:
    """The rows with weights that change the size of no step on average."""
    return X, targets, None if weights is None else weights / weights.mean()
