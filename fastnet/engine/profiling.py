"""Profiles a training step, layer by layer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from fastnet.engine.executable import Executable
from fastnet.engine.launch import Launch, Product
from fastnet.engine.machine_peak import Gauge, Machine, size_text
from fastnet.engine.variable import Variable
from fastnet.engine.view import SIZES, Slot, View
from fastnet.terminal import printable

PIECES = 3  # of a training that is profiled; the machine is measured around each


@dataclass(frozen=True)
class Row:
    """The figures of one layer in one phase.

    Attributes:
        layer: the layer's name.
        phase: "forward", "backward" and so on.
        microseconds: time in a step.
        share: of the step's time.
        gflops: billions of operations a second: exact for products, one for each element of other kernels.
        gigabytes: billions of bytes a second that are read and written, in caches or in memory.
        of_machine: share of the machine, max(operations / peak, bytes / bandwidth) / time; 1 is the limit of the
            processor or its memory. NaN on a GPU, which is not measured.
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
    """The times of a step by layer and phase; ``str(profile)`` and notebooks show a table.

    Attributes:
        rows: the figures of each layer and phase.
        steps: number of steps that were measured.
        microseconds: time of a step.
        machine: the peak of multiply-adds on registers, and the bandwidth of ``a += 3·b`` over as much memory as a step
            touches; None on a GPU.
    """

    rows: tuple[Row, ...]
    steps: int
    microseconds: float
    machine: Machine | None

    @classmethod
    def take(
        cls, bound: Executable, rows: float, seconds: float, train: Callable[[float], tuple[np.ndarray, int]]
    ) -> Profile:
        """Train in pieces, and measure the machine before, between and after them.

        Args:
            bound: the plan that is trained.
            rows: of a step, on the average.
            seconds: how long to train in all.
            train: trains for so many seconds, a step at least: (seconds of each launch, steps).
        """
        dtypes = [_dtype(launch, bound) for launch in bound.plan.launches]
        gauge = Gauge(dtypes or [bound.plan.dtype], _touched(bound)) if bound.device == "cpu" else None
        times, steps, left = np.zeros(len(dtypes)), 0, seconds
        if gauge:
            gauge.look()
        while steps == 0 or left > 0:
            start = time.perf_counter()
            of_piece, done = train(seconds / PIECES)
            left -= time.perf_counter() - start
            times, steps = times + of_piece, steps + done
            if gauge:
                gauge.look()
        return cls.of(bound, times, steps, rows, gauge.machine() if gauge else None)

    @classmethod
    def of(cls, bound: Executable, times: np.ndarray, steps: int, rows: float, machine: Machine | None) -> Profile:
        """Sum the launches of each layer and phase.

        Args:
            bound: the plan that ran.
            times: seconds of each launch.
            steps: that took these times.
            rows: of a step, on the average.
            machine: what the plan's machine reaches in the dtypes of its products; None on a GPU.
        """
        groups: dict[tuple[str, str], _Sums] = {}
        for launch, seconds in zip(bound.plan.launches, times, strict=True):
            operations = launch_operations(launch, rows)
            group = groups.setdefault((launch.label, launch.phase), _Sums())
            group.seconds += seconds / steps
            group.operations += operations
            group.bytes += launch_bytes(launch, rows)
            group.at_peak += operations / machine.gflops[_dtype(launch, bound)] / 1e9 if machine else math.nan
        total = sum(group.seconds for group in groups.values()) or 1e-12
        gigabytes = machine.gigabytes if machine else math.nan
        lines = tuple(group.row(*name, total, gigabytes) for name, group in groups.items())
        return cls(lines, steps, total * 1e6, machine)

    def __str__(self) -> str:
        layers = list(dict.fromkeys(row.layer for row in self.rows))
        phases = list(dict.fromkeys(row.phase for row in self.rows))
        width = min(32, max([len("layer"), *map(len, layers)]))
        head = f"{'layer':<{width}}" + "".join(f" {phase:>9}" for phase in phases)
        head += f" {'µs/step':>9} {'share':>7} {'GF/s':>7} {'GB/s':>7}" + f" {'machine':>8}" * bool(self.machine)
        lines = [head, "-" * len(head)]
        for layer in layers:
            of_layer = [row for row in self.rows if row.layer == layer]
            times = {row.phase: f"{row.microseconds:.1f}" for row in of_layer}
            line = f"{layer:<{width}.{width}}" + "".join(f" {times.get(phase, ''):>9}" for phase in phases)
            lines.append(f"{line} {self._figures(of_layer)}")
        foot = f"{'all':<{width}}" + "".join(
            f" {sum(row.microseconds for row in self.rows if row.phase == phase):>9.1f}" for phase in phases
        )
        machine = f"{self.steps:,} steps." + f" The machine: {self.machine}." * bool(self.machine)
        table = [*lines, lines[1], f"{foot} {self._figures(self.rows)}"]
        return printable("\n".join([*table, "", machine, *self._above_all()]))

    def _above_all(self) -> list[str]:
        """Explain the lines of the table with more than 100 % of the machine."""
        if self.machine is None:
            return []
        fast = [row for row in self.rows if row.of_machine >= 1.0005]
        near = [row for row in fast if row.gigabytes / self.machine.gigabytes >= row.of_machine * 0.999]
        lines = []
        if near:
            lines.append(
                f"More than 100 % in {_names(near)}: what these read and write lies in a nearer cache than the "
                f"{size_text(self.machine.size)} of a += 3·b."
            )
        if len(fast) > len(near):
            lines.append(
                f"More than 100 % in {_names(row for row in fast if row not in near)}: another program used the "
                "processor whenever its peak was measured. Profile again when it has ended."
            )
        return lines

    def _repr_html_(self) -> str:
        """The same table for notebooks."""
        import html  # here: 1 ms, for few processes

        return f"<pre>{html.escape(str(self))}</pre>"

    def _figures(self, rows: Iterable[Row]) -> str:
        """Format the time of some rows together, and their rates."""
        rows = list(rows)
        total = max(sum(row.microseconds for row in rows), 1e-12)
        gflops, gigabytes, of_machine = (
            sum(getattr(row, name) * row.microseconds for row in rows) / total
            for name in ("gflops", "gigabytes", "of_machine")
        )
        fraction = total / max(self.microseconds, 1e-12)
        of_machine = f" {of_machine:>8.1%}" * bool(self.machine)
        return f"{total:>9.1f} {fraction:>7.1%} {gflops:>7.1f} {gigabytes:>7.1f}{of_machine}"


