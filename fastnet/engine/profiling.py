"""Where the time of a step goes."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fastnet.engine.bind import Executable
from fastnet.engine.launch import Launch, Product
from fastnet.engine.machine import Machine, measure
from fastnet.engine.variable import Variable
from fastnet.engine.view import SIZES, Slot, View


@dataclass(frozen=True)
class Row:
    """One layer in one phase.

    Attributes:
        layer: its name.
        phase: "forward", "backward" and so on.
        microseconds: a step.
        share: of the step's time.
        gflops: billions of operations a second: exact for products, one for each element of the rest.
        gigabytes: billions of bytes a second that are read and written, whichever memory they lie in.
        of_machine: share of the machine, max(operations / peak, bytes / bandwidth) / time; 1 is as fast as the
            processor or its memory allows.
    """

    layer: str
    phase: str
    microseconds: float
    share: float
    gflops: float
    gigabytes: float
    of_machine: float


@dataclass(frozen=True)
class Profile:
    """A table of time for each layer; ``str(profile)`` shows it, and notebooks do.

    Attributes:
        rows: the lines.
        steps: steps measured.
        microseconds: of a step, in all.
        machine: what the shares are of: the peak of multiply-adds on registers, and the bandwidth of ``a += 3·b`` over
            as much memory as a step touches.
    """

    rows: tuple[Row, ...]
    steps: int
    microseconds: float
    machine: Machine

    @classmethod
    def of(cls, bound: Executable, times: np.ndarray, steps: int, rows: float) -> Profile:
        """Sum the launches of each layer and phase, and measure the machine they ran on.

        Args:
            bound: the plan that ran.
            times: seconds of each launch.
            steps: that took these times.
            rows: of a step, on the average.
        """
        launches = bound.plan.launches
        # The other loops' operations are counted too roughly for a peak of their own.
        dtypes = [
            launch.kernel.dtype if isinstance(launch.kernel, Product) else bound.plan.dtype for launch in launches
        ]
        here = measure(dtypes or [bound.plan.dtype], _touched(bound))
        groups: dict[tuple[str, str], _Sums] = {}
        for launch, dtype, seconds in zip(launches, dtypes, times, strict=True):
            operations = _operations(launch, rows)
            group = groups.setdefault((launch.label, launch.phase), _Sums())
            group.seconds += seconds / steps
            group.operations += operations
            group.bytes += launch_bytes(launch, rows)
            group.at_peak += operations / here.gflops[dtype] / 1e9
        total = sum(group.seconds for group in groups.values()) or 1e-12
        lines = tuple(group.row(*name, total, here.gigabytes) for name, group in groups.items())
        return cls(lines, steps, total * 1e6, here)

    def __str__(self) -> str:
        layers = list(dict.fromkeys(row.layer for row in self.rows))
        phases = list(dict.fromkeys(row.phase for row in self.rows))
        width = min(32, max([len("layer"), *map(len, layers)]))
        head = f"{'layer':<{width}}" + "".join(f" {phase:>9}" for phase in phases)
        head += f" {'µs/step':>9} {'share':>7} {'GF/s':>7} {'GB/s':>7} {'machine':>8}"
        lines = [head, "-" * len(head)]
        for layer in layers:
            of_layer = [row for row in self.rows if row.layer == layer]
            times = {row.phase: f"{row.microseconds:.1f}" for row in of_layer}
            line = f"{layer:<{width}.{width}}" + "".join(f" {times.get(phase, ''):>9}" for phase in phases)
            lines.append(f"{line} {self._figures(of_layer)}")
        foot = f"{'all':<{width}}" + "".join(
            f" {sum(row.microseconds for row in self.rows if row.phase == phase):>9.1f}" for phase in phases
        )
        machine = f"{self.steps:,} steps. The machine: {self.machine}."
        return "\n".join([*lines, lines[1], f"{foot} {self._figures(self.rows)}", "", machine])

    def _repr_html_(self) -> str:
        """What notebooks show: the same table."""
        return f"<pre>{html.escape(str(self))}</pre>"

    def _figures(self, rows: Iterable[Row]) -> str:
        """Time, and the rates over it, of some rows together."""
        rows = list(rows)
        total = max(sum(row.microseconds for row in rows), 1e-12)
        gflops, gigabytes, of_machine = (
            sum(getattr(row, name) * row.microseconds for row in rows) / total
            for name in ("gflops", "gigabytes", "of_machine")
        )
        share = total / max(self.microseconds, 1e-12)
        return f"{total:>9.1f} {share:>7.1%} {gflops:>7.1f} {gigabytes:>7.1f} {of_machine:>8.1%}"


@dataclass
class _Sums:
    """What the launches of a layer in one phase do in a step."""

    seconds: float = 0.0
    operations: float = 0.0
    bytes: float = 0.0
    at_peak: float = 0.0  # seconds the operations take at the machine's peak

    def row(self, layer: str, phase: str, total: float, gigabytes: float) -> Row:
        seconds = max(self.seconds, 1e-12)
        rates = self.operations / seconds / 1e9, self.bytes / seconds / 1e9
        of_machine = max(self.at_peak, self.bytes / gigabytes / 1e9) / seconds
        return Row(layer, phase, self.seconds * 1e6, self.seconds / total, *rates, of_machine)


def _touched(bound: Executable) -> int:
    """Bytes that a step works on: its arena, and the weights with their optimizer's state."""
    operands = {operand for launch in bound.plan.launches for operand, _ in launch.access}
    return bound.arena.nbytes + sum(operand.array.nbytes for operand in operands if isinstance(operand, Variable))


def _operations(launch: Launch, rows: float) -> float:
    """Floating-point operations of a launch: exact for products, one for each element of the others."""
    if launch.flops:
        once = isinstance(launch.kernel, Product) and not launch.kernel.of_batch
        return launch.flops * (1 if once else rows)
    return launch.extent.at(1) if not launch.extent.per_row else launch.extent.per_row * rows


def launch_bytes(launch: Launch, rows: float) -> float:
    """Bytes a launch reads and writes, each operand once for each."""
    return sum(_bytes(operand, rows) * len(mode) for operand, mode in launch.access)


def _bytes(operand: View | Variable | Slot, rows: float) -> float:
    if isinstance(operand, View):
        return operand.width * SIZES[operand.dtype] * (rows if operand.per_row else 1)
    return 8 if isinstance(operand, Slot) else operand.array.nbytes
