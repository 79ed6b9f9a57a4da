"""Where kernels and data sets are kept."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from fastnet._kernels import cache

POSIX = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="other systems have other folders")


@pytest.fixture
def unset(monkeypatch):
    for name in ("FASTNET_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_the_variable_comes_first(unset, tmp_path):
    unset.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    unset.setenv("FASTNET_CACHE_DIR", str(tmp_path / "mine"))
    assert cache.user_folder() == tmp_path / "mine"
    unset.setenv("FASTNET_CACHE_DIR", "~/mine")
    assert cache.user_folder() == Path.home() / "mine"


@POSIX
def test_the_folder_of_the_desktop_standard(unset, tmp_path):
    unset.setenv("HOME", str(tmp_path))
    assert cache.user_folder() == tmp_path / ".cache" / "fastnet"
    assert not list(tmp_path.iterdir()), "asking makes no folder"
    unset.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert cache.user_folder() == tmp_path / "caches" / "fastnet"


@pytest.mark.skipif(sys.platform != "win32", reason="Windows")
def test_the_folder_on_windows(unset):
    assert cache.user_folder().parts[-3:] == ("AppData", "Local", "fastnet")


@pytest.mark.skipif(sys.platform != "darwin", reason="macOS")
def test_the_folder_on_macos(unset):
    assert cache.user_folder() == Path.home() / "Library" / "Caches" / "fastnet"


@POSIX
def test_a_user_without_a_home(unset, tmp_path):
    import pwd

    def nobody(user):
        raise KeyError(user)

    unset.delenv("HOME", raising=False)
    unset.setattr(pwd, "getpwuid", nobody)
    unset.chdir(tmp_path)
    with pytest.raises(RuntimeError, match="home"):
        cache.user_folder()
    cache._folder.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match=r"home.*FASTNET_CACHE_DIR"):
            cache.write("kernel", b"code")
        assert cache.read("kernel") is None and not list(tmp_path.iterdir())
    finally:
        cache._folder.cache_clear()


# ---- folders that cannot be written


@pytest.fixture
def kernels(tmp_path, monkeypatch):
    """The folder of kernels of an empty cache."""
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path))
    cache.folder()
    return tmp_path / "kernels"


def never():
    raise AssertionError("made again")


def as_user(user, function):
    """What ``function`` returns in a process of another user."""
    reader, writer = multiprocessing.Pipe(False)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgid(user)
            os.setuid(user)
            writer.send(function())
            status = 0
        finally:
            os._exit(status)
    writer.close()
    assert os.waitpid(child, 0)[1] == 0
    return reader.recv()


needs_root = pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="needs root, who can become another user"
)


@pytest.fixture
def roots_kernels(monkeypatch):
    """As `kernels`, where other users can read them: pytest's folders are closed to others."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        monkeypatch.setenv("FASTNET_CACHE_DIR", folder)
        cache.folder()
        yield Path(folder) / "kernels"


@needs_root
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # a fork beside threads of other tests
def test_another_user_reads_what_root_stored(roots_kernels):
    cache.write("one", b"code")

    def look():
        import warnings

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            one, silent = cache.read("one"), not caught
            two = cache.load("two", lambda: b"made"), cache.read("two")
        return one, silent, two, [str(w.message) for w in caught]

    one, silent, two, said = as_user(65534, look)
    assert (one, silent, two) == (b"code", True, (b"made", None))
    assert len(said) == 1 and "not writable" in said[0] and "fastnet warmup" in said[0]
    assert sorted(path.name for path in roots_kernels.iterdir()) == ["one.o"]


@needs_root
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("where", ["folder", "file"])
def test_what_another_user_may_have_written_is_not_executed(roots_kernels, where):
    cache.write("one", b"code")
    os.chown(roots_kernels if where == "folder" else roots_kernels / "one.o", 65533, 65533)
    assert as_user(65534, lambda: cache.read("one")) is None


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no such permissions")
@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646])
def test_a_file_that_others_may_write_is_not_executed(kernels, mode):
    cache.write("one", b"code")
    (kernels / "one.o").chmod(mode)
    assert cache.read("one") is None


@POSIX
def test_the_umask_decides_who_reads(kernels, monkeypatch):
    for mask, mode in ((0o022, 0o644), (0o077, 0o600), (0o000, 0o644)):
        before = os.umask(mask)
        try:
            cache.write("one", b"code")
        finally:
            os.umask(before)
        assert (kernels / "one.o").stat().st_mode & 0o777 == mode


