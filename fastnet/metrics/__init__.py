"""Metrics, with Keras's definitions: counted inside the runner, or on arrays; by name, as classes, or as functions."""

import typing as _typing

from fastnet.losses import loss_functions as _loss_functions
from fastnet.metrics import loss_metrics as _loss_metrics
from fastnet.metrics.confusion import AUC as AUC
from fastnet.metrics.confusion import FalseNegatives as FalseNegatives
from fastnet.metrics.confusion import FalsePositives as FalsePositives
from fastnet.metrics.confusion import Precision as Precision
from fastnet.metrics.confusion import Recall as Recall
from fastnet.metrics.confusion import TrueNegatives as TrueNegatives
from fastnet.metrics.confusion import TruePositives as TruePositives
from fastnet.metrics.intersection import BinaryIoU as BinaryIoU
from fastnet.metrics.intersection import IoU as IoU
from fastnet.metrics.intersection import MeanIoU as MeanIoU
from fastnet.metrics.intersection import OneHotIoU as OneHotIoU
from fastnet.metrics.intersection import OneHotMeanIoU as OneHotMeanIoU
from fastnet.metrics.loss_metrics import BinaryCrossentropy as BinaryCrossentropy
from fastnet.metrics.loss_metrics import CategoricalCrossentropy as CategoricalCrossentropy
from fastnet.metrics.loss_metrics import LogCoshError as LogCoshError
from fastnet.metrics.loss_metrics import SparseCategoricalCrossentropy as SparseCategoricalCrossentropy
from fastnet.metrics.means import Accuracy as Accuracy
from fastnet.metrics.means import BinaryAccuracy as BinaryAccuracy
from fastnet.metrics.means import CategoricalAccuracy as CategoricalAccuracy
from fastnet.metrics.means import ConcordanceCorrelation as ConcordanceCorrelation
from fastnet.metrics.means import CosineSimilarity as CosineSimilarity
from fastnet.metrics.means import LossMetric as LossMetric
from fastnet.metrics.means import MeanMetricWrapper as MeanMetricWrapper
from fastnet.metrics.means import PearsonCorrelation as PearsonCorrelation
from fastnet.metrics.means import RootMeanSquaredError as RootMeanSquaredError
from fastnet.metrics.means import SparseCategoricalAccuracy as SparseCategoricalAccuracy
from fastnet.metrics.means import SparseTopKCategoricalAccuracy as SparseTopKCategoricalAccuracy
from fastnet.metrics.means import TopKCategoricalAccuracy as TopKCategoricalAccuracy
from fastnet.metrics.metric import MeanOfRows as MeanOfRows
from fastnet.metrics.metric import Metric as Metric
from fastnet.metrics.metric_functions import binary_accuracy as binary_accuracy
from fastnet.metrics.metric_functions import categorical_accuracy as categorical_accuracy
from fastnet.metrics.metric_functions import concordance_correlation as concordance_correlation
from fastnet.metrics.metric_functions import cosine_similarity as cosine_similarity
from fastnet.metrics.metric_functions import pearson_correlation as pearson_correlation
from fastnet.metrics.metric_functions import sparse_categorical_accuracy as sparse_categorical_accuracy
from fastnet.metrics.metric_functions import sparse_top_k_categorical_accuracy as sparse_top_k_categorical_accuracy
from fastnet.metrics.metric_functions import top_k_categorical_accuracy as top_k_categorical_accuracy
from fastnet.metrics.metric_names import deserialize as deserialize
from fastnet.metrics.metric_names import get as get
from fastnet.metrics.metric_names import listed as listed
from fastnet.metrics.metric_names import named as named
from fastnet.metrics.metric_names import serialize as serialize
from fastnet.metrics.operating_points import PrecisionAtRecall as PrecisionAtRecall
from fastnet.metrics.operating_points import RecallAtPrecision as RecallAtPrecision
from fastnet.metrics.operating_points import SensitivityAtSpecificity as SensitivityAtSpecificity
from fastnet.metrics.operating_points import SpecificityAtSensitivity as SpecificityAtSensitivity
from fastnet.metrics.scores import F1Score as F1Score
from fastnet.metrics.scores import FBetaScore as FBetaScore
from fastnet.metrics.scores import R2Score as R2Score
from fastnet.metrics.values import ArrayMetric as ArrayMetric
from fastnet.metrics.values import Mean as Mean
from fastnet.metrics.values import Sum as Sum
from fastnet.metrics.variables import MetricVariable as MetricVariable

globals().update(_loss_metrics.CLASSES)
# The cosine is a metric of its own.
globals().update({name: f for name, f in _loss_functions.FUNCTIONS.items() if name != "cosine_similarity"})
if _typing.TYPE_CHECKING:

    def __getattr__(name: str) -> _typing.Any: ...
