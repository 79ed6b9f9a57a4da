"""The layers."""

from fastnet.layers.base import Layer as Layer
from fastnet.layers.core import Activation as Activation
from fastnet.layers.core import Dense as Dense
from fastnet.layers.core import Input as Input
from fastnet.layers.core import InputLayer as InputLayer
from fastnet.layers.core import ReLU as ReLU
from fastnet.layers.core import Softmax as Softmax
from fastnet.layers.normalization import BatchNormalization as BatchNormalization
from fastnet.layers.regularization import Dropout as Dropout
from fastnet.layers.shape import Flatten as Flatten
from fastnet.layers.shape import Rescaling as Rescaling
from fastnet.layers.shape import Reshape as Reshape
