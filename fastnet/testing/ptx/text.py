"""PTX text as tokens, and the statements of a body."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fastnet.testing.ptx.faults import Fault

_TOKEN = re.compile(r'"[^"]*"|[.%$\w][\w$.]*(?:::[\w$.]+)*|\S')
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


class Token(NamedTuple):
    text: str
    line: int


class Address(NamedTuple):
    """`[base+offset]`, or `base+offset` as the operand of a mov."""

    base: str
    offset: int


class Pair(NamedTuple):
    """`p|q`: two results."""

    first: str
    second: str


class Scope:
    """Names between braces: registers, variables, labels. An inner name hides an outer one."""

    def __init__(self, parent: Scope | None = None):
        self.parent, self.names = parent, dict[str, Any]()

    def find(self, name: str) -> Any:
        """The object for which the name stands, or None."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        return None


@dataclass(eq=False)
class Instruction:
    """One instruction: `@%p1 ld.global.b32 %r1, [%rd1];` has words (ld, global, b32) and two operands."""

    words: tuple[str, ...]
    operands: tuple[Any, ...]
    guard: tuple[str, bool] | None
    line: int
    scope: Scope

    @property
    def opcode(self) -> str:
        return self.words[0]


@dataclass(eq=False)
class Label:
    """A label: `index` is that of the instruction behind it; a list of branch targets has their names."""

    index: int
    targets: list[str] = field(default_factory=list)


class Tokens:
    """A cursor over the tokens of a text."""

    def __init__(self, text: str):
        plain = _COMMENT.sub(lambda match: "\n" * match[0].count("\n"), text)
        self.tokens = [
            Token(match[0], number)
            for number, line in enumerate(plain.splitlines(), 1)
            for match in _TOKEN.finditer(line)
        ]
        self.at = 0

    def peek(self, ahead: int = 0) -> str:
        return self.tokens[self.at + ahead].text if self.at + ahead < len(self.tokens) else ""

    @property
    def line(self) -> int:
        return self.tokens[min(self.at, len(self.tokens) - 1)].line if self.tokens else 0

    def take(self) -> str:
        if self.at >= len(self.tokens):
            raise Fault("the text ends in the middle of a statement", line=self.line)
        self.at += 1
        return self.tokens[self.at - 1].text

    def accept(self, text: str) -> bool:
        if self.peek() == text:
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        line, found = self.line, self.take()
        if found != text:
            raise Fault(f"expected {text!r}, found {found!r}", line=line)

    def until(self, *ends: str) -> list[str]:
        """The tokens before one of `ends`, which is taken too."""
        found = []
        while (token := self.take()) not in ends:
            found.append(token)
        return found

    def rest_of_line(self) -> list[str]:
        line, found = self.tokens[self.at - 1].line, []
        while self.peek() and self.tokens[self.at].line == line:
            found.append(self.take())
        return found

    def integer(self) -> int:
        sign = -1 if self.accept("-") else 1
        line, token = self.line, self.take()
        try:
            return sign * integer(token)
        except ValueError:
            raise Fault(f"expected an integer, found {token!r}", line=line) from None


def integer(token: str) -> int:
    """An integer as C writes it: 10, 0x1F, 017, 0b11, with U behind it or not."""
    token = token.rstrip("uU")
    if re.fullmatch(r"-?0[0-7]+", token):
        return int(token, 8)
    return int(token, 0)


def instruction(tokens: Tokens, scope: Scope) -> Instruction:
    """The next instruction, with its guard."""
    line, guard = tokens.line, None
    if tokens.accept("@"):
        negated = tokens.accept("!")
        guard = (tokens.take(), negated)
    words = tuple(tokens.take().split("."))
    operands = []
    while not tokens.accept(";"):
        operands.append(_operand(tokens))
        if tokens.peek() != ";":
            tokens.expect(",")
    return Instruction(words, tuple(operands), guard, line, scope)


def _list(tokens: Tokens, end: str) -> tuple[Any, ...]:
    found = []
    while not tokens.accept(end):
        found.append(_operand(tokens))
        tokens.accept(",")
    return tuple(found)


def _operand(tokens: Tokens) -> Any:
    if tokens.accept("{"):
        return _list(tokens, "}")
    if tokens.accept("("):
        return _list(tokens, ")")
    if tokens.accept("["):
        address = _sum(tokens, tokens.take())
        tokens.expect("]")
        return address if isinstance(address, Address) else Address(address, 0)
    if tokens.accept("-"):
        return "-" + tokens.take()
    if tokens.accept("!"):
        return "!" + tokens.take()
    first = tokens.take()
    if tokens.accept("|"):
        return Pair(first, tokens.take())
    return _sum(tokens, first)


def _sum(tokens: Tokens, base: str) -> str | Address:
    if tokens.accept("+"):
        return Address(base, tokens.integer())
    return Address(base, tokens.integer()) if tokens.peek() == "-" else base


def names(operands: Iterable[Any]) -> Iterable[str]:
    """Every name in operands."""
    for operand in operands:
        if isinstance(operand, str):
            yield operand
        elif isinstance(operand, Address):
            yield operand.base
        else:
            yield from names(operand)
