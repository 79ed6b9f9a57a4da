"""Planted mistakes: the PTX machine finds each, and runs the mended kernel."""

import numpy as np
import pytest

from fastnet.testing.ptx import Fault, Machine

from .ptx_kernels import kernel, uploaded

# %x holds 64 numbers, %y room for 64; %r1 the thread, %rd2 and %rd3 its elements of both.
START = """
    mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mul.wide.u32 %rd1, %r1, 4;
    add.s64 %rd2, %x, %rd1; add.s64 %rd3, %y, %rd1; mov.u64 %rd4, store; add.s64 %rd5, %rd4, %rd1;
    xor.b32 %r3, %r1, 1; mul.wide.u32 %rd6, %r3, 4; add.s64 %rd7, %rd4, %rd6; add.s64 %rd8, %y, %rd6;
    setp.eq.u32 %p1, %r1, 0; setp.lt.u32 %p2, %r1, 16; setp.lt.u32 %p3, %r1, 32;
"""
STORE = ".shared .align 16 .b8 store[256];"


def run(body, grid=1, threads=64, check=True, parameters="u64 x, u64 y", arguments=(), declarations=STORE):
    machine = Machine(check=check)
    x = uploaded(machine, np.arange(64, dtype=np.float32))
    y = machine.allocate(256)
    machine.launch(kernel(parameters, START + body, declarations), "k", grid, threads, [x, y, *arguments])
    return machine.read(y, np.zeros(64, np.float32), check=False)


# name: (the mistake, what the fault says, the kernel mended, a thread concerned or None)
MEMORY = {
    "one element too many": (
        "add.s64 %rd2, %rd2, 4; ld.global.f32 %r4, [%rd2]; st.global.f32 [%rd3], %r4;",
        r"out of bounds: a read of 4 bytes at 0x\w+ ends 4 bytes behind the allocation of 256 bytes",
        "ld.global.f32 %r4, [%rd2]; st.global.f32 [%rd3], %r4;",
        63,
    ),
    "before the start": (
        "st.global.b32 [%rd3+-4], %r1;",
        "out of bounds: a write of 4 bytes at .* lies in no allocation|ends",
        "st.global.b32 [%rd3+0], %r1;",
        0,
    ),
    "a null pointer": (
        "mov.b64 %rd9, 0; @%p1 ld.global.b32 %r4, [%rd9+8];",
        "a read of 4 bytes at 0x8 lies in no allocation",
        "mov.b64 %rd9, %x; @%p1 ld.global.b32 %r4, [%rd9+8];",
        0,
    ),
    "an offset as an address": (
        "ld.b32 %r4, [%rd1+4096]; st.global.b32 [%rd3], %r4;",
        "a read of 4 bytes at 0x1000 lies in no allocation",
        "ld.b32 %r4, [%rd2]; st.global.b32 [%rd3], %r4;",
        0,
    ),
    "shared memory beyond its end": (
        "st.shared.b32 [%rd5+4], %r1;",
        "out of bounds: a write of 4 bytes at 256 of shared memory, which has 256 bytes",
        "st.shared.b32 [%rd5], %r1;",
        63,
    ),
    "a vector that is not aligned": (
        "@%p1 ld.global.v2.f32 {%r4, %r5}, [%rd2+4];",
        "misaligned: a read of 8 bytes",
        "@%p1 ld.global.v2.f32 {%r4, %r5}, [%rd2+8];",
        0,
    ),
    "a float that is not aligned": (
        "st.shared.b32 [%rd5+2], %r1;",
        "misaligned: a write of 4 bytes at 0x2",
        "st.shared.b32 [%rd5], %r1;",
        0,
    ),
    "global memory never written": (
        "@%p1 ld.global.b32 %r4, [%rd3]; st.global.b32 [%rd3], %r4;",
        "a read of 4 bytes at 0x.* of global memory that was never written",
        "st.global.b32 [%rd3], %r4; @%p1 ld.global.b32 %r4, [%rd3];",
        0,
    ),
    "shared memory never written": (
        "@%p3 st.shared.b32 [%rd5], %r1; bar.sync 0; ld.shared.b32 %r4, [%rd7];",
        "a read of 4 bytes at 0x84 of shared memory that was never written",
        "st.shared.b32 [%rd5], %r1; bar.sync 0; ld.shared.b32 %r4, [%rd7];",
        32,
    ),
    "half of a number never written": (
        "st.shared.b16 [%rd5], 1; ld.shared.b32 %r4, [%rd5];",
        "a read of 4 bytes .* never written",
        "st.shared.b16 [%rd5], 1; st.shared.b16 [%rd5+2], 1; ld.shared.b32 %r4, [%rd5];",
        0,
    ),
    "local memory never written": (
        "mov.u64 %rd9, mine; @%p2 st.local.b32 [%rd9], %r1; ld.local.b32 %r4, [%rd9];",
        "a read of 4 bytes at 0x0 of local memory that was never written",
        "mov.u64 %rd9, mine; st.local.b32 [%rd9], %r1; ld.local.b32 %r4, [%rd9];",
        16,
    ),
    "a vector of which an element that is used was never written": (
        "mov.u64 %rd9, mine; st.local.b32 [%rd9], %r1; ld.local.v2.b32 {%r36, %r37}, [%rd9]; mov.b32 %r4, %r37;",
        "a read of 4 bytes at 0x4 of local memory that was never written",
        "mov.u64 %rd9, mine; st.local.b32 [%rd9], %r1; ld.local.v2.b32 {%r36, %r37}, [%rd9]; mov.b32 %r4, %r36;",
        0,
    ),
    "local memory beyond its end": (
        "mov.u64 %rd9, mine; st.local.b32 [%rd9+8], %r1;",
        "a write of 4 bytes at 8 of local memory, which has 8 bytes",
        "mov.u64 %rd9, mine; st.local.b32 [%rd9+4], %r1;",
        0,
    ),
}


