"""Data sets: the embedded digits, IDX files, and downloads from a local server."""

import gzip
import hashlib
import io
import struct

import numpy as np
import pytest

from fastnet import datasets
from fastnet.datasets import _housing, _idx, digits, fashion_mnist
from fastnet.datasets import mnist as mnist_module


def idx(array):
    """The bytes of an IDX file, written from the format's description."""
    return struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


# ---- digits


@pytest.mark.smoke
def test_digits_shapes_and_types():
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    assert x_train.shape == (1438, 8, 8)
    assert x_test.shape == (359, 8, 8)
    assert {a.dtype for a in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}
    assert y_train.shape == (1438,)
    assert y_test.shape == (359,)
    # Class sizes as the data set's own description (optdigits.names) gives them.
    counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.bincount(np.concatenate([y_train, y_test])).tolist() == counts
    assert x_train.max() == 16
    # The file's first line, a zero.
    assert x_train[0].tolist()[0] == [0, 0, 5, 13, 9, 1, 0, 0]
    assert y_train[0] == 0


@pytest.mark.peers
def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    (x, y), (x_test, _) = digits.load_data(test_fraction=0)
    expected = load_digits()
    assert np.array_equal(x, expected.images)
    assert np.array_equal(y, expected.target)
    assert len(x_test) == 0


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.2, 1 / 3, 0.5, 0.999])
def test_digits_split_is_stratified_and_whole(fraction):
    (x_all, y_all), _ = digits.load_data(0)
    (x_train, y_train), (x_test, y_test) = digits.load_data(fraction)
    # Nothing lost, nothing twice: as multisets of (image, label).
    pairs = ((x_all, y_all), (x_train, y_train), (x_test, y_test))
    rows = [np.column_stack([x.reshape(len(x), 64), y]) for x, y in pairs]
    assert sorted(map(bytes, rows[0])) == sorted(map(bytes, np.vstack(rows[1:])))
    share = np.bincount(y_test, minlength=10) - fraction * np.bincount(y_all)
    assert np.abs(share).max() <= 0.5 + 1e-9  # rounding of each class's share


def test_digits_third_of_every_five_is_the_test_set():
    (x, y), _ = digits.load_data(0)
    _, (x_test, y_test) = digits.load_data(0.2)
    for label in range(10):
        assert np.array_equal(x_test[y_test == label], x[y == label][2::5])


@pytest.mark.parametrize("fraction", [-0.1, 1, 2.0, float("nan")])
def test_digits_bad_fraction(fraction):
    with pytest.raises(ValueError, match=r"test_fraction must lie in \[0, 1\)"):
        digits.load_data(fraction)


# ---- IDX files


@pytest.mark.parametrize("shape", [(3, 2, 2), (5,), (1, 1, 1), (0, 28, 28), (2, 3, 1, 2)])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_read_idx(tmp_path, shape, suffix):
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    file = tmp_path / f"a-idx-ubyte{suffix}"
    file.write_bytes(gzip.compress(idx(array)) if suffix else idx(array))
    read = _idx.read_idx(file, shape)
    assert np.array_equal(read, array)
    assert read.shape == shape
    assert read.flags.writeable


GOOD = idx(np.arange(12, dtype=np.uint8).reshape(3, 2, 2))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "starts with nothing"),
        (b"\0\0", "must start with bytes 00 00 08"),
        (b"\0\0\x0d" + GOOD[3:], "starts with 00 00 0d 03"),
        (b"<html>404</html>", "starts with 3c 68 74 6d"),
        (GOOD[:9], "cut short within its header"),
        (GOOD[:-1], "should have 28 bytes for shape .3, 2, 2., but has 27"),
        (GOOD + b"x", "should have 28 bytes for shape .3, 2, 2., but has 29"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "should have 79228162458924105385300197391 bytes"),
    ],
)
def test_read_idx_damaged(tmp_path, data, message):
    file = tmp_path / "file"
    file.write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        _idx.read_idx(file)
    assert str(file) in str(caught.value)


