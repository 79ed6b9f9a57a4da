"""Data sets: `digits` is part of the package; the others are downloaded once."""

from fastnet import absent as _absent

from . import boston_housing as boston_housing
from . import california_housing as california_housing
from . import cifar10 as cifar10
from . import cifar100 as cifar100
from . import digits as digits
from . import fashion_mnist as fashion_mnist
from . import mnist as mnist
from ._download import DownloadError as DownloadError

_absent.explain("fastnet.datasets")
