"""Memory of the PTX machine: allocations, loads and stores, state spaces, atomic operations."""

import numpy as np
import pytest

from fastnet.testing.ptx import Fault, Machine, Module

from .ptx_kernels import HEAD, assemble, entry, kernel, text, uploaded

THREAD = "    mov.u32 %r1, %tid.x; mul.wide.u32 %rd1, %r1, 4; add.s64 %rd2, %x, %rd1; add.s64 %rd3, %y, %rd1;\n"


def run(body, *arguments, parameters="u64 x, u64 y", threads=1, machine=None, **options):
    declarations = {k: options.pop(k) for k in ("declarations", "outside") if k in options}
    return machine.launch(kernel(parameters, body, **declarations), "k", 1, threads, arguments, **options)


# What the host does


def test_allocations_lie_apart_at_multiples_of_256():
    machine = Machine(memory=1024)
    addresses = [machine.allocate(size) for size in (1, 256, 257, 0, 100_000)]  # the last one makes memory grow
    assert all(a % 256 == 0 for a in addresses)
    for before, size, behind in zip(addresses, (1, 256, 257, 0), addresses[1:]):
        assert behind >= before + size + 256
    x = np.arange(100_000, dtype=np.uint8)
    machine.write(addresses[-1], x)
    assert (machine.read(addresses[-1], np.empty_like(x)) == x).all()


def test_growing_keeps_what_is_there():
    machine = Machine(memory=512)
    x = uploaded(machine, np.arange(7))
    machine.allocate(10_000)
    assert machine.read(x, np.zeros(7, np.int64)).tolist() == list(range(7))


def test_reading_what_was_never_written():
    machine = Machine()
    x = machine.allocate(16)
    machine.write(x + 4, np.float32([1, 2]))
    with pytest.raises(Fault, match="8 of 16 bytes at .* were never written, first byte 0"):
        machine.read(x, np.zeros(4, np.float32))
    assert machine.read(x, np.zeros(4, np.float32), check=False)[1:3].tolist() == [1, 2]
    machine.fill(x, 0, 4)
    machine.copy(x + 12, x + 8, 4)
    assert machine.read(x, np.zeros(4, np.float32)).tolist() == [0, 1, 2, 2]
    y = machine.allocate(16)
    machine.copy(x, y, 16)  # what is undefined stays so
    with pytest.raises(Fault, match="16 of 16"):
        machine.read(x, np.zeros(4, np.float32))


def test_host_accesses_are_checked():
    machine = Machine()
    x = machine.allocate(16)
    for wrong in (
        lambda: machine.write(x, np.zeros(17, np.uint8)),
        lambda: machine.write(x - 1, np.zeros(1, np.uint8)),
        lambda: machine.fill(x + 16, 0, 1),
        lambda: machine.copy(x, x + 8, 9),
        lambda: machine.read(0, np.zeros(1)),
        lambda: machine.free(x + 1),
    ):
        with pytest.raises(Fault):
            wrong()
    machine.write(x + 16, np.zeros(0))  # nothing
    machine.free(x)
    with pytest.raises(Fault, match="freed"):
        machine.write(x, np.zeros(1))
    with pytest.raises(Fault, match="freed before"):
        machine.free(x)


def test_freed_memory_is_used_again_only_when_memory_would_grow():
    machine = Machine(memory=2048)
    first = uploaded(machine, np.zeros(64, np.uint8))
    machine.free(first)
    assert machine.allocate(64) != first
    others = {machine.allocate(64) for _ in range(4)}
    assert first in others
    with pytest.raises(Fault, match="never written"):
        machine.read(first, np.zeros(64, np.uint8))


# Loads and stores


WIDTHS = {"u8": "u1", "s8": "i1", "u16": "u2", "s16": "i2", "b32": "u4", "f32": "f4", "b64": "u8", "f64": "f8"}


