"""A plan as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnet.engine.launch import Launch, Product
from fastnet.engine.view import describe
from fastnet.terminal import printable

if TYPE_CHECKING:
    from fastnet.engine.plan import Plan


def plan_text(plan: Plan) -> str:
    """One line a launch: phase, label, template, operands with shapes and offsets, extent, cost."""
    names = _Names()
    rows = [_columns(launch, names) for launch in plan.launches]
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    lines = ("  ".join([*(cell.ljust(w) for cell, w in zip(row, widths)), row[3]]).rstrip() for row in rows)
    return printable("\n".join(lines))


class _Names:
    """Buffers by number, in the order in which they are met."""

    def __init__(self) -> None:
        self.indices: dict[Any, int] = {}

    def of(self, operand: Any) -> str:
        if not hasattr(operand, "buffer"):
            return describe(operand)
        number = self.indices.setdefault(operand.buffer, len(self.indices))
        return f"%{number}{describe(operand)}"


def _columns(launch: Launch, names: _Names) -> tuple[str, str, str, str]:
    parts, name = [], launch.name
    for one in (launch, launch.epilogue):
        if one is None:
            continue
        if one is not launch:
            parts.append(f"then {one.name}")
        parts += _formulas(one.kernel)
        modes = {id(operand): mode for operand, mode in launch.access}
        for key, operand in one.operands.items():
            if id(operand) in modes:
                parts.append(f"{key}{'=' if modes[id(operand)] == 'r' else '→'}{names.of(operand)}")
            elif isinstance(operand, float):
                parts.append(f"{key}={operand:g}")
    work = "tiles" if isinstance(launch.kernel, Product) else f"{launch.extent} × {launch.cost}"
    more = "" if launch.period == 1 else f" every {launch.period} steps"
    check = " if finite" if launch.flags else ""
    return launch.phase, launch.label, name, f"{' '.join(parts)} | {work}{more}{check}"


def _formulas(kernel: Any) -> list[str]:
    """The part of a formula that a template does not say: the rules; of a product, transpositions and ReLU."""
    if isinstance(kernel, Product):
        flags = {"aᵀ": kernel.transpose_a, "bᵀ": kernel.transpose_b, "relu": kernel.relu, "split": kernel.split}
        window = [] if kernel.window is None else [f"window={'×'.join(map(str, kernel.window.taps))}"]
        chunks = [f"chunks={kernel.chunks}"] if kernel.chunks > 1 else []
        return window + chunks + [text for text, is_set in flags.items() if is_set]
    return [f"{name.rpartition('.')[2]}={rule.__name__}" for name, rule in kernel.rules]
