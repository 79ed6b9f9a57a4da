"""Losses, with Keras's definitions: by name, as classes with arguments, or as functions of arrays."""

import typing as _typing

from fastnet.losses import plain_losses as _plain_losses
from fastnet.losses.classes import BinaryCrossentropy as BinaryCrossentropy
from fastnet.losses.classes import BinaryFocalCrossentropy as BinaryFocalCrossentropy
from fastnet.losses.classes import CategoricalCrossentropy as CategoricalCrossentropy
from fastnet.losses.classes import CategoricalFocalCrossentropy as CategoricalFocalCrossentropy
from fastnet.losses.classes import CosineSimilarity as CosineSimilarity
from fastnet.losses.classes import Huber as Huber
from fastnet.losses.classes import SparseCategoricalCrossentropy as SparseCategoricalCrossentropy
from fastnet.losses.loss import FunctionLoss as FunctionLoss
from fastnet.losses.loss import Loss as Loss
from fastnet.losses.loss_functions import binary_crossentropy as binary_crossentropy
from fastnet.losses.loss_functions import binary_focal_crossentropy as binary_focal_crossentropy
from fastnet.losses.loss_functions import categorical_crossentropy as categorical_crossentropy
from fastnet.losses.loss_functions import categorical_focal_crossentropy as categorical_focal_crossentropy
from fastnet.losses.loss_functions import cosine_similarity as cosine_similarity
from fastnet.losses.loss_functions import huber as huber
from fastnet.losses.loss_functions import sparse_categorical_crossentropy as sparse_categorical_crossentropy
from fastnet.losses.loss_names import deserialize as deserialize
from fastnet.losses.loss_names import get as get
from fastnet.losses.loss_names import loss_weight as loss_weight
from fastnet.losses.loss_names import of_one_output as of_one_output
from fastnet.losses.loss_names import serialize as serialize

globals().update({**_plain_losses.CLASSES, **_plain_losses.FUNCTIONS})
if _typing.TYPE_CHECKING:

    def __getattr__(name: str) -> _typing.Any: ...
