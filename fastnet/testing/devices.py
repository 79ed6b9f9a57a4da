"""The bits of a GPU beside those of the CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from fastnet._kernels.errors import quoted
from fastnet.engine.cuda import current
from fastnet.testing import running
from fastnet.testing.gpu import machine_gpu
from fastnet.testing.running import Report


@contextlib.contextmanager
def on_gpu() -> Iterator[str]:
    """Let plans that are run by hand run on the GPU of this machine, or where there is none on the PTX machine; gives
    its name."""
    with contextlib.ExitStack() as stack:
        driver = current.driver() if current.is_there() else stack.enter_context(machine_gpu())
        stack.enter_context(running.on("cuda"))
        yield driver.name


def compare_devices(report: Report, device: str, compute: Callable[[str], Sequence[np.ndarray]]) -> None:
    """Compare the result of ``compute(dtype)`` on a GPU with that on the CPU, in float32 and in float64, where
    ``device`` is "cuda".

    Raises:
        AssertionError: they differ in a bit; a NaN is like any other.
        ValueError: the device is neither "cpu" nor "cuda".
    """
    if device not in ("cpu", "cuda"):
        raise ValueError(f"{report.name}: the device must be 'cpu' or 'cuda', received {quoted(device)}.")
    if device == "cpu":
        return
    for dtype in ("float32", "float64"):
        on_cpu = compute(dtype)
        with on_gpu() as name:
            found = compute(dtype)
        for one, other in zip(on_cpu, found, strict=True):
            differs = _bits(one) != _bits(other)
            if differs.any():
                place = np.unravel_index(int(np.argmax(differs)), differs.shape)
                raise AssertionError(
                    f"{report.name}: element {tuple(map(int, place))} of a result {one.shape} is {one[place]!r} on the "
                    f"CPU and {other[place]!r} on the {name}."
                )
    report.add("cuda", f"the CPU's bits ({name})")


def _bits(array: np.ndarray) -> np.ndarray:
    """Bits as integers. All NaN have the same ones, and so have 0 and subnormal float32: arithmetic takes those for 0,
    but a device may move them as they are."""
    array = np.ascontiguousarray(array)
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), array.dtype.type(np.nan), array)
    if array.dtype == np.float32:
        array = np.where(np.abs(array) < np.finfo("f").tiny, np.copysign(np.float32(0), array), array)
    return array.view(f"i{array.itemsize}")