@pytest.mark.parametrize("name", MEMORY)
def test_accesses_that_are_wrong(name):
    wrong, message, right, thread = MEMORY[name]
    declarations = STORE + " .local .align 8 .b8 mine[8];"
    with pytest.raises(Fault, match=message) as caught:
        run(wrong, declarations=declarations)
    assert caught.value.kernel == "k" and caught.value.block == (0, 0, 0) and caught.value.line > 0
    assert thread is None or caught.value.thread == (thread, 0, 0)
    run(right, declarations=declarations)


def test_a_fault_names_kernel_line_thread_and_block():
    with pytest.raises(Fault) as caught:
        body = "setp.eq.u32 %p4, %r2, 2; setp.eq.u32 %p5, %r1, 37; and.pred %p4, %p4, %p5;\n@%p4 st.global.b32 [8], 1;"
        run(body, grid=4)
    fault = caught.value
    assert fault.thread == (37, 0, 0) and fault.block == (2, 0, 0) and fault.kernel == "k"
    assert fault.instruction == "@%p4 st.global.b32 [8], 1;"
    assert str(fault).splitlines() == [
        "out of bounds: a write of 4 bytes at 0x8 lies in no allocation.",
        "  thread (37, 0, 0) of block (2, 0, 0)",
        "  kernel 'k'",
        f"  line {fault.line}: @%p4 st.global.b32 [8], 1;",
    ]


def test_a_vector_that_begins_inside_and_ends_outside():
    machine = Machine()
    x = uploaded(machine, np.zeros(3, np.float32))
    with pytest.raises(Fault, match="a read of 8 bytes at .* ends 4 bytes behind the allocation of 12 bytes"):
        machine.launch(kernel("u64 x", "ld.global.v2.b32 {%r1, %r2}, [%x+8];"), "k", 1, 1, [x])
    machine.launch(kernel("u64 x", "ld.global.v2.b32 {%r1, %r2}, [%x];"), "k", 1, 1, [x])


