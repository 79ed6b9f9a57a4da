"""Plans run by hand: what the checks are made of."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnet._kernels import abi
from fastnet._kernels import compile as compiler
from fastnet._kernels.generate import Kernel
from fastnet.engine import machine_peak
from fastnet.engine.bind import bind
from fastnet.engine.cpu import CPUExecutable
from fastnet.engine.plan import Plan
from fastnet.engine.profiling import launch_bytes
from fastnet.engine.threads import get_num_threads, set_num_threads
from fastnet.engine.variable import Variable
from fastnet.engine.view import View

SEED = 12345
H = 1e-4  # step of differences: their error is 1e-12 (rounding) for values near 1, and H⁴ f⁗′ / 30
SMOOTH = 3e-6  # differences of second and fourth order are this close, H² f‴ / 6, where a function is smooth

# Arithmetic, comparisons and widening; narrowing is how a float64 parameter becomes a float32 constant, and a move or
# a shuffle of 64 bits says nothing about what they hold.
_DOUBLE = {
    "x86": r"\bv?(?:(?:add|sub|mul|div|sqrt|max|min|round|rndscale|u?comi|cmp\w*?|fn?m(?:add|sub)\d*)[sp]d"
    r"|cvt\w+2[sp]d)\b",
    "arm": r"\bf(?:add|sub|mul|div|sqrt|maxn?m?|minn?m?|n?madd|n?msub|ml[as]|cmp\w*|rint\w)\b[^\n]*(?:\bd\d|\.2d)"
    r"|\bfcvtl2?\b|\bfcvt\s+d\d|\b[su]cvtf\s+(?:d\d|v\d+\.2d)",
}


_device = "cpu"  # of plans that are run by hand


@contextmanager
def on(device: str) -> Iterator[None]:
    """Run plans on a device."""
    global _device
    before, _device = _device, device
    try:
        yield
    finally:
        _device = before


class Run:
    """A plan bound to memory of its own, whose buffers may be set and read."""

    def __init__(self, plan: Plan, rows: int, buffers: Sequence[View], rate: float = 0.0):
        self.plan, self.rows = plan, rows
        self.states: list[Variable] = []  # of an optimizer
        self.bound = bind(plan, rows, _device, pinned=buffers, reuse=False)
        self.bound.step[abi.SEED] = SEED
        self.bound.scalars[abi.RATE] = rate

    def set(self, buffer: View, value: Any) -> None:
        """Write to a buffer."""
        self.bound.write(buffer, self.rows, value)

    def get(self, buffer: View) -> np.ndarray:
        """A copy of a buffer's contents."""
        return self.bound.read(buffer, self.rows).copy()

    def steps(self, count: int = 1, first: int = 0, times: np.ndarray | None = None) -> None:
        """Run steps ``first`` to ``first + count``."""
        self.bound.step[abi.ITERATION] = first
        self.bound.run(0, self.rows * count, self.rows, count, float("inf"), times)

    def shared(self, threads: int) -> int:
        """How many launches are worked on by more than one of ``threads`` threads."""
        assert isinstance(self.bound, CPUExecutable)
        return sum(parts > 1 for *_, parts, _ in self.bound.execution.schedule(self.rows, threads))


@dataclass
class Report:
    """The results of the checks, and the speed; ``str(report)`` is a table.

    Attributes:
        name: of what was checked.
        lines: (what, result) pairs, in order.
    """

    name: str
    lines: list[tuple[str, str]] = field(default_factory=list)

    def add(self, what: str, result: str) -> None:
        """Append a line."""
        self.lines.append((what, result))

    def __str__(self) -> str:
        width = max((len(what) for what, _ in self.lines), default=0)
        return "\n".join([self.name, *(f"  {what:<{width}}  {result}" for what, result in self.lines)])