@pytest.mark.parametrize("kind, dtype", WIDTHS.items())
def test_loads_extend_and_stores_cut(kind, dtype):
    machine, x = Machine(), np.array([0, 1, 100, -1, -100]).astype(dtype)
    register = {"f32": "%r10", "f64": "%rd10", "b64": "%rd10"}.get(kind, "%r10")
    wide = 8 if register == "%rd10" else 4
    body = f"""
    mov.u32 %r1, %tid.x; mad.wide.u32 %rd1, %r1, {x.itemsize}, %x; mad.wide.u32 %rd2, %r1, {x.itemsize}, %y;
    mad.wide.u32 %rd3, %r1, {wide}, %z;
    ld.global.{kind} {register}, [%rd1]; st.global.{kind} [%rd2], {register}; st.global.b{8 * wide} [%rd3], {register};
    """
    y, z = machine.allocate(x.nbytes), machine.allocate(wide * 5)
    run(body, uploaded(machine, x), y, z, parameters="u64 x, u64 y, u64 z", threads=5, machine=machine)
    assert (machine.read(y, np.empty_like(x)) == x).all()
    if kind[0] in "us":
        assert machine.read(z, np.zeros(5, "i4")).tolist() == x.astype("i4").tolist()


def test_vectors_and_offsets():
    machine, x = Machine(), np.arange(12, dtype=np.float32)
    body = """
    ld.global.v4.f32 {%r1, %r2, %r3, %r4}, [%x]; ld.global.v2.b64 {%rd5, %rd6}, [%x+16]; ld.global.b32 %r7, [%x+44];
    st.global.v4.b32 [%y], {%r4, %r3, %r2, %r1}; st.global.v2.b64 [%y+32], {%rd6, %rd5}; add.s64 %rd7, %y, 32;
    st.global.v2.b32 [%rd7+-16], {%r7, 0f3F800000}; st.global.v2.b32 [%y+24], {1, %r1};
    """
    y = machine.allocate(48)
    run(body, uploaded(machine, x), y, machine=machine)
    got = machine.read(y, np.zeros(12, np.float32))
    assert got.tolist() == [3, 2, 1, 0, 11, 1, np.uint32(1).view(np.float32), 0, 6, 7, 4, 5]


def test_hints_and_orders_of_accesses():
    body = """
    ld.global.nc.L1::no_allocate.L2::128B.b32 %r1, [%x]; ld.volatile.global.u32 %r2, [%x]; ld.global.ca.u32 %r3, [%x];
    ld.relaxed.gpu.global.b32 %r4, [%x]; ld.acquire.sys.global.b32 %r5, [%x]; prefetch.global.L2 [%x];
    st.release.gpu.global.b32 [%y], %r1; st.global.cs.b32 [%y+4], %r2; st.volatile.global.u32 [%y+8], %r3;
    membar.gl; fence.acq_rel.gpu; fence.sc.sys; st.weak.global.wt.b32 [%y+12], %r5;
    """
    machine = Machine()
    y = machine.allocate(16)
    run(body, uploaded(machine, np.uint32([7])), y, machine=machine)
    assert machine.read(y, np.zeros(4, "u4")).tolist() == [7] * 4
    assemble(text("u64 x, u64 y", body))


def test_spaces_through_generic_addresses():
    """One instruction whose threads address shared, local and global memory."""
    body = """
    mov.u32 %r1, %tid.x; mul.wide.u32 %rd1, %r1, 4; add.s64 %rd2, %x, %rd1; add.s64 %rd3, %y, %rd1;
    mov.u64 %rd4, store; cvta.shared.u64 %rd4, %rd4; add.s64 %rd4, %rd4, %rd1;
    mov.u64 %rd5, mine; cvta.local.u64 %rd6, %rd5;
    setp.eq.u32 %p1, %r1, 0; setp.eq.u32 %p2, %r1, 1; selp.b64 %rd7, %rd4, %rd6, %p1; selp.b64 %rd7, %rd3, %rd7, %p2;
    ld.u32 %r2, [%rd2]; st.u32 [%rd7], %r2;
    isspacep.shared %p3, %rd7; isspacep.local %p4, %rd7; isspacep.global %p5, %rd7;
    selp.u32 %r3, 1, 0, %p3; selp.u32 %r4, 2, %r3, %p4; selp.u32 %r5, 4, %r4, %p5;
    ld.u32 %r6, [%rd7]; mad.lo.u32 %r6, %r5, 100, %r6;
    cvta.to.shared.u64 %rd8, %rd4; @%p1 ld.shared.u32 %r7, [%rd8]; @%p1 mad.lo.u32 %r6, %r7, 10000, %r6;
    st.global.u32 [%rd3], %r6;
    """
    declarations = ".shared .align 4 .b8 store[16]; .local .align 4 .b8 mine[4];"
    machine = Machine()
    y = machine.allocate(12)
    x = uploaded(machine, np.uint32([3, 5, 7]))
    run(body, x, y, threads=3, machine=machine, declarations=declarations)
    assert machine.read(y, np.zeros(3, "u4")).tolist() == [30103, 405, 207]
    assemble(text("u64 x, u64 y", body, declarations))


