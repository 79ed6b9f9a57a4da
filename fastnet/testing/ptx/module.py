"""The parts of a PTX text: variables, functions and entries with their instructions."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from fastnet.testing.ptx.faults import Fault
from fastnet.testing.ptx.text import Instruction, Label, Scope, Tokens, instruction, integer, names
from fastnet.testing.ptx.types import TYPES, Type

_LINKAGE = (".visible", ".extern", ".weak", ".common")
_SPACES = (".global", ".const", ".shared", ".local", ".param")


@dataclass(eq=False)
class Register:
    """A register as it was declared: its name, and the width of its class (1 for predicates)."""

    name: str
    bits: int


@dataclass(eq=False)
class Variable:
    """An array in one of the state spaces; `data` are its first bytes, `symbols` addresses that stand in them."""

    name: str
    space: str
    type: Type
    size: int
    align: int
    extern: bool = False
    data: bytes = b""
    symbols: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Parameter:
    """A parameter of an entry: `offset` is where it lies in the parameters' bytes."""

    name: str
    type: Type
    size: int
    align: int
    offset: int


@dataclass(eq=False)
class Function:
    """A function: parameters, results and a body. Functions that are only declared have no body."""

    name: str
    scope: Scope
    parameters: list[Variable]
    results: list[Variable]
    body: list[Instruction] | None = None
    variables: list[Variable] = field(default_factory=list)
    directives: dict[str, tuple[int, ...]] = field(default_factory=dict)


class Entry:
    """A kernel of a module.

    Attributes:
        name: its name.
        parameters: tuple of `Parameter`s (name, type, size, align, offset).
        shared: bytes of static shared memory that it and its functions refer to.
        local: bytes of local memory a thread has.
        registers: number of declared registers by class, such as {"b32": 12, "pred": 2}.
        maxntid: the most threads a block may have, or None.
        reqntid: the number of threads a block must have, or None.
    """

    def __init__(self, function: Function, used: list[Function], variables: list[Variable]):
        self.name, self.function = function.name, function
        self.parameters = _place_parameters(function)
        self.shared_offsets, self.shared = place([v for v in variables if v.space == "shared"])
        self.local = sum(place([v for v in f.variables if v.space == "local"])[1] for f in used)
        self.registers = _register_counts(used)
        self.maxntid = _product(function.directives.get("maxntid"))
        self.reqntid = _product(function.directives.get("reqntid"))
        self.program: Any = None  # made of the text when it is first launched

    def __repr__(self) -> str:
        parameters = ", ".join(f".{p.type.name} {p.name}" for p in self.parameters)
        return f"Entry({self.name}({parameters}), shared={self.shared}, local={self.local})"


def _product(numbers: tuple[int, ...] | None) -> int | None:
    if numbers is None:
        return None
    product = 1
    for number in numbers:
        product *= number
    return product


