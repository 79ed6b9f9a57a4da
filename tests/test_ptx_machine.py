"""The PTX machine: modules, launches, threads that part, warps, counts, and text that LLVM writes."""

from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest

from fastnet.testing.ptx import Fault, Machine, Module

from .ptx_kernels import assemble, kernel, text, uploaded

# %rd9 is the address of the thread's element of %y, %r1 its number in the whole grid, %r9 its lane.
START = """
    mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mad.lo.u32 %r1, %r2, %r3, %r1;
    mad.wide.u32 %rd9, %r1, 4, %y; mov.u32 %r9, %laneid;
"""


def run(body, grid, block, dtype="u4", declarations="", machine=None):
    """What the threads of a grid store."""
    machine, n = machine or Machine(), int(np.prod(grid) * np.prod(block))
    y = machine.allocate(4 * n)
    machine.launch(kernel("u64 y", START + body, declarations), "k", grid, block, [y])
    assemble_later.append(text("u64 y", START + body, declarations))
    return machine.read(y, np.zeros(n, dtype))


assemble_later: list[str] = []


# Modules


def test_what_a_module_says_of_its_entries():
    source = text("u64 x, u32 n", "ld.shared.b32 %r1, [a+4];", ".maxntid 64, 2, 1\n", ".shared .align 8 .b8 a[12];\n")
    source = source.replace(")\n{\n.maxntid 64, 2, 1\n", ")\n.maxntid 64, 2, 1\n.minnctapersm 2\n{\n")
    module = Module("/* a comment\n */" + source + ".shared .align 4 .b8 unused[1000];\n// the end")
    entry = module.entries["k"]
    assert entry.shared == 12 and entry.local == 0 and entry.maxntid == 128 and entry.reqntid is None
    assert entry.registers["pred"] == 9 and entry.registers["b64"] == 40 + 20 + 1
    with pytest.raises(ValueError, match="at most 128"):
        Machine().launch(module, "k", 1, 129, [0, 0])


@pytest.mark.parametrize(
    "source, message, line",
    [
        ("\n\nhello", "'hello' begins nothing that the machine reads", 3),
        (".visible .entry k()\n{ ret", "the text ends", 2),
        (".visible .entry k()\n{ mov.u32 %r1 5; }", "expected ',', found '5'", 2),
        (".visible .entry k()\n{ .reg .b7 %r1; }", "registers of this class", 2),
        (".global .align 4 .b8 a[x];", "expected an integer, found 'x'", 1),
    ],
)
def test_text_that_is_not_ptx(source, message, line):
    with pytest.raises(Fault, match=message) as caught:
        Module(source)
    assert caught.value.line == line


# Where threads are


def test_special_registers_in_three_dimensions():
    body = """
    mov.u32 %r1, %tid.x; mov.u32 %r2, %tid.y; mov.u32 %r3, %tid.z; mov.u32 %r4, %ntid.x; mov.u32 %r5, %ntid.y;
    mad.lo.u32 %r6, %r3, %r5, %r2; mad.lo.u32 %r6, %r6, %r4, %r1; mov.u32 %r7, %ntid.z;
    mul.lo.u32 %r8, %r4, %r5; mul.lo.u32 %r8, %r8, %r7;
    mov.u32 %r10, %ctaid.x; mov.u32 %r11, %ctaid.y; mov.u32 %r12, %ctaid.z; mov.u32 %r13, %nctaid.x;
    mov.u32 %r14, %nctaid.y;
    mad.lo.u32 %r15, %r12, %r14, %r11; mad.lo.u32 %r15, %r15, %r13, %r10; mad.lo.u32 %r6, %r15, %r8, %r6;
    mad.wide.u32 %rd9, %r6, 4, %y;
    mul.lo.u32 %r1, %r1, 100; add.u32 %r1, %r1, %r2; mul.lo.u32 %r1, %r1, 100;
    add.u32 %r1, %r1, %r11; mov.u32 %r20, %nctaid.z; mad.lo.u32 %r1, %r20, 1000000, %r1; st.global.u32 [%rd9], %r1;
    """
    got = run(body, (2, 3, 2), (3, 5, 2)).reshape(2, 3, 2, 2, 5, 3)
    bz, by, bx, tz, ty, tx = np.indices(got.shape)
    assert (got == 2_000_000 + tx * 10000 + ty * 100 + by).all()


