"""LLVM code of Winograd's transforms: the formulas of `rules.winograd`, on vectors of channels.

As loops that numba compiles, they stay scalar: LLVM does not vectorise around 36 values that are apart.
"""

from __future__ import annotations

import types as python_types
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.extending import intrinsic

from fastnet._kernels.cpu.emit import I64, PTR, Emitter, calling
from fastnet._kernels.rules import winograd as rules

Matrix = list[list[ir.Value]]


class _Vector:
    """A vector in a formula: what `+`, `-` and `*` of it become."""

    def __init__(self, emitter: Transforms, b: ir.IRBuilder, value: ir.Value):
        self.emitter, self.b, self.value = emitter, b, value

    def __add__(self, other: _Vector) -> _Vector:
        return _Vector(self.emitter, self.b, self.b.fadd(self.value, other.value))

    def __sub__(self, other: _Vector) -> _Vector:
        return _Vector(self.emitter, self.b, self.b.fsub(self.value, other.value))

    def __rmul__(self, factor: float) -> _Vector:
        return _Vector(self.emitter, self.b, self.b.fmul(self.emitter.constant(factor), self.value))


class Transforms(Emitter):
    """Transforms of tiles, channel by channel."""

    prefix = "winograd"

    def constant(self, number: float) -> ir.Constant:
        """A number in all lanes."""
        return ir.Constant(self.vector, [number] * self.lanes)

    def apply(self, b: ir.IRBuilder, rule: Callable[..., Any], values: list[ir.Value]) -> list[ir.Value]:
        """The results of a rule of vectors."""

        def fma(factor: float, x: _Vector, y: _Vector) -> _Vector:
            return _Vector(self, b, self.fma(b, self.constant(factor), x.value, y.value))

        on_vectors = python_types.FunctionType(rule.__code__, {"fma": fma})
        return [result.value for result in on_vectors(*(_Vector(self, b, value) for value in values))]

    def both_axes(self, b: ir.IRBuilder, rule: Callable[..., Any], values: Matrix) -> list[ir.Value]:
        """A rule along both axes of a matrix of vectors; the rows of the result, one behind the other."""
        columns = [self.apply(b, rule, list(column)) for column in zip(*values)]  # [column][point]
        return [value for row in zip(*columns) for value in self.apply(b, rule, list(row))]

    def spread(self, rule: Callable[..., Any], size: int) -> ir.Function:
        """A tile of ``size`` by ``size`` pixels at the points: 36 planes.

        void (pixels, bytes between rows, bytes between pixels, planes, bytes between planes, vectors of channels)
        """
        function, new = self.define(f"{rule.__name__}_{size}", ir.VoidType(), [PTR, I64, I64, PTR, I64, I64])
        if not new:
            return function
        pixels, row, column, planes, plane, count = function.args
        b = ir.IRBuilder(function.append_basic_block("entry"))

        def vector(state):
            source, target = state
            values, line = [], source
            for i in range(size):
                line = self.at(b, line, row) if i else source
                values.append([self.load(b, p) for p in self._apart(b, line, column, size)])
            for point, value in zip(self._apart(b, target, plane, 36), self.both_axes(b, rule, values), strict=True):
                self.store(b, value, point)
            return [self.at(b, source, self.width), self.at(b, target, self.width)]

        self.loop(b, count, [pixels, planes], vector)
        b.ret_void()
        return function

    def gather(self) -> ir.Function:
        """4 by 4 results of 36 planes, plus bias, ReLU where asked.

        void (planes, bytes between planes, results, bytes between rows, bytes between pixels, vectors, bias or null,
              whether negative results become 0)
        """
        function, new = self.define("gather", ir.VoidType(), [PTR, I64, PTR, I64, I64, I64, PTR, I64])
        if not new:
            return function
        planes, plane, results, row, column, count, bias, relu = function.args
        b = ir.IRBuilder(function.append_basic_block("entry"))
        zero = self.zero()
        has_bias = b.icmp_unsigned("!=", b.ptrtoint(bias, I64), I64(0))
        has_relu = b.icmp_signed("!=", relu, I64(0))

        def vector(state):
            source, target, offset = state
            points = [self.load(b, p) for p in self._apart(b, source, plane, 36)]
            matrix = [points[6 * i : 6 * i + 6] for i in range(6)]
            values = self.both_axes(b, rules.winograd_results, matrix)
            shift = self.when(b, has_bias, [zero], lambda _: [self.load(b, self.at(b, bias, offset))])[0]
            values = self.when(b, has_bias, values, lambda v: [b.fadd(x, shift) for x in v])
            values = self.when(
                b, has_relu, values, lambda v: [b.select(b.fcmp_ordered("<", x, zero), zero, x) for x in v]
            )
            line = target
            for i in range(4):
                line = self.at(b, line, row) if i else target
                for address, value in zip(self._apart(b, line, column, 4), values[4 * i : 4 * i + 4], strict=True):
                    self.store(b, value, address)
            width = I64(self.width)
            return [self.at(b, source, width), self.at(b, target, width), b.add(offset, width)]

        self.loop(b, count, [planes, results, I64(0)], vector)
        b.ret_void()
        return function

    def _apart(self, b: ir.IRBuilder, pointer: ir.Value, distance: ir.Value, count: int) -> list[ir.Value]:
        """So many addresses at one distance."""
        found = [pointer]
        for _ in range(1, count):
            found.append(self.at(b, found[-1], distance))
        return found


def spreads(dtype: str, width: int):
    """Intrinsics that bring tiles of inputs, and of gradients of results, to the points; see `Transforms.spread`."""

    @intrinsic
    def spread_input(typing, pixels, row, column, planes, plane, vectors):
        return calling(lambda module: Transforms(module, dtype, width).spread(rules.winograd_input, 6), "piipii")

    @intrinsic
    def spread_gradient(typing, pixels, row, column, planes, plane, vectors):
        return calling(lambda module: Transforms(module, dtype, width).spread(rules.winograd_gradient, 4), "piipii")

    return spread_input, spread_gradient


def gather_results(dtype: str, width: int):
    """The intrinsic of `Transforms.gather`."""

    @intrinsic
    def gather_results(typing, planes, plane, results, row, column, vectors, bias, relu):
        return calling(lambda module: Transforms(module, dtype, width).gather(), "pipiiipi")

    return gather_results
