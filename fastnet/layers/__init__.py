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
from fastnet.layers.borders import Cropping1D as Cropping1D
from fastnet.layers.borders import Cropping2D as Cropping2D
from fastnet.layers.borders import Cropping3D as Cropping3D
from fastnet.layers.borders import ZeroPadding1D as ZeroPadding1D
from fastnet.layers.borders import ZeroPadding2D as ZeroPadding2D
from fastnet.layers.borders import ZeroPadding3D as ZeroPadding3D
from fastnet.layers.composites import Parallel as Parallel
from fastnet.layers.composites import Residual as Residual
from fastnet.layers.composites import Wrapper as Wrapper
from fastnet.layers.convolution import Conv1D as Conv1D
from fastnet.layers.convolution import Conv2D as Conv2D
from fastnet.layers.convolution import Conv3D as Conv3D
from fastnet.layers.core import Dense as Dense
from fastnet.layers.core import Identity as Identity
from fastnet.layers.core import Input as Input
from fastnet.layers.core import InputLayer as InputLayer
from fastnet.layers.depthwise_convolution import DepthwiseConv1D as DepthwiseConv1D
from fastnet.layers.depthwise_convolution import DepthwiseConv2D as DepthwiseConv2D
from fastnet.layers.depthwise_convolution import SeparableConv1D as SeparableConv1D
from fastnet.layers.depthwise_convolution import SeparableConv2D as SeparableConv2D
from fastnet.layers.einsum import EinsumDense as EinsumDense
from fastnet.layers.encoding import CategoryEncoding as CategoryEncoding
from fastnet.layers.global_pooling import AdaptiveAveragePooling1D as AdaptiveAveragePooling1D
from fastnet.layers.global_pooling import AdaptiveAveragePooling2D as AdaptiveAveragePooling2D
from fastnet.layers.global_pooling import AdaptiveAveragePooling3D as AdaptiveAveragePooling3D
from fastnet.layers.global_pooling import AdaptiveMaxPooling1D as AdaptiveMaxPooling1D
from fastnet.layers.global_pooling import AdaptiveMaxPooling2D as AdaptiveMaxPooling2D
from fastnet.layers.global_pooling import AdaptiveMaxPooling3D as AdaptiveMaxPooling3D
from fastnet.layers.global_pooling import GlobalAveragePooling1D as GlobalAveragePooling1D
from fastnet.layers.global_pooling import GlobalAveragePooling2D as GlobalAveragePooling2D
from fastnet.layers.global_pooling import GlobalAveragePooling3D as GlobalAveragePooling3D
from fastnet.layers.global_pooling import GlobalMaxPooling1D as GlobalMaxPooling1D
from fastnet.layers.global_pooling import GlobalMaxPooling2D as GlobalMaxPooling2D
from fastnet.layers.global_pooling import GlobalMaxPooling3D as GlobalMaxPooling3D
from fastnet.layers.layer import Layer as Layer
from fastnet.layers.masking import Masking as Masking
from fastnet.layers.normalization import BatchNormalization as BatchNormalization
from fastnet.layers.pooling import AveragePooling1D as AveragePooling1D
from fastnet.layers.pooling import AveragePooling2D as AveragePooling2D
from fastnet.layers.pooling import AveragePooling3D as AveragePooling3D
from fastnet.layers.pooling import MaxPooling1D as MaxPooling1D
from fastnet.layers.pooling import MaxPooling2D as MaxPooling2D
from fastnet.layers.pooling import MaxPooling3D as MaxPooling3D
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
from fastnet.layers.resizing import CenterCrop as CenterCrop
from fastnet.layers.resizing import Resizing as Resizing
from fastnet.layers.resizing import UpSampling1D as UpSampling1D
from fastnet.layers.resizing import UpSampling2D as UpSampling2D
from fastnet.layers.resizing import UpSampling3D as UpSampling3D
from fastnet.layers.row_normalization import GroupNormalization as GroupNormalization
from fastnet.layers.row_normalization import LayerNormalization as LayerNormalization
from fastnet.layers.row_normalization import RMSNormalization as RMSNormalization
from fastnet.layers.row_normalization import UnitNormalization as UnitNormalization
from fastnet.layers.shape import Flatten as Flatten
from fastnet.layers.shape import Permute as Permute
from fastnet.layers.shape import RepeatVector as RepeatVector
from fastnet.layers.shape import Rescaling as Rescaling
from fastnet.layers.shape import Reshape as Reshape
from fastnet.layers.spatial_dropout import SpatialDropout1D as SpatialDropout1D
from fastnet.layers.spatial_dropout import SpatialDropout2D as SpatialDropout2D
from fastnet.layers.spatial_dropout import SpatialDropout3D as SpatialDropout3D
from fastnet.layers.spectral_normalization import SpectralNormalization as SpectralNormalization
from fastnet.layers.transposed_convolution import Conv1DTranspose as Conv1DTranspose
from fastnet.layers.transposed_convolution import Conv2DTranspose as Conv2DTranspose
from fastnet.layers.transposed_convolution import Conv3DTranspose as Conv3DTranspose

_classes = [cls for cls in list(globals().values()) if isinstance(cls, type) and issubclass(cls, Layer)]
_family = _Family("a layer", Layer, _classes)
serialize, deserialize = _family.serialize, _family.deserialize

#: Keras's short names
AvgPool1D = AveragePooling1D
AvgPool2D = AveragePooling2D
AvgPool3D = AveragePooling3D
MaxPool1D = MaxPooling1D
MaxPool2D = MaxPooling2D
MaxPool3D = MaxPooling3D
GlobalAvgPool1D = GlobalAveragePooling1D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
GlobalMaxPool1D = GlobalMaxPooling1D
GlobalMaxPool2D = GlobalMaxPooling2D
GlobalMaxPool3D = GlobalMaxPooling3D

#: Keras's longer names
Convolution1D = Conv1D
Convolution2D = Conv2D
Convolution3D = Conv3D
Convolution1DTranspose = Conv1DTranspose
Convolution2DTranspose = Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
SeparableConvolution1D = SeparableConv1D
SeparableConvolution2D = SeparableConv2D
