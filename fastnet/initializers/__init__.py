"""Initial values of weights, with the definitions of Keras."""

from __future__ import annotations

import typing as _typing
from typing import Any

from fastnet.arrays import as_array
from fastnet.descriptions import Family
from fastnet.descriptions import snake_case as _snake_case
from fastnet.initializers.constants import Constant as Constant
from fastnet.initializers.constants import Identity as Identity
from fastnet.initializers.constants import Ones as Ones
from fastnet.initializers.constants import Zeros as Zeros
from fastnet.initializers.distributions import Orthogonal as Orthogonal
from fastnet.initializers.distributions import RandomNormal as RandomNormal
from fastnet.initializers.distributions import RandomUniform as RandomUniform
from fastnet.initializers.distributions import TruncatedNormal as TruncatedNormal
from fastnet.initializers.initializer import Initializer as Initializer
from fastnet.initializers.variance_scaling import GlorotNormal as GlorotNormal
from fastnet.initializers.variance_scaling import GlorotUniform as GlorotUniform
from fastnet.initializers.variance_scaling import HeNormal as HeNormal
from fastnet.initializers.variance_scaling import HeUniform as HeUniform
from fastnet.initializers.variance_scaling import LecunNormal as LecunNormal
from fastnet.initializers.variance_scaling import LecunUniform as LecunUniform
from fastnet.initializers.variance_scaling import VarianceScaling as VarianceScaling
from fastnet.initializers.variance_scaling import fans as fans

_CLASSES = (
    *(Constant, Zeros, Ones, Identity, RandomUniform, RandomNormal, TruncatedNormal, VarianceScaling),
    *(GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform, LecunNormal, Orthogonal),
)
_ALIASES: dict[str, Any] = {"IdentityInitializer": Identity, "OrthogonalInitializer": Orthogonal}
_family = Family(
    "an initializer",
    Initializer,
    _CLASSES,
    functions=True,
    zero=Zeros,
    one=Ones,
    uniform=RandomUniform,
    normal=RandomNormal,
    **_ALIASES,
)
globals().update({**_ALIASES, **{_snake_case(cls.__name__): cls for cls in _CLASSES if cls is not VarianceScaling}})
serialize, deserialize = _family.serialize, _family.deserialize


def get(identifier: Any):
    """Get an initializer by name, description, class, array, or function of (shape, dtype); None gives None.

    An array may be of any library that knows ``__array__`` or DLPack.

    Raises:
        ValueError: the name is unknown; the error offers similar names. Or what was made of an array is asked for
            another shape.

    Example:
        >>> import fastnet
        >>> fastnet.initializers.get("ones")((2,)).tolist()
        [1.0, 1.0]
    """
    if isinstance(identifier, type) or not (hasattr(identifier, "__array__") or hasattr(identifier, "__dlpack__")):
        return _family.get(identifier)
    values = as_array(identifier, "An initializer")

    def copy_of_array(shape, dtype="float32"):
        if tuple(shape) != values.shape:
            raise ValueError(f"An initializer given as an array of shape {values.shape} received the shape {shape}.")
        return values.astype(dtype)

    return copy_of_array


if _typing.TYPE_CHECKING:

    def __getattr__(name: str) -> _typing.Any: ...