def test_registers_of_warps():
    body = """
    mov.u32 %r4, %warpid; mov.u32 %r5, %nwarpid; mov.u32 %r6, %lanemask_lt; popc.b32 %r6, %r6;
    mov.u32 %r7, %lanemask_ge; popc.b32 %r7, %r7; mad.lo.u32 %r8, %r4, 10, %r5;
    mad.lo.u32 %r8, %r8, 100, %r6; mad.lo.u32 %r8, %r8, 100, %r7;
    st.global.u32 [%rd9], %r8;
    """
    lane, warp = np.arange(70) % 32, np.arange(70) // 32
    assert run(body, 1, 70).tolist() == (((warp * 10 + 3) * 100 + lane) * 100 + 32 - lane).tolist()


# Threads that part


def test_loops_of_different_lengths_and_nested_branches():
    """Collatz steps of each number: compared with Python."""
    body = """
    add.u32 %r4, %r1, 1; mov.u32 %r5, 0;
again:
    setp.eq.u32 %p1, %r4, 1;
    @%p1 bra done;
    and.b32 %r6, %r4, 1; setp.eq.u32 %p2, %r6, 0; add.u32 %r5, %r5, 1;
    @%p2 bra even;
    mad.lo.u32 %r4, %r4, 3, 1;
    bra.uni again;
even:
    shr.u32 %r4, %r4, 1;
    bra.uni again;
done:
    st.global.u32 [%rd9], %r5;
    """

    def steps(n):
        return 0 if n == 1 else 1 + steps(n // 2 if n % 2 == 0 else 3 * n + 1)

    assert run(body, 5, 37).tolist() == [steps(n + 1) for n in range(185)]


def test_branches_by_index():
    body = """
    rem.u32 %r4, %r1, 3; mov.u32 %r5, 7;
    setp.lt.u32 %p1, %r1, 4;
table: .branchtargets one, two, three;
    @!%p1 bra three;
    brx.idx %r4, table;
one:
    mov.u32 %r5, 1; bra.uni three;
two:
    mov.u32 %r5, 2;
three:
    st.global.u32 [%rd9], %r5;
    """
    assert run(body, 1, 6).tolist() == [1, 2, 7, 1, 7, 7]
    with pytest.raises(Fault, match="branch 3 of 3"):
        run(body.replace("rem.u32 %r4, %r1, 3", "mov.u32 %r4, %r1"), 1, 6)


def test_names_between_braces_are_their_own():
    body = """
    { .reg .b32 %t; mov.u32 %t, 1; { .reg .b32 %t; mov.u32 %t, 5; bra over; over: add.u32 %r4, %t, 0; }
      add.u32 %r4, %r4, %t; bra over; over: st.global.u32 [%rd9], %r4; }
    """
    assert run(body, 1, 2).tolist() == [6, 6]


def test_a_shuffle_behind_code_that_lies_later_in_the_text():
    """Half of the lanes come to the shuffle from behind it: the others wait for them."""
    body = """
    and.b32 %r4, %r9, 1; setp.eq.u32 %p1, %r4, 1; mov.u32 %r5, %r9;
    @%p1 bra later;
join:
    shfl.sync.bfly.b32 %r6, %r5, 1, 31, -1;
    st.global.u32 [%rd9], %r6;
    bra.uni end;
later:
    add.u32 %r5, %r5, 100;
    bra.uni join;
end:
    """
    lanes = np.arange(64) % 32
    assert run(body, 1, 64).tolist() == [(k ^ 1) + 100 * (1 - k % 2) for k in lanes.tolist()]


def test_warps_wait_at_barriers_of_different_lines():
    """Barriers have numbers: warps may meet at one from two lines of the text."""
    declarations = ".shared .align 4 .b8 store[256];"
    body = """
    mov.u32 %r4, %tid.x; shl.b32 %r5, %r4, 2; mov.u32 %r6, store; add.u32 %r5, %r5, %r6; xor.b32 %r7, %r4, 32;
    shl.b32 %r7, %r7, 2; add.u32 %r7, %r7, %r6; setp.lt.u32 %p1, %r4, 32; st.shared.u32 [%r5], %r4;
    @%p1 bra first;
    bar.sync 3;
    bra.uni end;
first:
    bar.sync 3;
end:
    ld.shared.u32 %r8, [%r7]; st.global.u32 [%rd9], %r8;
    """
    assert run(body, 2, 64, declarations=declarations).tolist() == [k % 64 ^ 32 for k in range(128)]


def test_ended_threads_and_barriers_of_different_lines():
    body = """
    mov.u32 %r4, 1; st.global.u32 [%rd9], %r4; setp.gt.u32 %p2, %r1, 40; setp.lt.u32 %p1, %r1, 32; @%p2 exit;
    @%p1 bra first;
    bar.sync 0;
    bra.uni end;
first:
    bar.sync 0;
end:
    mov.u32 %r4, 2; st.global.u32 [%rd9], %r4;
    """
    assert run(body, 1, 64).tolist() == [2] * 41 + [1] * 23


def test_threads_that_parted_come_together_again():
    """What follows both branches is executed once for a warp, not once for each branch."""
    body = """
    and.b32 %r4, %r9, 1; setp.eq.u32 %p1, %r4, 0;
    @%p1 bra even;
    add.u32 %r4, %r4, 1;
    bra.uni both;
even:
    sub.u32 %r4, %r4, 1;
both:
    xor.b32 %r4, %r4, 5; activemask.b32 %r5; st.global.u32 [%rd9], %r5;
    """
    machine = Machine()
    y = machine.allocate(4 * 64)
    counts = machine.launch(kernel("u64 y", START + body), "k", 1, 64, [y])
    assert counts.by_kind["xor"] == 2 and counts.by_kind["sub"] == 2
    assert (machine.read(y, np.zeros(64, np.uint32)) == 0xFFFFFFFF).all()


# Warps


@pytest.mark.parametrize("mode", ["up", "down", "bfly", "idx"])
@pytest.mark.parametrize("width", [32, 8])
def test_shuffles(mode, width):
    """CUDA's definition of __shfl_*_sync with a width."""
    clamp = (32 - width) << 8 | (0 if mode == "up" else 31)
    for by in (0, 1, 3, 7, 9):
        body = f"""
    add.u32 %r4, %r9, 100; shfl.sync.{mode}.b32 %r5|%p1, %r4, {by}, {clamp}, 0xFFFFFFFF;
    selp.u32 %r6, 1000, 0, %p1; add.u32 %r6, %r6, %r5; st.global.u32 [%rd9], %r6;
        """
        want = []
        for lane in range(32):
            start, within = lane - lane % width, lane % width
            source = {"up": within - by, "down": within + by, "bfly": within ^ by, "idx": by % width}[mode]
            inside = source < width if mode == "bfly" else 0 <= source < width
            if mode == "bfly" and not inside:  # a partner in a later part is out of bounds, in an earlier one is not
                inside = (lane ^ by) < start
                source = (lane ^ by) - start if inside else within
            want.append(100 + start + (source if inside else within) + 1000 * inside)
        assert run(body, 2, 32).tolist() == want * 2, by


def test_votes_and_active_lanes():
    body = """
    setp.gt.u32 %p1, %r9, 3; setp.lt.u32 %p8, %r9, 8; @!%p8 bra end;
    vote.sync.ballot.b32 %r4, %p1, 0xFF; vote.sync.any.pred %p2, %p1, 0xFF; vote.sync.all.pred %p3, %p1, 0xFF;
    vote.sync.uni.pred %p4, %p1, 0xFF; vote.sync.uni.pred %p5, %p8, 0xFF; vote.sync.all.pred %p6, !%p1, 0xFF;
    activemask.b32 %r5;
    shl.b32 %r5, %r5, 8; or.b32 %r4, %r4, %r5;
    @%p2 or.b32 %r4, %r4, 0x10000; @%p3 or.b32 %r4, %r4, 0x20000; @%p4 or.b32 %r4, %r4, 0x40000;
    @%p5 or.b32 %r4, %r4, 0x80000; @%p6 or.b32 %r4, %r4, 0x100000;
    st.global.u32 [%rd9], %r4; ret;
end:
    mov.u32 %r4, 0; st.global.u32 [%rd9], %r4;
    """
    assert run(body, 1, 40).tolist() == ([0x9FFF0] * 8 + [0] * 24) + [0x9FFF0] * 8


def test_reductions_at_barriers():
    body = """
    setp.lt.u32 %p1, %r1, 50; barrier.cta.red.popc.aligned.u32 %r4, 0, %p1; bar.red.and.pred %p2, 0, %p1;
    bar.red.or.pred %p3, 0, !%p1; @%p2 add.u32 %r4, %r4, 1000; @%p3 add.u32 %r4, %r4, 2000; st.global.u32 [%rd9], %r4;
    """
    assert run(body, 3, 40).tolist() == [1040] * 40 + [2010] * 40 + [2000] * 40


# Counts


def test_counts_of_instructions_and_memory():
    machine = Machine()
    x = uploaded(machine, np.zeros(4096, np.float32))
    body = "ld.global.b32 %r4, [%rd9]; setp.eq.u32 %p1, %r1, 0; @%p1 st.global.b32 [%x+8192], 1;"
    counts = machine.launch(kernel("u64 x", START.replace("%y", "%x") + body), "k", 3, 70, [x])
    warps = 3 * 3  # two full ones and one of 6 threads in each block
    each = {"ld": 2, "mov": 4, "mad": 2, "setp": 1, "st": 1, "ret": 1}
    assert counts.by_kind == {kind: n * warps for kind, n in each.items()}
    assert counts.instructions == sum(counts.by_kind.values())
    assert counts.accesses == warps + 1 and counts.sectors_written == 1
    # A block begins at 70 floats: its warps cut sectors of 8.
    sectors = sum(len({(b * 70 + t) // 8 for t in range(w, min(w + 32, 70))}) for b in range(3) for w in (0, 32, 64))
    assert counts.sectors_read == sectors and counts.sectors == sectors + 1


CONFLICTS = [
    *((1, "b32", 0), (2, "b32", 1), (32, "b32", 31), (0, "b32", 0), (33, "b32", 0)),
    *((2, "v2.b32", 0), (8, "v2.b32", 6), (4, "v4.b32", 0)),  # in halves and quarters of the warp
]


def test_sectors_in_any_order():
    machine = Machine()
    x = uploaded(machine, np.zeros(64, np.float32))
    body = "mul.lo.u32 %r4, %r9, 11; and.b32 %r4, %r4, 31; mad.wide.u32 %rd1, %r4, 4, %x; ld.global.b32 %r5, [%rd1];"
    counts = machine.launch(kernel("u64 x", START.replace("%y", "%x") + body), "k", 1, 32, [x])
    assert counts.sectors == counts.sectors_read == 4


@pytest.mark.parametrize("stride, wide, turns", CONFLICTS)
def test_bank_conflicts(stride, wide, turns):
    registers = {"b32": "%r4", "v2.b32": "{%r4, %r5}", "v4.b32": "{%r4, %r5, %r6, %r7}"}[wide]
    body = f"""
    mov.u32 %r10, store; mad.lo.u32 %r11, %r9, {4 * stride}, %r10; ld.shared.{wide} {registers}, [%r11];
    """
    machine = Machine(check=False)  # it reads what was never written
    module = kernel("u64 y", START + body, ".shared .align 16 .b8 store[5000];")
    assert machine.launch(module, "k", 1, 32, [0]).bank_conflicts == turns


# Text that LLVM writes

IR = """
target triple = "nvptx64-nvidia-cuda"
@table = internal addrspace(4) constant [4 x float] [float 1.0, float 2.0, float 3.0, float 4.0]
@store = internal addrspace(3) global [64 x float] undef, align 16
declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
declare void @llvm.nvvm.barrier0()
declare float @llvm.fma.f32(float, float, float)
declare float @llvm.sqrt.f32(float)
declare float @llvm.nvvm.shfl.sync.bfly.f32(i32, float, i32, i32)

define internal float @chosen(float %x, i32 %n) noinline {
  %a = alloca [8 x float]
  %i = and i32 %n, 7
  %p = getelementptr [8 x float], ptr %a, i32 0, i32 %i
  store volatile float %x, ptr %p
  %v = load volatile float, ptr %p
  switch i32 %i, label %other [ i32 0, label %c0
    i32 1, label %c1
    i32 2, label %c2
    i32 3, label %c3
    i32 5, label %c5 ]
c0:
  %v0 = fadd float %v, 1.0
  ret float %v0
c1:
  %v1 = fdiv float %v, 3.0
  ret float %v1
c2:
  %v2 = call float @llvm.sqrt.f32(float %v)
  ret float %v2
c3:
  %v3 = fneg float %v
  ret float %v3
c5:
  %v5 = fmul float %v, %v
  ret float %v5
other:
  ret float %v
}

define ptx_kernel void @k(ptr addrspace(1) %x, ptr addrspace(1) %y, i32 %rows) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %b = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %d = mul i32 %b, 64
  %i = add i32 %d, %t
  %p = getelementptr float, ptr addrspace(1) %x, i32 %i
  %v = load float, ptr addrspace(1) %p
  %e = and i32 %t, 3
  %q = getelementptr [4 x float], ptr addrspace(4) @table, i32 0, i32 %e
  %c = load float, ptr addrspace(4) %q
  %f = call float @llvm.fma.f32(float %v, float %c, float 0.5)
  %g = call float @chosen(float %f, i32 %t)
  %s = getelementptr [64 x float], ptr addrspace(3) @store, i32 0, i32 %t
  store float %g, ptr addrspace(3) %s
  call void @llvm.nvvm.barrier0() convergent
  br label %loop
loop:
  %k = phi i32 [ 0, %0 ], [ %k1, %loop ]
  %sum = phi float [ 0.0, %0 ], [ %sum1, %loop ]
  %at = xor i32 %t, %k
  %r = getelementptr [64 x float], ptr addrspace(3) @store, i32 0, i32 %at
  %w = load float, ptr addrspace(3) %r
  %sum1 = fadd float %sum, %w
  %k1 = add i32 %k, 1
  %more = icmp slt i32 %k1, %rows
  br i1 %more, label %loop, label %end
end:
  %o = call float @llvm.nvvm.shfl.sync.bfly.f32(i32 -1, float %sum1, i32 1, i32 31) convergent
  %both = fadd float %sum1, %o
  %z = getelementptr float, ptr addrspace(1) %y, i32 %i
  store float %both, ptr addrspace(1) %z
  ret void
}
"""


def emitted(level, features, optimize):
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        target = llvm.Target.from_triple("nvptx64-nvidia-cuda")
    except RuntimeError:
        pytest.skip("this llvmlite has no NVPTX")
    machine = target.create_target_machine(cpu=level, features=features, opt=3)
    module = llvm.parse_assembly(IR)
    if optimize:
        builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
        builder.getModulePassManager().run(module, builder)
    return machine.emit_assembly(module)


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("level, features", [("sm_75", "+ptx63"), ("sm_90", "+ptx78")])
def test_text_of_llvm(level, features, optimize):
    """A call, a local array, a table, a switch, shared memory, a barrier, a loop and a shuffle."""
    source = emitted(level, features, optimize)
    machine, x = Machine(), np.random.default_rng(0).uniform(0.1, 2, 192).astype(np.float32)
    x_address, y = uploaded(machine, x), machine.allocate(4 * 192)
    machine.launch(Module(source), "k", 3, 64, [x_address, y, 5])
    table, want = np.float32([1, 2, 3, 4]), np.zeros(192, np.float32)
    for block in range(3):
        t = np.arange(64)
        v = (x[block * 64 + t].astype(float) * table[t & 3] + 0.5).astype(np.float32)
        cases = [v + np.float32(1), v / np.float32(3), np.sqrt(v), -v, v, v * v, v, v]
        v = np.choose(t & 7, cases)
        total = np.zeros(64, np.float32)
        for k in range(5):
            total = total + v[t ^ k]
        want[block * 64 + t] = total + total[t ^ 1]
    assert (machine.read(y, np.zeros(192, np.float32)) == want).all()
    if level == "sm_90":
        assemble(source)


def test_the_example_of_the_page(capsys):
    """docs/cuda.md: what it shows, and the fault of a fourth thread."""
    page = (Path(__file__).resolve().parents[1] / "docs" / "cuda.md").read_text("utf-8")
    example = next(block for block in page.split("```python\n") if "double_it" in block).split("```")[0]
    names: dict = {}
    exec(example, names)
    assert capsys.readouterr().out == "[2. 4. 6.] 8 2\n"
    with pytest.raises(Fault) as caught:
        names["machine"].launch(names["module"], "double_it", 1, 4, [names["x"]])
    assert str(caught.value) in page


def test_ptxas_accepts_the_kernels_of_this_file():
    assemble(*assemble_later[:: max(1, len(assemble_later) // 12)])
