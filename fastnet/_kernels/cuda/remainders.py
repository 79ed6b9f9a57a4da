"""Remainders of floats as LLVM IR: on a CPU they are calls of C's functions, which a GPU lacks."""

from __future__ import annotations

import re

NAME = "fastnet_remainder"
_TYPES = {"float": "f32", "double": "f64"}
_C = {"f32": "floorf", "f64": "floor"}  # of C, for ``//``
NAMES = frozenset([*_C.values(), *(f"{NAME}_{suffix}" for suffix in _C)])

# Exact, as C's fmod: the divisor is doubled while it fits, and subtracted on the way back, where each difference is a
# float. NVPTX's own frem rounds the quotient.
_TEXT = """
declare {T} @llvm.floor.{s}({T})
declare {T} @llvm.fabs.{s}({T})
declare {T} @llvm.copysign.{s}({T}, {T})
define {T} @{c}({T} %x) {{
  %result = call {T} @llvm.floor.{s}({T} %x)
  ret {T} %result
}}
define {T} @{name}_{s}({T} %x, {T} %y) {{
begin:
  %a = call {T} @llvm.fabs.{s}({T} %x)
  %b = call {T} @llvm.fabs.{s}({T} %y)
  %is.smaller = fcmp olt {T} %a, %b
  br i1 %is.smaller, label %smaller, label %others
smaller:
  ret {T} %x
others:
  %is.finite = fcmp olt {T} %a, 0x7FF0000000000000
  %is.divisor = fcmp ogt {T} %b, 0.0
  %is.number = and i1 %is.finite, %is.divisor
  br i1 %is.number, label %number, label %none
none:
  ret {T} 0x7FF8000000000000
number:
  %half = fmul {T} %a, 0.5
  br label %up
up:
  %t = phi {T} [%b, %number], [%twice, %double]
  %fits = fcmp ole {T} %t, %half
  br i1 %fits, label %double, label %down
double:
  %twice = fadd {T} %t, %t
  br label %up
down:
  %part = phi {T} [%t, %up], [%less, %down]
  %left = phi {T} [%a, %up], [%now, %down]
  %takes = fcmp oge {T} %left, %part
  %difference = fsub {T} %left, %part
  %now = select i1 %takes, {T} %difference, {T} %left
  %less = fmul {T} %part, 0.5
  %more = fcmp oge {T} %less, %b
  br i1 %more, label %down, label %end
end:
  %result = call {T} @llvm.copysign.{s}({T} %now, {T} %x)
  ret {T} %result
}}
"""


def with_calls(ir: str) -> str:
    """The IR of a module of numba's, in which ``%`` of floats is a call."""
    for of_type, suffix in _TYPES.items():
        call = rf"call {of_type} @{NAME}_{suffix}({of_type} \1, {of_type} \2)"
        ir, count = re.subn(rf"\bfrem {of_type} ([^\s,]+), ([^\s,]+)", call, ir)
        ir += f"\ndeclare {of_type} @{NAME}_{suffix}({of_type}, {of_type})\n" * bool(count)
    return ir


def text() -> str:
    """Functions that a kernel may call: `NAMES`."""
    return "".join(_TEXT.format(T=of_type, s=suffix, name=NAME, c=_C[suffix]) for of_type, suffix in _TYPES.items())