def test_use_after_free():
    machine = Machine()
    x = uploaded(machine, np.zeros(4, np.float32))
    module = kernel("u64 x", "ld.global.b32 %r1, [%x+4];")
    machine.launch(module, "k", 1, 1, [x])
    machine.free(x)
    with pytest.raises(Fault, match="lies in memory that was freed, 4 bytes from its start"):
        machine.launch(module, "k", 1, 1, [x])


# name: (the mistake, what the fault says, the kernel mended, blocks)
RACES = {
    "a missing barrier in shared memory": (
        "st.shared.b32 [%rd5], %r1; ld.shared.b32 %r4, [%rd7];",
        "race in shared memory: this thread reads what thread .* wrote",
        "st.shared.b32 [%rd5], %r1; bar.sync 0; ld.shared.b32 %r4, [%rd7];",
        2,
    ),
    "a missing barrier behind the reads": (
        "st.shared.b32 [%rd5], %r1; bar.sync 0; ld.shared.b32 %r4, [%rd7]; st.shared.b32 [%rd5], %r4;",
        "race in shared memory: this thread writes what thread .* read",
        "st.shared.b32 [%rd5], %r1; bar.sync 0; ld.shared.b32 %r4, [%rd7]; barrier.sync 0; st.shared.b32 [%rd5], %r4;",
        1,
    ),
    "a broadcast that the reader itself overwrites": (  # the last reader is the writer: the others count too
        "@%p1 st.shared.b32 [%rd4], %r1; bar.sync 0; ld.shared.b32 %r4, [%rd4]; setp.eq.u32 %p4, %r1, 63;"
        "@%p4 st.shared.b32 [%rd4], %r4;",
        "race in shared memory: this thread writes what thread",
        "@%p1 st.shared.b32 [%rd4], %r1; bar.sync 0; ld.shared.b32 %r4, [%rd4]; setp.eq.u32 %p4, %r1, 63; bar.sync 0;"
        "@%p4 st.shared.b32 [%rd4], %r4;",
        1,
    ),
    "a reader in an instruction before": (
        "@%p1 st.shared.b32 [%rd4], %r1; bar.sync 0; @%p1 ld.shared.b32 %r4, [%rd4]; setp.eq.u32 %p4, %r1, 3;"
        "@%p4 ld.shared.b32 %r4, [%rd4]; @%p4 st.shared.b32 [%rd4], %r4;",
        "race in shared memory: this thread writes what thread",
        "@%p1 st.shared.b32 [%rd4], %r1; bar.sync 0; @%p1 ld.shared.b32 %r4, [%rd4]; setp.eq.u32 %p4, %r1, 3;"
        "@%p4 ld.shared.b32 %r4, [%rd4]; bar.sync 0; @%p4 st.shared.b32 [%rd4], %r4;",
        1,
    ),
    "two writers": (
        "st.shared.b32 [%rd5], %r1; @%p2 st.shared.b32 [%rd7], %r1;",
        "race in shared memory: this thread writes what thread .* wrote",
        "st.shared.b32 [%rd5], %r1; bar.sync 0; @%p2 st.shared.b32 [%rd7], %r1;",
        1,
    ),
    "neighbours of a warp without bar.warp.sync": (
        "st.shared.b32 [%rd5], %r1; shfl.sync.idx.b32 %r5, %r1, 0, 31, -1; ld.shared.b32 %r4, [%rd7];",
        "race in shared memory",  # a shuffle orders no memory
        "st.shared.b32 [%rd5], %r1; bar.warp.sync -1; ld.shared.b32 %r4, [%rd7];",
        1,
    ),
    "another warp behind bar.warp.sync": (
        "st.shared.b32 [%rd5], %r1; bar.warp.sync -1; xor.b32 %r4, %r1, 32; mad.wide.u32 %rd9, %r4, 4, %rd4;"
        "ld.shared.b32 %r4, [%rd9];",
        "race in shared memory",
        "st.shared.b32 [%rd5], %r1; barrier.cta.sync 0; xor.b32 %r4, %r1, 32; mad.wide.u32 %rd9, %r4, 4, %rd4;"
        "ld.shared.b32 %r4, [%rd9];",
        1,
    ),
    "global memory of one block": (
        "st.global.b32 [%rd3], %r1; ld.global.b32 %r4, [%rd8];",
        "race in global memory: this thread reads what thread",
        "st.global.b32 [%rd3], %r1; bar.sync 0; ld.global.b32 %r4, [%rd8];",
        1,
    ),
    "global memory across blocks": (
        "setp.eq.u32 %p4, %r2, 0; @%p4 st.global.b32 [%rd3], %r1; bar.sync 0; @!%p4 ld.global.b32 %r4, [%rd3];",
        r"race in global memory: this thread .* what thread .* of block \(\d, 0, 0\)",
        "setp.eq.u32 %p4, %r2, 0; @%p4 st.global.b32 [%rd3], %r1; bar.sync 0; @!%p4 ld.global.b32 %r4, [%rd2];",
        2,
    ),
    "the same value from all blocks": (
        "@%p1 st.global.b32 [%rd3], 1;",
        "race in global memory",
        "setp.eq.u32 %p4, %r2, 0; and.pred %p4, %p4, %p1; @%p4 st.global.b32 [%rd3], 1;",
        3,
    ),
    "different values from one warp": (
        "@%p2 st.global.b32 [%y], %r1;",
        "race in global memory: threads write different values to one place",
        "@%p2 st.global.b32 [%y], 7;",
        1,
    ),
    "the same value from two warps": (
        "st.shared.b32 [%rd4], 7;",
        "race in shared memory: threads of several warps write one place",
        "@%p3 st.shared.b32 [%rd4], 7;",
        1,
    ),
    "a plain read of an atomic counter": (
        "@%p1 st.shared.u32 [%rd4], 0; bar.sync 0; red.shared.add.u32 [%rd4], 1; ld.shared.u32 %r4, [%rd4];",
        "race in shared memory: this thread reads",
        "@%p1 st.shared.u32 [%rd4], 0; bar.sync 0; red.shared.add.u32 [%rd4], 1; bar.sync 0;ld.shared.u32 %r4, [%rd4];",
        1,
    ),
    "the read-only cache on what the kernel writes": (
        "@%p1 st.global.b32 [%y], 1; bar.sync 0; ld.global.nc.b32 %r4, [%y];",
        "read-only cache",
        "@%p1 st.global.b32 [%y], 1; bar.sync 0; ld.global.b32 %r4, [%y];",
        1,
    ),
    "halves of a word": (
        "mul.wide.u32 %rd9, %r1, 2; add.s64 %rd9, %rd9, %rd4; st.shared.b16 [%rd9], 1; st.shared.b16 [%rd4+2], 1;",
        "race in shared memory",
        "mul.wide.u32 %rd9, %r1, 2; add.s64 %rd9, %rd9, %rd4; st.shared.b16 [%rd9], 1;",
        1,
    ),
    "a vector over a number": (
        "st.shared.b32 [%rd5], %r1; @%p1 st.shared.v4.b32 [%rd4], {1, 2, 3, 4};",
        "race in shared memory",
        "st.shared.b32 [%rd5], %r1; bar.sync 0; @%p1 st.shared.v4.b32 [%rd4], {1, 2, 3, 4};",
        1,
    ),
}


