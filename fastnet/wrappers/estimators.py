"""Ready-made estimators: networks of dense layers for classification and regression."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.preprocessing import StandardScaler

from fastnet import losses
from fastnet._kernels.errors import quoted
from fastnet.wrappers import class_labels
from fastnet.wrappers.dense_estimator import DenseEstimator


class FastnetClassifier(ClassifierMixin, DenseEstimator):
    """A network of dense layers for two or more classes, trained on the cross-entropy.

    Args:
        hidden: the units of each hidden layer; a number for one layer, () for none.
        activation: of the hidden layers: a name, one of `fastnet.activations`, or a function of a number.
        dropout: the rate after each hidden layer.
        l2: factor of the penalty ``l2 · Σ w²`` of every kernel.
        optimizer: a name or one of `fastnet.optimizers`.
        learning_rate: a number or a schedule; None for the optimizer's own.
        batch_size: rows in a step; at most all rows.
        epochs: the most epochs of `fit`.
        tol: an epoch that lowers the least loss so far by less than this is without improvement.
        n_iter_no_change: training ends after more epochs in a row without improvement; None for never.
        early_stopping: whether the loss of held-out rows counts; the network then gets its best weights. By default the
            loss of the training counts.
        validation_fraction: share of the rows that `early_stopping` holds out.
        scale: whether each feature is scaled to mean 0 and variance 1, by the rows of `fit`; features of a sparse
            matrix to variance 1, so that they stay sparse.
        dtype: "float32" or "float64", in which the network computes; None for that of ``X``. float32 is about twice as
            fast.
        warm_start: whether `fit` trains the network of the `fit` before.
        class_weight: {class: weight}, or "balanced" for weights that make all classes count the same.
        random_state: a seed, or a `numpy.random.RandomState`: weights, order of the rows and dropout follow from it.
        verbose: 0 silent, 1 a bar, 2 a line an epoch.

    Attributes:
        classes_: the sorted labels.
        model_: the `Sequential`; it reads scaled features and gives logits.
        scaler_: scikit-learn's `StandardScaler` of the features; None without ``scale``.
        history_: the `fastnet.callbacks.History` of the last `fit`.
        loss_curve_, n_iter_: the loss of each epoch, and the number of epochs.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.model_selection import cross_val_score
        >>> from fastnet.wrappers import FastnetClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> bool(cross_val_score(FastnetClassifier(random_state=0), X, y).mean() > 0.9)
        True
    """

    def __init__(
        self, hidden: Any = (64, 32), *, activation: Any = "relu", dropout: float = 0.0, l2: float = 0.0,
        optimizer: Any = "adam", learning_rate: Any = None, batch_size: int = 32, epochs: int = 200, tol: float = 1e-4,
        n_iter_no_change: int | None = 10, early_stopping: bool = False, validation_fraction: float = 0.1,
        scale: bool = True, dtype: str | None = None, warm_start: bool = False, class_weight: Any = None,
        random_state: Any = None, verbose: Any = 0,
    ):  # fmt: skip
        super().__init__(
            hidden, activation, dropout, l2, optimizer, learning_rate, batch_size, epochs, tol, n_iter_no_change,
            early_stopping, validation_fraction, scale, dtype, warm_start, random_state, verbose,
        )  # fmt: skip
        self.class_weight = class_weight

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Any:
        """Train one epoch on these rows. The first call makes the network; scales follow all rows so far.

        Args:
            X: (n, features).
            y: labels (n,).
            classes: all labels; needed in the first call.
            sample_weight: weight of each row, (n,). It counts as it is, times that of ``class_weight``: rows of weight
                2 move the network twice as far. (In `fit` the mean weight is 1.)

        Returns:
            The estimator itself.

        Raises:
            ValueError: the data do not fit, ``classes`` is missing, or is not that of the first call; ``class_weight``
                is "balanced", which the rows of one call do not tell.
        """
        owner = type(self).__name__
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"{owner}: partial_fit sees a part of the rows, and cannot know the weights of "
                f"class_weight={self.class_weight!r}. Give a dictionary, whose weights "
                "sklearn.utils.class_weight.compute_class_weight computes from all labels."
            )
        if not hasattr(self, "classes_"):
            if classes is None:
                raise ValueError(f"{owner}: the first call of partial_fit needs classes, all labels that may come.")
            self.classes_ = class_labels.classes_of(owner, np.asarray(classes))
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"{owner}: classes must stay {self.classes_.tolist()}, received {quoted(classes)}.")
        return self._partial_fit(X, y, sample_weight)

    def _targets(self, y: Any, weights: np.ndarray | None, reset: bool) -> tuple[np.ndarray, int]:
        owner, y = type(self).__name__, class_labels.as_labels(y)
        if reset:
            self.classes_ = class_labels.classes_of(owner, y)
            if weights is not None:
                class_labels.classes_of(f"{owner}: sample_weight above zero", y[weights > 0])
        classes = len(self.classes_)
        return class_labels.indices(owner, y, self.classes_), classes if classes > 2 else 1

    def _row_weights(self, y: np.ndarray, weights: np.ndarray | None) -> np.ndarray | None:
        return class_labels.of_classes(type(self).__name__, self.class_weight, y, weights, self.classes_)

    def _stratified_by(self, targets: np.ndarray) -> np.ndarray | None:
        counts = np.unique(targets, return_counts=True)[1]
        can_be = counts.min() > 1 and self.validation_fraction * len(targets) >= len(counts)
        return targets if can_be else None  # else rows are held out regardless of their class

    def _loss(self, outputs: int) -> losses.Loss:
        crossentropy = losses.BinaryCrossentropy if outputs == 1 else losses.SparseCategoricalCrossentropy
        return crossentropy(from_logits=True)

    def decision_function(self, X: Any) -> np.ndarray:
        """The logits, (n, classes); for two classes that of the second one, (n,)."""
        return class_labels.decisions(self._outputs(X), logits=True)

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probabilities of the classes, (n, classes)."""
        return class_labels.probabilities(self._outputs(X), logits=True)

    def predict(self, X: Any) -> np.ndarray:
        """The label of each row, (n,)."""
        return class_labels.predicted(self._outputs(X), True, self.classes_)


