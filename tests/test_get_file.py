"""Files from the network, from a server on this machine: `utils.get_file`."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from fastnet import datasets, utils

TEXT = b"some text\n" * 1000
SHA256, MD5 = hashlib.sha256(TEXT).hexdigest(), hashlib.md5(TEXT).hexdigest()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path))
    return tmp_path


def tar(names):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(TEXT)
            archive.addfile(info, io.BytesIO(TEXT))
    return file.getvalue()


def zipped(names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, TEXT)
    return file.getvalue()


@pytest.mark.parametrize("given", [{}, {"file_hash": SHA256}, {"md5_hash": MD5}, {"file_hash": MD5.upper()}])
def test_a_file_is_downloaded_once(server, cache, given):
    server.files = {"/a.txt": TEXT, "/a.txt?x=1": TEXT}
    for _ in range(2):
        path = utils.get_file(origin=server.url + "a.txt?x=1", **given)
        assert Path(path) == cache / "datasets" / "a.txt"
        assert Path(path).read_bytes() == TEXT
    assert len(server.requests) == 1
    other = utils.get_file("b.txt", server.url + "a.txt", cache_dir=cache / "else", cache_subdir="sub")
    assert Path(other) == cache / "else" / "sub" / "b.txt"
    utils.get_file(origin=server.url + "a.txt", force_download=True)
    assert len(server.requests) == 3


def test_a_file_with_another_checksum_is_downloaded_again(server, cache):
    server.files["/a.txt"] = TEXT
    (cache / "datasets").mkdir()
    (cache / "datasets" / "a.txt").write_bytes(b"old")
    path = utils.get_file(origin=server.url + "a.txt", file_hash=SHA256)
    assert Path(path).read_bytes() == TEXT
    server.files["/a.txt"] = TEXT + b"?"
    with pytest.raises(datasets.DownloadError, match=f"wrong checksum: MD5 {MD5} expected"):
        utils.get_file("c.txt", server.url + "a.txt", md5_hash=MD5)


@pytest.mark.parametrize("pack", [tar, zipped])
@pytest.mark.parametrize(("fname", "folder"), [(None, "a.x"), ("b.tgz", "b_extracted"), ("c", "c")])
def test_archives(server, cache, pack, fname, folder):
    server.files["/a.x"] = pack(["one.txt", "sub/two.txt"])
    path = Path(utils.get_file(fname, server.url + "a.x", extract=True))
    assert path == cache / "datasets" / folder
    assert (path / "sub" / "two.txt").read_bytes() == TEXT


def test_archives_stay_within_their_folder(server, cache):
    server.files["/evil.tgz"] = tar(["../../evil.txt"])
    with pytest.raises(tarfile.TarError, match="outside"):
        utils.get_file(origin=server.url + "evil.tgz", untar=True)
    server.files["/evil.zip"] = zipped(["../../evil.txt"])
    utils.get_file(origin=server.url + "evil.zip", extract=True)
    assert not list(cache.parent.glob("evil.txt")) and not (cache / "evil.txt").exists()


def test_wrong_arguments(server, cache):
    with pytest.raises(ValueError, match="origin, the address of the file, is missing"):
        utils.get_file("a.txt")
    for name, origin in (("sub/a.txt", "a.txt"), (None, "")):
        with pytest.raises(ValueError, match="fname must be the name of a file without a folder"):
            utils.get_file(name, server.url + origin)
    with pytest.raises(ValueError, match="file_hash must be an MD5 or SHA-256"):
        utils.get_file(origin=server.url + "a.txt", file_hash="123")
    server.files["/a.txt"] = TEXT
    with pytest.raises(ValueError, match="is not an archive of the format 'tar'"):
        utils.get_file(origin=server.url + "a.txt", untar=True)