@pytest.mark.parametrize("name", RACES)
def test_races(name):
    wrong, message, right, blocks = RACES[name]
    with pytest.raises(Fault, match=message):
        run(wrong, grid=blocks)
    run(right, grid=blocks)
    run(wrong, grid=blocks, check=False)  # for speed: they are not looked for


def test_races_are_seen_between_blocks_that_do_not_run_together():
    """20,000 threads are more than one group of blocks; only the last block reads what the first one wrote."""
    body = """
    setp.eq.u32 %p4, %r2, 0; and.pred %p4, %p4, %p1; @%p4 st.global.b32 [%y], %r1;
    setp.eq.u32 %p5, %r2, 311; and.pred %p5, %p5, %p1; @%p5 ld.global.b32 %r4, [{}];
    """
    with pytest.raises(Fault, match=r"this thread reads what thread \(0, 0, 0\) of block \(0, 0, 0\) wrote"):
        run(body.format("%y"), grid=312)
    run(body.format("%x"), grid=312)


def test_launches_do_not_race_with_each_other():
    machine = Machine()
    x = uploaded(machine, np.zeros(64, np.uint32))
    module = kernel(
        "u64 x, u64 y", START + "ld.global.b32 %r4, [%rd8]; add.u32 %r4, %r4, 1; st.global.b32 [%rd2], %r4;", STORE
    )
    y = machine.allocate(256)
    machine.write(y, np.zeros(64, np.uint32))
    for _ in range(3):
        machine.launch(module, "k", 1, 64, [x, y])
        machine.launch(module, "k", 1, 64, [y, x])
    assert machine.read(x, np.zeros(64, np.uint32)).tolist() == [5] * 64


