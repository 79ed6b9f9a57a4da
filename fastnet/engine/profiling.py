"""Where the time of a step goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastnet.engine.plan import Buffer, Launch, Product, Slot
from fastnet.engine.variable import Variable


@dataclass(frozen=True)
class Row:
    """One layer in one phase: microseconds a step, billions of operations and bytes a second."""

    layer: str
    phase: str
    microseconds: float
    share: float
    gflops: float
    gigabytes: float


@dataclass(frozen=True)
class Profile:
    """A table of time for each layer; ``str(profile)`` shows it.

    Attributes:
        rows: the lines.
        steps: steps measured.
        microseconds: of a step, in all.
    """

    rows: tuple[Row, ...]
    steps: int
    microseconds: float

    @classmethod
    def of(cls, launches: Sequence[Launch], times: np.ndarray, steps: int, rows: float) -> Profile:
        """Sum the launches of each layer and phase."""
        groups: dict[tuple[str, str], list[float]] = {}
        for launch, seconds in zip(launches, times, strict=True):
            group = groups.setdefault((launch.label, launch.phase), [0.0, 0.0, 0.0])
            group[0] += seconds / steps
            group[1] += _operations(launch, rows)
            group[2] += sum(_bytes(operand, rows) * len(mode) for operand, mode in launch.access)
        total = sum(g[0] for g in groups.values()) or 1e-12
        lines = tuple(
            Row(layer, phase, s * 1e6, s / total, flops / max(s, 1e-12) / 1e9, count / max(s, 1e-12) / 1e9)
            for (layer, phase), (s, flops, count) in groups.items()
        )
        return cls(lines, steps, total * 1e6)

    def __str__(self) -> str:
        layers = list(dict.fromkeys(row.layer for row in self.rows))
        phases = list(dict.fromkeys(row.phase for row in self.rows))
        width = min(32, max([len("layer"), *map(len, layers)]))
        head = f"{'layer':<{width}}" + "".join(f" {phase:>9}" for phase in phases)
        head += f" {'µs/step':>9} {'share':>7} {'GF/s':>7} {'GB/s':>7}"
        lines = [head, "-" * len(head)]
        for layer in layers:
            of_layer = [row for row in self.rows if row.layer == layer]
            times = {row.phase: f"{row.microseconds:.1f}" for row in of_layer}
            total = max(sum(row.microseconds for row in of_layer), 1e-12)
            gflops = sum(row.gflops * row.microseconds for row in of_layer) / total
            gigabytes = sum(row.gigabytes * row.microseconds for row in of_layer) / total
            line = f"{layer:<{width}.{width}}" + "".join(f" {times.get(phase, ''):>9}" for phase in phases)
            line += f" {total:>9.1f} {total / self.microseconds:>6.1%} {gflops:>7.1f} {gigabytes:>7.1f}"
            lines.append(line)
        foot = f"{'all':<{width}}" + "".join(
            f" {sum(row.microseconds for row in self.rows if row.phase == phase):>9.1f}" for phase in phases
        )
        return "\n".join([*lines, lines[1], f"{foot} {self.microseconds:>9.1f}   ({self.steps:,} steps)"])


def _operations(launch: Launch, rows: float) -> float:
    """Floating-point operations of a launch: exact for products, one for each element of the others."""
    if isinstance(launch.kernel, Product):
        return launch.flops * rows
    return launch.extent.per_row * rows + launch.extent.fixed


def _bytes(operand: Buffer | Variable | Slot, rows: float) -> float:
    if isinstance(operand, Buffer):
        return operand.size(1) * (rows if operand.per_row else 1)
    return 8 if isinstance(operand, Slot) else operand.array.nbytes
