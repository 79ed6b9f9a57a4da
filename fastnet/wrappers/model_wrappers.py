"""Keras's wrappers: models, or functions that make models, as estimators of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard

import numpy as np
from sklearn.base import (
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    RegressorMixin,
    TransformerMixin,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet.callbacks import History
from fastnet.losses import Loss
from fastnet.models import clone_model
from fastnet.sequential import Sequential
from fastnet.wrappers import class_labels
from fastnet.wrappers.travel import TravellingEstimator


class ModelWrapper(TravellingEstimator):
    """The base class of the three wrappers.

    Args:
        model: a compiled `Sequential`, or a function ``model(X, y, **model_kwargs)`` that returns one. Each `fit`
            trains a new model: a `Sequential` of the same layers with new weights, or another call of the function.
        warm_start: whether `fit` trains the model of the `fit` before, or the given `Sequential` itself.
        model_kwargs: further arguments of the function.
        fit_kwargs: arguments of `Sequential.fit`; those given to `fit` come first. ``verbose`` is 0 by default.

    Attributes:
        model_: the trained `Sequential`.
        history_: the `fastnet.callbacks.History` of the last `fit`.
    """

    #: `fit` takes a sample_weight, which metadata routing may send there.
    __metadata_request__fit = {"sample_weight": None}
    _options: dict[str, Any] = {}  # of validate_data

    def __init__(
        self,
        model: Sequential | Callable[..., Sequential],
        warm_start: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
    ):
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True
        tags.target_tags.required = True
        return tags

    @property
    def epoch_(self) -> int:
        """The number of epochs of the last `fit`."""
        history: History | None = getattr(self, "history_", None)
        return 0 if history is None else len(history.epoch)

    def fit(self, X: Any, y: Any, **kwargs: Any) -> Any:
        """Train.

        Args:
            X: (n, features).
            y: targets, (n,) or (n, outputs).
            **kwargs: arguments of `Sequential.fit`, such as ``epochs`` and ``sample_weight``.

        Returns:
            The estimator itself.

        Raises:
            ValueError: the data do not fit each other or the model.
            RuntimeError: the model is not compiled.
        """
        self._check_arguments()
        X, y = validate_data(self, X, y, reset=not self._goes_on, **self._options)
        arguments = {"verbose": 0, **(self.fit_kwargs or {}), **kwargs}
        weights = class_labels.weights_of(type(self).__name__, arguments.get("sample_weight"), X)
        targets = self._targets(y, weights)
        arguments |= self._weighted(y, weights, arguments.get("class_weight"))
        model = self._new_model(X, targets)
        if not model.compiled or model.loss is None:
            raise RuntimeError(f"The model of {type(self).__name__} must be compiled with an optimizer and a loss.")
        self.history_ = model.fit(X, self._targets_of_loss(model, targets), **arguments)
        self.model_ = model
        return self

    def _check_arguments(self) -> None:
        owner = type(self).__name__
        checks.flag(f"{owner}: warm_start", self.warm_start)
        for name in ("model_kwargs", "fit_kwargs"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, dict):
                raise ValueError(
                    f"{owner}: {name} must be a dictionary of arguments or None, received {quoted(value)}."
                )

    @property
    def _goes_on(self) -> bool:
        """Whether `fit` trains the model of the `fit` before."""
        return self.warm_start and hasattr(self, "model_")

    def _new_model(self, X: np.ndarray, y: np.ndarray) -> Sequential:
        if self._goes_on:
            return self.model_
        if isinstance(self.model, Sequential):
            return self.model if self.warm_start else clone_model(self.model)
        if not callable(self.model):
            raise ValueError(
                f"{type(self).__name__}: model must be a Sequential, or a function that returns one; received "
                f"{quoted(self.model)}."
            )
        model = self.model(X=X, y=y, **(self.model_kwargs or {}))
        if not isinstance(model, Sequential):
            raise ValueError(
                f"{type(self).__name__}: the function `model` must return a Sequential, it gave {quoted(model)}."
            )
        return model

    def _outputs(self, X: Any) -> np.ndarray:
        """The model's outputs, (n, outputs)."""
        check_is_fitted(self)
        outputs = self.model_.predict(validate_data(self, X, reset=False), verbose=0)
        return outputs.reshape(len(outputs), -1)

    def _weighted(self, y: np.ndarray, weights: np.ndarray | None, class_weight: Any) -> dict[str, Any]:
        """The arguments of `Sequential.fit` that weigh rows."""
        return {"sample_weight": weights, "class_weight": class_weight}

    def _targets(self, y: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        """The targets that the function `model` gets, (n, outputs)."""
        self._target_axes = y.ndim
        return y.reshape(-1, 1) if y.ndim == 1 else y

    def _targets_of_loss(self, model: Sequential, targets: np.ndarray) -> np.ndarray:
        """The targets that the model is trained on."""
        return targets


class SKLearnClassifier(ClassifierMixin, ModelWrapper):
    """A model as a classifier of scikit-learn, with the interface of Keras's wrapper.

    The function `model` gets ``y`` as one-hot rows (n, classes). The model is trained on what its loss reads: on class
    indices where the loss is sparse, on one number of 0 or 1 where there are two classes and the model has one output,
    otherwise on the one-hot rows. `fit` takes a ``class_weight`` by label, or "balanced".

    Args:
        model: a compiled `Sequential`, or a function ``model(X, y, **model_kwargs)`` that returns one. Each `fit`
            trains a new model: a `Sequential` of the same layers with new weights, or another call of the function.
        warm_start: whether `fit` trains the model of the `fit` before, or the given `Sequential` itself.
        model_kwargs: further arguments of the function.
        fit_kwargs: arguments of `Sequential.fit`; those given to `fit` come first. ``verbose`` is 0 by default.

    Attributes:
        model_: the trained `Sequential`.
        history_: the `fastnet.callbacks.History` of the last `fit`.
        classes_: the sorted labels.

    Example:
        >>> import numpy as np, fastnet
        >>> from fastnet import layers
        >>> from fastnet.wrappers import SKLearnClassifier
        >>> def build(X, y, units):
        ...     model = fastnet.Sequential(
        ...         [layers.Dense(units, "relu"), layers.Dense(y.shape[1], "softmax")])
        ...     model.compile(fastnet.optimizers.Adam(0.05), "categorical_crossentropy")
        ...     return model
        >>> X, y = np.array([[-1.1], [-0.9], [0.9], [1.1]] * 9), np.array(["low", "low", "high", "high"] * 9)
        >>> SKLearnClassifier(build, model_kwargs={"units": 8}).fit(X, y, epochs=30).predict([[-1.0], [1.0]]).tolist()
        ['low', 'high']
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags

    def _targets(self, y: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        owner, y = type(self).__name__, class_labels.as_labels(y)
        if not self._goes_on:
            self.classes_ = class_labels.classes_of(owner, y)
        if weights is not None:
            class_labels.classes_of(f"{owner}: sample_weight above zero", y[weights > 0])
        return np.eye(len(self.classes_), dtype=np.float32)[class_labels.indices(owner, y, self.classes_)]

    def _weighted(self, y: np.ndarray, weights: np.ndarray | None, class_weight: Any) -> dict[str, Any]:
        weights = class_labels.of_classes(type(self).__name__, class_weight, y, weights, self.classes_)
        return {"sample_weight": weights, "class_weight": None}

    def _targets_of_loss(self, model: Sequential, targets: np.ndarray) -> np.ndarray:
        outputs = model.compute_output_shape((None, self.n_features_in_))
        classes = targets.shape[1]
        if outputs[1:] == (1,) and classes == 2 and not model.loss.sparse:  # type: ignore[union-attr]
            return targets[:, 1:]
        if outputs[1:] != (classes,):
            raise ValueError(
                f"{type(self).__name__}: y has {classes} classes, and the model's outputs have shape {outputs}. Make "
                f"its last layer Dense({classes}), or Dense(1) with a binary loss for two classes."
            )
        return targets.argmax(axis=1) if model.loss.sparse else targets  # type: ignore[union-attr]

    @property
    def _is_decided_at_0(self) -> bool:
        """Whether the outputs are logits, or the scores of a hinge loss."""
        return _is_hinge(self.model_.loss) or getattr(self.model_.loss, "from_logits", False)

    def decision_function(self, X: Any) -> np.ndarray:
        """The scores that decide the class.

        Returns:
            The model's outputs, (n, classes). For two classes (n,): the logit of the second class where the model gives
            logits, its score where it is trained on a hinge loss, otherwise the difference of the two probabilities.
        """
        outputs = self._outputs(X)
        return class_labels.decisions(outputs, self._is_decided_at_0)

    def _gives_probabilities(self) -> bool:
        """Whether it has `predict_proba`.

        Raises:
            AttributeError: the loss is a hinge.
        """
        loss = getattr(getattr(self, "model_", self.model), "loss", None)
        if _is_hinge(loss):
            raise AttributeError(
                f"{type(self).__name__} has no predict_proba: the loss {loss.name!r} gives scores, not probabilities. "
                "Use decision_function, or a cross-entropy as loss."
            )
        return True

    @available_if(_gives_probabilities)
    def predict_proba(self, X: Any) -> np.ndarray:
        """The probabilities of the classes, (n, classes); from logits where the loss has ``from_logits=True``.

        Models with a hinge loss have none.
        """
        outputs = self._outputs(X)
        return class_labels.probabilities(outputs, self._is_decided_at_0)

    def predict(self, X: Any) -> np.ndarray:
        """The label of each row, (n,)."""
        outputs = self._outputs(X)
        return class_labels.predicted(outputs, self._is_decided_at_0, self.classes_)


def _is_hinge(loss: Any) -> TypeGuard[Loss]:
    """Whether a loss compares scores with a margin, instead of probabilities with labels."""
    return isinstance(loss, Loss) and loss.row.name in ("hinge", "squared_hinge", "categorical_hinge")


class SKLearnRegressor(RegressorMixin, ModelWrapper):
    """A model as a regressor of scikit-learn, with the interface of Keras's wrapper.

    The function `model` gets ``y`` as (n, outputs).

    Args:
        model: a compiled `Sequential`, or a function ``model(X, y, **model_kwargs)`` that returns one. Each `fit`
            trains a new model: a `Sequential` of the same layers with new weights, or another call of the function.
        warm_start: whether `fit` trains the model of the `fit` before, or the given `Sequential` itself.
        model_kwargs: further arguments of the function.
        fit_kwargs: arguments of `Sequential.fit`; those given to `fit` come first. ``verbose`` is 0 by default.

    Attributes:
        model_: the trained `Sequential`.
        history_: the `fastnet.callbacks.History` of the last `fit`.

    Example:
        >>> import numpy as np, fastnet
        >>> from fastnet import layers
        >>> from fastnet.wrappers import SKLearnRegressor
        >>> model = fastnet.Sequential([layers.Dense(1)])
        >>> model.compile(fastnet.optimizers.SGD(0.1), "mse")
        >>> X = np.linspace(0, 1, 40).reshape(-1, 1)
        >>> SKLearnRegressor(model, fit_kwargs={"epochs": 200}).fit(X, 2 * X[:, 0] + 1).predict([[0.5]]).round(2)
        array([2.])
    """

    _options = {"multi_output": True, "y_numeric": True}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X: Any) -> np.ndarray:
        """Predictions, of the shape of the targets: (n,) or (n, outputs)."""
        outputs = self._outputs(X).astype(np.float64)
        return outputs[:, 0] if self._target_axes == 1 else outputs


class SKLearnTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ModelWrapper):
    """A model as a transformer of scikit-learn, with the interface of Keras's wrapper: its outputs are new features.

    Args:
        model: a compiled `Sequential`, or a function ``model(X, y, **model_kwargs)`` that returns one. Each `fit`
            trains a new model: a `Sequential` of the same layers with new weights, or another call of the function.
        warm_start: whether `fit` trains the model of the `fit` before, or the given `Sequential` itself.
        model_kwargs: further arguments of the function.
        fit_kwargs: arguments of `Sequential.fit`; those given to `fit` come first. ``verbose`` is 0 by default.

    Attributes:
        model_: the trained `Sequential`.
        history_: the `fastnet.callbacks.History` of the last `fit`.

    Example:
        >>> import numpy as np, fastnet
        >>> from fastnet import layers
        >>> from fastnet.wrappers import SKLearnTransformer
        >>> model = fastnet.Sequential([layers.Dense(3, "tanh"), layers.Dense(2)])
        >>> model.compile("adam", "mse")
        >>> SKLearnTransformer(model).fit(np.ones((8, 4)), np.ones((8, 2))).transform(np.ones((5, 4))).shape
        (5, 2)
    """

    _options = {"multi_output": True, "y_numeric": True}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    @property
    def _n_features_out(self) -> int:
        return self.model_.compute_output_shape((None, self.n_features_in_))[-1]

    def transform(self, X: Any) -> np.ndarray:
        """The model's outputs, (n, outputs)."""
        return self._outputs(X)