def test_part_of_a_warp_is_ordered_by_its_mask():
    body = """
    st.shared.b32 [%rd5], %r1; and.b32 %r4, %r1, 16; setp.eq.u32 %p4, %r4, 0; selp.b32 %r5, 0xFFFF, 0xFFFF0000, %p4;
    bar.warp.sync %r5; xor.b32 %r6, %r1, {}; mad.wide.u32 %rd9, %r6, 4, %rd4; ld.shared.b32 %r7, [%rd9];
    """
    run(body.format(15))
    with pytest.raises(Fault, match="race"):
        run(body.format(16))


# name: (the mistake, what the fault says, the kernel mended)
BARRIERS = {
    "two barriers of one warp": (
        "@%p2 bra one; bar.sync 0; bra end;\none: bar.sync 0;\nend: st.global.b32 [%rd3], %r1;",
        "a barrier is not reached by all threads of a warp: others wait at the one in line",
        "@%p3 bra one; bar.sync 0; bra end;\none: bar.sync 0;\nend: st.global.b32 [%rd3], %r1;",
    ),
    "two names of a barrier": (
        "@%p3 bra one; bar.sync 0; bra end;\none: bar.sync 1;\nend: st.global.b32 [%rd3], %r1;",
        "a barrier is not reached by all threads of the block: others wait at barrier",
        "@%p3 bra one; bar.sync 2; bra end;\none: bar.sync 2;\nend: st.global.b32 [%rd3], %r1;",
    ),
    "a shuffle that some lanes do not reach": (
        "@!%p2 bra end; shfl.sync.bfly.b32 %r4, %r1, 1, 31, -1;\nend: bar.sync 0;",
        r"lanes \[16, 17, .*, 31\] of this warp are named in the mask, but do not take part",
        "@!%p2 bra end; shfl.sync.bfly.b32 %r4, %r1, 1, 31, 0xFFFF;\nend: bar.sync 0;",
    ),
    "a vote that some lanes do not reach": (
        "@%p2 vote.sync.ballot.b32 %r4, %p1, -1; bar.sync 0;",
        r"lanes \[16, .*, 31\] of this warp are named in the mask",
        "vote.sync.ballot.b32 %r4, %p1, -1; bar.sync 0;",
    ),
    "a shuffle from a lane that has ended": (
        "@!%p2 exit; shfl.sync.down.b32 %r4, %r1, 1, 31, -1;",
        "a shuffle reads lane 16, which does not take part",
        "@!%p2 exit; shfl.sync.bfly.b32 %r4, %r1, 1, 31, -1;",
    ),
    "a mask without the thread itself": (
        "shfl.sync.idx.b32 %r4, %r1, 0, 31, 0xFFFF;",
        "the mask does not name the thread itself",
        "@%p2 shfl.sync.idx.b32 %r4, %r1, 0, 31, 0xFFFF;",
    ),
    "different masks": (
        "mov.u32 %r4, %laneid; setp.eq.u32 %p4, %r4, 0; selp.b32 %r5, -1, 0xFFFFFFFE, %p4; bar.warp.sync %r5;",
        "another mask",
        "bar.warp.sync -1;",
    ),
    "a barrier for some threads": (
        "@%p3 bar.sync 1, 32;",
        "a barrier of some threads of a block, which has 64, is not in the machine",
        "bar.sync 1, 64;",
    ),
    "a trap": (
        "@%p2 trap;",
        "a thread reached a trap",
        "setp.gt.u32 %p4, %r1, 64; @%p4 trap;",
    ),
}


