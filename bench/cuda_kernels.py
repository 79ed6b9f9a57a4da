"""Kernels in PTX that show what a card can do: a copy, multiply-adds in registers, barriers, and nothing at all."""

ROUNDS = 4096  # of eight multiply-adds

_HEAD = ".version 6.3\n.target sm_75\n.address_size 64\n"

EMPTY = f"{_HEAD}.visible .entry empty()\n{{\n    ret;\n}}\n"

# Each thread copies 16 bytes.
COPY = f"""{_HEAD}.visible .entry copy(.param .u64 from, .param .u64 to)
{{
    .reg .b32 %r<8>; .reg .b64 %rd<8>;
    ld.param.u64 %rd1, [from]; ld.param.u64 %rd2, [to];
    mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x;
    mad.lo.u32 %r1, %r1, %r2, %r3;
    mul.wide.u32 %rd3, %r1, 16;
    add.s64 %rd1, %rd1, %rd3; add.s64 %rd2, %rd2, %rd3;
    ld.global.v4.b32 {{%r4, %r5, %r6, %r7}}, [%rd1];
    st.global.v4.b32 [%rd2], {{%r4, %r5, %r6, %r7}};
    ret;
}}
"""

# Eight chains; their sum is written by the first block, since ptxas would drop what nobody reads.
MULTIPLY_ADDS = f"""{_HEAD}.visible .entry multiply_adds(.param .u64 to)
{{
    .reg .pred %p<2>; .reg .b32 %r<8>; .reg .b64 %rd<4>; .reg .f32 %f<12>;
    ld.param.u64 %rd1, [to];
    mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mov.u32 %r3, 0;
    cvt.rn.f32.u32 %f9, %r1; mov.f32 %f10, 0f3F7FFFFF;
    {" ".join(f"mov.f32 %f{i}, 0f{0x3F800000 + i:08X};" for i in range(8))}
again:
    {" ".join(f"fma.rn.f32 %f{i}, %f{i}, %f10, %f9;" for i in range(8))}
    add.u32 %r3, %r3, 1; setp.lt.u32 %p1, %r3, {ROUNDS}; @%p1 bra again;
    {" ".join(f"add.rn.f32 %f0, %f0, %f{i};" for i in range(1, 8))}
    setp.ne.u32 %p1, %r2, 0; @%p1 ret;
    mul.wide.u32 %rd2, %r1, 4; add.s64 %rd1, %rd1, %rd2;
    st.global.f32 [%rd1], %f0;
    ret;
}}
"""

# Blocks that wait for each other: all of them must be on the card at once.
BARRIERS = f"""{_HEAD}.visible .entry barriers(.param .u64 counter, .param .u64 rounds)
{{
    .reg .pred %p<3>; .reg .b32 %r<8>; .reg .b64 %rd<3>;
    ld.param.u64 %rd1, [counter]; ld.param.u64 %rd2, [rounds];
    cvt.u32.u64 %r1, %rd2; mov.u32 %r2, %nctaid.x; mov.u32 %r3, 0; mov.u32 %r4, 0; mov.u32 %r5, %tid.x;
again:
    add.u32 %r3, %r3, %r2;
    bar.sync 0;
    setp.ne.u32 %p1, %r5, 0; @%p1 bra passed;
    red.release.gpu.global.add.u32 [%rd1], 1;
waiting:
    ld.acquire.gpu.global.u32 %r6, [%rd1];
    setp.lt.u32 %p2, %r6, %r3; @%p2 bra waiting;
passed:
    bar.sync 0;
    add.u32 %r4, %r4, 1; setp.lt.u32 %p1, %r4, %r1; @%p1 bra again;
    ret;
}}
"""
