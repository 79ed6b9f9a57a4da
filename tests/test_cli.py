"""The command `fastnet`."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastnet
from fastnet import cli, pictures

PROGRAM = [sys.executable, "-c", "import sys; from fastnet.cli import main; sys.exit(main())"]


def test_demo(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "a" / "b"
    assert cli.main(["demo", "--seed", "3", "--output", str(folder)]) == 0
    output = capsys.readouterr().out
    assert float(re.search(r"Test accuracy: ([\d.]+)%", output)[1]) >= 97
    assert re.search(r"2,700 training steps in [\d.]+ s: [\d,]+ per second, \d+ µs each", output)
    assert "Total params: 17,226" in output
    for layer in ("input", "dropout", "dense", "adam"):
        assert re.search(rf"^{layer}\w* .*%.*%$", output, re.MULTILINE), layer  # of the step, of the machine
    saved = sorted(path.name for path in folder.iterdir())
    assert saved == ["confusion.png", "digits.fastnet", "digits.png", "learning_curves.png"]
    for name in saved:
        assert str(folder / name) in output
        if name.endswith(".png"):
            assert (folder / name).read_bytes().startswith(b"\x89PNG")
    # The model in the file is the one whose accuracy was told.
    model = fastnet.models.load_model(folder / "digits.fastnet")
    accuracy = model.evaluate(*fastnet.datasets.digits.load_data()[1], verbose=0)[1]
    assert f"Test accuracy: {accuracy:.2%}" in output


@pytest.mark.slow
def test_demo_of_images(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert cli.main(["demo", "--images", "--epochs", "4", "--output", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert float(re.search(r"Test accuracy: ([\d.]+)%", output)[1]) >= 95
    assert f"Multiply-adds of a sample: {64 * 9 * (1 * 32 + 32 * 32) + 16 * 32 * 10:,};" in output
    assert "4 epochs in batches" in output
    assert re.search(r"^conv2d_1 .*%.*%$", output, re.MULTILINE)
    drawn = {f"{name}.png" for name in ("confusion", "digits", "feature_maps", "filters", "learning_curves")}
    assert {path.name for path in tmp_path.iterdir()} == {"digits.fastnet", *drawn}
    model = fastnet.models.load_model(tmp_path / "digits.fastnet")
    accuracy = model.evaluate(*fastnet.datasets.digits.load_data()[1], verbose=0)[1]
    assert f"Test accuracy: {accuracy:.2%}" in output


@pytest.mark.slow
def test_demo_does_as_it_is_told_twice(tmp_path, capsys):
    weights = []
    for name in ("one", "two"):
        assert cli.main(["demo", "--epochs", "1", "--seed", "5", "--output", str(tmp_path / name)]) == 0
        weights.append(fastnet.models.load_model(tmp_path / name / "digits.fastnet").get_weights())
    assert "1 epochs" in capsys.readouterr().out
    for a, b in zip(*weights):
        assert np.array_equal(a, b)


def test_demo_without_matplotlib(tmp_path, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert cli.main(["demo", "--epochs", "1", "--output", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert output.count("No pictures: matplotlib is not installed") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["digits.fastnet"]


def test_demo_where_nothing_can_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert cli.main(["demo", "--output", str(tmp_path / "file")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("fastnet demo: ")
    assert "file" in error and "Traceback" not in error


def test_demo_draws_a_live_line_on_a_terminal(tmp_path):
    pty = pytest.importorskip("pty")
    parent, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    command = [*PROGRAM, "demo", "--epochs", "20", "--output", str(tmp_path)]
    with subprocess.Popen(command, stdout=child, stderr=child, env=environment) as process:
        os.close(child)
        shown = b""
        while True:
            try:
                part = os.read(parent, 65536)
            except OSError:  # Linux's end of file
                break
            if not part:
                break
            shown += part
    os.close(parent)
    assert process.returncode == 0
    assert b"Epoch 20/20" in shown and b"s/step" in shown and b"val_accuracy" in shown


def test_info(capsys):
    assert cli.main(["info"]) == 0
    output = capsys.readouterr().out
    for part in (fastnet.__version__, np.__version__, os.environ["FASTNET_CACHE_DIR"], "llvmlite", "processor"):
        assert part in output
    assert re.search(rf"threads +{fastnet.get_num_threads()}$", output, re.MULTILINE)
    speeds = r"\d+ GF/s of float32 multiply-adds, [\d.]+ GB/s of a \+= 3·b"
    assert re.search(rf"^caches +{speeds} in 64 KiB", output, re.MULTILINE)
    assert re.search(rf"^memory +{speeds} in 128 MiB", output, re.MULTILINE)


def test_info_of_the_device(capsys, monkeypatch):
    monkeypatch.setattr("fastnet.engine.machine_peak.measure", lambda *arguments: "")
    for device, line in (("auto", "auto"), ("gpu", "FASTNET_DEVICE: the device must be .*, received 'gpu'.")):
        monkeypatch.setenv("FASTNET_DEVICE", device)
        assert cli.main(["info"]) == 0
        assert re.search(f"^device +{line}$", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.smoke
def test_version(capsys):
    with pytest.raises(SystemExit) as exit:
        cli.main(["--version"])
    assert exit.value.code == 0
    assert capsys.readouterr().out == f"fastnet {fastnet.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "command"),
        (["dance"], "dance"),
        (["demo", "--epochs", "0"], "at least 1"),
        (["demo", "--epochs", "-3"], "-3"),
        (["demo", "--epochs", "many"], "many"),
        (["demo", "--seed", "1.5"], "1.5"),
        (["info", "--loud"], "--loud"),
    ],
)
def test_wrong_command_lines(arguments, part, capsys):
    with pytest.raises(SystemExit) as exit:
        cli.main(arguments)
    assert exit.value.code == 2
    assert part in capsys.readouterr().err


def test_a_wrong_number_of_threads_is_told(tmp_path):
    environment = {**os.environ, "FASTNET_NUM_THREADS": "lots"}
    done = subprocess.run([*PROGRAM, "info"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("fastnet info: ") and "FASTNET_NUM_THREADS" in done.stderr


def test_bench_runs_the_checkout_it_stands_in(tmp_path, monkeypatch, capfd):
    (tmp_path / "bench").mkdir()
    (tmp_path / "fastnet").mkdir()
    (tmp_path / "bench" / "__init__.py").write_text("")
    (tmp_path / "bench" / "__main__.py").write_text("import sys; print(sys.argv[1:]); sys.exit(7)")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["bench", "dense", "--quick"]) == 7
    assert capfd.readouterr().out == "['dense', '--quick']\n"


def test_bench_speaks_of_itself_as_it_was_called(monkeypatch, capfd):
    root = Path(__file__).resolve().parents[1]
    if not (root / "bench" / "__main__.py").exists():
        pytest.skip("needs a checkout")
    monkeypatch.chdir(root)
    assert cli.main(["bench", "nosuch"]) == 2
    error = capfd.readouterr().err
    assert error.startswith("usage: fastnet bench ") and "nosuch" in error and "dense" in error


def test_bench_of_an_installed_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fastnet, "__file__", str(tmp_path / "fastnet" / "__init__.py"))
    commands = []
    monkeypatch.setattr(subprocess, "call", commands.append)
    cli.main(["bench", "--quick"])
    assert commands == [[sys.executable, "-m", "fastnet._bench", "--quick"]]


@pytest.mark.smoke
def test_the_benchmarks_are_installed(tmp_path):
    """In a wheel; a checkout has them at the top."""
    root = Path(fastnet.__file__).resolve().parents[1]
    name = "bench" if (root / "bench").is_dir() else "fastnet._bench"
    command = [sys.executable, "-m", name, "--help"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0 and "--quick" in done.stdout, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals work otherwise there")
def test_ctrl_c(tmp_path):
    command = [*PROGRAM, "demo", "--epochs", "1000000", "--output", str(tmp_path / "results")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if "epochs in batches" in line:
                break
            assert process.poll() is None
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=120)
    assert process.returncode == cli.INTERRUPTED == 130
    assert error.strip() == "fastnet demo: stopped."


def test_learning_curves_of_a_single_epoch(tmp_path):
    pytest.importorskip("matplotlib")
    path = pictures.learning_curves({"loss": [1.0]}, tmp_path / "curves.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    right = pictures.labelled_images(
        np.zeros((3, 8, 8)), np.arange(3), np.array([0, 1, 1]), [2, 0], tmp_path / "images.png"
    )
    assert right.stat().st_size > 1000
