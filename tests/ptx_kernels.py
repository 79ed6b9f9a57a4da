"""Small kernels in PTX for the tests of the machine: text, and what it computes for arrays."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

from fastnet.testing.ptx import Machine, Module

HEAD = ".version 7.8\n.target sm_90\n.address_size 64\n"
#: Registers that a body may use beside those of its parameters.
REGISTERS = """
    .reg .pred %p<9>; .reg .b16 %h<9>; .reg .b32 %r<40>; .reg .b64 %rd<40>;
    .reg .f32 %f<20>; .reg .f64 %fd<20>;
"""


#: What `compute` has run since ptxas read it last: instructions between braces, with their registers.
COMPUTED: list[str] = []


def assemble(*texts):
    """Give ptxas these texts, or all that `compute` has run: what the machine runs must be PTX."""
    ptxas = shutil.which("ptxas")
    if ptxas is None:
        pytest.skip("there is no ptxas")
    texts = texts or [text("", "\n".join(COMPUTED))]
    COMPUTED.clear()
    for source in texts:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "kernel.ptx"
            path.write_text(source)
            command = [ptxas, "-arch", "sm_90", "-O0", str(path), "-o", str(path.with_suffix(".cubin"))]
            done = subprocess.run(command, capture_output=True, text=True)
            lines = [int(n) for n in re.findall(r"line (\d+)", done.stdout + done.stderr)]
            refused = [source.splitlines()[n - 1].strip() for n in lines]
            assert done.returncode == 0, (done.stderr[:500], refused)


def entry(name, parameters, body, declarations=""):
    """An entry: `parameters` like "u64 x, u32 n"; each is loaded into the register %x, %n."""
    parts = [part.split() for part in parameters.split(",") if part.strip()]
    listed = ", ".join(f".param .{kind} p_{n}" for kind, n in parts)
    registers = "".join(f"    .reg .b{kind[1:]} %{n}; ld.param.{kind} %{n}, [p_{n}];\n" for kind, n in parts)
    return f".visible .entry {name}({listed})\n{{\n{declarations}{REGISTERS}{registers}{body}\n    ret;\n}}\n"


def kernel(parameters, body, declarations="", outside=""):
    """A module of one entry, `k`."""
    return Module(text(parameters, body, declarations, outside))


def text(parameters, body, declarations="", outside=""):
    """The text of `kernel`."""
    return HEAD + outside + entry("k", parameters, body, declarations)


def uploaded(machine, array):
    """Address of a copy of an array."""
    address = machine.allocate(array.nbytes)
    machine.write(address, array)
    return address


def _code(dtype):
    return f"b{8 * np.dtype(dtype).itemsize}"


def _registers(inputs, output):
    letters = ["abc"[k] for k in range(len(inputs))] + ["d"]
    sizes = [max(8 * np.dtype(dtype).itemsize, 16) for dtype in [*inputs, output]]
    return " ".join(f".reg .b{size} %{letter};" for letter, size in zip(letters, sizes))


def elementwise(name, instructions, inputs, output):
    """An entry whose thread i computes %d from %a, %b, %c = the i-th elements of up to three arrays of these dtypes."""
    letters = ["abc"[k] for k in range(len(inputs))] + ["d"]
    lines = [f"    {_registers(inputs, output)}"]
    lines += ["    mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mad.lo.u32 %r1, %r2, %r3, %r1;"]
    for k, (letter, dtype) in enumerate(zip(letters, [*inputs, output])):
        size = np.dtype(dtype).itemsize
        lines.append(f"    mad.wide.u32 %rd{k}, %r1, {size}, %p{letter};")
        if letter != "d":
            lines.append(f"    ld.global.{_code(dtype)} %{letter}, [%rd{k}];")
    lines += [f"    {instructions}", f"    st.global.{_code(output)} [%rd{len(inputs)}], %d;"]
    return entry(name, ", ".join(f"u64 p{letter}" for letter in letters), "\n".join(lines))


def compute(instructions, *arrays, output, machine=None):
    """What `elementwise` computes for arrays, in blocks of 100 threads."""
    arrays = [np.ascontiguousarray(array) for array in arrays]
    n = len(arrays[0])
    dtypes = [a.dtype for a in arrays]
    module = Module(HEAD + elementwise("k", instructions, dtypes, output))
    COMPUTED.append(f"{{ {_registers(dtypes, output)}\n{instructions} }}")
    machine = machine or Machine()
    addresses = [uploaded(machine, np.concatenate([a, np.repeat(a[:1], -n % 100)])) for a in arrays]
    result = machine.allocate((n + 99) // 100 * 100 * np.dtype(output).itemsize)
    machine.launch(module, "k", -(-n // 100), 100, [*addresses, result])
    return machine.read(result, np.zeros(n, output))
