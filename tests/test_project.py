"""The package as it is installed, and the promises of the files around it."""

import importlib.metadata
import importlib.resources
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def checkout():
    """The repository's root; the test is skipped where the tests stand alone."""
    if not (ROOT / ".ci" / "run").exists():
        pytest.skip("needs a checkout")
    return ROOT


# ---- the installed package


@pytest.mark.smoke
def test_import_is_light():
    code = "import sys, fastnet, fastnet.datasets, fastnet.callbacks; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"numba", "llvmlite", "rich", "matplotlib", "IPython", "scipy", "sklearn"}
    assert heavy.isdisjoint(modules)


@pytest.mark.smoke
def test_wrappers_without_scikit_learn():
    code = "import sys; sys.modules['sklearn'] = None\nimport fastnet\nfastnet.wrappers"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert re.search(
        r"ModuleNotFoundError: fastnet.wrappers needs scikit-learn .*pip install 'fastnet\[sklearn\]'", done.stderr
    )


@pytest.mark.smoke
def test_import_beside_a_folder_of_the_same_name(tmp_path):
    """Where a clone called fastnet lies, that folder is no namespace package in its place."""
    (tmp_path / "fastnet" / "fastnet").mkdir(parents=True)
    code = "import fastnet; print(fastnet.__version__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", done.stdout), done.stderr


@pytest.mark.smoke
def test_sources_of_kernels_and_data_are_installed():
    package = importlib.resources.files("fastnet")
    for folder in ("rules", "templates", "cpu"):
        sources = [f for f in (package / "_kernels" / folder).iterdir() if f.name.endswith(".py")]
        assert sum(len(f.read_text("utf-8")) for f in sources) > 1000, folder
    assert (package / "datasets" / "digits.npz").is_file()
    assert "CC BY 4.0" in (package / "datasets" / "digits.LICENSE.txt").read_text("utf-8")


@pytest.mark.smoke
def test_version_and_licences():
    import fastnet

    about = importlib.metadata.metadata("fastnet")
    assert fastnet.__version__ == about["Version"]
    assert about["License-Expression"] == "MIT AND CC-BY-4.0"
    files = [str(f) for f in importlib.metadata.files("fastnet") or []]
    assert sum("LICENSE" in f for f in files) >= 2


@pytest.mark.smoke
def test_command_is_installed():
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="fastnet")
    assert callable(entry.load())


@pytest.mark.smoke
def test_digits_are_learned():
    import fastnet
    from fastnet import layers

    (x, y), (x_test, y_test) = fastnet.datasets.digits.load_data()
    model = fastnet.Sequential(
        [
            layers.Input((8, 8)),
            layers.Rescaling(1 / 16),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ]
    )
    loss = fastnet.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=fastnet.optimizers.Adam(1e-2), loss=loss, metrics=["accuracy"])
    history = model.fit(x, y, epochs=20, batch_size=32, verbose=0)
    assert len(history.history["loss"]) == 20
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    # scikit-learn's MLPClassifier of this size reaches 0.97 on this split.
    assert accuracy > 0.93


# ---- the files around it


def readme_commands(root):
    text = (root / "README.md").read_text("utf-8")
    return re.findall(r"^<!-- command: (\w+) -->\n+```bash\n(.+?)\n```$", text, re.MULTILINE | re.DOTALL)


def test_readme_has_its_two_commands(checkout):
    commands = dict(readme_commands(checkout))
    assert set(commands) == {"demo", "tests"}
    for command in commands.values():
        assert len(command.splitlines()) == 1
        assert "venv" in command
    assert "fastnet demo" in commands["demo"]
    assert "[test]" in commands["tests"]
    assert "pytest" in commands["tests"]


def test_links_lead_somewhere(checkout):
    documents = [*checkout.glob("*.md"), *(checkout / "docs").glob("*.md")]
    assert documents
    for document in documents:
        for link in re.findall(r"\]\((?!https?://|#)([^)#\s]+)", document.read_text("utf-8")):
            assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_paths_in_contributing_exist(checkout):
    text = (checkout / "CONTRIBUTING.md").read_text("utf-8")
    assert len(text.splitlines()) < 60
    for path in re.findall(r"`((?:fastnet|docs|tests|bench)/[\w/.]*)`", text):
        assert (checkout / path).exists(), path


def test_tested_versions_of_python(checkout):
    """Those of docs/production.md are those of the workflow."""
    workflow = (checkout / ".github" / "workflows" / "tests.yml").read_text("utf-8")
    pythons = [int(version) for version in re.findall(r'"3\.(\d+)"', workflow)]
    claimed = re.search(
        r"tested on Python 3\.(\d+) to 3\.(\d+)", (checkout / "docs" / "production.md").read_text("utf-8")
    )
    least = re.search(r'requires-python = ">=3\.(\d+)"', (checkout / "pyproject.toml").read_text("utf-8"))
    assert [int(each) for each in claimed.groups()] == [min(pythons), max(pythons)]
    assert int(least[1]) == min(pythons)


def test_changelog_has_the_version(checkout):
    headings = re.findall(r"^## \[(.+?)\]", (checkout / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased" or re.fullmatch(r"\d+\.\d+\.\d+", headings[0])
    assert len(headings) == len(set(headings))


@pytest.mark.skipif(sys.platform == "win32", reason="no executable bit, no bash")
def test_ci_script_can_run(checkout):
    script = checkout / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_design_names_every_module(checkout):
    """docs/design.md's table of modules names files and folders that exist, each once, and together all modules."""
    text = (checkout / "docs" / "design.md").read_text("utf-8")
    table = text[text.index("| module | contents |") : text.index("Imports point one way")]
    package, named = checkout / "fastnet", []
    for cell in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE):
        folder = package
        for name in re.findall(r"`(.+?)`", cell):
            found = [*(package if "/" in name.rstrip("/") else folder).glob(name.rstrip("/"))]
            assert found, f"{name} in the row {cell}"
            folder = found[0].parent
            named += found
    assert sorted(named) == sorted(set(named))
    modules = [file for kind in ("*.py", "*.pyx", "*.pxi", "*.h") for file in package.rglob(kind)]
    assert [
        str(file.relative_to(package))
        for file in modules
        if file.name != "__init__.py" and not {file, *file.parents}.intersection(named)
    ] == []
