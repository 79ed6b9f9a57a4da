"""Entries of kernels on a GPU, as LLVM IR: they give inner functions, which are the CPU's, the units of a thread.

An entry's parameters are 64-bit integers, which are constant for a graph and lie in the constant bank. An inner
function's own argument block and bases exist only until LLVM has seen through them.

`LaunchEntry` is that of a node of a graph: of one launch, or of several that do not depend on each other:

    step      address of the step block; a run that has STOPPED does nothing more
    rows      of the batch
    then the number of the first block behind each launch but the last one,
    then those of each launch: the length of its axis, and its arguments: addresses where they refer to memory, else as
    on the CPU

`StepsEntry` goes through all launches of a step, and through many steps, in one block of threads that meet at a barrier
behind each launch. For small networks this is faster than launches one by one. Several blocks train one model each,
whose memory lies `stride` bytes apart:

    step, rows, stride, steps, then those of each launch
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastnet._kernels import abi

NAME = "fastnet_kernel"
SHARED = "fastnet_shared"  # the memory that the threads of a block share
WIDEST = 16  # bytes of one access to memory, which must lie on a boundary of these
WARP = 32  # threads that run together
MOST_PARAMETERS = 500  # 4 KB is the limit of PTX before 8.1


@dataclass(frozen=True)
class Call:
    """How the threads of a launch call an inner function.

    Args:
        references: for each argument whether it is an address.
        unit: units of the parallel axis that a group of threads takes; 0 where a unit is done by all threads of a block
            together, who must all call.
        group: threads that take them together, and who must all call: 1, or the 32 of a warp.
        period: it runs in every n-th step.
        guarded: whether it is left out, with all that follow, once the run has STOPPED. One that says so itself is not:
            other threads of its block would see it too early.
        narrowed: so many numbers that it wrote as float64 are stored as float32 too. Its last arguments are their
            addresses, in pairs: where the float64 lies, and where the float32 shall lie.
    """

    references: tuple[bool, ...]
    unit: int = 1
    group: int = 1
    period: int = 1
    guarded: bool = True
    narrowed: int = 0


@dataclass(frozen=True)
class LaunchEntry:
    """The entry of one launch, or of several that do not depend on each other: blocks of threads are shared out.

    Args:
        calls: of the launches.
        inner: for each the number of its inner function among those that differ.
        threads: of a block.
        shared: bytes that they share.
    """

    calls: tuple[Call, ...]
    inner: tuple[int, ...]
    threads: int
    shared: int = 0

    def written(self, inner: Sequence[str]) -> str:
        """The definition of the entry, which calls the functions ``inner``."""
        last = len(self.calls) - 1
        ends = [f"end{number}" for number in range(last)]
        own = [name for number, call in enumerate(self.calls) for name in _parameters(number, call)]
        callers = [
            line
            for number, call in enumerate(self.calls)
            for line in _caller(f"call{number}", call, inner[self.inner[number]], 0)
        ]
        lines = [
            *_shared(self.shared),
            *callers,
            *_head(["step", "rows", *ends, *own], self.threads),
            "  %step.here = add i64 %step, 0",
            "  br label %launch0",
            *(line for number in range(last + 1) for line in self._launch(number, number == last)),
            "out:",
            "  ret void",
            "}",
        ]
        return "\n" + "\n".join(lines) + "\n"

    def _launch(self, number: int, is_last: bool) -> list[str]:
        """A launch, whose blocks are those from the end of the one before to its own."""
        call, name = self.calls[number], f"launch{number}"
        begin = f"%end{number - 1}" if number else "0"
        mine = [
            f"  %mine{number} = icmp slt i64 %block, %end{number}",
            f"  br i1 %mine{number}, label %{name}.here, label %launch{number + 1}",
        ]
        unit = f"%group{number}" if call.unit else f"%own{number}"
        return [
            f"{name}:",
            *(["  br label %" + name + ".here"] if is_last else mine),
            f"{name}.here:",
            f"  %own{number} = sub i64 %block, {begin}",
            f"  %before{number} = mul i64 %own{number}, {self.threads}",
            f"  %thread{number} = add i64 %before{number}, %tid",
            f"  %group{number} = udiv i64 %thread{number}, {call.group}",
            f"  %first{number} = mul i64 {unit}, {call.unit or 1}",
            *_guard(number, call, f"{name}.run", "out"),
            f"{name}.run:",
            _calling(f"call{number}", "%step", "0", f"%first{number}", _parameters(number, call)),
            "  br label %out",
        ]


@dataclass(frozen=True)
class StepsEntry:
    """The entry of many steps.

    Args:
        calls: of the launches of a step, in order.
        inner: for each the number of its inner function among those that differ.
        threads: of a block.
        shared: bytes that they share, in one launch after the other.
    """

    calls: tuple[Call, ...]
    inner: tuple[int, ...]
    threads: int
    shared: int = 0

    def written(self, inner: Sequence[str]) -> str:
        """The definition of the entry, which calls the functions ``inner``.

        Launches that differ in their arguments only share a function. It is not inlined: LLVM would move what is
        constant in a launch out of the loop over steps, and 255 registers would not do.
        """
        pairs = [(self.inner[number], _like(call)) for number, call in enumerate(self.calls)]
        callers = {pair: f"call{number}" for number, pair in enumerate(dict.fromkeys(pairs))}
        count = len(self.calls)
        own = [name for number, call in enumerate(self.calls) for name in _parameters(number, call)]
        lines = [
            *_shared(self.shared),
            *(
                line
                for (number, call), name in callers.items()
                for line in _caller(name, call, inner[number], self.threads // call.group * call.unit or 1)
            ),
            *_head(["step", "rows", "stride", "steps", *own], self.threads),
            "  %shift = mul i64 %block, %stride",
            "  %step.here = add i64 %step, %shift",
            "  br label %next",
            "next:",
            f"  %done = phi i64 [0, %begin], [%done.now, %launch{count}]",
            "  br label %launch0",
            *(line for number in range(count) for line in self._launch(number, callers[pairs[number]])),
            f"launch{count}:",
            "  %done.now = add i64 %done, 1",
            "  %more = icmp slt i64 %done.now, %steps",
            "  br i1 %more, label %next, label %out",
            "out:",
            "  ret void",
            "}",
        ]
        return "\n" + "\n".join(lines) + "\n"

    def _launch(self, number: int, caller: str) -> list[str]:
        """A launch, behind a barrier. Threads without a unit do not call: the arguments alone take 40 instructions."""
        call, name = self.calls[number], f"launch{number}"
        some = f"  %some{number} = icmp slt i64 %first{number}, %extent{number}"
        return [
            f"{name}:",
            "  call void @llvm.nvvm.barrier0()",
            *_guard(number, call, f"{name}.run", f"launch{number + 1}" if call.period > 1 else "out"),
            f"{name}.run:",
            f"  %group{number} = udiv i64 %tid, {call.group}",
            f"  %first{number} = mul i64 %group{number}, {call.unit}",
            *([some] if call.unit else [f"  %some{number} = icmp eq i64 0, 0"]),
            f"  br i1 %some{number}, label %{name}.some, label %launch{number + 1}",
            f"{name}.some:",
            _calling(caller, "%step.here", "%shift", f"%first{number}", _parameters(number, call)),
            f"  br label %launch{number + 1}",
        ]


DECLARATIONS = """\
declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
declare void @llvm.nvvm.barrier0() convergent
"""


def _like(call: Call) -> Call:
    """A call without what its caller does not depend on."""
    return Call(call.references, call.unit, call.group, narrowed=call.narrowed)


def _shared(size: int) -> list[str]:
    """The memory that the threads of a block share."""
    kind = f"addrspace(3) global [{size} x i8] undef, align {WIDEST}"
    return [f"@{SHARED} = {kind}"] if size else []


def _head(parameters: Sequence[str], threads: int) -> list[str]:
    listed = ", ".join(f"i64 %{name}" for name in parameters)
    return [
        f'define ptx_kernel void @{NAME}({listed}) "nvvm.maxntid"="{threads}" {{',
        "begin:",
        "  %tid.short = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()",
        "  %ctaid.short = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()",
        "  %tid = zext i32 %tid.short to i64",
        "  %block = zext i32 %ctaid.short to i64",
    ]


def _parameters(number: int, call: Call) -> list[str]:
    """The names of an entry's parameters for a launch."""
    return [f"extent{number}", *(f"p{number}.{i}" for i in range(len(call.references)))]


