"""What arrays may be: every real dtype and any layout, read where they lie."""

import collections
import os
import subprocess
import sys

import numpy as np
import pytest

import fastnet
from fastnet import layers
from fastnet._kernels.rules import philox
from fastnet.arrays import check_labels
from fastnet.engine.sources import permutation

from .oracles import same

DTYPES = ["float16", "float32", "float64", "bool"] + [f"{u}int{b}" for u in ("", "u") for b in (8, 16, 32, 64)]


def passing(shape):
    """A model that gives its input back."""
    return fastnet.Sequential([layers.Input(shape), layers.Activation("linear")])


def trained(x, y):
    """Weights of a small network trained on these data, always from the same start."""
    fastnet.utils.set_random_seed(0)
    model = fastnet.Sequential([layers.Input(x.shape[1:]), layers.Flatten(), layers.Dense(7, "tanh"), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(x, y, epochs=2, batch_size=8, verbose=0)
    return model.get_weights()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", [">", "<"])
def test_every_dtype(dtype, order):
    rng = np.random.default_rng(1)
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        x = rng.normal(size=(13, 6)).astype(dtype)
    elif dtype.kind == "b":
        x = rng.random((13, 6)) < 0.5
    else:
        limits = np.iinfo(dtype)
        x = rng.integers(limits.min, limits.max, (13, 6), dtype, endpoint=True)
        x[0, :2] = limits.min, limits.max
    given = x.astype(dtype.newbyteorder(order))
    assert np.array_equal(passing((6,)).predict(given), x.astype(np.float32))
    assert np.array_equal(passing((2,)).predict(given[::-2, ::3]), x[::-2, ::3].astype(np.float32))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_half_precision_number(dtype):
    x = np.arange(2**16, dtype=np.uint16).view(np.float16).reshape(-1, 64)
    model = fastnet.Sequential([layers.Input((64,), dtype=dtype), layers.Activation("linear", dtype=dtype)])
    with np.errstate(invalid="ignore"):
        expected = x.astype(dtype)
    result = model.predict(x)
    nan = np.isnan(expected)
    assert nan.any() and np.array_equal(np.isnan(result), nan)
    bits = "uint32" if dtype == "float32" else "uint64"
    assert np.array_equal(result.view(bits)[~nan], expected.view(bits)[~nan])  # -0 too
    assert np.array_equal(model.predict(np.asfortranarray(x)).view(bits)[~nan], expected.view(bits)[~nan])


def layouts():
    base = np.random.default_rng(2).normal(size=(9, 6, 4, 5)).astype(np.float32)
    spread = np.zeros((18, 12, 8, 10), np.float32)
    spread[::2, 1::2, ::2, 1::2] = base
    return {
        "C": base,
        "F": np.asfortranarray(base),
        "every other": spread[::2, 1::2, ::2, 1::2],
        "backwards": np.ascontiguousarray(base[::-1, ::-1, ::-1, ::-1])[::-1, ::-1, ::-1, ::-1],
        "rows backwards": np.ascontiguousarray(base[::-1])[::-1],
        "transposed": np.ascontiguousarray(base.transpose(3, 1, 0, 2)).transpose(2, 1, 3, 0),
        "read-only": np.frombuffer(base.tobytes(), np.float32).reshape(base.shape),
        "unaligned": np.frombuffer(b"." + base.tobytes(), np.uint8)[1:].view(np.float32).reshape(base.shape),
        "list": base.tolist(),
    }


@pytest.mark.parametrize("layout", layouts())
def test_any_layout_trains_and_predicts_alike(layout):
    base, x = layouts()["C"], layouts()[layout]
    assert np.array_equal(passing((6, 4, 5)).predict(x), base)
    y = base.sum((1, 2, 3))
    spread = np.zeros(27, np.float64)
    spread[::3] = y
    x = np.asarray(x, np.float32) if layout == "list" else x
    assert same(trained(x, spread[::3]), trained(base, y.astype(np.float64)))


def test_a_broadcast_array():
    row = np.arange(5, dtype=np.float32)
    assert np.array_equal(passing((5,)).predict(np.broadcast_to(row, (7, 5))), np.tile(row, (7, 1)))
    column = np.arange(7, dtype=np.float32)[:, None]
    assert np.array_equal(passing((5,)).predict(np.broadcast_to(column, (7, 5))), np.tile(column, (1, 5)))


def test_targets_of_any_integer_dtype_train_alike():
    x, y = np.random.default_rng(3).normal(size=(30, 4)), np.arange(30) % 3

    def train(y):
        fastnet.utils.set_random_seed(0)
        model = fastnet.Sequential([layers.Input((4,)), layers.Dense(3, "softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(x, y, verbose=0)
        return model.get_weights()

    expected = train(y)
    for dtype in [*DTYPES[:3], *DTYPES[4:]]:
        assert same(train(y.astype(dtype)), expected), dtype
    assert same(train(y[:, None]), expected) and same(train(y.tolist()), expected)


MEMORY = """
import sys
import numpy as np, fastnet
from fastnet import layers

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))

def model():
    m = fastnet.Sequential([layers.Input((1000,)), layers.Rescaling(1 / 255), layers.Dense(4)])
    m.compile("sgd", "mse")
    return m

{make}
m = model()
m.fit(x[:64], y[:64], verbose=0)  # compiles, and wakes every thread
m.predict(x[:64], verbose=0)
before = peak()
{work}
print(peak() - before)
"""


def grown(make, work):
    if not os.path.exists("/proc/self/status"):
        pytest.skip("reads Linux's account of memory")
    program = MEMORY.format(make=make, work=work)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_dataset_of_bytes_stays_bytes():
    make = "x = np.random.default_rng(0).integers(0, 256, (100_000, 1000), np.uint8); y = np.zeros((100_000, 4))"
    work = "m.fit(x, y, batch_size=1000, epochs=1, verbose=0); m.fit(x[::2], y[::2], batch_size=1000, verbose=0)"
    # As float32 it would be 400 MB, a copy as bytes 100 MB.
    assert grown(make, work) < 30e6


@pytest.mark.slow
def test_a_memory_map_is_not_read_whole(tmp_path):
    path = tmp_path / "big.bin"
    with open(path, "wb") as file:
        file.truncate(2**40)  # sparse: a terabyte of zeros on no disk
    make = (
        f"x = np.memmap({str(path)!r}, np.uint8, 'r', shape=(10**9, 1000)); "
        "y = np.broadcast_to(np.float32(1), (10**9, 4))"
    )
    work = (
        "m.train_on_batch(x[500_000_000:500_000_100], y[:100]); "
        "assert m.predict(x[::10**6], verbose=0).shape == (1000, 4); "
        "m.fit(x[-1000:], y[-1000:], verbose=0); m.fit(x[::10**6], y[::10**6], validation_split=0.5, verbose=0)"
    )
    # What is read of the map counts too: 2 MB, and around each of 2000 lone rows the 64 KB the system maps with it.
    assert grown(make, work) < 300e6


def test_mapped_data_train_like_arrays(tmp_path):
    base = layouts()["C"]
    y = base.sum((1, 2, 3))
    np.save(tmp_path / "x.npy", base)
    assert same(trained(np.load(tmp_path / "x.npy", mmap_mode="r"), y), trained(base, y))


def draws(rows, seed, epoch):
    """The shuffle's definition in whole numbers: element i takes the place of a[j], j = floor(i+1 · r / 2^64)."""
    order = []
    for i in range(rows):
        words = philox.philox(
            *map(np.uint32, (i // 2, 0, epoch & 0xFFFFFFFF, epoch >> 32, seed & 0xFFFFFFFF, seed >> 32))
        )
        high, low = (int(word) for word in (words[2:] if i % 2 else words[:2]))
        j = (i + 1) * ((high << 32) + low) >> 64
        order.append(i)
        order[i], order[j] = order[j], i
    return order


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 13, 1000])
@pytest.mark.parametrize("seed, epoch", [(0, 0), (2**63 - 1, 7), (5, 2**33 + 1)])
def test_a_permutation_is_the_one_of_its_definition(rows, seed, epoch):
    assert permutation(rows, seed, epoch).tolist() == draws(rows, seed, epoch)


def test_every_permutation_is_as_likely():
    counts = collections.Counter(tuple(permutation(4, seed, 3)) for seed in range(24_000))
    assert len(counts) == 24
    # Chi squared with 23 degrees of freedom: above 49.7 once in a thousand times; the seeds are fixed.
    assert sum((n - 1000) ** 2 / 1000 for n in counts.values()) < 49.7


def test_too_many_rows_to_shuffle():
    with pytest.raises(ValueError, match="shuffle=False"):
        permutation(2**32, 0, 0)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int64"])
def test_a_negative_label_is_no_large_class(dtype):
    """-100 as an int8 has the bits of 156, which is a class of 200."""
    labels = np.arange(100).astype(dtype)
    check_labels(labels, 200, "loss")
    check_labels(labels[::-3], 100, "loss")
    with pytest.raises(ValueError, match=r"labels from 0 to 98.*received 99 \(first bad label in row 99"):
        check_labels(labels, 99, "loss")
    if dtype.startswith("i"):
        labels[7] = -100
        with pytest.raises(ValueError, match=r"received -100 \(first bad label in row 7"):
            check_labels(labels, 200, "loss")
