"""What all tests share: a kernel cache of their own, a fixed seed, MNIST where it is at hand."""

import http.server
import os
import signal
import tempfile
import threading
from pathlib import Path

import pytest

# Set here and not in a fixture: a module of tests may compile something while it is imported.  One folder for the whole
# session, so each kernel is compiled once; FASTNET_TEST_CACHE keeps it for the next session.
_temporary = None
if "FASTNET_TEST_CACHE" in os.environ:
    os.environ["FASTNET_CACHE_DIR"] = os.environ["FASTNET_TEST_CACHE"]
elif "PYTEST_XDIST_WORKER" not in os.environ:  # workers share the folder of the process that started them
    _temporary = tempfile.TemporaryDirectory(prefix="fastnet-tests-", ignore_cleanup_errors=True)
    os.environ["FASTNET_CACHE_DIR"] = _temporary.name

# A shell that starts the tests in the background has Ctrl-C ignored, by us and by all that we start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Keras reads it when it is first imported; PyTorch's backend would do, TensorFlow is not among the peers.
os.environ.setdefault("KERAS_BACKEND", "jax")

# The only server tests talk to is their own.
os.environ["NO_PROXY"] = "127.0.0.1"

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_unconfigure(config):
    if _temporary is not None:
        _temporary.cleanup()


@pytest.hookimpl(trylast=True)  # behind -m
def pytest_collection_modifyitems(config, items):
    """Where there is no GPU, one test of it says so for all."""
    from fastnet.engine.cuda import current

    _, *others = [item for item in items if item.get_closest_marker("gpu")] or [None]
    if others and not current.is_there():
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in set(others)]


@pytest.fixture(autouse=True)
def seed():
    """Every test draws the same seeds, alone or among others."""
    from fastnet import random

    random.set_seed(20240917)


@pytest.fixture
def no_thread_is_left():
    """Fails the test behind which a thread of a feed is still there."""
    yield
    assert not [t for t in threading.enumerate() if t.name.startswith(("fastnet-feed", "fastnet-worker"))]


@pytest.fixture(scope="session")
def mnist():
    """``(x_train, y_train), (x_test, y_test)`` of MNIST; the test is skipped where FASTNET_DATA has none."""
    from fastnet.datasets import mnist

    folder = Path(os.environ.get("FASTNET_DATA") or _SHARED) / "mnist"
    if not folder.is_dir():
        pytest.skip("needs MNIST: set FASTNET_DATA to the folder that holds mnist/")
    return mnist.load_data(folder)


@pytest.fixture(params=["one by one", "ahead"])
def pulled(request, monkeypatch):
    """Batches come as they are asked for; or a thread pulls them from the second one on, several for a part."""
    if request.param == "ahead":
        monkeypatch.setattr("fastnet.training.streams._PULL_FRACTION", -1.0)
        monkeypatch.setattr("fastnet.training.streams._WINDOW", 1)
    return request.param


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """What comes out of a training of `trainings.run` that nothing disturbs, and its CSV file."""
    from .trainings import run

    folder = tmp_path_factory.mktemp("whole") / "run"
    return run(folder), (folder.parent / "run.csv").read_text()


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    """An empty cache folder and no FASTNET_DATA; the folder."""
    monkeypatch.delenv("FASTNET_DATA", raising=False)
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path))
    return tmp_path


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {}  # path -> bytes
        self.cut = None  # send only this many bytes
        self.requests = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.requests.append(self.path)
        data = server.files.get(self.path)
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: server.cut])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    """A web server on this machine: ``files`` maps paths to what it serves, ``cut`` ends an answer early."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