class FastnetRegressor(RegressorMixin, DenseEstimator):
    """A network of dense layers for one or several real targets.

    Args:
        hidden: the units of each hidden layer; a number for one layer, () for none.
        loss: a name or one of `fastnet.losses`; of the scaled targets, where ``scale``.
        activation: of the hidden layers: a name, one of `fastnet.activations`, or a function of a number.
        dropout: the rate after each hidden layer.
        l2: factor of the penalty ``l2 · Σ w²`` of every kernel.
        optimizer: a name or one of `fastnet.optimizers`.
        learning_rate: a number or a schedule; None for the optimizer's own.
        batch_size: rows in a step; at most all rows.
        epochs: the most epochs of `fit`.
        tol: an epoch that lowers the least loss so far by less than this is without improvement.
        n_iter_no_change: training ends after more epochs in a row without improvement; None for never.
        early_stopping: whether the loss of held-out rows counts; the network then gets its best weights. By default the
            loss of the training counts.
        validation_fraction: share of the rows that `early_stopping` holds out.
        scale: whether each feature and each target is scaled to mean 0 and variance 1, by the rows of `fit`; features
            of a sparse matrix to variance 1, so that they stay sparse.
        dtype: "float32" or "float64", in which the network computes; None for that of ``X``. float32 is about twice as
            fast.
        warm_start: whether `fit` trains the network of the `fit` before.
        random_state: a seed, or a `numpy.random.RandomState`: weights, order of the rows and dropout follow from it.
        verbose: 0 silent, 1 a bar, 2 a line an epoch.

    Attributes:
        model_: the `Sequential`; it reads scaled features and gives scaled targets.
        scaler_, target_scaler_: scikit-learn's `StandardScaler` of the features and of the targets; None without
            ``scale``.
        history_: the `fastnet.callbacks.History` of the last `fit`.
        loss_curve_, n_iter_: the loss of each epoch, and the number of epochs.

    Example:
        >>> import numpy as np
        >>> from fastnet.wrappers import FastnetRegressor
        >>> X = np.linspace(-2, 2, 200).reshape(-1, 1)
        >>> network = FastnetRegressor(random_state=0).fit(X, np.abs(X[:, 0]))
        >>> bool(network.score(X, np.abs(X[:, 0])) > 0.99)
        True
    """

    _options = {"multi_output": True, "y_numeric": True}
    target_scaler_: Any

    def __init__(
        self, hidden: Any = (64, 32), *, loss: Any = "mse", activation: Any = "relu", dropout: float = 0.0,
        l2: float = 0.0, optimizer: Any = "adam", learning_rate: Any = None, batch_size: int = 32, epochs: int = 200,
        tol: float = 1e-4, n_iter_no_change: int | None = 10, early_stopping: bool = False,
        validation_fraction: float = 0.1, scale: bool = True, dtype: str | None = None, warm_start: bool = False,
        random_state: Any = None, verbose: Any = 0,
    ):  # fmt: skip
        super().__init__(
            hidden, activation, dropout, l2, optimizer, learning_rate, batch_size, epochs, tol, n_iter_no_change,
            early_stopping, validation_fraction, scale, dtype, warm_start, random_state, verbose,
        )  # fmt: skip
        self.loss = loss

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train one epoch on these rows. The first call makes the network; scales follow all rows so far.

        Args:
            X: (n, features).
            y: targets, (n,) or (n, outputs).
            sample_weight: weight of each row, (n,). It counts as it is: rows of weight 2 move the network twice as far.
                (In `fit` the mean weight is 1.)

        Returns:
            The estimator itself.

        Raises:
            ValueError: the data do not fit.
        """
        return self._partial_fit(X, y, sample_weight)

    def _targets(self, y: np.ndarray, weights: np.ndarray | None, reset: bool) -> tuple[np.ndarray, int]:
        columns = y.reshape(len(y), -1)
        if reset or not hasattr(self, "model_"):
            self._target_axes = y.ndim
            self.target_scaler_ = StandardScaler() if self.scale else None
        return columns, columns.shape[1]

    def _learn_scales(self, X: np.ndarray, targets: np.ndarray, weights: np.ndarray | None) -> None:
        super()._learn_scales(X, targets, weights)
        self.target_scaler_.partial_fit(targets, sample_weight=weights)

    def _scaled_targets(self, targets: np.ndarray) -> np.ndarray:
        return targets if self.target_scaler_ is None else self.target_scaler_.transform(targets)

    def _loss(self, outputs: int) -> Any:
        return losses.get(self.loss)

    def predict(self, X: Any) -> np.ndarray:
        """Predictions, of the shape of the targets: (n,) or (n, outputs)."""
        outputs = self._outputs(X).astype(np.float64)
        if self.target_scaler_ is not None:
            outputs = self.target_scaler_.inverse_transform(outputs)
        return outputs[:, 0] if self._target_axes == 1 else outputs
