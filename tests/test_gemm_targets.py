"""The matrix product's machine code, on this processor and compiled for others."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fastnet._kernels import compile as compiler
from fastnet._kernels.cpu import convolution, gemm

X86 = platform.machine().lower() in ("x86_64", "amd64")


@pytest.mark.slow
@pytest.mark.parametrize("kernel", [gemm, convolution], ids=["gemm", "convolution"])
def test_float32_stays_float32(kernel):
    """Moves of 64 bits are how the compiler shuffles floats in pairs; arithmetic on them would be doubles."""
    text = compiler.assembly(kernel.source("float32"))
    double = r"v?(?:(?:add|sub|mul|div|max|min|sqrt|fn?m(?:add|sub)\d*)[sp]d|cvt\w*[sp]d\w*)"
    arithmetic = re.findall(rf"^\s+({double})\s", text, re.MULTILINE)
    assert not arithmetic
    assert re.search(r"fmla|fmadd|mulps", text)


PORTABLE = """
import sys
sys.path[:0] = {path!r}
import test_gemm
for dtype in test_gemm.DTYPES:
    for trans_a, trans_b in test_gemm.TRANSPOSITIONS:
        for few_columns in (False, True):
            test_gemm.test_every_shape(dtype, trans_a, trans_b, (True, trans_a), few_columns)
        test_gemm.test_one_row_in_any_parts(dtype, trans_a, trans_b)
    test_gemm.test_bits_of_a_row_times_a_transposed_matrix(dtype)
    test_gemm.test_bits_are_sums_in_the_order_promised(dtype)
    test_gemm.test_what_follows_the_sum(dtype, 13, 10, 7, True, True, False)
    test_gemm.test_k_blocks_side_by_side(dtype, 5, 97, 784, (0.3,))
"""


@pytest.mark.slow
@pytest.mark.skipif(not X86, reason="names of x86 processors")
@pytest.mark.parametrize("target", ["x86-64", "haswell"])
def test_other_processors(target, tmp_path):
    """Runs on any x86-64: without AVX and without fused multiply-add; and, where the machine has it, AVX2."""
    import llvmlite.binding as llvm

    if target == "haswell" and not llvm.get_host_cpu_features().get("avx2"):
        pytest.skip("no AVX2 here")
    here = Path(__file__).parent
    code = PORTABLE.format(path=[str(here), str(here.parent)])
    environment = {**os.environ, "FASTNET_TARGET": target, "FASTNET_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


@pytest.mark.slow
@pytest.mark.skipif(not X86, reason="names of x86 processors")
def test_avx512_code_keeps_its_sums_in_registers(tmp_path):
    """Compiled, not run: 16 sums of 16 floats, multiplied straight from memory, nothing spilled between."""
    code = (
        "from fastnet._kernels import compile as c; from fastnet._kernels.cpu import gemm;"
        "print(c.assembly(gemm.source('float32')))"
    )
    environment = {**os.environ, "FASTNET_TARGET": "skylake-avx512", "FASTNET_CACHE_DIR": str(tmp_path)}
    text = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    loops = inner_loops(text.stdout, "tile_8x2:")
    wide = max(loops, key=lambda lines: sum("vfmadd" in line for line in lines))
    assert sum("vfmadd" in line and "zmm" in line for line in wide) >= 16
    assert not [line for line in wide if "zmm" in line and "(%rsp" in line]


def inner_loops(text: str, label: str) -> list[list[str]]:
    """Runs of instructions that end in a jump back to their own start."""
    body = text[re.search(rf"^\S*{label}", text, re.MULTILINE).start() :]
    body = body[: body.index(".cfi_endproc") if ".cfi_endproc" in body else body.index("ret")]
    parts = re.split(r"^(\.L\w+):", body, flags=re.MULTILINE)
    loops = []
    for name, part in zip(parts[1::2], parts[2::2], strict=True):
        if re.search(rf"\sj\w+\s+{re.escape(name)}\b", part):
            loops.append(part.splitlines())
    return loops