def test_arrays_of_the_module():
    outside = (
        ".const .align 4 .b8 table[16] = {1, 0, 0, 0, 2, 0, 0, 0, 255, 255};\n"
        ".global .align 4 .f32 numbers[3] = {1.5, 0f40000000};\n"
        ".global .align 8 .u64 places[2] = {generic(numbers), numbers+4};\n"
        ".global .align 4 .u32 counter;\n"
    )
    body = """
    mov.u64 %rd1, table; ld.const.u32 %r1, [%rd1+4]; ld.const.u32 %r2, [table+8]; ld.const.u32 %r3, [table+12];
    ld.global.f32 %r4, [numbers]; ld.global.u64 %rd2, [places+8]; cvta.to.global.u64 %rd2, %rd2;
    ld.global.b32 %r5, [%rd2];
    st.global.v4.b32 [%y], {%r1, %r2, %r3, %r4}; st.global.b32 [%y+16], %r5;
    atom.global.add.u32 %r6, [counter], 2; st.global.b32 [%y+20], %r6;
    """
    machine, module = Machine(), kernel("u64 y", body, outside=outside)
    y = machine.allocate(24)
    for launch in range(2):  # what a launch wrote is there in the next one
        machine.launch(module, "k", 1, 1, [y])
        got = machine.read(y, np.zeros(6, "u4"))
        assert got[:3].tolist() == [2, 0xFFFF, 0] and got[3:5].view("f4").tolist() == [1.5, 2.0]
        assert got[5] == 2 * launch
    other = Machine()  # has a copy of its own
    y = other.allocate(24)
    other.launch(module, "k", 1, 1, [y])
    assert other.read(y, np.zeros(6, "u4"))[5] == 0
    assemble(text("u64 y", body, outside=outside))


def test_parameters_of_all_types():
    source = (
        HEAD
        + """
.visible .entry k(.param .u64 .ptr .global .align 4 y, .param .f32 f, .param .u8 small, .param .s16 s,
    .param .f64 d, .param .align 8 .b8 many[24])
{
    .reg .b64 %rd<9>; .reg .b32 %r<9>; .reg .b16 %h<3>;
    ld.param.u64 %rd1, [y]; ld.param.b32 %r1, [f]; ld.param.u8 %h1, [small]; ld.param.s16 %r2, [s];
    ld.param.b64 %rd2, [d]; ld.param.b64 %rd3, [many+8]; mov.u32 %r5, %tid.x; mul.wide.u32 %rd6, %r5, 8;
    mov.b64 %rd4, many; add.s64 %rd4, %rd4, %rd6; ld.param.b64 %rd5, [%rd4];
    cvt.u32.u16 %r3, %h1; mad.lo.u32 %r4, %r5, 40, 0; cvt.u64.u32 %rd7, %r4; add.s64 %rd1, %rd1, %rd7;
    st.global.b32 [%rd1], %r1; st.global.b32 [%rd1+4], %r2; st.global.b64 [%rd1+8], %rd2; st.global.b64 [%rd1+16], %rd3;
    st.global.b64 [%rd1+24], %rd5; st.global.b32 [%rd1+32], %r3;
    ret;
}
"""
    )
    machine, module = Machine(), Module(source)
    parameters = module.entries["k"].parameters
    assert [p.name for p in parameters] == ["y", "f", "small", "s", "d", "many"]
    assert [p.type.name for p in parameters] == ["u64", "f32", "u8", "s16", "f64", "b8"]
    assert [p.offset for p in parameters] == [0, 8, 12, 14, 16, 24] and parameters[-1].size == 24
    y = machine.allocate(120)
    machine.launch(module, "k", 1, 3, [y, 1.5, 200, -5, 0.1, np.array([10, 20, 30])])
    for thread in range(3):
        raw = machine.read(y + 40 * thread, np.zeros(36, "u1")).tobytes()
        assert np.frombuffer(raw[:4], "f4")[0] == 1.5 and np.frombuffer(raw[4:8], "i4")[0] == -5
        assert np.frombuffer(raw[8:16], "f8")[0] == 0.1 and np.frombuffer(raw[16:24], "i8")[0] == 20
        assert np.frombuffer(raw[24:32], "i8")[0] == 10 * (thread + 1) and raw[32] == 200


