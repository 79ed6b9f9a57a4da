"""Where kernels and data sets are kept."""

import sys
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
            folder = cache.folder()
        assert folder.name.startswith("fastnet-kernels-") and not list(tmp_path.iterdir())
    finally:
        cache._folder.cache_clear()