def test_read_idx_wrong_shape(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(GOOD)
    with pytest.raises(ValueError, match=r"shape \(3, 2, 2\), but \(60000, 28, 28\) is expected"):
        _idx.read_idx(file, (60000, 28, 28))


@pytest.mark.parametrize("damage", ["cut", "flipped", "plain"])
def test_read_idx_damaged_gz(tmp_path, damage):
    packed = bytearray(gzip.compress(GOOD))
    if damage == "flipped":
        packed[-6] ^= 1  # within the checksum
    file = tmp_path / "file.gz"
    file.write_bytes({"cut": packed[:-9], "flipped": packed, "plain": GOOD}[damage])
    with pytest.raises(ValueError, match="damaged .*Delete it and load again"):
        _idx.read_idx(file)


# ---- where the files are looked for


@pytest.fixture
def small(monkeypatch):
    """The layout of MNIST with 5 and 2 images, so that tests are quick: {file name: array}."""
    parts = (("train-images-idx3-ubyte", (5, 28, 28)), ("train-labels-idx1-ubyte", (5,)))
    parts += (("t10k-images-idx3-ubyte", (2, 28, 28)), ("t10k-labels-idx1-ubyte", (2,)))
    monkeypatch.setattr(_idx, "PARTS", parts)
    rng = np.random.default_rng(1)
    return {name: rng.integers(0, 10, shape, np.uint8) for name, shape in parts}


def assert_is(split, small):
    (x_train, y_train), (x_test, y_test) = split
    for got, expected in zip((x_train, y_train, x_test, y_test), small.values(), strict=True):
        assert np.array_equal(got, expected)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_fastnet_data_comes_first(no_data, monkeypatch, small, name):
    folder = no_data / "data" / name
    folder.mkdir(parents=True)
    for i, (file, array) in enumerate(small.items()):  # packed and unpacked ones mixed
        if i % 2:
            (folder / file).write_bytes(idx(array))
        else:
            (folder / f"{file}.gz").write_bytes(gzip.compress(idx(array)))
    monkeypatch.setenv("FASTNET_DATA", str(no_data / "data"))
    assert_is(getattr(datasets, name).load_data(), small)
    assert_is(getattr(datasets, name).load_data(folder), small)
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="lacks t10k-labels-idx1-ubyte"):
        getattr(datasets, name).load_data()
    with pytest.raises(FileNotFoundError, match="lacks t10k-labels-idx1-ubyte"):
        getattr(datasets, name).load_data(folder)


def test_path_to_npz(tmp_path, small):
    file = tmp_path / "mnist.npz"
    arrays = dict(zip(("x_train", "y_train", "x_test", "y_test"), small.values(), strict=True))
    np.savez(file, **arrays)
    assert_is(mnist_module.load_data(file), small)
    del arrays["y_test"]
    np.savez(file, **arrays)
    with pytest.raises(ValueError, match="has no array y_test"):
        mnist_module.load_data(file)


def test_path_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="must be a folder with the four IDX files or an .npz file"):
        mnist_module.load_data(tmp_path / "nothing.npz")


def test_real_mnist(mnist):
    """The SHA-256 of the unpacked files, which does not depend on how they were packed."""
    (x_train, y_train), (x_test, y_test) = mnist
    sums = {
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db": idx(x_train),
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5": idx(y_train),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7": idx(x_test),
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2": idx(y_test),
    }
    for expected, data in sums.items():
        assert hashlib.sha256(data).hexdigest() == expected


@pytest.mark.parametrize("module", [mnist_module, fashion_mnist])
def test_mirrors_are_encrypted_and_sums_complete(module):
    assert len(module.MIRRORS) >= 2
    for mirror in module.MIRRORS:
        assert mirror.startswith("https://")
        assert mirror.endswith("/")
    assert set(module.SHA256) == {f"{part}.gz" for part, _ in _idx.PARTS}
    assert all(len(bytes.fromhex(digest)) == 32 for digest in module.SHA256.values())


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_load_data_downloads_once(server, no_data, monkeypatch, small, name):
    module = getattr(datasets, name)
    packed = {f"{file}.gz": gzip.compress(idx(array)) for file, array in small.items()}
    server.files = {f"/{file}": data for file, data in packed.items()}
    monkeypatch.setattr(module, "MIRRORS", (server.url,))
    monkeypatch.setattr(module, "SHA256", {file: hashlib.sha256(data).hexdigest() for file, data in packed.items()})
    assert_is(module.load_data(), small)
    assert sorted(f.name for f in (no_data / "datasets" / name).iterdir()) == sorted(packed)
    assert len(server.requests) == 4
    server.files = {}
    assert_is(module.load_data(), small)
    assert len(server.requests) == 4
    monkeypatch.setenv("FASTNET_DATA", str(no_data / "empty"))  # set, but without this data set: the cache
    assert_is(module.load_data(), small)