PREDICT = """
import sys, warnings
warnings.simplefilter("error")
import numpy as np, fastnet
from fastnet import layers
from fastnet._kernels import compile

def predict():
    model = fastnet.Sequential([layers.Input((3,)), layers.ReLU()])
    assert model.predict(-np.ones((2, 3))).max() == 0

predict()
if len(sys.argv) > 1:  # modules are imported, which another user may not read in this test; kernels are not loaded
    import os
    os.setuid(int(sys.argv[1]))
    compile._loaded.clear()
    predict()
    assert "numba" not in sys.modules
"""


@needs_root
def test_a_service_of_another_user_starts_from_roots_kernels(roots_kernels):
    """As in a container: root fills the cache while the image is built, the service runs as nobody."""
    for arguments in ([], ["65534"]):
        subprocess.run([sys.executable, "-c", PREDICT, *arguments], check=True)


# ---- several processes

# Makes what "slow" stores, and is not done before it is told to.
SLOW = """
from fastnet._kernels import cache

def make():
    print("begun", flush=True)
    input()
    return b"made"

cache.load("slow", make)
"""


@pytest.fixture
def slow(kernels):
    """A process that is making a kernel."""
    command = [sys.executable, "-c", SLOW]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        yield process
        process.kill()


def test_a_process_waits_for_one_that_compiles(slow):
    found = []
    waiter = threading.Thread(target=lambda: found.append(cache.load("slow", never)))
    waiter.start()
    time.sleep(0.1)
    assert not found
    slow.communicate("done\n")
    waiter.join()
    assert found == [b"made"]


def test_the_lock_of_a_process_that_died_holds_nobody_up(slow):
    slow.kill()
    slow.wait()
    assert cache.load("slow", lambda: b"mine") == b"mine"


def test_kernels_do_not_wait_for_each_other(slow):
    assert cache.load("other", lambda: b"mine") == b"mine"


def test_a_process_that_was_stopped_is_not_waited_for_for_ever(kernels, monkeypatch):
    monkeypatch.setattr(cache, "PATIENCE", 0.1)
    monkeypatch.setattr(cache, "_locked", lambda handle, position: False)
    assert cache.load("one", lambda: b"mine") == b"mine"


# ---- old kernels


def aged(kernels, name, days, data=b"code"):
    cache.write(name, data)
    (file,) = kernels.glob(f"{name}.*")
    then = time.time() - days * cache.DAY
    os.utime(file, (then, then))


def test_kernels_that_were_not_used_for_long_are_pruned(kernels):
    aged(kernels, "old", 100)
    aged(kernels, "used", 100)
    assert cache.load("used", never) == b"code"  # marks it
    (kernels / "one.o-1-ab.tmp").write_bytes(b"of a process that was killed")
    os.utime(kernels / "one.o-1-ab.tmp", (0, 0))
    (kernels / "foreign.txt").write_text("stays")
    os.utime(kernels / "foreign.txt", (0, 0))
    cache.load("first", lambda: b"code")  # makes the lock file, which was changed now
    assert cache.read("old") is not None
    yesterday = time.time() - 2 * cache.DAY
    aged(kernels, "old", 100)
    os.utime(kernels / cache.LOCK, (yesterday, yesterday))
    cache.load("new", lambda: b"code")
    assert sorted(path.name for path in kernels.iterdir()) == ["first.o", "foreign.txt", "lock", "new.o", "used.o"]


def test_too_many_kernels_are_pruned_oldest_first(kernels, monkeypatch):
    monkeypatch.setattr(cache, "MAX_BYTES", 2500)
    for days in (3, 1, 2):
        aged(kernels, f"k{days}", days, bytes(1000))
    (kernels / cache.LOCK).touch()
    os.utime(kernels / cache.LOCK, (0, 0))
    cache.write("new", bytes(1000))
    assert sorted(path.stem for path in kernels.glob("*.o")) == ["k1", "new"]


def test_clear(kernels):
    cache.load("one", lambda: b"code")
    cache.write_source("one", "pass")
    assert cache.clear() == 2
    assert [path.name for path in kernels.iterdir()] == ["lock"]
    assert cache.clear() == 0


def test_a_kernel_whose_time_cannot_be_set_is_read(kernels, monkeypatch):
    """One that root stored in the user's own folder."""
    aged(kernels, "roots", 2)

    def refuse(path):
        raise PermissionError(path)

    monkeypatch.setattr(os, "utime", refuse)
    assert cache.read("roots") == b"code"
