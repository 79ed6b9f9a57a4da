"""The examples in docstrings run, and show what they say."""

import ast
import doctest
import importlib
import inspect
import os
from pathlib import Path

import numpy as np
import pytest

import fastnet
from fastnet._kernels import registry

PACKAGE = Path(fastnet.__file__).parent
# What an example may use without importing it: fastnet, np, and the public modules by their names.
PUBLIC = (
    "activations callbacks config constraints datasets extend initializers layers losses metrics models ops "
    "optimizers random regularizers saving testing utils"
).split()
SOURCES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
MODULES = [name for name, path in SOURCES.items() if ">>> " in path.read_text("utf-8")]
# Not for users, or never made by them.
INSIDE = set(
    "CallbackList Cast DenseGradient DownloadError GatedActivation Gradient KernelError Kind LossMetric MeanOfRows "
    "NonFiniteError Report RowActivation RuleError SavedFileError Slot Template Variable bind check_dtype fans "
    "listed loss_weight named of_one_output output_shape relu_with".split()
)
DATA = Path(os.environ.get("FASTNET_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


def peers(parameter):
    """A parameter for a test that needs scikit-learn."""
    return pytest.param(parameter, marks=pytest.mark.peers)


@pytest.fixture
def as_before(tmp_path, monkeypatch):
    """Files go to a folder of the test; threads, default dtype and registered rows are afterwards as they were."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTNET_DATA", str(DATA))
    fastnet.utils.clear_session()  # names are counted from the beginning
    threads, dtype = fastnet.get_num_threads(), fastnet.config.floatx()
    tables = [registry.activations, registry.losses, registry.updates]
    rows = [dict(table) for table in tables]
    yield
    fastnet.set_num_threads(threads)
    fastnet.config.set_floatx(dtype)
    for table, before in zip(tables, rows):
        table.clear()
        table.update(before)


def failures(module):
    """What its examples print other than shown; the number of examples."""
    names = {"fastnet": fastnet, "np": np} | {name: getattr(fastnet, name) for name in PUBLIC}
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    shown = []
    for case in doctest.DocTestFinder().find(module, globs=names):
        runner.run(case, out=shown.append)
    return "".join(shown), runner.tries


#: modules whose examples compile kernels for seconds
SLOW = {
    "fastnet.losses.loss_functions", "fastnet.losses.classes", "fastnet.losses.overlap", "fastnet.metrics.means",
    "fastnet.metrics.scores", "fastnet.layers.global_pooling", "fastnet.layers.resizing", "fastnet.layers.random_blur",
    "fastnet.testing.kernel_checks", "fastnet.testing.optimizer_checks",
}  # fmt: skip


def marked(name):
    """A module as a parameter with its mark."""
    if name in SLOW:
        return pytest.param(name, marks=pytest.mark.slow)
    return peers(name) if name.startswith("fastnet.wrappers.") else name


@pytest.mark.parametrize("name", [marked(name) for name in MODULES])
def test_examples(name, as_before):
    if name.startswith("fastnet.datasets.") and "mnist" in name and not (DATA / name.split(".")[-1]).is_dir():
        pytest.skip("needs the data set in the folder FASTNET_DATA")
    shown, tries = failures(importlib.import_module(name))
    assert not shown, shown
    assert tries


def test_no_example_is_left_out():
    assert len(MODULES) > 40
    skipped = [name for name in MODULES if "doctest:" in SOURCES[name].read_text("utf-8")]
    assert not skipped


def public(module):
    """Names that a module defines, imports as such (``X as X``), or takes from rows and from the modules below it."""
    for node in ast.parse(SOURCES[module.__name__].read_text("utf-8")).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield node.name
        elif isinstance(node, ast.ImportFrom):
            yield from (each.name for each in node.names if each.asname == each.name)
    below = f"{module.__name__}." if module is not fastnet else "-"
    yield from (name for name, item in vars(module).items() if str(getattr(item, "__module__", "")).startswith(below))


@pytest.mark.parametrize("module", ["", *PUBLIC, "optimizers.schedules", peers("wrappers")])
def test_what_is_public_has_an_example(module):
    name = f"fastnet.{module}".rstrip(".")
    missing = []
    for each in public(importlib.import_module(name)):
        found = getattr(importlib.import_module(name), each)
        if each[0] == "_" or each in INSIDE or not (inspect.isclass(found) or inspect.isfunction(found)):
            continue
        if ">>> " not in (vars(found)["__doc__"] if inspect.isclass(found) else found.__doc__):
            missing.append(each)
    assert not missing
