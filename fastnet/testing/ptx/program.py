"""An entry as a list of steps: calls pasted in, registers numbered, operands resolved. Done once for each entry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnet.testing.ptx import (  # noqa: F401
    accesses,
    bitwise,
    conversions,
    floats,
    integers,
    matrices,
    moves,
    special,
    warps,
)
from fastnet.testing.ptx.control import branch, branch_by_index, leave
from fastnet.testing.ptx.exact import bf16_bits, bf16_values, canonical
from fastnet.testing.ptx.faults import Fault
from fastnet.testing.ptx.instructions import Control, find
from fastnet.testing.ptx.module import Entry, Function, Module, Register, Variable, place
from fastnet.testing.ptx.text import Address, Instruction, Label, Scope, names
from fastnet.testing.ptx.types import TYPES, Type

Read = Callable[[Any, Any], Any]
Write = Callable[[Any, Any, Any], None]


@dataclass(eq=False)
class Op:
    """One step: `run` for the active threads, or `control`, which decides where threads go on.

    `guard` is the row of a predicate, and whether it is negated.
    """

    kind: str
    line: int
    run: Any = None
    control: Callable[..., int] | None = None
    guard: tuple[int, bool] | None = None
    target: Any = None


class Program:
    """The steps of an entry, and what a frame of threads needs to run them."""

    def __init__(self, module: Module, entry: Entry):
        self.module, self.entry = module, entry
        self.ops: list[Op] = []
        self.rows: list[tuple[int, int, np.dtype]] = []  # of each row: width of the class, number in it, view
        self.counts = dict.fromkeys((1, 8, 16, 32, 64), 0)  # registers of each width
        self.local = 0
        self.granule = 4  # bytes that the race detector tells apart: the narrowest access of this entry
        Decoder(self, entry.function, {}).decode()


class Decoder:
    """Turns the body of a function into ops of a program. A call makes another decoder, with registers of its own."""

    def __init__(self, program: Program, function: Function, arguments: dict[Variable, int]):
        self.program, self.function = program, function
        self.is_entry = program.entry.function is function
        self._registers: dict[Register, int] = {}
        self._rows: dict[tuple[Register, np.dtype], int] = {}
        self._written: set[Register] = set()
        self._named: Counter[Any] = Counter()  # how often each register stands in an instruction
        self.variables = dict(arguments)
        if self.is_entry:
            self.variables.update(place(function.parameters)[0])
        for variable in function.variables:
            if variable.space in ("local", "param"):
                self.variables[variable] = self.reserve(variable)
        self.scope: Scope = function.scope
        self.line = 0

    def reserve(self, variable: Variable) -> int:
        """An offset in local memory."""
        offset = -(-self.program.local // variable.align) * variable.align
        self.program.local = offset + variable.size
        return offset

    # The body

    def decode(self) -> None:
        program, body = self.program, self.function.body
        if body is None:
            raise Fault(f"function {self.function.name!r} is declared only: it must be in the same text")
        self._find_names(body)
        starts, jumps = [], list[tuple[Op, Instruction]]()
        for step in body:
            starts.append(len(program.ops))
            self.scope, self.line = step.scope, step.line
            try:
                self._add(step, jumps)
            except Fault as fault:
                if fault.line is None:
                    text = program.module.instruction_text(step.line)
                    raise Fault(fault.reason, program.entry.name, step.line, text) from None
                raise
        starts.append(len(program.ops))
        if self.is_entry:
            program.ops.append(Op("ret", self.line, control=leave))
        for op, step in jumps:
            places = [starts[self.label(step, name).index] if name else starts[-1] for name in op.target]
            op.target = places[0] if op.control is branch else np.array(places)

    def _find_names(self, body: list[Instruction]) -> None:
        for step in body:
            guard = [] if step.guard is None else [step.guard[0]]
            self._named.update(step.scope.find(name.lstrip("!")) for name in names([*step.operands, *guard]))
            if step.opcode not in ("st", "red", "bra", "bar"):
                for name in names(step.operands[:1]):
                    self._written.add(step.scope.find(name.lstrip("!")))

    def label(self, step: Instruction, name: str) -> Label:
        label = step.scope.find(name)
        if not isinstance(label, Label):
            text = self.program.module.instruction_text(step.line)
            raise Fault(f"there is no label {name!r}", self.program.entry.name, step.line, text)
        return label

    def _add(self, step: Instruction, jumps: list[tuple[Op, Instruction]]) -> None:
        if step.opcode == "call":
            self._call(step)
            return
        op = Op(step.opcode, step.line)
        if step.guard is not None:
            op.guard = (self.row(step.guard[0], TYPES["pred"]), step.guard[1])
        built = find(step)(self, step)
        if isinstance(built, Control):
            op.control, op.target, op.run = built
        else:
            op.run = built
        if op.control is branch or op.control is branch_by_index:
            jumps.append((op, step))
        self.program.ops.append(op)

    def _call(self, step: Instruction) -> None:
        if step.guard is not None:
            raise Fault("a call with a predicate is not in the machine")
        operands = list(step.operands)
        results = operands.pop(0) if isinstance(operands[0], tuple) else ()
        name, given = operands[0], operands[1] if len(operands) > 1 else ()
        function = self.scope.find(name)
        if not isinstance(function, Function):
            raise Fault(f"there is no function {name!r}: the machine makes direct calls only")
        arguments = {}
        for formal, actual in zip([*function.results, *function.parameters], [*results, *given]):
            variable = self.scope.find(actual)
            if not isinstance(variable, Variable):
                raise Fault(f"argument {actual!r} of {name!r} is not a .param variable")
            arguments[formal] = self.variables[variable]
        Decoder(self.program, function, arguments).decode()

    # Operands

    def register(self, name: str) -> Register:
        found = self.scope.find(name)
        if not isinstance(found, Register):
            raise Fault(f"there is no register {name!r}")
        return found

    def row(self, name: str, kind: Type) -> int:
        """The number of the row that shows a register as a type."""
        register = self.register(name)
        if (register.bits == 1) != (kind.kind == "p") or register.bits < kind.bits:
            raise Fault(f"register {name!r} of {register.bits} bits cannot be read or written as .{kind.name}")
        key = (register, kind.dtype)
        if key not in self._rows:
            program = self.program
            if register not in self._registers:
                self._registers[register] = program.counts[register.bits]
                program.counts[register.bits] += 1
            self._rows[key] = len(program.rows)
            program.rows.append((register.bits, self._registers[register], kind.dtype))
        return self._rows[key]

    def read(self, operand: Any, kind: Type) -> Read:
        """A function that returns the operand's values: an array over the active threads, or one number for all."""
        if isinstance(operand, str) and isinstance(found := self.scope.find(operand.lstrip("!")), Register):
            if found not in self._written:
                raise Fault(f"register {operand!r} is read, and no instruction writes it")
            return self._read_register(operand, kind)
        if isinstance(operand, str) and operand[0] == "%":
            return special.register(operand, kind)
        if isinstance(operand, Address) or self.scope.find(operand) is not None:
            address = self.address(operand)
            return lambda frame, active: kind.dtype.type(address(frame))
        value = self.constant(operand, kind)
        return lambda frame, active: value

    def _read_register(self, operand: str, kind: Type) -> Read:
        row = self.row(operand.lstrip("!"), kind)
        if operand[0] == "!":
            return lambda frame, active: ~frame.rows[row][active]
        if kind.kind == "bf":
            return lambda frame, active: bf16_values(frame.rows[row][active])
        if kind.name == "f16":
            return lambda frame, active: frame.rows[row][active].astype(np.float32)
        return lambda frame, active: frame.rows[row][active]

    def constant(self, operand: str, kind: Type) -> Any:
        """An immediate operand as a numpy scalar."""
        if kind.kind == "p":
            return np.bool_(int(operand))
        sign, digits = (-1, operand[1:]) if operand[0] == "-" else (1, operand)
        if digits[:2] in ("0f", "0F", "0d", "0D"):
            return self._float(int(digits[2:], 16), 32 if digits[1] in "fF" else 64, sign, kind)
        try:
            number = sign * int(digits.rstrip("U"), 8 if digits[0] == "0" and digits.isdigit() else 0)
        except ValueError:
            raise Fault(f"the machine cannot read the operand {operand!r}") from None
        bits = np.asarray(number % (1 << kind.bits), f"u{kind.bytes}")
        return bf16_values(bits)[()] if kind.kind == "bf" else bits.view(kind.dtype)[()]

    @staticmethod
    def _float(bits: int, width: int, sign: int, kind: Type) -> Any:
        value = np.asarray(bits, f"u{width // 8}")
        if kind.bits == width:
            value = value ^ value.dtype.type((1 << (width - 1)) if sign < 0 else 0)
            return value.view(kind.dtype)[()]
        number = value.view(f"f{width // 8}")[()] * sign
        return np.float32(number) if kind.bits == 16 else kind.dtype.type(number)

    def address(self, operand: str | Address) -> Callable[[Any], int]:
        """The address of a variable, or behind its start, in its space. Frames know those of module memory."""
        name, offset = operand if isinstance(operand, Address) else (operand, 0)
        variable = self.scope.find(name)
        if not isinstance(variable, Variable):
            raise Fault(f"there is no register or variable {name!r}")
        if variable.space in ("global", "const"):
            return lambda frame: frame.symbols[variable] + offset
        known = self.variables.get(variable)
        if known is None:
            known = self.program.entry.shared_offsets[variable]
        return lambda frame: known + offset

    def write(self, operand: Any, kind: Type) -> Write:
        """A function that writes a register for the active threads. `_` takes nothing."""
        if operand == "_":
            return lambda frame, active, value: None
        register = self.register(operand)
        if register.bits > max(kind.bits, 1) and kind.kind != "p":  # a wider register is filled by the type's sign
            if kind.kind in ("f", "bf"):
                raise Fault(f"register {operand!r} of {register.bits} bits cannot be written as .{kind.name}")
            kind = TYPES[f"{'s' if kind.kind == 's' else 'u'}{register.bits}"]
        row = self.row(operand, kind)

        def put(frame: Any, active: Any, value: Any) -> None:
            frame.rows[row][active] = value

        def put_bf16(frame: Any, active: Any, value: Any) -> None:
            frame.rows[row][active] = bf16_bits(value)

        def put_f16(frame: Any, active: Any, value: Any) -> None:
            frame.rows[row][active] = canonical(np.asarray(value).astype(np.float16))

        return put_bf16 if kind.kind == "bf" else put_f16 if kind.name == "f16" else put

    def is_needed(self, element: Any) -> bool:
        """Whether an instruction needs what another one writes to a register."""
        return self.is_register(element) and self._named[self.scope.find(element)] > 1

    def is_register(self, operand: Any) -> bool:
        return isinstance(operand, str) and isinstance(self.scope.find(operand), Register)