@dataclass
class _Sums:
    """Sums over the launches of a layer in one phase of a step."""

    seconds: float = 0.0
    operations: float = 0.0
    bytes: float = 0.0
    at_peak: float = 0.0  # seconds that the operations take at the machine's peak

    def row(self, layer: str, phase: str, total: float, gigabytes: float) -> Row:
        seconds = max(self.seconds, 1e-12)
        rates = self.operations / seconds / 1e9, self.bytes / seconds / 1e9
        of_machine = max(self.at_peak, self.bytes / gigabytes / 1e9) / seconds
        return Row(layer, phase, self.seconds * 1e6, self.seconds / total, *rates, of_machine)


def _names(rows: Iterable[Row]) -> str:
    return ", ".join(f"{row.layer} ({row.phase})" for row in rows)


def _dtype(launch: Launch, bound: Executable) -> str:
    """The dtype whose peak a launch is compared with: a product's own, else the plan's, since the operations of other
    loops are only estimated."""
    return launch.kernel.dtype if isinstance(launch.kernel, Product) else bound.plan.dtype


def _touched(bound: Executable) -> int:
    """Bytes of memory that a step uses: its arena, the weights and the optimizer's state."""
    operands = {operand for launch in bound.plan.launches for operand, _ in launch.access}
    return bound.arena_bytes + sum(operand.nbytes for operand in operands if isinstance(operand, Variable))


def launch_operations(launch: Launch, rows: float) -> float:
    """Floating-point operations of a launch: exact for products, one for each element of other kernels."""
    if launch.flops:
        return launch.flops_at(rows)
    if any(launch.shape):
        return math.prod(-size * rows if size < 0 else size for size in launch.shape)
    return max((_elements(operand, rows) for operand, _ in launch.access), default=0)


def launch_bytes(launch: Launch, rows: float) -> float:
    """Bytes that a launch reads and writes, counting each operand once for reading and once for writing."""
    return sum(
        _elements(operand, rows) * (8 if isinstance(operand, Slot) else SIZES[operand.dtype]) * len(mode)
        for operand, mode in launch.access
    )


def _elements(operand: View | Variable | Slot, rows: float) -> float:
    if not isinstance(operand, View):
        return 1 if isinstance(operand, Slot) else operand.size
    entries = operand.buffer.entries  # an average number of rows, but whole chunks of them
    count = entries.at(math.ceil(rows)) if entries.unit > 1 else entries.per_row * rows + entries.fixed
    return operand.width * count