def _calling(caller: str, step: str, shift: str, first: str, own: Sequence[str]) -> str:
    values = [step, shift, "%rows", first, *(f"%{name}" for name in own)]
    return f"  call void @{caller}({', '.join(f'i64 {value}' for value in values)})"


def _caller(name: str, call: Call, inner: str, stride: int) -> list[str]:
    """A function that calls ``inner`` for the units from ``first`` on, and those ``stride`` further; 0: no others.

    The argument block has a reference with the base 0 (`abi`) where an argument is an address; LLVM undoes it.
    """
    count = max(len(call.references), 1)
    own = ["step", "shift", "rows", "first", "extent", *(f"p{i}" for i in range(len(call.references)))]
    lines = [
        f"define internal void @{name}({', '.join(f'i64 %{each}' for each in own)}) "
        f"{'noinline convergent' if stride else 'alwaysinline convergent'} {{",
        "begin:",
        "  %result = alloca ptr",
        "  %error = alloca ptr",
        f"  %bases = alloca [{abi.SPACES} x i64]",
        f"  %args = alloca [{count} x i64]",
    ]
    for space in range(abi.SPACES):
        lines += _store("bases", space, "%step" if space == abi.STEP else "0", abi.SPACES)
    for i, refers in enumerate(call.references):
        if refers:
            lines += [f"  %here{i} = add i64 %p{i}, %shift", f"  %shifted{i} = shl nsw i64 %here{i}, 3"]
        lines += _store("args", i, f"%shifted{i}" if refers else f"%p{i}", count)
    return [
        *lines,
        "  br label %turn",
        "turn:",
        "  %lo = phi i64 [%first, %begin]" + (", [%next, %some]" if stride else ""),
        "  %inside = icmp slt i64 %lo, %extent",
        "  br i1 %inside, label %some, label %out",
        "some:",
        f"  %end = add i64 %lo, {call.unit or 1}",
        "  %less = icmp slt i64 %end, %extent",
        "  %hi = select i1 %less, i64 %end, i64 %extent",
        f"  %status = call i32 @{inner}(ptr %result, ptr %error, ptr %bases, ptr %args, i64 %rows, i64 %lo, i64 %hi)",
        *(line for number in range(call.narrowed) for line in _narrowed(number, len(call.references))),
        *([f"  %next = add i64 %lo, {stride}", "  br label %turn"] if stride else ["  br label %out"]),
        "out:",
        "  ret void",
        "}",
    ]


