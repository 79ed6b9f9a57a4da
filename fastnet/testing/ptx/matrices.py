"""Products of small matrices, whose elements lie in the registers of a warp (PTX ISA, mma)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet.testing.ptx.control import synchronize_warp
from fastnet.testing.ptx.exact import bf16_values, canonical
from fastnet.testing.ptx.instructions import Control, builds, unknown
from fastnet.testing.ptx.text import Instruction
from fastnet.testing.ptx.types import TYPES

if TYPE_CHECKING:
    from fastnet.testing.ptx.program import Decoder

_GROUP, _MEMBER = np.divmod(np.arange(32), 4)  # of each lane
_ALL = np.uint32(0xFFFFFFFF)
#: warps, row and column of each register of a result
_RESULT = [(slice(None), _GROUP + 8 * (r // 2), 2 * _MEMBER + r % 2) for r in range(4)]
#: words behind the opcode → steps of k, and numbers in a register
_FORMS: dict[tuple[str, ...], tuple[int, int]] = {
    ("sync", "aligned", "m16n8k8", "row", "col", "f32", "tf32", "tf32", "f32"): (8, 1),
    ("sync", "aligned", "m16n8k16", "row", "col", "f32", "bf16", "bf16", "f32"): (16, 2),
}


def _numbers(words: Any, packed: int) -> list[Any]:
    """The numbers in a register, that in the lower half first. Of 32 bits a product of TF32 sees the upper 19."""
    if packed == 1:
        return [(words & np.uint32(0xFFFFE000)).view(np.float32)]
    return [bf16_values(words & np.uint32(0xFFFF)), bf16_values(words >> np.uint32(16))]


@builds("mma")
def _mma(decoder: Decoder, step: Instruction) -> Control:
    """D = A B + C: the exact sum, rounded once. PTX leaves order and roundings of the sum to the card."""
    if step.words[1:] not in _FORMS:
        raise unknown(step)
    steps, packed = _FORMS[step.words[1:]]
    u32, f32 = TYPES["u32"], TYPES["f32"]
    d, a, b, c = step.operands
    put = [decoder.write(operand, f32) for operand in d]
    left, right = ([decoder.read(operand, u32) for operand in each] for each in (a, b))
    add = [decoder.read(operand, f32) for operand in c]

    def run(frame: Any, active: Any) -> None:
        count = frame.count(active)
        if not np.array_equal(frame.lane[active], np.resize(np.arange(32), count)) or count % 32:
            frame.fault("a product of matrices takes all 32 threads of a warp", active)
        shape = (count // 32, 32)

        def values(read: Any) -> Any:
            return np.broadcast_to(read(frame, active), (count,)).reshape(shape)

        m, n, total = (np.zeros((shape[0], *size)) for size in ((16, steps), (steps, 8), (16, 8)))
        for r, read in enumerate(left):
            for half, number in enumerate(_numbers(values(read), packed)):
                m[:, _GROUP + 8 * (r % 2), packed * _MEMBER + half + steps // 2 * (r // 2)] = number
        for r, read in enumerate(right):
            for half, number in enumerate(_numbers(values(read), packed)):
                n[:, packed * _MEMBER + half + steps // 2 * r, _GROUP] = number
        for place, read in zip(_RESULT, add, strict=True):
            total[place] = values(read)
        result = canonical((m @ n + total).astype(np.float32))
        for place, write in zip(_RESULT, put, strict=True):
            write(frame, active, result[place].reshape(-1))

    return Control(synchronize_warp, lambda frame, active: _ALL, run)
