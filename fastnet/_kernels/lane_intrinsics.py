"""Loops over lanes, a lane for each row, as LLVM instructions.

Written in Python, each of these loops is some thirty of numba's statements, which numba types and lowers one by one
(docs/design.md has what that took).
"""

from __future__ import annotations

import contextlib

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic


@contextlib.contextmanager
def _each_lane(builder, count, is_copy=True):
    """A block for each lane, whose number it gets.

    LLVM works on one vector at a time of a loop that only copies: several at once, and their ends, were a third of the
    machine code, and no faster.
    """
    before, start = builder.basic_block, ir.Constant(count.type, 0)
    condition, body, end = (builder.append_basic_block(f"lane.{name}") for name in ("condition", "body", "end"))
    builder.branch(condition)
    with builder.goto_block(condition):
        lane = builder.phi(count.type, name="lane")
        lane.add_incoming(start, before)
        builder.cbranch(builder.icmp_signed("<", lane, count), body, end)
    builder.position_at_end(body)
    yield lane
    lane.add_incoming(builder.add(lane, ir.Constant(count.type, 1), flags=["nsw"]), builder.basic_block)
    branch = builder.branch(condition)
    if is_copy:
        branch.set_metadata("llvm.loop", _plain(builder.module))
    builder.position_at_end(end)


def _plain(module):
    """Metadata of a loop that LLVM neither interleaves nor unrolls."""
    one = ir.Constant(ir.IntType(32), 1)
    hints = [["llvm.loop.interleave.count", one], ["llvm.loop.unroll.disable"]]
    node = module.add_metadata([module.add_metadata(hint) for hint in hints])
    if node.operands[0] is not node:
        node.operands = (node, *node.operands)  # LLVM's mark of a loop's node
    return node


def _is_pointer_to(pointer, value):
    return isinstance(pointer, types.CPointer) and pointer.dtype == value


@intrinsic
def fill_lanes(typingctx, lanes, x, value):
    """``x[k] = value`` for each lane k."""
    if not (isinstance(lanes, types.Integer) and _is_pointer_to(x, value)):
        return None

    def codegen(context, builder, sig, args):
        count, x, value = args
        with _each_lane(builder, count) as lane:
            builder.store(value, builder.gep(x, [lane]))
        return context.get_dummy_value()

    return types.void(types.int64, x, value), codegen


@intrinsic
def load_lanes(typingctx, lanes, x, source, distance, first, column):
    """``x[k] = source[first + k, column]`` for each lane k, of a matrix whose rows lie ``distance`` elements apart."""
    return _copied(lanes, x, source, distance, first, column, is_load=True)


@intrinsic
def store_lanes(typingctx, lanes, x, target, distance, first, column):
    """``target[first + k, column] = x[k]`` for each lane k, of a matrix whose rows lie ``distance`` elements apart."""
    return _copied(lanes, x, target, distance, first, column, is_load=False)


def _copied(lanes, x, matrix, distance, first, column, is_load):
    if not (isinstance(lanes, types.Integer) and isinstance(x, types.CPointer) and matrix == x):
        return None

    def codegen(context, builder, sig, args):
        count, x, matrix, distance, first, column = args
        start = builder.gep(matrix, [builder.add(builder.mul(first, distance), column)])
        with _each_lane(builder, count) as lane:
            ends = builder.gep(start, [builder.mul(lane, distance)]), builder.gep(x, [lane])
            source, target = ends if is_load else reversed(ends)
            builder.store(builder.load(source), target)
        return context.get_dummy_value()

    return types.void(types.int64, x, matrix, types.int64, types.int64, types.int64), codegen


@intrinsic
def over_lanes(typingctx, lanes, rule, *operands):
    """``results[k] = rule(operands[k])`` for each lane k.

    The results come first, then as many operands as the rule has arguments: pointers, of which each lane has an
    element, or numbers, which all lanes share.
    """
    count = rule.dispatcher.py_func.__code__.co_argcount
    results, given = operands[: len(operands) - count], operands[len(operands) - count :]
    numbers = tuple(kind.dtype if isinstance(kind, types.CPointer) else kind for kind in given)
    called = rule.get_call_type(typingctx, numbers, {})
    returned = called.return_type.types if isinstance(called.return_type, types.BaseTuple) else (called.return_type,)
    if len(returned) != len(results) or not all(map(_is_pointer_to, results, returned)):
        return None

    def codegen(context, builder, sig, args):
        values = cgutils.unpack_tuple(builder, args[2])
        function = context.get_function(rule, called)
        with _each_lane(builder, args[0], is_copy=False) as lane:
            numbers = [
                builder.load(builder.gep(value, [lane])) if isinstance(value.type, ir.PointerType) else value
                for value in values[len(results) :]
            ]
            found = function(builder, numbers)
            found = cgutils.unpack_tuple(builder, found) if len(results) > 1 else [found]
            for pointer, value in zip(values, found):
                builder.store(value, builder.gep(pointer, [lane]))
        return context.get_dummy_value()

    return types.void(types.int64, rule, types.StarArgTuple.from_types(operands)), codegen
