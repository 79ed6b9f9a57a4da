"""Where the time of a step goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastnet.engine.plan import Buffer, Launch, Product, Slot


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
        head = f"{'layer':<24} {'phase':<9} {'µs/step':>10} {'share':>7} {'GF/s':>8} {'GB/s':>8}"
        lines = [
            f"{r.layer:<24.24} {r.phase:<9} {r.microseconds:>10.1f} {r.share:>6.1%} {r.gflops:>8.1f} {r.gigabytes:>8.1f}"
            for r in self.rows
        ]
        foot = f"{'all':<24} {'':<9} {self.microseconds:>10.1f}   ({self.steps} steps)"
        return "\n".join([head, "-" * len(head), *lines, "-" * len(head), foot])


def _operations(launch: Launch, rows: float) -> float:
    """Floating-point operations of a launch: exact for products, one for each element of the others."""
    if isinstance(launch.kernel, Product):
        return launch.flops * rows
    return launch.extent.per_row * rows + launch.extent.fixed


def _bytes(operand: object, rows: float) -> float:
    if isinstance(operand, Buffer):
        return operand.size(1) * (rows if operand.per_row else 1)
    return 8 if isinstance(operand, Slot) else operand.array.nbytes
