"""Downloads of data sets, from a server on this machine."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from fastnet import datasets
from fastnet.datasets import _download

DATA = bytes(range(256)) * 3000  # several reads
SUM = hashlib.sha256(DATA).hexdigest()


def fetch(urls, target, sha256=SUM):
    _download.download(urls, target, sha256, hint="put the files into FASTNET_DATA/mnist/")


def test_download(server, tmp_path):
    server.files["/f.gz"] = DATA
    target = tmp_path / "new" / "folder" / "f.gz"
    fetch([server.url + "f.gz"], target)
    assert target.read_bytes() == DATA
    assert [f.name for f in target.parent.iterdir()] == ["f.gz"]


@pytest.mark.parametrize(
    ("served", "cut", "reason"),
    [
        (None, None, "404"),
        (DATA, 1000, f"cut short: 1000 of {len(DATA)} bytes came"),
        (DATA, 0, f"cut short: 0 of {len(DATA)} bytes came"),
        (DATA[:-1] + b"x", None, f"wrong checksum: SHA-256 {SUM} expected, "),
        (b"", None, f"{hashlib.sha256(b'').hexdigest()} received"),
    ],
)
def test_download_fails(server, tmp_path, served, cut, reason):
    if served is not None:
        server.files["/f.gz"] = served
    server.cut = cut
    with pytest.raises(datasets.DownloadError) as caught:
        fetch([server.url + "f.gz"], tmp_path / "f.gz")
    for part in ("f.gz could not be downloaded", server.url + "f.gz", reason, "FASTNET_DATA/mnist/"):
        assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_download_goes_on_to_the_next_mirror(server, tmp_path):
    server.files["/bad/f.gz"] = DATA + b"longer than the right one"
    server.files["/good/f.gz"] = DATA
    fetch([server.url + "none/f.gz", server.url + "bad/f.gz", server.url + "good/f.gz"], tmp_path / "f.gz")
    assert (tmp_path / "f.gz").read_bytes() == DATA
    assert server.requests == ["/none/f.gz", "/bad/f.gz", "/good/f.gz"]


def test_download_without_network(tmp_path):
    with socket.socket() as closed:  # a port where nobody listens
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/f.gz"
        with pytest.raises(datasets.DownloadError) as caught:
            fetch([url], tmp_path / "f.gz")
    assert url in str(caught.value)
    assert "Without a network, put the files into FASTNET_DATA/mnist/" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_download_times_out(tmp_path, monkeypatch):
    monkeypatch.setattr(_download, "_TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and says nothing
        with pytest.raises(datasets.DownloadError, match="timed out"):
            fetch([f"http://127.0.0.1:{silent.getsockname()[1]}/f.gz"], tmp_path / "f.gz")
    assert list(tmp_path.iterdir()) == []


def test_download_to_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(datasets.DownloadError, match="Set FASTNET_CACHE_DIR to a folder of yours"):
        fetch(["http://127.0.0.1:1/f.gz"], tmp_path / "file" / "f.gz")


def test_download_interrupted(server, tmp_path, monkeypatch):
    server.files["/f.gz"] = DATA

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(_download.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch([server.url + "f.gz"], tmp_path / "f.gz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_download_killed(server, tmp_path):
    """A process killed in the middle leaves nothing under the final name, and its remains go in time."""
    code = f"""
import sys
from pathlib import Path
import fastnet.datasets._download as d
d._CHUNK = 1024
class Slow:
    def __init__(self, answer): self.answer = answer; self.headers = answer.headers; self.count = 0
    def __enter__(self): return self
    def __exit__(self, *a): self.answer.close()
    def read(self, n):
        self.count += 1
        if self.count == 3:
            print("halfway", flush=True)
            sys.stdin.read()
        return self.answer.read(n)
import urllib.request
real = urllib.request.urlopen
urllib.request.urlopen = lambda *a, **k: Slow(real(*a, **k))
d.download(["{server.url}f.gz"], Path({str(tmp_path / "f.gz")!r}), "{SUM}", hint="")
"""
    server.files["/f.gz"] = DATA
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes, text=True) as process:
        assert process.stdout.readline() == "halfway\n"
        process.send_signal(signal.SIGKILL)
    left = list(tmp_path.iterdir())
    assert [f.suffix for f in left] == [".part"]
    fetch([server.url + "f.gz"], tmp_path / "f.gz")
    assert (tmp_path / "f.gz").read_bytes() == DATA
    assert left[0].exists()  # young: it may belong to a process that is still at work
    os.utime(left[0], (time.time() - 2 * _download._STALE,) * 2)
    (tmp_path / "f.gz").unlink()
    fetch([server.url + "f.gz"], tmp_path / "f.gz")
    assert [f.name for f in tmp_path.iterdir()] == ["f.gz"]


def test_two_downloads_at_once(server, tmp_path):
    server.files["/f.gz"] = DATA
    errors = []

    def work():
        try:
            fetch([server.url + "f.gz"], tmp_path / "f.gz")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert (tmp_path / "f.gz").read_bytes() == DATA
    assert len(list(tmp_path.iterdir())) == 1
