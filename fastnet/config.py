"""Process-wide settings: the default dtype of layers."""

from __future__ import annotations

from fastnet._kernels.rules.losses import EPSILON

FLOATS = ("float32", "float64")
_floatx = "float32"


def floatx() -> str:
    """The default dtype of layers and losses: "float32", or the dtype of `set_floatx`.

    Example:
        >>> config.floatx()
        'float32'
    """
    return _floatx


def set_floatx(value: str) -> None:
    """Set the dtype of layers made from now on.

    Raises:
        ValueError: the dtype is neither "float32" nor "float64".

    Example:
        >>> import fastnet
        >>> fastnet.config.set_floatx("float32")
        >>> fastnet.config.floatx()
        'float32'
    """
    global _floatx
    _floatx = check_dtype(value, "floatx")


def check_dtype(value: object, owner: str) -> str:
    """``value`` as the name of a float dtype in which fastnet computes."""
    name = getattr(value, "name", None) or getattr(value, "__name__", None) or value
    if not isinstance(name, str) or name not in FLOATS:
        raise ValueError(f"{owner}: the dtype must be 'float32' or 'float64', received {value!r}.")
    return str(name)


def epsilon() -> float:
    """The smallest probability that losses see: 1e-7, Keras's value.

    Example:
        >>> config.epsilon()
        1e-07
    """
    return EPSILON
