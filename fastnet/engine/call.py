"""Calls of templates: operands checked against parameters, and the launch that follows from both."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnet._kernels.errors import quoted
from fastnet._kernels.generate import Kernel
from fastnet._kernels.kinds import Kind
from fastnet._kernels.pasting import left_out
from fastnet._kernels.template import SHAPE
from fastnet.engine.launch import Launch, check_overlap
from fastnet.engine.sizes import axis_extent, cost_of, extent_of
from fastnet.engine.variable import Variable
from fastnet.engine.view import Slot, View, collapsed, describe


class Call:
    """The operands of one call, checked against the parameters of its template."""

    def __init__(self, template: Any, operands: Mapping[str, Any]):
        self.template, self.parameters = template, template.parameters
        self.operands: dict[str, Any] = {}
        self.access: list[tuple[Any, str]] = []
        self.views: list[tuple[str, Any, str]] = []
        self.rules: list[tuple[str, Any]] = []
        self.counts: list[tuple[str, int]] = []
        self.absent: list[str] = []
        self.functions: list[tuple[str, str]] = []
        self.dtypes: dict[str, str] = {}
        self.reals: list[str] = []
        for name, value in operands.items():
            if name not in self.parameters:
                raise self.error(f"it has no parameter {name!r}; it has {', '.join(self.parameters)}")
            if self.parameters[name].name in ("lo", "hi"):
                raise self.error(
                    f"{name!r} is a bound of the part of its axis that a thread works on, and no operand; leave it out "
                    f"(received {quoted(value)})"
                )
        for name, kind in self.parameters.items():
            self._take(name, kind, operands.get(name))
        self._check_rules()
        check_overlap(template.name, self.views)

    def error(self, problem: str) -> TypeError:
        return TypeError(f"The template {self.template.name!r}: {problem}.")

    def _take(self, name: str, kind: Kind, value: Any) -> None:
        if kind.name in ("lo", "hi"):
            return
        if kind.name == "size":
            if value is not None:
                self._take_scalar(name, kind, value)
            elif getattr(self.template, "form", "loop") != "loop" and name not in SHAPE:
                raise self.error(f"the size {name!r} is missing")
            return
        if value is None and kind.name == "reals":
            value = ()
        if value is None:
            if not kind.optional:
                raise self.error(f"the operand {name!r} ({kind.name}) is missing")
            self.absent.append(name)
        elif kind.several:
            self._take_several(name, kind, value)
        elif kind.name == "rule":
            if not inspect.isfunction(value) or value.__name__ == "<lambda>":
                raise self.error(f"{name!r} must be a rule, a function written with def, received {quoted(value)}")
            self.rules.append((name, value))
        elif kind.name == "function":
            self.functions.append((name, value))
        elif kind.access:
            self._take_view(name, kind, value)
        elif kind.name in ("value", "count"):
            if not isinstance(value, Slot):
                raise self.error(f"{name!r} must be a slot of the step block, received {quoted(value)}")
            self.operands[name] = value
            self.access.append((value, "r"))
        else:
            self._take_scalar(name, kind, value)

    def _take_several(self, name: str, kind: Kind, values: Any) -> None:
        if isinstance(values, (View, Variable, Slot, str)) or not hasattr(values, "__len__"):
            raise self.error(
                f"{name!r} ({kind.name}) takes a sequence, such as a list, received {type(values).__name__} "
                f"{describe(values) if isinstance(values, (View, Variable, Slot)) else quoted(values)}"
            )
        if not len(values) and kind.name in ("reads", "writes") and not self.template.built_in:
            raise self.error(f"{name!r} ({kind.name}) takes at least one view, received an empty sequence")
        self.counts.append((name, len(values)))
        for i, one in enumerate(values):
            self._take(f"{name}_{i}", kind.one, one)

    def _check_rules(self) -> None:
        """Check that users' rules take as many numbers as the template gives them."""
        rules = {name: rule for name, rule in self.rules if not (rule.__module__ or "").startswith("fastnet.")}
        counts = dict(self.counts)
        for name, single, several in self.template.rule_calls if rules else ():
            given = single + sum(counts.get(each, 0) for each in several)
            if name in rules and isinstance(left_out(rules[name], given), str):
                raise self.error(
                    f"it gives its rule {name!r} {given} number{'s' * (given != 1)}, and received "
                    f"{rules[name].__name__}{inspect.signature(rules[name])}"
                )

    def _take_scalar(self, name: str, kind: Kind, value: Any) -> None:
        is_integer = kind.name in ("integer", "size")
        try:
            if isinstance(value, (str, bytes)):
                raise TypeError
            self.operands[name] = value.__index__() if is_integer else float(value)
        except (AttributeError, TypeError, ValueError):
            raise self.error(
                f"{name!r} must be {'an integer' if is_integer else 'a number'}, received {quoted(value)}"
            ) from None
        if kind.name in ("real", "reals"):
            self.reals.append(name)

    def _take_view(self, name: str, kind: Kind, value: Any) -> None:
        if not isinstance(value, (View, Variable, Slot)):
            raise self.error(
                f"{name!r} must be a view, a weight or a slot, received {type(value).__name__} {quoted(value)}"
            )
        dtype = (kind.dtype if kind.dtype == "int64" else "float64") if isinstance(value, Slot) else value.dtype
        if kind.dtype is None:
            self.dtypes[name] = dtype
        elif kind.dtype != dtype:
            raise self.error(f"{name!r} must be {kind.dtype}, received {describe(value)} of {dtype}")
        self.operands[name] = value
        self.access.append((value, kind.access))
        self.views.append((name, value, kind.access))

    def dtype(self, default: str | None) -> str:
        """The common dtype of the views whose kinds do not fix one."""
        found = set(self.dtypes.values())
        if len(found) > 1:
            listed = ", ".join(f"{name} is {dtype}" for name, dtype in self.dtypes.items())
            raise self.error(f"its operands must have one dtype: {listed}")
        dtype = found.pop() if found else default or "float64"
        if not dtype.startswith("float"):
            limits = np.iinfo(dtype)
            for name in self.reals:
                value = self.operands[name]
                if not (limits.min <= value <= limits.max and value.is_integer()):
                    raise self.error(f"{name!r} must be an integer of {dtype}, as its views are, received {value}")
        return dtype

    def kernel(self, template: Any, dtype: str) -> Kernel:
        rules, counts = tuple(self.rules), tuple(self.counts)
        return Kernel(template, rules, dtype, counts, tuple(self.absent), tuple(self.functions))


def launch_of(plan_rows: int, template: Any, operands: Mapping[str, Any], dtype: str | None) -> Launch:
    """The launch of a call.

    Args:
        plan_rows: the largest batch.
        template: the template.
        operands: by the names of its parameters.
        dtype: of the kernel, if no view decides it.
    """
    call = Call(template, operands)
    sizes = _sizes(call)
    kernel = call.kernel(template, call.dtype(dtype))
    try:
        extent = axis_extent(template.axis, sizes)
    except ValueError as error:
        raise call.error(f"its axis {template.axis!r}: {error}") from None
    try:
        cost = max(1, cost_of(template.cost, sizes, plan_rows))
    except (ArithmeticError, TypeError, ValueError) as error:
        raise call.error(f"its cost {template.cost!r}: {error}") from None
    return Launch(kernel, call.operands, call.access, extent, template.grain, cost)


def _sizes(call: Call) -> dict[str, int]:
    """The sizes of a call's dimensions by name; the operands get those and the distances of rows."""
    sizes = {name: v for name, v in call.operands.items() if isinstance(v, int)}
    origins: dict[str, str] = {}
    for name, operand, _ in call.views:
        base = name if name in call.parameters else name.rpartition("_")[0]
        dims = call.parameters[base].dims
        if not dims or isinstance(operand, Slot):
            continue
        try:
            shape, distance = collapsed(operand, len(dims))
        except ValueError as error:
            raise ValueError(f"The template {call.template.name!r}: {name} {describe(operand)}: {error}.") from None
        if len(dims) == 2:
            call.operands[f"{name}_ld"] = distance
        for dim, size in zip(dims, shape):
            if sizes.setdefault(dim, size) != size:
                raise ValueError(
                    f"The template {call.template.name!r}: {name} {describe(operand)} has {as_text(size)} as {dim!r}, "
                    f"but {origins.get(dim, 'the call')} has {as_text(sizes[dim])}."
                )
            origins.setdefault(dim, f"{name} {describe(operand)}")
    for name, kind in call.parameters.items():
        if kind.name == "size":
            if name not in sizes:
                raise call.error(f"the size {name!r} follows from no operand")
            call.operands[name] = sizes[name]
    return sizes


def as_text(size: int) -> str:
    return str(extent_of(size))