def test_shared_memory_of_each_block_and_dynamic_shared_memory():
    outside = ".extern .shared .align 16 .b8 dynamic[];\n"
    declarations = ".shared .align 4 .b8 fixed[4];"
    body = """
    mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mad.lo.u32 %r4, %r2, %r3, %r1;
    setp.ne.u32 %p1, %r1, 0; @!%p1 st.shared.u32 [fixed], %r2;
    mov.u32 %r5, dynamic; mad.lo.u32 %r6, %r1, 4, %r5; st.shared.u32 [%r6], %r4;
    bar.sync 0;
    sub.u32 %r7, %r3, %r1; sub.u32 %r7, %r7, 1; mad.lo.u32 %r8, %r7, 4, %r5; ld.shared.u32 %r9, [%r8];
    ld.shared.u32 %r10, [fixed]; mad.lo.u32 %r9, %r10, 1000, %r9; mad.wide.u32 %rd1, %r4, 4, %y;
    st.global.u32 [%rd1], %r9;
    """
    machine, module = Machine(), kernel("u64 y", body, declarations, outside)
    assert module.entries["k"].shared == 16  # the dynamic part begins at its alignment
    y = machine.allocate(4 * 15)
    machine.launch(module, "k", 3, 5, [y], shared=20)
    want = [1000 * b + 5 * b + 4 - t for b in range(3) for t in range(5)]
    assert machine.read(y, np.zeros(15, "u4")).tolist() == want
    with pytest.raises(Fault, match="out of bounds: a write of 4 bytes at 32 of shared memory, which has 32 bytes"):
        machine.launch(module, "k", 1, 5, [y], shared=16)
    assemble(text("u64 y", body, declarations, outside))


# Functions


FUNCTION = """
.func (.param .b32 result) power(.param .b32 base, .param .align 4 .b8 options[8])
{
    .local .align 4 .b8 depot[4];
    .reg .b64 %SP, %SPL; .reg .b32 %r<6>; .reg .pred %p1;
    mov.u64 %SPL, depot; cvta.local.u64 %SP, %SPL;
    ld.param.f32 %r1, [base]; ld.param.u32 %r2, [options+4];
    st.f32 [%SP], 0f3F800000;
again:
    setp.eq.u32 %p1, %r2, 0;
    @%p1 bra done;
    ld.local.f32 %r3, [%SPL]; mul.rn.f32 %r3, %r3, %r1; st.local.f32 [%SPL], %r3; sub.u32 %r2, %r2, 1;
    bra.uni again;
done:
    ld.f32 %r4, [%SP]; st.param.f32 [result], %r4;
    ret;
}
"""


def test_functions_and_local_memory():
    """Two calls of a function with a loop, each thread going round as often as its number."""
    call = """
    {{ .param .b32 base; .param .align 4 .b8 options[8]; .param .b32 result;
      st.param.f32 [base], %r{0}; st.param.u32 [options], 0; st.param.u32 [options+4], %r1;
      call.uni (result), power, (base, options);
      ld.param.f32 %r{1}, [result]; }}
    """
    body = f"""
    mov.u32 %r1, %tid.x; mul.wide.u32 %rd1, %r1, 4; add.s64 %rd2, %y, %rd1; mov.f32 %r2, 0f40000000;
    {call.format(2, 3)} {call.format(3, 4)}
    st.global.f32 [%rd2], %r4;
    """
    machine, module = Machine(), kernel("u64 y", body, outside=FUNCTION)
    assert module.entries["k"].local == 4
    y = machine.allocate(4 * 7)
    machine.launch(module, "k", 1, 7, [y])
    assert machine.read(y, np.zeros(7, "f4")).tolist() == [2.0 ** (n * n) for n in range(7)]
    assemble(text("u64 y", body, outside=FUNCTION))


def test_functions_that_the_machine_does_not_run():
    with pytest.raises(Fault, match="'loop' calls itself"):
        Module(HEAD + ".func loop() { call.uni loop; ret; }\n" + entry("k", "", "call.uni loop;"))
    module = Module(HEAD + ".extern .func elsewhere();\n" + entry("k", "", "call.uni elsewhere;"))
    with pytest.raises(Fault, match="'elsewhere' is declared only"):
        Machine().launch(module, "k", 1, 1, [])


# Atomic operations