def _narrowed(number: int, arguments: int) -> list[str]:
    """A number that was written as float64, as float32."""
    name, start = f"narrowed{number}", arguments - 2 * (number + 1)
    return [
        f"  %{name}.from = inttoptr i64 %here{start} to ptr addrspace(1)",
        f"  %{name}.to = inttoptr i64 %here{start + 1} to ptr addrspace(1)",
        f"  %{name}.wide = load double, ptr addrspace(1) %{name}.from",
        f"  %{name} = fptrunc double %{name}.wide to float",
        f"  store float %{name}, ptr addrspace(1) %{name}.to",
    ]


def _store(array: str, index: int, value: str, length: int) -> list[str]:
    return [
        f"  %{array}.{index} = getelementptr [{length} x i64], ptr %{array}, i64 0, i64 {index}",
        f"  store i64 {value}, ptr %{array}.{index}",
    ]


def _guard(number: int, call: Call, go: str, leave: str) -> list[str]:
    """Branches to ``go`` unless the run has stopped, or the step is not one of those in which the launch runs."""
    if not call.guarded and call.period == 1:
        return [f"  br label %{go}"]
    lines = _slot(f"stopped{number}", abi.STOPPED)
    halt = f"%stopped{number}"
    if call.period > 1:
        lines += _slot(f"iteration{number}", abi.ITERATION)
        lines += [
            f"  %turn{number} = add i64 %iteration{number}, 1",
            f"  %rest{number} = urem i64 %turn{number}, {call.period}",
            f"  %halt{number} = or i64 {halt}, %rest{number}",
        ]
        halt = f"%halt{number}"
    return [*lines, f"  %open{number} = icmp eq i64 {halt}, 0", f"  br i1 %open{number}, label %{go}, label %{leave}"]


def _slot(name: str, slot: int) -> list[str]:
    """An integer of the step block, as it is now."""
    return [
        f"  %{name}.at = add i64 %step.here, {8 * slot}",
        f"  %{name}.pointer = inttoptr i64 %{name}.at to ptr addrspace(1)",
        f"  %{name} = load volatile i64, ptr addrspace(1) %{name}.pointer",
    ]
