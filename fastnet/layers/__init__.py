"""The layers."""

from fastnet.descriptions import Family as _Family
from fastnet.layers.activation import ELU as ELU
from fastnet.layers.activation import Activation as Activation
from fastnet.layers.activation import Lambda as Lambda
from fastnet.layers.activation import LeakyReLU as LeakyReLU
from fastnet.layers.activation import PReLU as PReLU
from fastnet.layers.activation import ReLU as ReLU
from fastnet.layers.activation import Softmax as Softmax
from fastnet.layers.adapted import Normalization as Normalization
from fastnet.layers.augmentation import RandomCrop as RandomCrop
from fastnet.layers.augmentation import RandomFlip as RandomFlip
from fastnet.layers.composites import Parallel as Parallel
from fastnet.layers.composites import Residual as Residual
from fastnet.layers.composites import Wrapper as Wrapper
from fastnet.layers.core import Dense as Dense
from fastnet.layers.core import Identity as Identity
from fastnet.layers.core import Input as Input
from fastnet.layers.core import InputLayer as InputLayer
from fastnet.layers.einsum import EinsumDense as EinsumDense
from fastnet.layers.encoding import CategoryEncoding as CategoryEncoding
from fastnet.layers.layer import Layer as Layer
from fastnet.layers.masking import Masking as Masking
from fastnet.layers.normalization import BatchNormalization as BatchNormalization
from fastnet.layers.random_blur import RandomGaussianBlur as RandomGaussianBlur
from fastnet.layers.random_colours import RandomBrightness as RandomBrightness
from fastnet.layers.random_colours import RandomContrast as RandomContrast
from fastnet.layers.random_transforms import RandomRotation as RandomRotation
from fastnet.layers.random_transforms import RandomShear as RandomShear
from fastnet.layers.random_transforms import RandomTranslation as RandomTranslation
from fastnet.layers.random_transforms import RandomZoom as RandomZoom
from fastnet.layers.regularization import ActivityRegularization as ActivityRegularization
from fastnet.layers.regularization import AlphaDropout as AlphaDropout
from fastnet.layers.regularization import Dropout as Dropout
from fastnet.layers.regularization import GaussianDropout as GaussianDropout
from fastnet.layers.regularization import GaussianNoise as GaussianNoise
from fastnet.layers.row_normalization import GroupNormalization as GroupNormalization
from fastnet.layers.row_normalization import LayerNormalization as LayerNormalization
from fastnet.layers.row_normalization import RMSNormalization as RMSNormalization
from fastnet.layers.row_normalization import UnitNormalization as UnitNormalization
from fastnet.layers.shape import Flatten as Flatten
from fastnet.layers.shape import Permute as Permute
from fastnet.layers.shape import RepeatVector as RepeatVector
from fastnet.layers.shape import Rescaling as Rescaling
from fastnet.layers.shape import Reshape as Reshape

_classes = [cls for cls in list(globals().values()) if isinstance(cls, type) and issubclass(cls, Layer)]
_family = _Family("a layer", Layer, _classes)
serialize, deserialize = _family.serialize, _family.deserialize