def slope(stencil: Sequence[np.ndarray] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The derivative from values at x - 2H … x + 2H, and where these show no kink."""
    a, b, c, d, e = stencil
    fourth, second = (a - 8 * b + 8 * d - e) / (12 * H), (d - b) / (2 * H)
    left, right = (3 * c - 4 * b + a) / (2 * H), (4 * d - 3 * c - e) / (2 * H)
    scale = np.maximum(1.0, np.abs(fourth))
    return fourth, (np.abs(left - right) <= 1e-4 * scale) & (np.abs(fourth - second) <= SMOOTH * scale)


def compare_gradient(report: Report, what: str, got: np.ndarray, stencil: Sequence[np.ndarray] | np.ndarray) -> None:
    """A gradient against differences, away from kinks.

    Raises:
        AssertionError: they differ by more than 1e-7 of the larger of 1 and the derivative, or kinks are everywhere.
    """
    wanted, smooth = slope(stencil)
    if smooth.sum() < 0.8 * smooth.size:
        raise AssertionError(
            f"{report.name}: {smooth.size - smooth.sum()} of {smooth.size} points lie at kinks, so {what} cannot be "
            "compared with differences; choose another domain."
        )
    error = np.where(smooth, np.abs(got - wanted) / np.maximum(1.0, np.abs(wanted)), 0.0)
    worst = np.unravel_index(np.argmax(np.nan_to_num(error, nan=np.inf)), error.shape)
    if not error[worst] <= 1e-7:
        raise AssertionError(
            f"{report.name}: {what} is {got[worst]:.9g}, but differences give {wanted[worst]:.9g} (element "
            f"{tuple(map(int, worst))} of {error.size}; {(error > 1e-7).sum()} are wrong). Correct the derivative, or "
            "leave it out: it is then found by differentiation."
        )
    left_out = f", {smooth.size - smooth.sum()} at kinks left out" if not smooth.all() else ""
    report.add(what, f"agrees with central differences to {error.max():.1e} ({smooth.sum()} points{left_out})")


def compare_python(report: Report, what: str, got: np.ndarray, wanted: np.ndarray) -> None:
    """Compare the result of a float64 kernel with that of the rule as plain Python.

    Raises:
        AssertionError: they differ by more than 1e-12 of the larger of 1 and the value.
    """
    error = np.abs(got - wanted) / np.maximum(1.0, np.abs(wanted))
    if not np.nanmax(error) <= 1e-12 or (np.isnan(got) != np.isnan(wanted)).any():
        worst = np.unravel_index(np.argmax(np.nan_to_num(error, nan=np.inf)), error.shape)
        raise AssertionError(
            f"{report.name}: the kernel's {what} is {got[worst]!r}, the same function run by Python gives "
            f"{wanted[worst]!r}."
        )
    report.add(what, f"the kernel and the function run by Python agree to {np.nanmax(error):.1e}")


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Work with ``n`` threads for a while."""
    previous = get_num_threads()
    set_num_threads(n)
    try:
        yield
    finally:
        set_num_threads(previous)


def same_bits(
    report: Report, make: Callable[[], tuple[Run, Callable[[], Sequence[np.ndarray]]]], require_parallel: bool = True
) -> None:
    """The results of ``make() -> run, results`` on one thread and on two.

    Raises:
        AssertionError: they differ in a bit.
    """
    results, shared, launches = [], 0, 0
    for n in (1, 2):
        with threads(n):
            run, read = make()
            shared, launches = run.shared(n), len(run.plan.launches)
            run.steps(64)  # a single step of small work would not wake a second thread
            results.append(read())
    for one, two in zip(*results, strict=True):
        if one.tobytes() != two.tobytes():
            raise AssertionError(
                f"{report.name}: the results on 1 and on 2 threads differ: a launch writes outside its part."
            )
    if require_parallel and launches and not shared:
        raise AssertionError(f"{report.name}: too little work to be shared by 2 threads; nothing was compared.")
    report.add("threads", f"the same bits on 1 and 2 ({shared} of {launches} launches shared)")


def check_single_precision(report: Report, plan: Plan) -> None:
    """No generated float32 kernel computes in double precision, but those that add up arrays, whose totals are double.

    Raises:
        AssertionError: one does.
    """
    processor = platform.machine().lower()
    family = "x86" if processor in ("x86_64", "amd64", "i686") else "arm" if processor in ("aarch64", "arm64") else None
    kernels = dict.fromkeys(
        launch.kernel
        for launch in [one for launch in plan.launches for one in (launch, launch.epilogue) if one is not None]
        if isinstance(launch.kernel, Kernel) and launch.kernel.dtype == "float32"
        if "total" not in {operand.index for operand in getattr(launch.kernel.template, "operands", ())}
    )
    if family is None:
        report.add("float32", f"not looked at: the instructions of {processor!r} are not known here")
        return
    for kernel in kernels:
        found = double_instructions(compiler.assembly(kernel.source()), family)
        if found:
            raise AssertionError(
                f"{report.name}: the float32 kernel {kernel.full_name} computes in double: {', '.join(found[:3])}."
            )
    report.add("float32", f"no double instruction in {len(kernels)} kernel{'s' * (len(kernels) != 1)}")


def double_instructions(assembly: str, family: str) -> list[str]:
    """The instructions that compute in double precision, each once."""
    return list(dict.fromkeys(match.group().strip() for match in re.finditer(_DOUBLE[family], assembly)))


def speed(report: Report, run: Run, elements: int, rounds: int = 5, steps: int = 30) -> list[dict[str, Any]]:
    """Time of every launch on one thread, as a share of a += 3·b over as many float32: reported, never judged."""
    best, peak = np.full(len(run.plan.launches), np.inf), 0.0
    with threads(1):
        base = machine_peak.triad("float32", 8 * elements)
        for _ in range(rounds):  # in turns, so that both see the same machine
            times = np.zeros(len(best))
            run.steps(steps, times=times)
            np.minimum(best, times / steps, out=best)
            peak = max(peak, base.run())
    figures = []
    for launch, seconds in zip(run.plan.launches, best, strict=True):
        rate = launch_bytes(launch, run.rows) / seconds / 1e9
        behind = "" if launch.epilogue is None else f" then {launch.epilogue.name}"
        figure = {
            "kernel": f"{launch.kernel.full_name}{behind}",
            "ns": seconds * 1e9 / elements,
            "GB/s": rate,
            "share": rate / peak,
            "triad": peak,
        }
        figures.append(figure)
        report.add(
            "speed",
            f"{figure['kernel']}: {figure['ns']:.3f} ns an element, {rate:.1f} GB/s, {rate / peak:.0%} of a += 3·b",
        )
    return figures


def kind(values: Mapping[str, float] | np.ndarray) -> list[str]:
    """The kind of each number: finite, infinite or NaN."""
    return [
        "nan" if np.isnan(v) else "inf" if v == np.inf else "-inf" if v == -np.inf else "finite"
        for v in np.asarray(values)
    ]
