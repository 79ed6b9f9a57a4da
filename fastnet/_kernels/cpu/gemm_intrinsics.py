"""Emitted functions as numba intrinsics, for the product's kernel. Addresses and byte distances are int64."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnet._kernels.cpu.blocking import VECTORS, Tile
from fastnet._kernels.cpu.emit import I64, PTR, calling
from fastnet._kernels.cpu.micro_kernel import MicroKernel, SegmentedTiles
from fastnet._kernels.cpu.packing import Packing
from fastnet._kernels.cpu.processor import SIZES


def tiles(dtype: str, shape: Tile):
    """Intrinsics that run a tile, and that write the tiles into the outermost module."""

    @intrinsic
    def tile(typing, a, a_row, a_step, b, b_step, k, ranges, c, c_row, valid, bias, flags, rows, form):
        """Run the tile of ``rows`` rows and a form; see `MicroKernel.tile`."""
        return _run(MicroKernel, dtype, shape)

    return _definition(MicroKernel, dtype, shape), tile


def segmented_tiles(dtype: str, shape: Tile):
    """The same of tiles whose steps are segments."""

    @intrinsic
    def tile(typing, a, a_row, a_step, b, b_step, table, count, c, c_row, valid, bias, flags, rows, form):
        """See `SegmentedTiles`."""
        return _run(SegmentedTiles, dtype, shape)

    return _definition(SegmentedTiles, dtype, shape), tile


@intrinsic
def write_entry(typing, address, number, value):
    """Write an entry of a table of int64."""

    def generate(context, b, _signature, arguments):
        address, number, value = arguments
        b.store(value, b.gep(b.inttoptr(address, PTR), [number], source_etype=I64), align=8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def fetch(typing, ranges, number, start, length):
    """Let tiles fetch a range of addresses, the first or the second one of a table; see `micro_kernel`."""

    def generate(context, b, _signature, arguments):
        ranges, number, start, length = arguments
        place = b.inttoptr(b.add(ranges, b.mul(number, I64(16))), PTR)
        b.store(start, place, align=8)
        b.store(b.add(start, length), b.gep(place, [I64(1)], source_etype=I64), align=8)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


def _run(kind: type[MicroKernel], dtype: str, shape: Tile):
    return calling(lambda module: kind(module, dtype, shape).any_tile(complete=False), kind.kinds_of_arguments + "ii")


def _definition(kind: type[MicroKernel], dtype: str, shape: Tile):
    @intrinsic
    def define_tiles(typing):
        """See `MicroKernel.any_tile`."""

        def generate(context, b, _signature, _arguments):
            kind(b.module, dtype, shape).any_tile(complete=True)
            return context.get_dummy_value()

        return types.void(), generate

    return define_tiles


def copies(dtype: str, shape: Tile):
    """Intrinsics that pack, and that transpose a finished block of C back."""

    def packing(module):
        return Packing(module, dtype, shape.width)

    @intrinsic
    def copy_a(typing, source, source_row, rows, columns, destination, row_step, panel_step):
        """Into panels as wide as a tile has rows; see `Packing.copy`."""
        return calling(lambda module: packing(module).copy(shape.rows), "piiipii")

    @intrinsic
    def copy_b(typing, source, source_row, rows, columns, destination, row_step, panel_step):
        """Into panels as wide as a tile has columns; see `Packing.copy`."""
        return calling(lambda module: packing(module).copy(VECTORS * shape.lanes(dtype)), "piiipii")

    @intrinsic
    def copy_rows(typing, source, source_row, rows, columns, destination, destination_row):
        """See `Packing.copy_rows`."""
        return calling(lambda module: packing(module).copy_rows(), "piiipi")

    @intrinsic
    def fill_rows(typing, rows, columns, destination, destination_row):
        """See `Packing.fill_rows`."""
        return calling(lambda module: packing(module).fill_rows(), "iipi")

    @intrinsic
    def transpose(typing, source, source_row, destination, destination_row, count):
        """See `Packing.transpose`."""
        return calling(lambda module: packing(module).transpose(), "pipii")

    @intrinsic
    def transpose_back(typing, source, source_row, rows, columns, c, c_row, bias, flags):
        """See `Packing.transpose_back`."""
        return calling(lambda module: packing(module).transpose_back(), "piiipipi")

    @intrinsic
    def copy_element(typing, source, destination):
        """``*destination = *source``, one element."""

        def generate(context, b, _signature, arguments):
            source, destination = (b.inttoptr(x, PTR) for x in arguments)
            size = SIZES[dtype]
            b.store(b.load(source, align=size, typ=packing(b.module).scalar), destination, align=size)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    return copy_a, copy_b, copy_rows, fill_rows, transpose, transpose_back, copy_element


@intrinsic
def call_epilogue(typing, function, bases, args, tile, ld, i0, i1, j0, j1):
    """Call the epilogue at the address ``function``."""

    def generate(context, b, _signature, arguments):
        function, *values = arguments
        signature = ir.FunctionType(ir.VoidType(), [I64] * 8)
        values[0] = b.ptrtoint(values[0], I64)
        b.call(b.inttoptr(function, signature.as_pointer()), values)
        return context.get_dummy_value()

    return types.void(types.int64, bases, *[types.int64] * 7), generate