def place(variables: list[Variable]) -> tuple[dict[Variable, int], int]:
    """Offsets of variables one behind the other, those of unknown size last; the bytes they take."""
    offsets, end = {}, 0
    for variable in sorted(variables, key=lambda v: v.extern):
        end = -(-end // variable.align) * variable.align
        offsets[variable] = end
        end += 0 if variable.extern else variable.size
    return offsets, end


def _place_parameters(function: Function) -> tuple[Parameter, ...]:
    offsets, _ = place(function.parameters)
    return tuple(Parameter(p.name, p.type, p.size, p.align, offsets[p]) for p in function.parameters)


def _register_counts(functions: list[Function]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for function in functions:
        for instruction_ in {i.scope: i for i in function.body or []}:
            for value in instruction_.names.values():
                if isinstance(value, Register):
                    name = "pred" if value.bits == 1 else f"b{value.bits}"
                    counts[name] = counts.get(name, 0) + 1
    return counts


class Module:
    """A PTX text, parsed once.

    Args:
        text: PTX, as a compiler emits it for one module.

    Attributes:
        entries: name → `Entry`.

    Raises:
        Fault: the text is not PTX that the machine reads; it names the line.

    Example:
        >>> from fastnet.testing.ptx import Module
        >>> text = ".version 7.0 .target sm_80 .address_size 64 .entry nothing(.param .u32 n) { ret; }"
        >>> Module(text).entries
        {'nothing': Entry(nothing(.u32 n), shared=0, local=0)}
    """

    def __init__(self, text: str):
        self.lines = text.splitlines()
        self.scope = Scope()
        self.variables: list[Variable] = []
        self._tokens = Tokens(text)
        self._functions: list[tuple[Function, bool]] = []
        while self._tokens.peek():
            self._item()
        self.entries = {f.name: self._entry(f) for f, is_entry in self._functions if is_entry}
        del self._tokens

    def instruction_text(self, line: int) -> str:
        """A line of the text, without the space around it."""
        return " ".join(self.lines[line - 1].split())

    # Items of the module

    def _item(self) -> None:
        tokens = self._tokens
        linkage = set()
        while tokens.peek() in _LINKAGE:
            linkage.add(tokens.take())
        line, word = tokens.line, tokens.take()
        if word in (".version", ".target", ".address_size"):
            tokens.take()
            while tokens.accept(","):
                tokens.take()
        elif word in (".file", ".loc"):
            tokens.rest_of_line()
        elif word == ".pragma":
            tokens.until(";")
        elif word == ".section":
            tokens.until("}")
        elif word in (".entry", ".func"):
            self._function(word == ".entry")
        elif word in _SPACES:
            self.variables += self._declare(word[1:], self.scope, ".extern" in linkage)
        else:
            raise Fault(f"{word!r} begins nothing that the machine reads", line=line)

    def _function(self, is_entry: bool) -> None:
        tokens = self._tokens
        scope = Scope(self.scope)
        results = self._parameters(scope) if tokens.peek() == "(" else []
        name = tokens.take()
        parameters = self._parameters(scope) if tokens.peek() == "(" else []
        function = Function(name, scope, parameters, results)
        while tokens.peek() not in ("{", ";"):
            directive = tokens.take().lstrip(".")
            numbers = []
            while tokens.peek()[:1].isdigit() or tokens.peek() == ",":
                if not tokens.accept(","):
                    numbers.append(tokens.integer())
            function.directives[directive] = tuple(numbers)
        if not tokens.accept(";"):
            tokens.expect("{")
            function.body = []
            self._body(function, scope)
        declared = self.scope.names.get(name)
        if isinstance(declared, Function) and function.body is None:
            return
        self.scope.names[name] = function
        self._functions.append((function, is_entry))

    def _parameters(self, scope: Scope) -> list[Variable]:
        tokens, found = self._tokens, []
        tokens.expect("(")
        while not tokens.accept(")"):
            space = tokens.take()
            if space != ".param":
                raise Fault(f"a parameter must be in .param, not in {space}", line=tokens.line)
            found.append(self._variable("param", scope, False, ")"))
            tokens.accept(",")
        return found

    # Declarations

    def _declare(self, space: str, scope: Scope, extern: bool) -> list[Variable]:
        found = [self._variable(space, scope, extern, ";")]
        while not self._tokens.accept(";"):
            self._tokens.expect(",")
            raise Fault("several variables in one declaration are not read: write one for each", line=self._tokens.line)
        return found

    def _variable(self, space: str, scope: Scope, extern: bool, end: str) -> Variable:
        tokens = self._tokens
        align, kind, count, line = 0, None, 1, tokens.line
        while tokens.peek().startswith("."):
            word = tokens.take()[1:]
            if word == "align":
                number = tokens.integer()
                align = align or (number if kind is None else 0)
            elif word in TYPES:
                kind = TYPES[word]
            elif word in ("v2", "v4"):
                count *= int(word[1])
            elif word not in ("ptr", "global", "shared", "const", "local"):
                raise Fault(f"a variable cannot be .{word}", line=line)
        if kind is None:
            raise Fault("a variable without a type", line=line)
        name = tokens.take()
        open_ended = False
        while tokens.accept("["):
            if tokens.accept("]"):
                open_ended = True
                continue
            count *= tokens.integer()
            tokens.expect("]")
        variable = Variable(name, space, kind, count * kind.bytes, align or kind.bytes, extern and open_ended)
        if tokens.accept("="):
            self._initial(variable, kind)
            variable.size = max(variable.size, len(variable.data)) if open_ended else variable.size
        scope.names[name] = variable
        return variable

    def _initial(self, variable: Variable, kind: Type) -> None:
        tokens, depth, data = self._tokens, 0, bytearray()
        while True:
            if tokens.accept("{"):
                depth += 1
            elif tokens.accept("}"):
                depth -= 1
            elif not tokens.accept(","):
                data += self._value(variable, kind, len(data))
            if depth == 0:
                break
        variable.data = bytes(data)

    def _value(self, variable: Variable, kind: Type, offset: int) -> bytes:
        tokens, line = self._tokens, self._tokens.line
        sign = "-" if tokens.accept("-") else ""
        token = tokens.take()
        if token[:2] in ("0f", "0F", "0d", "0D") and kind.is_float:
            return int(token[2:], 16).to_bytes(kind.bytes, "little")
        if token[0].isdigit():
            if kind.is_float:
                return struct.pack({16: "<e", 32: "<f", 64: "<d"}[kind.bits], float(sign + token))
            return (integer(sign + token) % (1 << kind.bits)).to_bytes(kind.bytes, "little")
        if kind.bits != 64:
            raise Fault(f"the address of {token!r} needs 64 bits", line=line)
        if token == "generic":
            tokens.expect("(")
            token = tokens.take()
            tokens.expect(")")
        variable.symbols.append((offset, token))
        return int(tokens.integer() if tokens.accept("+") else 0).to_bytes(8, "little")

    # Bodies

    def _body(self, function: Function, scope: Scope) -> None:
        tokens, body = self._tokens, function.body
        assert body is not None
        while not tokens.accept("}"):
            word = tokens.peek()
            if tokens.accept("{"):
                self._body(function, Scope(scope))
            elif tokens.peek(1) == ":":
                tokens.at += 2
                scope.names[word] = Label(len(body))
            elif word == ".reg":
                tokens.take()
                self._registers(scope)
            elif word in _SPACES:
                tokens.take()
                function.variables += self._declare(word[1:], scope, False)
            elif word == ".branchtargets":
                tokens.take()
                label = next(v for v in reversed(scope.names.values()) if isinstance(v, Label))
                label.targets = [t for t in tokens.until(";") if t != ","]
            elif word == ".loc":
                tokens.take()
                tokens.rest_of_line()
            elif word in (".pragma", ".callprototype"):
                tokens.until(";")
            else:
                body.append(instruction(tokens, scope))

    def _registers(self, scope: Scope) -> None:
        tokens, line = self._tokens, self._tokens.line
        kind = TYPES.get(tokens.take()[1:])
        if kind is None:
            raise Fault("registers of this class are not known to the machine", line=line)
        while True:
            name = tokens.take()
            if tokens.accept("<"):
                count = tokens.integer()
                tokens.expect(">")
                scope.names.update((f"{name}{k}", Register(f"{name}{k}", kind.bits)) for k in range(count))
            else:
                scope.names[name] = Register(name, kind.bits)
            if tokens.accept(";"):
                return
            tokens.expect(",")

    # The functions and variables to which an entry refers

    def _entry(self, function: Function) -> Entry:
        used: list[Function] = []
        variables: dict[int, Variable] = {}
        self._visit(function, (), used, variables)
        return Entry(function, used, list(variables.values()))

    def _visit(
        self, function: Function, path: tuple[Function, ...], used: list[Function], variables: dict[int, Variable]
    ) -> None:
        if function in path:
            raise Fault(f"function {function.name!r} calls itself: the machine runs no recursion")
        if function in used:
            return
        used.append(function)
        for step in function.body or []:
            for name in names(step.operands):
                value = step.scope.find(name)
                if isinstance(value, Variable):
                    variables[id(value)] = value
                elif isinstance(value, Function):
                    self._visit(value, (*path, function), used, variables)
