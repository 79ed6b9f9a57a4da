"""fastnet: trains small and medium neural networks, compiled; with Keras's names."""

from typing import TYPE_CHECKING

from fastnet import absent as _absent
from fastnet import activations as activations
from fastnet import callbacks as callbacks
from fastnet import config as config
from fastnet import constraints as constraints
from fastnet import initializers as initializers
from fastnet import layers as layers
from fastnet import losses as losses
from fastnet import metrics as metrics
from fastnet import models as models
from fastnet import ops as ops
from fastnet import optimizers as optimizers
from fastnet import random as random
from fastnet import regularizers as regularizers
from fastnet import saving as saving
from fastnet import utils as utils
from fastnet._kernels.compile import KernelError as KernelError
from fastnet._kernels.errors import RuleError as RuleError
from fastnet._kernels.registration import register_activation as register_activation
from fastnet._kernels.registration import register_loss as register_loss
from fastnet._kernels.registration import register_optimizer as register_optimizer
from fastnet._kernels.registration import register_row_loss as register_row_loss
from fastnet.engine.threads import get_num_threads as get_num_threads
from fastnet.engine.threads import set_num_threads as set_num_threads
from fastnet.engine.variable import Variable as Variable
from fastnet.initializers import Initializer as Initializer
from fastnet.layers import Input as Input
from fastnet.layers import Layer as Layer
from fastnet.losses import Loss as Loss
from fastnet.metrics import Metric as Metric
from fastnet.optimizers import Optimizer as Optimizer
from fastnet.regularizers import Regularizer as Regularizer
from fastnet.sequential import Sequential as Sequential
from fastnet.training.nonfinite import NonFiniteError as NonFiniteError

if TYPE_CHECKING:
    from fastnet import datasets as datasets
    from fastnet import wrappers as wrappers

__version__ = "0.1.0"


def __getattr__(name: str):
    if name in ("datasets", "extend", "testing", "wrappers"):  # imported on demand: training needs none of them
        from importlib import import_module

        return import_module(f"fastnet.{name}")
    raise _absent.module_error("fastnet", name)


def version() -> str:
    """The version of fastnet.

    Example:
        >>> fastnet.version() == fastnet.__version__
        True
    """
    return __version__


_absent.explain("fastnet.random", *(module for module in _absent.ABSENT if module != "fastnet.datasets"))
