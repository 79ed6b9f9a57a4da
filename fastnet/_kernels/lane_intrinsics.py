"""Loops over lanes, a lane for each row, as LLVM instructions.

Written in Python, each of these loops is some thirty of numba's statements, which numba types and lowers one by one
(docs/design.md has what that took).
"""

from __future__ import annotations

import contextlib

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

__all__ = ["fill_lanes", "over_lanes"]

#: Hints of a loop for LLVM: several vectors at once are only worth it where rules compute.
FILL = (("llvm.loop.interleave.count", 1), ("llvm.loop.unroll.disable",))


@contextlib.contextmanager
def each_lane(builder, count, hints=()):
    """A block for each lane, whose number it gets."""
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
    if hints:
        branch.set_metadata("llvm.loop", _hinted(builder.module, hints))
    builder.position_at_end(end)


def _hinted(module, hints):
    """The node of a loop with hints. Its first operand is itself, LLVM's mark of such nodes."""
    values = [[name, *(ir.Constant(ir.IntType(32), number) for number in numbers)] for name, *numbers in hints]
    node = module.add_metadata([module.add_metadata(value) for value in values])
    if node.operands[0] is not node:
        node.operands = (node, *node.operands)
    return node


def _is_pointer_to(pointer, value):
    return isinstance(pointer, types.CPointer) and pointer.dtype == value


@intrinsic
def fill_lanes(typingctx, lanes, *operands):
    """``x[k] = value`` for each lane k, of pairs ``x, value``."""
    pairs = list(zip(operands[::2], operands[1::2]))
    if not (isinstance(lanes, types.Integer) and all(_is_pointer_to(x, value) for x, value in pairs)):
        return None

    def codegen(context, builder, sig, args):
        values = cgutils.unpack_tuple(builder, args[1])
        with each_lane(builder, args[0], FILL) as lane:
            for x, value in zip(values[::2], values[1::2]):
                builder.store(value, builder.gep(x, [lane]))
        return context.get_dummy_value()

    return types.void(types.int64, types.StarArgTuple.from_types(operands)), codegen


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
        with each_lane(builder, args[0]) as lane:
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
