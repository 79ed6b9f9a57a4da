"""docs/keras.md is run, block by block, and its lists are those of the code."""

import importlib
import importlib.util
import inspect
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnet
from fastnet.absent import ABSENT
from fastnet.refused import REFUSED, REFUSED_OF_LAYERS

from . import keras_names

PATH = Path(__file__).parents[1] / "docs" / "keras.md"
if not PATH.exists():
    pytest.skip("needs a checkout", allow_module_level=True)
PAGE = PATH.read_text(encoding="utf-8")


def section(title):
    return re.split(r"^## ", PAGE.split(f"\n## {title}\n")[1], flags=re.MULTILINE)[0]


def rows(title):
    """The cells of the first table of a section."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_block_runs(capsys):
    namespace = {"__name__": "page"}  # a class without one is taken for Python's own
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for k, text in enumerate(blocks):
        exec(compile(text, f"<docs/keras.md:{k}>", "exec"), namespace)
    assert len(blocks) == 7
    assert "has no predict_step: a step is compiled" in capsys.readouterr().out


def test_the_page_lists_what_is_refused():
    assert {name.strip("`"): sentence for name, sentence in rows("Refused")} == REFUSED


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_not_there(name):
    model = fastnet.Sequential([fastnet.layers.Input((2,)), fastnet.layers.Dense(1)])
    with pytest.raises(AttributeError) as caught:
        getattr(model, name)
    assert REFUSED[name] in str(caught.value) and name in str(caught.value)
    with pytest.raises(AttributeError, match="'Sequential' object has no attribute 'fitt'"):
        getattr(model, "fitt")  # noqa: B009


def test_what_is_accepted_is_an_argument():
    """`name(argument=)` of the first table exists where it says."""
    calls = re.findall(r"`([\w.]+)\(([^`)]*)\)`", " ".join(row[0] for row in rows("Accepted, without effect")))
    assert len(calls) >= 8
    for name, arguments in calls:
        target = fastnet.Sequential if name in ("compile", "fit") else fastnet
        for part in name.split("."):
            target = getattr(target, part)
        parameters = inspect.signature(target).parameters
        for argument in re.findall(r"(\w+)=", arguments):
            assert argument in parameters, (name, argument)


@pytest.mark.parametrize("name", REFUSED_OF_LAYERS)
def test_layers_point_to_a_part_of_the_model(name):
    layer = fastnet.layers.Dense(1)
    assert not hasattr(layer, name)
    with pytest.raises(AttributeError, match=rf"fastnet's Dense has no {name}: .*Sequential\(model.layers\[:k\]\)"):
        getattr(layer, name)
    with pytest.raises(TypeError, match="applies other layers: call compute_mask"):
        fastnet.Sequential([layer]).compute_mask(np.ones((2, 3)), None)


def test_the_page_has_every_name_where_it_is():
    """A name is in fastnet where the page says "there", else it has the reason that the page gives."""
    listed = keras_names.listed(PAGE)
    assert len(listed) > 1400
    for name, (word, reason) in listed.items():
        if name.startswith("wrappers.") and importlib.util.find_spec("sklearn") is None:
            continue
        found = keras_names.reason(name)
        assert keras_names.word(found) == word, (name, found)
        assert (found or "").removeprefix("planned: ") == reason, name
    reasons = {f"{module}.{name}".removeprefix("fastnet.") for module, names in ABSENT.items() for name in names}
    top = {".".join(name.split(".")[:k]) for name in listed for k in range(1, name.count(".") + 2)}
    assert reasons <= top


@pytest.mark.parametrize("module", ABSENT)
def test_absent_names_are_not_there(module):
    assert set(ABSENT[module]) & set(vars(importlib.import_module(module))) == set()


@pytest.mark.parametrize(
    ("statement", "module", "name"),
    [
        ("from fastnet import applications", "fastnet", "applications"),
        ("from fastnet import Model", "fastnet", "Model"),
        ("from fastnet import backend", "fastnet", "backend"),
        ("from fastnet.ops import fft", "fastnet.ops", "fft"),
        ("import fastnet.applications.vgg16", "fastnet", "applications"),
        ("from fastnet.layers import Dense, Attention", "fastnet.layers", "Attention"),
        ("from fastnet.layers import concatenate", "fastnet.layers", "concatenate"),
        ("from fastnet.models import Model", "fastnet.models", "Model"),
        ("from fastnet.config import set_backend", "fastnet.config", "set_backend"),
        ("from fastnet.datasets import imdb", "fastnet.datasets", "imdb"),
        ("from fastnet.utils import model_to_dot", "fastnet.utils", "model_to_dot"),
    ],
)
def test_imports_that_fail_give_the_reason(statement, module, name):
    sentence = f"{module} has no {name}: {ABSENT[module][name]}."
    with pytest.raises(ImportError) as caught:
        exec(statement)
    assert str(caught.value) == sentence
    assert not hasattr(importlib.import_module(module), name)
    with pytest.raises(AttributeError) as caught:
        getattr(importlib.import_module(module), name)
    assert str(caught.value).startswith(sentence)  # and near operations


def test_other_imports_fail_as_ever():
    for statement in (
        "from fastnet import opps",
        "from fastnet.layers import Conv",
        "from fastnet.models import Models",
    ):
        with pytest.raises(ImportError, match="cannot import name"):
            exec(statement)
    with pytest.raises(ModuleNotFoundError, match="No module named 'fastnet.opps'"):
        importlib.import_module("fastnet.opps")
    assert importlib.util.find_spec("fastnet.opps") is None
    assert len([finder for finder in sys.meta_path if type(finder).__module__ == "fastnet.absent"]) == 1


def test_classes_at_the_top():
    assert fastnet.Layer is fastnet.layers.Layer and fastnet.Optimizer is fastnet.optimizers.Optimizer
    assert fastnet.Loss is fastnet.losses.Loss and fastnet.Metric is fastnet.metrics.Metric
    assert fastnet.Initializer is fastnet.initializers.Initializer
    assert fastnet.Regularizer is fastnet.regularizers.Regularizer
    model = fastnet.Sequential([fastnet.layers.Input((2,)), fastnet.layers.Dense(1)])
    assert all(isinstance(weight, fastnet.Variable) for weight in model.weights)
    assert fastnet.version() == fastnet.__version__


@pytest.mark.peers
def test_what_is_refused_is_keras():
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    assert set(REFUSED) <= set(dir(model))  # some are made by the constructor or by compile
