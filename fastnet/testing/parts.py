"""Checks that a kernel with a loop of its own writes all elements of its part of the parallel axis, and no others."""

from __future__ import annotations

import numpy as np

from fastnet._kernels.generate import Kernel
from fastnet.engine import cpu
from fastnet.engine.launch import Launch
from fastnet.engine.variable import Variable
from fastnet.engine.view import View
from fastnet.testing.running import Report, Run


def each_part_alone(report: Report, run: Run) -> None:
    """Cut the axis of each loop in two. Both parts, run alone, write the elements that a whole run writes, each once.

    Args:
        report: gets a line.
        run: has run a step.

    Raises:
        AssertionError: a part writes elements of the other one, or reads elements that the other one writes, or a whole
            run leaves elements of a ``write`` operand unchanged.
    """
    count = 0
    for launch in run.plan.launches:
        if isinstance(launch.kernel, Kernel) and getattr(launch.kernel.template, "form", "loop") == "loop":
            _check(report, run, launch)
            count += 1
    if count:
        report.add("parts", f"each part of {count} loop{'s' * (count != 1)} writes its own elements, and all of them")


def _check(report: Report, run: Run, launch: Launch) -> None:
    where, length = f"{report.name}: the kernel {launch.kernel.full_name}", launch.extent.at(run.rows)
    middle = length // 2 // launch.grain * launch.grain
    memory = _memory(run, launch)
    saved = [array.copy() for array in memory]
    written = [operand for operand, mode in launch.access if mode == "w" and isinstance(operand, View)]
    for view, mode in launch.access:
        # An integer that is read may be an index, and stays valid.
        if isinstance(view, View) and "w" in mode and (mode == "w" or view.dtype.startswith("float")):
            run.set(view, _poison(view))
    start = [array.copy() for array in memory]

    def result(lo: int, hi: int) -> list[np.ndarray]:
        for array, value in zip(memory, start, strict=True):
            array[...] = value
        _call(run, launch, lo, hi)
        return [array.copy() for array in memory]

    undivided = result(0, length)
    for view in written:
        left = run.get(view) == _poison(view)
        if left.any():
            name = next(name for name, value in launch.operands.items() if value is view)
            raise AssertionError(
                f"{where} leaves {left.sum()} of {left.size} elements of {name!r} as they were, and memory holds other "
                "numbers before: write all of them, or fill it first and annotate it with `update`."
            )
    first, second = (result(0, middle), result(middle, length)) if middle else (undivided, start)
    for array, value in zip(memory, saved, strict=True):
        array[...] = value
    for a, b, both, old in zip(first, second, undivided, start, strict=True):
        if ((a != old) & (b != old)).any():
            raise AssertionError(
                f"{where} writes the same elements for range(0, {middle}) and for range({middle}, {length}) of its "
                "axis: each call writes the elements of its own range(lo, hi) alone."
            )
        if (np.where(a != old, a, b) != both).any():
            raise AssertionError(
                f"{where} gives other numbers for range(0, {middle}) and range({middle}, {length}) than for both at "
                "once: it reads what another part writes, or starts from where its part begins."
            )


def _poison(view: View) -> np.generic:
    """A number that kernels do not give by chance: as a float -2.9e-16 or -1.2e-130."""
    return np.frombuffer(b"\xa5" * 8, view.dtype)[0]


def _memory(run: Run, launch: Launch) -> list[np.ndarray]:
    """The memory that a launch may write, as bytes."""
    assert isinstance(run.bound, cpu.CPUExecutable)
    weights = [run.bound.weight(v).array for v, mode in launch.access if isinstance(v, Variable) and "w" in mode]
    return [array.reshape(-1).view("uint8") for array in (run.bound.arena, run.bound.step, *weights)]


def _call(run: Run, launch: Launch, lo: int, hi: int) -> None:
    assert isinstance(run.bound, cpu.CPUExecutable)
    arguments = [cpu.CPU(run.bound).encode(argument) for argument in launch.arguments()]
    bases = (0, run.bound.arena.ctypes.data, run.bound.step.ctypes.data)
    cpu.call(launch.kernel, arguments, run.rows, lo, hi, bases)
