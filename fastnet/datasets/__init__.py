"""Data sets: `digits` is part of the package; `mnist` and `fashion_mnist` are downloaded once."""

from . import digits as digits
from . import fashion_mnist as fashion_mnist
from . import mnist as mnist
from ._download import DownloadError as DownloadError
