"""The list of Keras's public names in docs/keras.md: `python -m tests.keras_names` writes it, from the Keras installed.

A name is there, planned, or left out; what is not there has the reason of `fastnet.absent`, its own or that of the
module in which it lies.
"""

import importlib
import inspect
import re
from pathlib import Path

from fastnet import absent

PAGE = Path(__file__).parents[1] / "docs" / "keras.md"
HEADING = "## Every name of Keras\n"


def public(module, prefix=""):
    """The public names of a module of Keras and of its modules, with dots."""
    names = []
    for name, item in sorted(vars(module).items()):
        if name.startswith("_") or (inspect.ismodule(item) and ".src" in item.__name__):
            continue
        names += public(item, f"{prefix}{name}.") if inspect.ismodule(item) else [prefix + name]
    return names


def reason(name):
    """Why fastnet lacks a name of Keras; None where it has it."""
    module, item = "fastnet", importlib.import_module("fastnet")
    for part in name.split("."):
        if not hasattr(item, part):
            known = absent.ABSENT.get(module, {})
            return known.get(part, f"NO REASON in fastnet.absent: {module}.{part}")
        module, item = f"{module}.{part}", getattr(item, part)
    return None


def word(sentence):
    """The word of a reason."""
    if sentence is None:
        return "there"
    return "planned" if sentence.startswith(absent.PLANNED) else "left out"


def section(names):
    """The section of the page with a table of these names."""
    lines = {}
    for name in names:
        module, _, last = name.rpartition(".")
        sentence = reason(name)
        lines.setdefault((module, word(sentence), sentence or ""), []).append(last)
    table = [
        f"| {module} | {kind} | `{' '.join(found)}` | {sentence.removeprefix('planned: ')} |"
        for (module, kind, sentence), found in lines.items()
    ]
    return "\n".join(
        [
            HEADING,
            "Each public name of Keras 3.15.1 is there, planned, or left out. `tests/keras_names.py` writes this list,",
            "and the tests compare it with Keras and with fastnet.",
            "",
            "| module | | names | why |",
            "|---|---|---|---|",
            *table,
            "",
        ]
    )


def listed(text):
    """name → (word, reason) of the page's table."""
    found = {}
    for line in text.split(HEADING)[1].splitlines():
        cells = re.fullmatch(r"\| ([\w.]*) ?\| (there|planned|left out) \| `([\w ]+)` \| (.*) ?\|", line)
        for name in cells[3].split() if cells else ():
            found[f"{cells[1]}.{name}".lstrip(".")] = (cells[2], cells[4].strip())
    return found


if __name__ == "__main__":
    import keras

    text = PAGE.read_text("utf-8").split(HEADING)[0].rstrip()
    PAGE.write_text(f"{text}\n\n{section(public(keras))}", "utf-8")