@pytest.mark.parametrize("space", ["global", "shared", ""])
@pytest.mark.parametrize(
    "operation, start, want",
    [
        ("add.u32", 5, 5 + sum(range(70))),
        ("add.s32", -(2**31), -(2**31) + sum(range(70))),
        ("max.s32", 12, 69),
        ("min.s32", 12, 0),
        ("max.u32", 100, 100),
        ("and.b32", 0xF0, 0),
        ("or.b32", 256, 256 + 127),
        ("xor.b32", 0, 1),
        ("add.f32", 0.5, 0.5 + sum(range(70))),
    ],
)
def test_atomic_operations_on_one_place(space, operation, start, want):
    kind = operation.split(".")[1]
    dot = f".{space}" if space else ""
    body = f"""
    mov.u32 %r1, %tid.x; mov.u32 %r2, %r1; setp.ne.u32 %p1, %r1, 0;
    {"cvt.rn.f32.u32 %r2, %r2;" if kind == "f32" else ""}
    {
        "mov.u64 %rd1, place; @!%p1 ld.global.b32 %r3, [%x]; @!%p1 st.shared.b32 [%rd1], %r3; bar.sync 0;"
        if space == "shared"
        else "mov.u64 %rd1, %x;"
    }
    red{dot}.{operation} [%rd1], %r2;
    {"bar.sync 0; @!%p1 ld.shared.b32 %r3, [%rd1]; @!%p1 st.global.b32 [%x], %r3;" if space == "shared" else ""}
    """
    dtype = {"u32": "u4", "b32": "u4", "s32": "i4", "f32": "f4"}[kind]
    machine = Machine()
    x = uploaded(machine, np.array([start], dtype))
    declarations = ".shared .align 4 .b8 place[4];"
    run(body, x, parameters="u64 x", threads=70, machine=machine, declarations=declarations)
    assert machine.read(x, np.zeros(1, dtype))[0] == np.array(want, dtype)
    assemble(text("u64 x", body, declarations))


def test_atomic_operations_return_what_was_there():
    """In the order of the threads; across blocks too."""
    body = """
    mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mad.lo.u32 %r1, %r2, 40, %r1; mad.wide.u32 %rd1, %r1, 4, %y;
    and.b32 %r3, %r1, 1; mad.wide.u32 %rd2, %r3, 4, %x;
    atom.global.add.u32 %r4, [%rd2], 3; st.global.u32 [%rd1], %r4;
    """
    machine = Machine()
    x, y = uploaded(machine, np.uint32([0, 1000])), machine.allocate(4 * 80)
    machine.launch(kernel("u64 x, u64 y", body), "k", 2, 40, [x, y])
    assert machine.read(y, np.zeros(80, "u4")).tolist() == [1000 * (k % 2) + 3 * (k // 2) for k in range(80)]


def test_compare_and_swap_and_wrapping_counters():
    body = (
        THREAD
        + """
    atom.global.cas.b32 %r2, [%x], %r1, 50; atom.global.inc.u32 %r3, [%x+4], 2; atom.global.dec.u32 %r4, [%x+8], 3;
    atom.global.exch.b64 %rd5, [%x+16], %rd1; atom.acq_rel.gpu.global.add.u32 %r6, [%x+12], 1;
    shl.b32 %r2, %r2, 4; or.b32 %r2, %r2, %r3; shl.b32 %r2, %r2, 4; or.b32 %r2, %r2, %r4; st.global.u32 [%rd3], %r2;
    """
    )
    machine = Machine()
    x = uploaded(machine, np.uint32([1, 0, 9, 0, 5, 0]))
    y = machine.allocate(16)
    run(body, x, y, threads=4, machine=machine)
    seen = machine.read(y, np.zeros(4, "u4"))
    assert (seen >> 8).tolist() == [1, 1, 50, 50]  # thread 1 finds its number
    assert (seen >> 4 & 15).tolist() == [0, 1, 2, 0] and (seen & 15).tolist() == [9, 3, 2, 1]
    assert machine.read(x, np.zeros(6, "u4")).tolist() == [50, 1, 0, 4, 12, 0]
    assemble(text("u64 x, u64 y", body))


def test_atomic_addition_of_floats_flushes_in_global_memory():
    machine = Machine()
    x = uploaded(machine, np.float32([1e-40]))
    run("red.global.add.f32 [%x], 0f80000001;", x, parameters="u64 x", machine=machine)
    assert machine.read(x, np.zeros(1, "f4"))[0] == 0
    x = uploaded(machine, np.array([0.25]))
    run("red.global.add.f64 [%x], 0d3FF0000000000000;", x, parameters="u64 x", machine=machine)
    assert machine.read(x, np.zeros(1))[0] == 1.25
