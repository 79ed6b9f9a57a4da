"""What the README and the examples show runs, and does what it says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
if not (ROOT / "README.md").exists():
    pytest.skip("needs a checkout", allow_module_level=True)

SHARED = ROOT.parent / "shared" / "data"
TEXT = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.+?)^```$", TEXT, re.MULTILINE | re.DOTALL)
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
# Arguments of examples, for a part of their time, and the least shares that they print; others run without, to 94 %.
SMALL = {
    "mnist": ["1"],
    "digits_cnn": ["5"],
    "denoising": ["8"],
    "transfer": ["10"],
    "resnet20": ["3", "1"],
    "vgg": ["3", "8"],
}
LEAST = {"denoising": 0.7, "transfer": 0.92, "resnet20": 0.85, "vgg": 0.9}
SLOW = ("resnet20", "vgg", "denoising", "own_optimizer")


def with_peers(program):
    """A program, a path or its text, as a parameter: a test with the peers, or a slow one, where it is one."""
    text = program if isinstance(program, str) else program.read_text("utf-8")
    marks = [pytest.mark.peers] if "sklearn" in text else []
    if isinstance(program, Path) and program.stem in SLOW:
        marks.append(pytest.mark.slow)
    return pytest.param(program, marks=marks)


def run(program, folder, *arguments):
    """Run a program as a user would; what it printed. Skipped where it needs MNIST and that is not at hand."""
    data = Path(os.environ.get("FASTNET_DATA") or SHARED)
    if "mnist" in program.read_text("utf-8") and not (data / "mnist").is_dir():
        pytest.skip("needs MNIST: set FASTNET_DATA to the folder that holds mnist/")
    environment = {**os.environ, "FASTNET_DATA": str(data), "PYTHONWARNINGS": "error"}
    command = [sys.executable, str(program), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("block", [*map(with_peers, BLOCKS)], ids=range(len(BLOCKS)))
def test_blocks(block, tmp_path):
    program = tmp_path / "block.py"  # a file: the source of a registered rule is read
    evaluation = re.search(r"^print\(model.evaluate\(.+\)\)  # .*about (\d+) %$", block, re.MULTILINE)
    if evaluation:
        block = block.replace("epochs=5,", "epochs=2,")  # enough for what is asserted, and half the time
    program.write_text(block, "utf-8")
    output = run(program, tmp_path)
    if evaluation:
        accuracy = re.search(r"^\[.*, ([\d.]+)\]$", output, re.MULTILINE)
        assert float(accuracy[1]) > int(evaluation[1]) / 100 - 0.02


def test_there_are_blocks_to_run():
    for part in ("model.fit(", "# [loss, accuracy]: about"):
        assert sum(part in block for block in BLOCKS) == 2
    assert any("register_" in block for block in BLOCKS)


@pytest.mark.parametrize("example", [*map(with_peers, EXAMPLES)], ids=lambda path: path.stem)
def test_examples(example, tmp_path):
    output = run(example, tmp_path, *SMALL.get(example.stem, []))
    if example.stem == "dqn":
        lasted = re.search(r"lasted (\d+) of 200 steps", output)
        assert int(lasted[1]) > 80  # random actions: 22
        return
    printed = re.findall(r"([\d.]+)% of the (?:test digits|rows|noise)", output)
    accuracies = [float(each) / 100 for each in printed] or [float(re.search(r"'accuracy': ([\d.]+)", output)[1])]
    assert len(accuracies) == {"own_optimizer": 2, "tabular": 2}.get(example.stem, 1)  # LARS and SAM; beside a peer
    assert min(accuracies) > LEAST.get(example.stem, 0.94)


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks(notebook, tmp_path):
    pytest.importorskip("matplotlib")
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in cells), "clear the outputs: they go stale"
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    program = tmp_path / "notebook.py"
    # enough for what is asserted, in a tenth of the time
    program.write_text(re.sub(r"^EPOCHS, SEEDS = .*$", "EPOCHS, SEEDS = 3, (0,)", code, flags=re.MULTILINE), "utf-8")
    output = run(program, tmp_path)
    accuracies = [float(found) for found in re.findall(r"([\d.]+)%", output)]
    assert len(accuracies) == 8 and min(accuracies) > 90
    assert re.search(r"with a cosine: 0\.\d+", output)


def test_every_example_is_listed():
    assert EXAMPLES and NOTEBOOKS
    listed = re.findall(r"\[(\w+\.(?:py|ipynb))\]", (ROOT / "examples" / "README.md").read_text("utf-8"))
    assert sorted(listed) == sorted(path.name for path in (*EXAMPLES, *NOTEBOOKS))


def test_the_place_of_the_speed_table():
    begin, end = TEXT.index("<!-- speed:begin -->"), TEXT.index("<!-- speed:end -->")
    assert TEXT[begin:end].count("\n") > 1


def test_limits_name_no_layer_that_is_there():
    from fastnet import layers

    listed = re.search(r"Layers: (.+?)\.", TEXT, re.DOTALL)[1]
    short = {name.strip() for name in listed.replace("\n", " ").split(",")}
    names = {one for name in short for one in (name, *(name.replace("1D/2D/3D", f"{n}D") for n in (1, 2, 3)))}
    names = {name for name in names if "/" not in name}
    public = {name for name, item in vars(layers).items() if name[0].isupper() and item.__name__ == name}
    assert names == public - {"InputLayer", "Layer"}
