"""Losses, with Keras's definitions: by name, as classes with arguments, or as functions of arrays."""

import typing as _typing

from fastnet.losses import loss_functions as _loss_functions
from fastnet.losses import plain_losses as _plain_losses
from fastnet.losses.classes import BinaryCrossentropy as BinaryCrossentropy
from fastnet.losses.classes import BinaryFocalCrossentropy as BinaryFocalCrossentropy
from fastnet.losses.classes import CategoricalCrossentropy as CategoricalCrossentropy
from fastnet.losses.classes import CategoricalFocalCrossentropy as CategoricalFocalCrossentropy
from fastnet.losses.classes import CosineSimilarity as CosineSimilarity
from fastnet.losses.classes import Huber as Huber
from fastnet.losses.classes import SparseCategoricalCrossentropy as SparseCategoricalCrossentropy
from fastnet.losses.function_loss import FunctionLoss as FunctionLoss
from fastnet.losses.loss import Loss as Loss
from fastnet.losses.loss_names import deserialize as deserialize
from fastnet.losses.loss_names import get as get
from fastnet.losses.loss_names import loss_weight as loss_weight
from fastnet.losses.loss_names import of_one_output as of_one_output
from fastnet.losses.loss_names import serialize as serialize
from fastnet.losses.overlap import Dice as Dice
from fastnet.losses.overlap import Tversky as Tversky
from fastnet.losses.overlap import dice as dice
from fastnet.losses.overlap import tversky as tversky
from fastnet.losses.pairs import Circle as Circle
from fastnet.losses.pairs import circle as circle

globals().update({**_plain_losses.CLASSES, **_loss_functions.FUNCTIONS})
if _typing.TYPE_CHECKING:

    def __getattr__(name: str) -> _typing.Any: ...
