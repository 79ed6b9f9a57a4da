"""Stores past the caches, as LLVM code: results that exceed them, which no later kernel would find there.

An ordinary store first reads its cache line, and evicts another one. One past the caches does neither, if it writes
whole lines (Intel's optimization manual, section 3.7.4; AMD's calls them streaming stores).
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastnet._kernels.cpu.emit import DTYPES, I32, I64, PTR, Emitter, call_with_pointers
from fastnet._kernels.cpu.processor import LINE

__all__ = ["finish_stores", "stream_line"]


def stream(b: ir.IRBuilder, value: ir.Value, pointer: ir.Value, size: int) -> None:
    """Store a vector of ``size`` bytes past the caches, at an address that is a multiple of them."""
    b.store(value, pointer, align=size).set_metadata("nontemporal", b.module.add_metadata([I32(1)]))


class _Lines(Emitter):
    """Copies of lines that a kernel has made in the first-level cache."""

    prefix = "stream"

    def copy(self) -> ir.Function:
        """void (target, source, elements): whole lines past the caches, elements in front and behind as usual."""
        function, new = self.define("line", ir.VoidType(), [PTR, PTR, I64])
        if not new:
            return function
        target, source, count = function.args
        b = ir.IRBuilder(function.append_basic_block("entry"))
        bytes_in_front = b.and_(b.sub(I64(0), b.ptrtoint(target, I64)), I64(LINE - 1))
        front = b.sdiv(bytes_in_front, I64(self.size))
        front = b.select(b.icmp_signed("<", front, count), front, count)
        pointers = self.loop(b, front, [target, source], lambda pointers: self._element(b, pointers))
        lines = b.sdiv(b.sub(count, front), I64(LINE // self.size))
        pointers = self.loop(b, lines, pointers, lambda pointers: self._line(b, pointers))
        rest = b.sub(b.sub(count, front), b.mul(lines, I64(LINE // self.size)))
        self.loop(b, rest, pointers, lambda pointers: self._element(b, pointers))
        b.ret_void()
        return function

    def _element(self, b: ir.IRBuilder, pointers: list[ir.Value]) -> list[ir.Value]:
        target, source = pointers
        b.store(b.load(source, align=self.size, typ=self.scalar), target, align=self.size)
        return [self.at(b, pointer, self.size) for pointer in pointers]

    def _line(self, b: ir.IRBuilder, pointers: list[ir.Value]) -> list[ir.Value]:
        target, source = pointers
        for start in range(0, LINE, self.width):
            stream(b, self.load(b, self.at(b, source, start)), self.at(b, target, start), self.width)
        return [self.at(b, pointer, LINE) for pointer in pointers]


@intrinsic
def stream_line(typingctx, target, at, source, count):
    """Copy ``count`` elements of ``source`` to ``target[at]`` and behind, past the caches; see `finish_stores`."""
    if target not in DTYPES or source != target:
        return None

    def codegen(context, b, sig, args):
        target, at, source, count = args
        copy = _Lines(b.module, DTYPES[sig.args[0]]).copy()
        call_with_pointers(b, copy, [b.gep(target, [at]), source, count])
        return context.get_dummy_value()

    return types.void(target, types.int64, source, types.int64), codegen


@intrinsic
def finish_stores(typingctx):
    """Wait until other threads see the stores past the caches, which are not in order with other stores."""

    def codegen(context, b, sig, args):
        b.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen
