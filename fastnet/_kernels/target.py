"""Targets of numba that end at LLVM IR, without optimisation: fastnet optimises a whole kernel, once (`compile`).

numba's own target optimises each function, then again with all functions that it calls, and makes machine code of all
of them; a kernel does not run any of this code.
"""

from __future__ import annotations

import functools
from typing import Any

from numba.core import (
    codegen,
    compiler,
    compiler_machinery,
    target_extension,
    typed_passes,
    types,
    typing,
    untyped_passes,
)
from numba.core.cpu import CPUContext
from numba.core.datamodel.models import OpaqueModel
from numba.core.datamodel.registry import register_default
from numba.core.registry import CPUDispatcher, CPUTarget

#: What scalar loops need of numba's passes. The others inline closures and overloads (which imports numba's arrays and
#: strings, 5 MB), rewrite expressions of arrays, prune branches, unroll literals, and end the lives of variables, whose
#: memory nobody counts here: a fifth of numba's time.
PASSES = (
    untyped_passes.TranslateByteCode, untyped_passes.FixupArgs, untyped_passes.IRProcessing,
    untyped_passes.ReconstructSSA, typed_passes.NopythonTypeInference, typed_passes.PreLowerStripPhis,
    typed_passes.NoPythonSupportedFeatureValidation, typed_passes.NativeLowering, typed_passes.NoPythonBackend,
)  # fmt: skip
# No fastmath at all: with "contract" LLVM fuses a product and a sum in a vector loop, but not always in its tail. Bits
# would then depend on how threads divide a loop. Where fusing pays, rules say fma(a, b, c).
OPTIONS = {
    "nopython": True,
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "_nrt": False,
    "debug": False,  # whatever NUMBA_DEBUGINFO says: the cache does not tell
}

_PLAIN = (types.Number, types.Boolean, types.CPointer, types.RangeType)
MOST_RULES = 512  # that are kept, of some 50 KB each
_rules: dict[tuple, CPUDispatcher] = {}  # under `compile.lock`


class Library(codegen.JITCodeLibrary):
    """IR of a function and of those it calls."""

    def add_ir_module(self, ir_module: Any) -> None:
        """Takes the IR of a function, whose instructions are then dropped: they are Python objects of 2 KB in reference
        cycles with their blocks, which Python's collections free too late (a first fit then takes 206 MB). Collecting
        them by ourselves took a tenth of the time of a kernel."""
        super().add_ir_module(ir_module)
        for function in ir_module.functions:
            for block in function.blocks:
                block.instructions.clear()

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        """Do nothing: `compile` does this."""

    def _finalize_specific(self) -> None:
        """Do nothing: machine code is not needed."""


class Codegen(codegen.JITCPUCodegen):
    """Makes libraries that are never run."""

    _library_class = Library

    def _add_module(self, module: Any) -> None:
        """Do nothing: the module will not run."""

    def set_env(self, env_name: str, env: Any) -> None:
        """Do nothing: there is no code."""


class Context(CPUContext):
    """Lowers as numba's own context does.

    Attributes:
        global_space: LLVM's number of the address space in which buffers lie.
    """

    global_space = 0

    def init(self) -> None:
        super().init()
        self._internal_codegen = Codegen("fastnet")

    def load_additional_registries(self) -> None:
        """Loads what scalar loops call. numba's own arrays, lists, strings, random numbers and linear algebra (which
        imports scipy) would take 16 MB, and 6 % of a first fit's time."""
        from numba.core import optional  # noqa: F401
        from numba.cpython import builtins, mathimpl, numbers, rangeobj, tupleobj  # noqa: F401

        self.install_registry(mathimpl.registry)

    def post_lowering(self, mod: Any, library: Any) -> None:
        """Do nothing: numba's own context links its runtime, for code that allocates."""


class CUDAContext(Context):
    """The same for NVIDIA GPUs, where a pointer of the global space is read without asking what it points to."""

    global_space = 1


class Remembering(types.Function):
    """A function of numba's that remembers the signatures of its calls with numbers and pointers.

    For each operator, numba's typing and then its lowering try all that is defined under its name, arrays and strings
    among it: a third of numba's time.

    Args:
        templates: numba's, of the function.
        owner: in which it is remembered. Functions that numba compiles itself, such as ``max``, differ between devices.
    """

    def __init__(self, templates: tuple, owner: Typing):
        self._owner = owner
        self._signatures: dict[tuple, Any] = {}
        super().__init__(templates)

    @property
    def key(self) -> tuple:
        return *super().key, self._owner

    def get_call_type(self, context: Any, args: tuple, kws: dict) -> Any:
        if kws or not all(isinstance(arg, _PLAIN) for arg in args):
            return super().get_call_type(context, args, kws)
        if args not in self._signatures:
            self._signatures[args] = super().get_call_type(context, args, kws)
        return self._signatures[args]


register_default(Remembering)(OpaqueModel)


class Typing(typing.Context):
    """numba's types of values, in which functions remember."""

    def __init__(self) -> None:
        self._remembering: dict[types.Function, Remembering] = {}
        super().__init__()

    def resolve_value_type(self, val: Any) -> Any:
        found = super().resolve_value_type(val)
        if type(found) is not types.Function:
            return found
        if found not in self._remembering:
            self._remembering[found] = Remembering(found.templates, self)
        return self._remembering[found]


class Pipeline(compiler.CompilerBase):
    """The passes of scalar loops."""

    def define_pipelines(self) -> list[compiler_machinery.PassManager]:
        passes = compiler_machinery.PassManager("fastnet")
        for one in PASSES:
            passes.add_pass(one, one.__name__)
        passes.finalize()
        return [passes]


def _dispatcher(device: str, context: type[Context]) -> type[CPUDispatcher]:
    """The class of functions compiled for a device, which numba knows as a target of its own."""
    name = f"fastnet_{device}"

    class Descriptor(CPUTarget):
        @functools.cached_property
        def _toplevel_typing_context(self) -> Typing:
            return Typing()

        @functools.cached_property
        def _toplevel_target_context(self) -> Context:
            return context(self.typing_context, self._target_name)

    class Dispatcher(CPUDispatcher):
        targetdescr = Descriptor(name)

    class Target(target_extension.CPU):
        """Use everything that numba has for processors."""

    def overload(**options: Any) -> Any:
        """The decorator numba takes for functions it writes itself, such as `min`."""
        return functools.partial(compiled, device=device, **options)

    target_extension.target_registry[name] = Target
    target_extension.dispatcher_registry[Target] = Dispatcher
    target_extension.jit_registry[Target] = overload
    return Dispatcher


def compiled(function: Any, device: str = "cpu", **options: Any) -> CPUDispatcher:
    """A function for a device."""
    return DISPATCHERS[device](function, locals={}, targetoptions={**OPTIONS, **options}, pipeline_class=Pipeline)


def shared_rule(function: Any, device: str = "cpu") -> CPUDispatcher:
    """A rule for a device, inlined where it is called.

    One that an earlier kernel defined in the same way, with the same global names, is taken from there: half of the
    rules of a kernel are elementary functions, sums in pairs and sizes that others have too.
    """
    code, names = function.__code__, function.__globals__
    key = (
        device, code.co_name, code.co_code, repr(code.co_consts), code.co_names, code.co_varnames,
        function.__defaults__, tuple(names.get(name) for name in code.co_names),
    )  # fmt: skip
    if key not in _rules:
        if len(_rules) >= MOST_RULES:
            del _rules[next(iter(_rules))]
        _rules[key] = compiled(function, device, forceinline=True)
    return _rules[key]


def lowering(device: str) -> Any:
    """A context in which numba compiles for a device."""
    return target_extension.target_override(f"fastnet_{device}")


CONTEXTS = {"cpu": Context, "cuda": CUDAContext}
DISPATCHERS = {device: _dispatcher(device, context) for device, context in CONTEXTS.items()}
GLOBAL_SPACES = {device: context.global_space for device, context in CONTEXTS.items()}
