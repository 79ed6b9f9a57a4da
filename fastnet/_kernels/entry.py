"""The entry of a generated kernel, as LLVM IR: it reads the argument block and calls the body.

Its Python text is called once with symbolic values, which write the instructions. numba took 25 ms a kernel for it, a
third of its time for a small kernel (Zen 3): each argument is five statements to type and to lower.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from numba.core import types

NAME = "fastnet_entry"
_FENCE = "llvm.arithmetic.fence.f"
_LLVM = {types.int32: "i32", types.int64: "i64", types.float32: "float", types.float64: "double"}
_INTEGERS = types.CPointer(types.int64)


def is_entry(function: Callable) -> bool:
    """Whether a module's ``kernel`` does nothing but call its body."""
    return "body" in function.__code__.co_names


@dataclass(frozen=True)
class Value:
    """A value in an entry.

    Args:
        writer: of the entry.
        kind: numba's type.
        name: in the IR: of a register, or a constant.
    """

    writer: Writer
    kind: Any
    name: str

    @property
    def typed(self) -> str:
        """Type and name, as operands are written."""
        return f"{_LLVM.get(self.kind, 'ptr')} {self.name}"

    def __getitem__(self, index: int | Value) -> Value:
        """The element of a pointer."""
        element, typed = _LLVM[self.kind.dtype], f"i64 {index}" if isinstance(index, int) else index.typed
        at = self.writer.add(self.kind, f"getelementptr {element}, {self.typed}, {typed}")
        return self.writer.add(self.kind.dtype, f"load {element}, {at.typed}")


class Writer:
    """Writes an entry: `record` calls it, `written` is its text.

    Args:
        dtype: numba's type of the literals of the kernel's module, ``T``.
        global_space: LLVM's number of the address space in which buffers lie.

    Attributes:
        arguments: those of the body.
    """

    def __init__(self, dtype: Any, global_space: int):
        self.dtype, self.global_space = dtype, global_space
        self.arguments: tuple[Value, ...] = ()
        self._lines: list[str] = []
        self._parameters: list[Value] = []
        self._fences: set[str] = set()

    def record(self, entry: Callable, integers: int) -> None:
        """Call an entry with two pointers, and so many integers behind them."""
        kinds = [_INTEGERS] * 2 + [types.int64] * integers
        self._parameters = [Value(self, kind, f"%a{i}") for i, kind in enumerate(kinds)]
        names = {"T": self._converted, "size": self._size, "real": self._real, "settled": self._settled}
        names |= {"body": self._body} | {
            name: self._pointer(getattr(types, name.rpartition("_")[2]), name.startswith("address"))
            for name in entry.__code__.co_names
            if "pointer_" in name
        }
        FunctionType(entry.__code__, names)(*self._parameters)

    def written(self, body: str, text: str) -> str:
        """The definition of the entry, which calls the function ``body``, for a module that has this text."""
        given = ["ptr %result", "ptr %error"]
        parameters = ", ".join(given + [value.typed for value in self._parameters])
        arguments = ", ".join(given + [value.typed for value in self.arguments])
        declared = [
            f"declare {kind} @{name}({kind})"
            for name, kind in ((f"{_FENCE}{32 if kind == 'float' else 64}", kind) for kind in sorted(self._fences))
            if f"@{name}(" not in text
        ]
        lines = [
            *declared,
            f"define i32 @{NAME}({parameters}) {{",
            *self._lines,
            f'  %status = call i32 @"{body}"({arguments})',
            "  ret i32 %status",
            "}",
        ]
        return "\n".join(lines) + "\n"

    def add(self, kind: Any, instruction: str) -> Value:
        """The result of an instruction."""
        name = f"%v{len(self._lines)}"
        self._lines.append(f"  {name} = {instruction}")
        return Value(self, kind, name)

    def _body(self, *arguments: Value) -> None:
        self.arguments = arguments

    def _pointer(self, element: Any, of_address: bool) -> Callable[..., Value]:
        """``(bases, reference) -> pointer``: the buffer that an argument names (`abi.reference`), or ``(address)``."""

        def address(number: Value) -> Value:
            space = f" addrspace({self.global_space})" if self.global_space else ""
            at = self.add(types.CPointer(element), f"inttoptr {number.typed} to ptr{space}")
            return self.add(at.kind, f"addrspacecast ptr{space} {at.name} to ptr") if space else at

        def reference(bases: Value, number: Value | int) -> Value:
            name = str(number) if isinstance(number, int) else number.name
            base = bases[self.add(types.int64, f"and i64 {name}, 7")]
            offset = self.add(types.int64, f"ashr i64 {name}, 3")
            return address(self.add(types.int64, f"add {base.typed}, {offset.name}"))

        return address if of_address else reference

    def _size(self, rows: Value, number: Value) -> Value:
        """A size, or minus the elements for each row of the batch."""
        times = self.add(types.int64, f"mul {rows.typed}, {number.name}")
        of_rows = self.add(types.int64, f"sub i64 0, {times.name}")
        is_of_rows = self.add(types.boolean, f"icmp slt {number.typed}, 0")
        return self.add(types.int64, f"select i1 {is_of_rows.name}, {of_rows.typed}, {number.typed}")

    def _real(self, bits: Value) -> Value:
        """The float64 whose bits an argument is."""
        return self.add(types.float64, f"bitcast {bits.typed} to double")

    def _converted(self, number: Value) -> Value:
        """A float64 as a number of the module's dtype."""
        if self.dtype == types.float64:
            return number
        kind = "fptrunc" if self.dtype == types.float32 else "fptosi"
        return self.add(self.dtype, f"{kind} {number.typed} to {_LLVM[self.dtype]}")

    def _settled(self, number: Value) -> Value:
        """A number through which LLVM does not look: a comparison of a narrowed one would else become one in double."""
        kind = _LLVM[number.kind]
        self._fences.add(kind)
        return self.add(number.kind, f"call {kind} @{_FENCE}{32 if kind == 'float' else 64}({number.typed})")
