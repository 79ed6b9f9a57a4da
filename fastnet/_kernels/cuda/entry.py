"""The entry of a kernel on a GPU, as LLVM IR: it gives the inner function, which is the CPU's, the units of a thread.

An entry's parameters are 64-bit integers:

    step      address of the step block on the device; a run that has STOPPED launches nothing more
    rows      of the batch
    extent    of the parallel axis
    and one for each argument of the kernel: an address where it refers to memory, else as on the CPU

They are constant for a graph, and lie in the constant bank; the inner function's own argument block and bases exist
only until LLVM has seen through them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastnet._kernels import abi

FIXED = 3  # parameters in front of the kernel's
NAME = "fastnet_kernel"


@dataclass(frozen=True)
class Entry:
    """How the threads of a launch call a kernel.

    Args:
        references: for each argument whether it is an address.
        unit: units of the parallel axis that a thread takes; 0 where the threads of a block divide the work by
            themselves (`cuda.intrinsics`), and all of them must call.
        period: it runs in every n-th step.
        threads: the most of a block.
    """

    references: tuple[bool, ...]
    unit: int = 1
    period: int = 1
    threads: int = 128
    name = NAME

    @property
    def identity(self) -> str:
        return repr(self)

    def written(self, inner: str, ir: str) -> str:
        """The definition of the entry, which calls ``inner`` of a module's ``ir``."""
        count = len(self.references)
        parameters = ", ".join(["i64 %step", "i64 %rows", "i64 %extent", *(f"i64 %p{i}" for i in range(count))])
        lines = [
            *(f"declare i32 @{name}()" for name in _REGISTERS if f"@{name}()" not in ir.replace('"', "")),
            f'define ptx_kernel void @{NAME}({parameters}) "nvvm.maxntid"="{self.threads}" {{',
            "begin:",
            *_load("%stopped", f"add i64 %step, {8 * abi.STOPPED}"),
            *self._turn(),
            "  %open = icmp eq i64 %halt, 0",
            "  br i1 %open, label %run, label %out",
            "run:",
            "  %result = alloca ptr",
            "  %error = alloca ptr",
            f"  %bases = alloca [{abi.SPACES} x i64]",
            f"  %args = alloca [{max(count, 1)} x i64]",
            *(_store("bases", space, "%step" if space == abi.STEP else "0", abi.SPACES) for space in range(abi.SPACES)),
            *(line for i, refers in enumerate(self.references) for line in _argument(i, refers, max(count, 1))),
            *(_UNITS.format(unit=self.unit).splitlines() if self.unit else ["  br label %go"]),
            "go:",
            *([] if self.unit else ["  %lo = add i64 0, 0", "  %hi = add i64 %extent, 0"]),
            f'  %status = call i32 @"{inner}"(ptr %result, ptr %error, ptr %bases, ptr %args,',
            "    i64 %rows, i64 %lo, i64 %hi)",
            "  br label %out",
            "out:",
            "  ret void",
            "}",
        ]
        return "\n" + "\n".join(lines) + "\n"

    def _turn(self) -> Sequence[str]:
        """Whether this step is one of those in which it runs."""
        if self.period == 1:
            return ["  %halt = add i64 %stopped, 0"]
        return [
            *_load("%iteration", f"add i64 %step, {8 * abi.ITERATION}"),
            "  %turn = add i64 %iteration, 1",
            f"  %rest = urem i64 %turn, {self.period}",
            "  %halt = or i64 %stopped, %rest",
        ]


_REGISTERS = tuple(f"llvm.nvvm.read.ptx.sreg.{name}.x" for name in ("tid", "ctaid", "ntid"))
_UNITS = """\
  %tid = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %ctaid = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %ntid = call i32 @llvm.nvvm.read.ptx.sreg.ntid.x()
  %before = mul i32 %ctaid, %ntid
  %thread = add i32 %before, %tid
  %wide = zext i32 %thread to i64
  %lo = mul i64 %wide, {unit}
  %inside = icmp slt i64 %lo, %extent
  br i1 %inside, label %some, label %out
some:
  %end = add i64 %lo, {unit}
  %less = icmp slt i64 %end, %extent
  %hi = select i1 %less, i64 %end, i64 %extent
  br label %go"""


def _load(name: str, address: str) -> list[str]:
    """The 64-bit integer at an address of global memory."""
    return [
        f"  {name}.at = {address}",
        f"  {name}.pointer = inttoptr i64 {name}.at to ptr addrspace(1)",
        f"  {name} = load i64, ptr addrspace(1) {name}.pointer",
    ]


def _store(array: str, index: int, value: str, length: int) -> str:
    return (
        f"  %{array}.{index} = getelementptr [{length} x i64], ptr %{array}, i64 0, i64 {index}\n"
        f"  store i64 {value}, ptr %{array}.{index}"
    )


def _argument(index: int, refers: bool, length: int) -> list[str]:
    """An argument in the block; an address as the reference (`abi`) with the base 0, which LLVM undoes."""
    value = f"%p{index}"
    shifted = [f"  %shifted{index} = shl nsw i64 {value}, 3"] if refers else []
    return [*shifted, _store("args", index, f"%shifted{index}" if refers else value, length)]
