"""Which device a plan runs on: the processor, or an NVIDIA GPU."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fastnet._kernels.errors import quoted

if TYPE_CHECKING:
    from fastnet.engine.plan import Plan

NAMES = ("cpu", "cuda", "auto")
# Operations of a step (`Plan.operations_at`) from which "auto" takes the GPU. An estimate, not measured: a graph of
# ten launches takes about 12 µs, in which two cores do 2 to 4 million.
ENOUGH = 10_000_000

_chosen: str | None = None
PRECISIONS = ("highest", "high", "medium")
_matmul_precision = "highest"


def checked(name: object, owner: str) -> str:
    """``name`` as that of a device.

    Raises:
        ValueError: it is none of `NAMES`.
    """
    if name not in NAMES:
        raise ValueError(f"{owner}: the device must be 'cpu', 'cuda' or 'auto', received {quoted(name)}.")
    return str(name)


def default() -> str:
    """The device of models that are compiled without one: that of `set_default`, ``FASTNET_DEVICE``, or "cpu"."""
    if _chosen is not None:
        return _chosen
    return checked(os.environ.get("FASTNET_DEVICE") or "cpu", "FASTNET_DEVICE")


def set_default(name: str | None) -> None:
    """Set it; None for that of the environment."""
    global _chosen
    _chosen = None if name is None else checked(name, "set_device")


def matmul_precision() -> str:
    """The least precision of float32 products on a GPU, one of `PRECISIONS`."""
    return _matmul_precision


def set_matmul_precision(name: str) -> None:
    """Set it for plans that are bound from now on.

    Raises:
        ValueError: it is none of `PRECISIONS`.
    """
    global _matmul_precision
    if name not in PRECISIONS:
        raise ValueError(
            f"set_matmul_precision: the precision must be 'highest', 'high' or 'medium', received {quoted(name)}."
        )
    _matmul_precision = name


def driver_of(name: str) -> object:
    """The GPU that plans for a device may use; another one makes them void.

    Raises:
        DeviceError: the device is "cuda", and there is none.
    """
    if name == "cpu":
        return None
    from fastnet.engine.cuda import current

    return current.driver() if name == "cuda" or current.is_there() else None


def chosen(name: str, plan: Plan, rows: int) -> str:
    """The device for a plan: "cpu" or "cuda"."""
    if name != "auto":
        return name
    if plan.operations_at(rows) < ENOUGH:
        return "cpu"
    from fastnet.engine.cuda import current

    return "cuda" if current.is_there() else "cpu"
