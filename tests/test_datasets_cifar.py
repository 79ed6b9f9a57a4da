"""CIFAR-10 and CIFAR-100: small archives of records, written from the format's description, from a local server."""

import hashlib
import io
import tarfile

import numpy as np
import pytest

from fastnet import datasets
from fastnet.datasets import _cifar, cifar10, cifar100

NAMES = ("cifar10", "cifar100")


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)


def record(labels, image):
    """Labels, then the red plane row by row, then the green and the blue one."""
    planes = [image[row, column, channel] for channel in range(3) for row in range(32) for column in range(32)]
    return bytes([*labels, *planes])


def small(archive):
    """The archive with two records in each file, and its files."""
    parts = [(name, 2) for name, _ in archive.train]
    files = {}
    for number, name in enumerate([*(name for name, _ in parts), archive.test[0]]):
        pairs = [([7, number + k][-archive.labels :], picture(10 * number + k)) for k in range(2)]
        files[name] = b"".join(record(labels, image) for labels, image in pairs)
    return archive._replace(train=parts, test=(archive.test[0], 2)), files


def packed(archive, files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{archive.folder}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


@pytest.fixture(params=NAMES)
def data(request, monkeypatch, tmp_path):
    """(module, archive, files): the module reads the small archive, and no data that is there already."""
    module = getattr(datasets, request.param)
    archive, files = small(module.ARCHIVE)
    archive = archive._replace(sha256=hashlib.sha256(packed(archive, files)).hexdigest())
    monkeypatch.setattr(module, "ARCHIVE", archive)
    monkeypatch.delenv("FASTNET_DATA", raising=False)
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path / "cache"))
    return module, archive, files


def assert_is(split, archive):
    (x_train, y_train), (x_test, y_test) = split
    rows = 2 * len(archive.train)
    assert {a.dtype for a in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}
    assert x_train.shape == (rows, 32, 32, 3) and y_train.shape == (rows, 1)
    assert x_test.shape == (2, 32, 32, 3) and y_test.shape == (2, 1)
    x, y = np.concatenate([x_train, x_test]), np.concatenate([y_train, y_test])
    for k in range(rows + 2):
        np.testing.assert_array_equal(x[k], picture(10 * (k // 2) + k % 2))
        assert y[k, 0] == k // 2 + k % 2


def test_it_is_downloaded_once(data, server, monkeypatch, tmp_path):
    module, archive, files = data
    monkeypatch.setattr(_cifar, "MIRRORS", (server.url,))
    server.files = {f"/{archive.file}": packed(archive, files)}
    assert_is(module.load_data(), archive)
    server.files = {}
    assert_is(module.load_data(), archive)
    assert len(server.requests) == 1
    assert [f.name for f in (tmp_path / "cache" / "datasets" / archive.name).iterdir()] == [archive.file]


def test_a_download_with_another_checksum_is_not_kept(data, server, monkeypatch, tmp_path):
    module, archive, files = data
    monkeypatch.setattr(_cifar, "MIRRORS", (server.url,))
    server.files = {f"/{archive.file}": packed(archive, files) + b"?"}
    with pytest.raises(datasets.DownloadError, match="wrong checksum"):
        module.load_data()
    assert list((tmp_path / "cache" / "datasets" / archive.name).iterdir()) == []


@pytest.mark.parametrize("unpacked", [False, True])
def test_files_of_ones_own(data, monkeypatch, tmp_path, unpacked):
    module, archive, files = data
    place = tmp_path / "data" / archive.name / (archive.folder if unpacked else archive.file)
    place.parent.mkdir(parents=True)
    if unpacked:
        place.mkdir()
        for name, contents in files.items():
            (place / name).write_bytes(contents)
    else:
        place.write_bytes(packed(archive, files))
    assert_is(module.load_data(path=place), archive)
    monkeypatch.setenv("FASTNET_DATA", str(tmp_path / "data"))
    assert_is(module.load_data(), archive)


def test_damaged_files_are_named(data, tmp_path):
    module, archive, files = data
    whole, file = packed(archive, files), tmp_path / archive.file
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"is damaged \(.*\)\. Delete it and load again"):
        module.load_data(path=file)
    file.write_bytes(b"no archive")
    with pytest.raises(ValueError, match="is damaged"):
        module.load_data(path=file)
    short = {name: contents[:-1] for name, contents in files.items()}
    file.write_bytes(packed(archive, short))
    with pytest.raises(ValueError, match=r"should have \d+ bytes, 2 records of 307[34], but has"):
        module.load_data(path=file)
    file.write_bytes(packed(archive._replace(folder="other"), files))
    with pytest.raises(ValueError, match=f"is not {archive.file}: filename .* not found"):
        module.load_data(path=file)
    with pytest.raises(FileNotFoundError, match=f"lacks {archive.train[0][0]}"):
        module.load_data(path=tmp_path)
    with pytest.raises(FileNotFoundError, match=f"path must be {archive.file} or the folder with its files"):
        module.load_data(path=tmp_path / "none")


def test_coarse_labels(monkeypatch, tmp_path):
    archive, files = small(cifar100.ARCHIVE)
    monkeypatch.setattr(cifar100, "ARCHIVE", archive)
    (tmp_path / archive.file).write_bytes(packed(archive, files))
    (_, y_train), (_, y_test) = cifar100.load_data("coarse", tmp_path / archive.file)
    assert y_train.tolist() == [[7], [7]] and y_test.tolist() == [[7], [7]]
    with pytest.raises(ValueError, match="label_mode must be 'fine' or 'coarse'"):
        cifar100.load_data("rough")


def test_the_files_are_complete():
    assert all(mirror.startswith("https://") and mirror.endswith("/") for mirror in _cifar.MIRRORS)
    for module in (cifar10, cifar100):
        assert len(bytes.fromhex(module.ARCHIVE.sha256)) == 32
        assert sum(records for _, records in module.ARCHIVE.train) == 50000 and module.ARCHIVE.test[1] == 10000
    assert len(set(cifar10.CLASSES)) == 10
