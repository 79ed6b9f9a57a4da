"""Metrics that follow from sums over columns: F scores and the coefficient of determination."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fastnet import checks, config
from fastnet._kernels.errors import quoted
from fastnet._kernels.templates import counting as templates
from fastnet.metrics.counts import count
from fastnet.metrics.metric import Metric, as_number


class FBetaScore(Metric):
    """(1 + β²) precision recall / (β² precision + recall), of each class.

    Args:
        average: None for the scores of all classes; "micro" for that of all counts together, "macro" for the mean over
            classes, "weighted" for the mean weighted by their number of labels.
        beta: positive; weight of recall.
        threshold: in (0, 1]; predictions above it are positive. By default the largest one of a row is positive.
        name, dtype: as for every `Metric`.

    Raises:
        ValueError: an argument outside its range.

    Example:
        >>> y_true, y_pred = [[0, 1], [1, 0], [1, 0]], [[0.2, 0.8], [0.9, 0.1], [0.3, 0.7]]
        >>> metrics.FBetaScore(beta=2.0)(y_true, y_pred).round(4).tolist()
        [0.5556, 0.8333]
    """

    direction = "up"
    weighs_elements = True

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: Any = None,
    ):
        super().__init__(dtype, name)
        owner = type(self).__name__
        checks.one_of(f"{owner}: average", average, None, "micro", "macro", "weighted")
        if threshold is not None and (not checks.is_number(threshold) or not 0 < threshold <= 1):
            raise ValueError(f"{owner}: threshold must lie in (0, 1], received {quoted(threshold)}.")
        self.average, self.threshold = average, threshold
        self.beta = checks.number(f"{owner}: beta", beta, checks.POSITIVE)

    @property
    def elements(self) -> bool | None:  # type: ignore[override]
        """With a threshold, predictions of one axis are rows of one class. Without, one class has no largest one."""
        return None if self.threshold is None else True

    def counted_variables(self) -> dict[str, Any]:
        """The counts of each class; the number of classes follows from the first predictions."""
        names = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")
        return {} if self._state is None else dict(zip(names, self._state.reshape(4, -1), strict=True))

    def size(self, shape):
        _one_axis(self, shape)
        return 4 * shape[0]

    def count(self, plan, y_pred, y_true, sample_weight, state):
        count(
            plan, templates.class_counts, y_pred, 4 * y_pred.width, state, y_true=y_true, weights=sample_weight,
            element_weights=y_true.weights, threshold=self.threshold or 0.0, largest=self.threshold is None,
        )  # fmt: skip

    def value(self, state):
        tp, fp, fn, labels = state.reshape(4, -1)
        if self.average == "micro":
            tp, fp, fn = tp.sum(), fp.sum(), fn.sum()
        epsilon = config.epsilon()
        precision, recall = tp / (tp + fp + epsilon), tp / (tp + fn + epsilon)
        scores = precision * recall / (self.beta**2 * precision + recall + epsilon) * (1 + self.beta**2)
        if self.average == "macro":
            scores = scores.mean()
        elif self.average == "weighted":
            scores = (scores * labels / (labels.sum() + epsilon)).sum()
        return as_number(scores)


class F1Score(FBetaScore):
    """2 precision recall / (precision + recall), of each class; arguments as of `FBetaScore`.

    Example:
        >>> y_true, y_pred = [[0, 1], [1, 0], [1, 0]], [[0.2, 0.8], [0.9, 0.1], [0.3, 0.7]]
        >>> metrics.F1Score()(y_true, y_pred).round(4).tolist()
        [0.6667, 0.6667]
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: Any = None,
    ):
        super().__init__(average, 1.0, threshold, name, dtype)


class R2Score(Metric):
    """1 - Σ(y_true - y_pred)² / Σ(y_true - mean)², of each column.

    Args:
        class_aggregation: "uniform_average", the mean over columns; "variance_weighted_average", weighted by their
            variance; or None, an array.
        num_regressors: at least 0; adjusts the score for so many independent variables.
        name, dtype: as for every `Metric`.

    Raises:
        ValueError: an argument outside its range.

    Example:
        >>> metrics.R2Score()([[1.0], [3.0]], [[1.0], [2.0]])
        0.5
    """

    direction = "up"
    elements = weighs_elements = True

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: Any = None,
    ):
        super().__init__(dtype, name)
        known = (None, "uniform_average", "variance_weighted_average")
        self.class_aggregation = checks.one_of("R2Score: class_aggregation", class_aggregation, *known)
        self.num_regressors = checks.integer("R2Score: num_regressors", num_regressors, 0)

    def size(self, shape):
        _one_axis(self, shape)
        return 5 * shape[0]

    def count(self, plan, y_pred, y_true, sample_weight, state):
        count(
            plan, templates.moments, y_pred, 5 * y_pred.width, state, templates.add_moments, y_true=y_true,
            weights=sample_weight, element_weights=y_true.weights,
        )  # fmt: skip

    def value(self, state):
        _, _, variance, residual, rows = state.reshape(5, -1)
        with np.errstate(all="ignore"):
            scores = 1 - residual / variance
            scores = np.where(np.isinf(scores), 0.0, scores)
            if self.class_aggregation == "uniform_average":
                scores = scores.mean()
            elif self.class_aggregation == "variance_weighted_average":
                scores = (variance * scores).sum() / variance.sum()
        return as_number(self._adjusted(scores, rows.sum()))

    def _adjusted(self, scores: Any, samples: float) -> Any:
        if self.num_regressors == 0:
            return scores
        if self.num_regressors >= samples - 1:
            warnings.warn(
                f"R2Score cannot be adjusted for {self.num_regressors} regressors with {samples:.0f} numbers; it is "
                "left as it is.",
                stacklevel=3,
            )
            return scores
        return 1 - (1 - scores) * (samples - 1) / (samples - self.num_regressors - 1)


def _one_axis(metric: Metric, shape: tuple[int, ...]) -> None:
    if len(shape) != 1:
        raise ValueError(f"The metric {metric.name!r} needs predictions of shape (n, columns), received (n, *{shape}).")