@pytest.mark.parametrize("name", BARRIERS)
def test_barriers_and_masks(name):
    wrong, message, right = BARRIERS[name]
    for check in (True, False):
        with pytest.raises(Fault, match=message):
            run(wrong, check=check)
        run(right, check=check)


def test_threads_that_ended_do_not_keep_others_at_a_barrier():
    body = "@!%p2 exit; st.shared.b32 [%rd5], %r1; bar.sync 0; ld.shared.b32 %r4, [%rd7]; st.global.b32 [%rd3], %r4;"
    assert run(body).view("u4")[:16].tolist() == [k ^ 1 for k in range(16)]


UNKNOWN = {
    "wgmma.fence.sync.aligned;": "the machine does not know wgmma.fence.sync.aligned",
    "add.noise.u32 %r4, %r1, %r2;": "the machine does not know .noise of add.noise.u32",
    "ex2.approx.f32 %r4, %r1;": "ex2.approx.f32 is an approximation, whose bits differ between GPUs",
    "div.full.f32 %r4, %r1, %r2;": "is an approximation",
    "rsqrt.approx.ftz.f32 %r4, %r1;": "is an approximation",
    "add.rz.f32 %r4, %r1, %r2;": "rounds arithmetic to the nearest number only: write .rn",
    "mov.u32 %r4, %clock;": "%clock differs from run to run",
    "mov.u64 %rd9, %globaltimer;": "differs from run to run",
    "mov.u32 %r4, %envreg1;": "does not know the special register %envreg1",
    "mov.u32 %r4, %r39;": "register '%r39' is read, and no instruction writes it",
    "mov.u32 %r4, %nothing;": "special register %nothing",
    "add.u32 %rd9, %r1, %nowhere;": "special register",
    "add.u32 %r4, %r1, nowhere;": "cannot read the operand 'nowhere'",
    "bra nowhere;": "there is no label 'nowhere'",
    "ld.global.b32 %r4, [nowhere];": "there is no register or variable 'nowhere'",
    "st.global.b64 [%rd3], %r1;": "register '%r1' of 32 bits cannot be read or written as .u64",
    "ld.global.v2.b32 {%r4, %r5, %r6}, [%x];": "an access of 2 elements has 3 registers",
}


@pytest.mark.parametrize("instruction", UNKNOWN)
def test_what_the_machine_does_not_know(instruction):
    """Named with its line before anything runs."""
    with pytest.raises(Fault) as caught:
        run("\n" + instruction)
    assert UNKNOWN[instruction] in caught.value.reason
    assert caught.value.instruction == instruction and caught.value.kernel == "k"


def test_launches_that_do_not_fit():
    machine, module = Machine(), kernel("u64 x, u32 n, f32 f", "mov.b32 %r1, 0;")
    for arguments, message in (
        ([1, 2], r"takes 3 arguments \(.u64 p_x, .u32 p_n, .f32 p_f\), not 2"),
        ([1, 2**32, 1.0], "'p_n' .* takes 32 bits, which 4294967296 does not fit"),
        ([1, 2.5, 1.0], "'p_n' .* takes an integer, not 2.5"),
    ):
        with pytest.raises(ValueError, match=message):
            machine.launch(module, "k", 1, 1, arguments)
    fits = [1, -1, np.float32(2)]
    machine.launch(module, "k", 1, 1, fits)
    for grid, block, message in ((0, 1, "grid is 0"), (1, (1, 2, 3, 4), "block is"), (1, (32, 33), "at most 1024")):
        with pytest.raises(ValueError, match=message):
            machine.launch(module, "k", grid, block, fits)
    with pytest.raises(ValueError, match="has no entry 'other'; it has k"):
        machine.launch(module, "other", 1, 1, fits)
