"""docs/keras.md is run, block by block, and its lists are those of the code."""

import inspect
import re
from pathlib import Path

import pytest

import fastnet
from fastnet.refused import REFUSED

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
    namespace = {}
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for k, text in enumerate(blocks):
        exec(compile(text, f"<docs/keras.md:{k}>", "exec"), namespace)
    assert len(blocks) == 4
    assert "has no train_step: a step is compiled" in capsys.readouterr().out


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


@pytest.mark.peers
def test_what_is_refused_is_keras():
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    assert set(REFUSED) <= set(dir(model))  # some are made by the constructor or by compile