def test_wrong_checksum_is_not_kept_by_load_data(server, no_data, monkeypatch, small):
    server.files = {f"/{file}.gz": gzip.compress(idx(array)) for file, array in small.items()}
    monkeypatch.setattr(mnist_module, "MIRRORS", (server.url,))
    with pytest.raises(datasets.DownloadError, match=r"train-images-idx3-ubyte.gz could not .*\n.*wrong checksum"):
        mnist_module.load_data()
    assert list((no_data / "datasets" / "mnist").iterdir()) == []


# ---- houses


@pytest.fixture(params=["boston_housing", "california_housing"])
def houses(request, monkeypatch):
    """A small file of each data set: its module, and the bytes of an .npz file with x and y."""
    module = getattr(datasets, request.param)
    x = np.arange(26.0).reshape(13, 2)
    file = io.BytesIO()
    np.savez(file, x=x, y=10 * x[:, 0])
    monkeypatch.setattr(module, "SHA256", hashlib.sha256(file.getvalue()).hexdigest())
    return module, file.getvalue()


def assert_are_houses(split, test_rows):
    (x_train, y_train), (x_test, y_test) = split
    x, y = np.concatenate([x_train, x_test]), np.concatenate([y_train, y_test])
    assert x_test.shape == (test_rows, 2)
    assert sorted(x[:, 0]) == list(range(0, 26, 2))
    np.testing.assert_array_equal(y, 10 * x[:, 0])
    assert x[:, 0].tolist() != sorted(x[:, 0])


def test_houses_are_downloaded_once(server, no_data, monkeypatch, houses):
    module, data = houses
    name = module.__name__.split(".")[-1]
    server.files = {f"/{name}.npz": data}
    monkeypatch.setattr(_housing, "MIRRORS", (server.url,))
    assert_are_houses(module.load_data(), 3)
    assert [f.name for f in (no_data / "datasets" / name).iterdir()] == [f"{name}.npz"]
    server.files = {}
    for test_split, rows in ((0.2, 3), (0.0, 0), (0.5, 7)):
        assert_are_houses(module.load_data(test_split=test_split), rows)
    assert len(server.requests) == 1
    folder = no_data / "data" / name
    folder.mkdir(parents=True)
    (folder / f"{name}.npz").write_bytes(data)
    monkeypatch.setenv("FASTNET_DATA", str(no_data / "data"))
    (no_data / "datasets" / name / f"{name}.npz").unlink()
    assert_are_houses(module.load_data(), 3)
    assert_are_houses(module.load_data(path=folder / f"{name}.npz"), 3)


def test_houses_in_the_current_folder_are_not_read_by_chance(server, no_data, tmp_path, monkeypatch, houses):
    module, data = houses
    name = f"{module.__name__.split('.')[-1]}.npz"
    server.files = {f"/{name}": data}
    monkeypatch.setattr(_housing, "MIRRORS", (server.url,))
    monkeypatch.chdir(tmp_path)
    np.savez(name, x=np.zeros((4, 2)), y=np.ones(4))  # not the data set
    assert_are_houses(module.load_data(), 3)
    assert len(server.requests) == 1
    assert module.load_data(path=tmp_path / name)[0][1].tolist() == [1.0, 1.0, 1.0]


def test_houses_with_wrong_arguments(server, no_data, tmp_path, monkeypatch, houses):
    module, data = houses
    with pytest.raises(ValueError, match=r"load_data: test_split must be a number that is at least 0 and below 1"):
        module.load_data(test_split=1.0)
    with pytest.raises(FileNotFoundError, match=r"there is no file .*Leave path out"):
        module.load_data(path=tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(2))
    with pytest.raises(ValueError, match=r"must have the arrays x and y; it has \['a'\]"):
        module.load_data(path=tmp_path / "other.npz")
    server.files = {f"/{module.__name__.split('.')[-1]}.npz": data + b"?"}
    monkeypatch.setattr(_housing, "MIRRORS", (server.url,))
    with pytest.raises(datasets.DownloadError, match="wrong checksum"):
        module.load_data()


def test_small_california(tmp_path):
    np.savez(tmp_path / "c.npz", x=np.arange(700.0)[:, None], y=np.arange(700.0))
    (x_train, _), (x_test, _) = datasets.california_housing.load_data("small", tmp_path / "c.npz")
    assert sorted(np.concatenate([x_train, x_test])[:, 0]) == list(range(600))
    with pytest.raises(ValueError, match="version must be one of 'large' and 'small'|version must be"):
        datasets.california_housing.load_data("tiny")
