"""Seeds and small helpers."""

import gc
import math
import os
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

from fastnet import random, utils
from fastnet.utils import process_state


def test_seeds_follow_from_the_seed_alone():
    random.set_seed(5)
    first = [random.next_seed() for _ in range(100)]
    random.set_seed(5)
    assert [random.next_seed() for _ in range(100)] == first
    utils.set_random_seed(6)
    other = [random.next_seed() for _ in range(100)]
    assert len({*first, *other}) == 200
    assert all(0 <= seed < 2**63 for seed in first + other)
    # 200 draws of 63 bits: every bit was seen as 0 and as 1, but with a chance of 63 * 2 ** -199.
    assert not np.bitwise_and.reduce(first + other)
    assert np.bitwise_or.reduce(first + other) == 2**63 - 1


def test_seed_is_numpys_seed_sequence():
    random.set_seed(7)
    expected = [
        np.random.SeedSequence(7, spawn_key=(n,)).generate_state(1, np.uint64)[0] >> np.uint64(1) for n in range(3)
    ]
    assert [random.next_seed() for _ in range(3)] == expected


def test_unseeded_is_new_every_time():
    random.set_seed(None)
    first = random.next_seed()
    random.set_seed(None)
    assert random.next_seed() != first


def test_seeding_leaves_others_alone():
    import random as python

    before = python.getstate(), np.random.get_state()[1].tolist()
    utils.set_random_seed(1)
    random.next_seed()
    assert (python.getstate(), np.random.get_state()[1].tolist()) == before


def test_seeds_from_threads_are_distinct():
    random.set_seed(1)
    drawn = []
    threads = [threading.Thread(target=lambda: drawn.extend(random.next_seed() for _ in range(50))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    random.set_seed(1)
    assert sorted(drawn) == sorted(random.next_seed() for _ in range(200))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("seed", "same"), [("None", False), ("3", True)])
def test_forked_children(seed, same):
    """Without a seed every worker draws its own; with one, they go on from it alike."""
    code = f"""
import os
from fastnet import random
random.set_seed({seed})
random.next_seed()
read, write = os.pipe()
for _ in range(2):
    if os.fork() == 0:
        os.write(write, b"%d\\n" % random.next_seed())
        os._exit(0)
    os.wait()
os.write(write, b"%d\\n" % random.next_seed())
print(len(set(os.read(read, 1000).split())))
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(answer.stdout) == (1 if same else 3)


@pytest.mark.parametrize("seed", [-1, 1.5, "1", True, np.float32(1)])
def test_bad_seed(seed):
    with pytest.raises(ValueError, match="integer >= 0"):
        utils.set_random_seed(seed)


def test_no_seed():
    with pytest.raises(ValueError, match="None was received"):
        utils.set_random_seed(None)


CATEGORIES = [
    ([0, 2, 1], None),
    ([0, 2, 1], 5),
    (3, None),
    (np.zeros((2, 3, 1), np.int32), 2),
    (np.arange(6, dtype=np.uint8).reshape(2, 3), None),
    ([[4]], None),
    ([1.9, 0.2], None),
    ([True, False], None),
    (np.zeros((0,), int), 3),
    (np.zeros((0, 4), int), 3),
]


@pytest.mark.parametrize(("x", "classes"), CATEGORIES)
def test_to_categorical(x, classes):
    got = utils.to_categorical(x, classes)
    labels = np.array(x, int)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    count = classes or int(labels.max()) + 1
    assert got.shape == (*labels.shape, count)
    assert got.dtype == np.float64
    for index in np.ndindex(labels.shape):
        assert got[index].tolist() == [1.0 if c == labels[index] else 0.0 for c in range(count)]


@pytest.mark.peers
@pytest.mark.parametrize(("x", "classes"), CATEGORIES)
def test_to_categorical_is_keras(x, classes):
    import keras

    expected = keras.utils.to_categorical(x, classes)
    got = utils.to_categorical(x, classes)
    assert np.array_equal(got, expected)
    assert got.dtype == expected.dtype


@pytest.mark.parametrize(
    ("x", "classes", "message"),
    [
        ([0, 3], 3, r"must lie in \[0, 3\), but x goes from 0 to 3"),
        ([-1, 1], None, r"must lie in \[0, 2\), but x goes from -1 to 1"),
        ([], None, "give num_classes"),
        ([0.0, math.nan], 3, "NaN or inf"),
        ([math.inf], None, "NaN or inf"),
    ],
)
def test_to_categorical_errors(x, classes, message):
    with pytest.raises(ValueError, match=message):
        utils.to_categorical(x, classes)


def test_to_categorical_needs_no_square_of_the_classes():
    assert utils.to_categorical([123_456], 1_000_000)[0].nonzero()[0] == [123_456]


@pytest.mark.parametrize("axis", [-1, 0, 1, None])
@pytest.mark.parametrize("order", [1, 2, np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_normalize(axis, order, dtype):
    x = np.array([[3, -4, 0], [0, 0, 0], [1, 2, 2]], dtype)
    got = utils.normalize(x, axis, order)
    norm = {
        1: lambda v: sum(map(abs, v)),
        2: lambda v: math.sqrt(sum(a * a for a in v)),
        np.inf: lambda v: max(map(abs, v)),
    }
    for index in np.ndindex(x.shape):
        line = x.ravel() if axis is None else x[index[0]] if axis in (-1, 1) else x[:, index[1]]
        size = norm[order](line.tolist())
        assert got[index] == pytest.approx(x[index] / size if size else 0, rel=1e-6)
    assert got.dtype == ("float32" if dtype == "float32" else "float64") and x.dtype == dtype


SEQUENCES = [
    [[1], [2, 3], [4, 5, 6]],
    [[], [1, 2, 3, 4]],
    [[[1, 2]], [[3, 4], [5, 6], [7, 8]], []],
    [(1.5, 2.5), np.array([3.5])],
]
PADDING = [
    {},
    {"maxlen": 2},
    {"maxlen": 5, "padding": "post"},
    {"maxlen": 2, "truncating": "post"},
    {"maxlen": 2, "truncating": "post", "padding": "post", "value": -1, "dtype": "float32"},
    {"maxlen": 1},
]


@pytest.mark.parametrize("options", PADDING)
@pytest.mark.parametrize("sequences", SEQUENCES)
def test_pad_sequences(sequences, options):
    got = utils.pad_sequences(sequences, **options)
    length = options.get("maxlen") or max(map(len, sequences))
    item = next(np.asarray(s[0]) for s in sequences if len(s))
    assert got.shape == (len(sequences), length, *item.shape) and got.dtype == options.get("dtype", "int32")
    for row, sequence in zip(got.tolist(), sequences):
        given = np.asarray(sequence, got.dtype).tolist()
        over = max(0, len(given) - length)
        kept = given[over:] if options.get("truncating") != "post" else given[: len(given) - over]
        fill = [np.full(item.shape, options.get("value", 0)).tolist()] * (length - len(kept))
        assert row == (kept + fill if options.get("padding") == "post" else fill + kept)


def test_pad_sequences_of_texts_and_of_nothing():
    padded = utils.pad_sequences([["a"], ["b", "c"]], dtype=object, value="-")
    assert padded.tolist() == [["-", "a"], ["b", "c"]]
    assert utils.pad_sequences([]).shape == (0, 0)
    assert utils.pad_sequences([[1, 2]], maxlen=0).shape == (1, 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: utils.pad_sequences([[1], 2]), "list of sequences"),
        (lambda: utils.pad_sequences([[1]], padding="left"), "padding must be 'pre' or 'post'.*'left'"),
        (lambda: utils.pad_sequences([[1]], truncating="left"), "truncating must be"),
        (lambda: utils.pad_sequences([[1]], value="a"), "dtype=object"),
        (lambda: utils.pad_sequences([[[1, 2]], [[1]]]), r"sequence 1 has \(1,\), the first \(2,\)"),
        (lambda: utils.split_dataset(np.ones(4)), "give left_size or right_size"),
        (lambda: utils.split_dataset(np.ones(4), left_size=4), "left_size must be a whole number below 4"),
        (lambda: utils.split_dataset(np.ones(4), right_size=1.0), "right_size.*received 1.0"),
        (lambda: utils.split_dataset(np.ones(4), left_size=0.1), "0 and 4 rows"),
        (lambda: utils.split_dataset(np.ones(4), left_size=3, right_size=0.5), "3 and 2 rows cannot be taken of 4"),
        (lambda: utils.split_dataset((np.ones(4), np.ones(5)), left_size=1), r"\[4, 5\]"),
        (lambda: utils.PyDataset(workers=-1), "workers must be an integer of at least 0"),
        (lambda: utils.PyDataset(max_queue_size=0), "max_queue_size"),
        (lambda: utils.unpack_x_y_sample_weight((1, 2, 3, 4)), "4 items"),
        (lambda: utils.timeseries_dataset_from_array(np.ones(5), None, 6), "no window of 6 rows"),
        (lambda: utils.timeseries_dataset_from_array(np.ones(5), None, 0), "sequence_length"),
        (lambda: utils.timeseries_dataset_from_array(np.ones(5), None, 2, start_index=5), "start_index"),
        (lambda: utils.timeseries_dataset_from_array(np.ones(5), None, 2, sampling_rate=0), "sampling_rate"),
        (lambda: utils.timeseries_dataset_from_array(np.ones(5), [], 2), "0 targets"),
        (lambda: utils.Progbar(3, stateful_metrics=[], stateless_metrics=[]), "not both"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_split_of_no_array():
    with pytest.raises(TypeError, match="received generator"):
        utils.split_dataset((i for i in range(3)), left_size=1)


@pytest.mark.parametrize(
    ("sizes", "left", "right"),
    [
        ({"left_size": 0.8}, 8, 2),
        ({"right_size": 3}, 7, 3),
        ({"left_size": 2, "right_size": 0.5}, 2, 5),
        ({"left_size": 0.25}, 2, 8),
        ({"left_size": 0.5, "right_size": 0.5}, 5, 5),
    ],
)
def test_split_dataset(sizes, left, right):
    x, y = np.arange(20).reshape(10, 2), np.arange(10)
    (xl, yl), (xr, yr) = utils.split_dataset((x, y), **sizes)
    assert yl.tolist() == list(range(left)) and yr.tolist() == list(range(left, left + right))
    assert np.array_equal(np.concatenate([xl, xr]), x[: left + right]) and np.shares_memory(xl, x)
    a, b = utils.split_dataset(x, **sizes, shuffle=True, seed=1)
    assert len(a) == left and len(b) == right
    again, _ = utils.split_dataset([x, y], **sizes, shuffle=True, seed=1)
    assert np.array_equal(again[0], a) and (again[0][:, 0] == 2 * again[1]).all()
    assert not np.array_equal(a, x[:left])


@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("rate", [1, 2])
@pytest.mark.parametrize("batch", [1, 4, 128, None])
@pytest.mark.parametrize("bounds", [{}, {"start_index": 3, "end_index": 17}])
def test_timeseries(length, stride, rate, batch, bounds):
    data, targets = np.arange(20.0)[:, None] * [1, 10], np.arange(20) + 100
    made = utils.timeseries_dataset_from_array(data, targets, length, stride, rate, batch, **bounds)
    first, last = bounds.get("start_index", 0), bounds.get("end_index", 20)
    windows, start = [], first
    while start + (length - 1) * rate < last:
        windows.append(([data[start + i * rate] for i in range(length)], targets[start]))
        start += stride
    if batch is None:
        batches = [(x[None], [y]) for x, y in made]
    else:
        batches = list(made)
        assert [len(y) for _, y in batches[:-1]] == [batch] * (len(batches) - 1)
    assert np.array_equal(np.concatenate([x for x, _ in batches]), [x for x, _ in windows])
    assert np.concatenate([y for _, y in batches]).tolist() == [y for _, y in windows]
    alone = utils.timeseries_dataset_from_array(data, None, length, stride, rate, batch, **bounds)
    assert np.array_equal(alone[0], made[0][0])
    mixed = utils.timeseries_dataset_from_array(data, targets, length, stride, rate, 128, True, 1, **bounds)
    assert sorted(mixed[0][1].tolist()) == [y for _, y in windows]


def test_timeseries_trains():
    import fastnet

    series = np.sin(np.arange(200) / 5)
    data = utils.timeseries_dataset_from_array(series[:-8], series[8:], 8, batch_size=16)
    model = fastnet.Sequential([fastnet.layers.Input((8,)), fastnet.layers.Dense(1)])
    model.compile(fastnet.optimizers.Adam(0.05), "mse")
    history = model.fit(data, epochs=20, verbose=0).history
    assert history["loss"][-1] < 1e-2 * history["loss"][0]


def test_pack_and_unpack():
    for items in [(1,), (1, 2), (1, 2, 3)]:
        packed = utils.pack_x_y_sample_weight(*items)
        assert utils.unpack_x_y_sample_weight(packed) == (*items, None, None)[:3]
        assert utils.unpack_x_y_sample_weight(list(items)) == (*items, None, None)[:3]
    assert utils.pack_x_y_sample_weight([1, 2]) == ([1, 2],)


def test_a_py_dataset_by_itself():
    class Ten(utils.PyDataset):
        def __init__(self):
            pass  # forgets super().__init__(), as many do

        def __len__(self):
            return 10

        def __getitem__(self, index):
            return index

    assert list(Ten()) == list(range(10)) and Ten().num_batches == 10 and Ten().workers == 1
    bare = type("Bare", (utils.PyDataset,), {})()
    assert bare.num_batches is None
    with pytest.raises(NotImplementedError, match="Bare needs __getitem__"):
        bare.__getitem__(0)


def test_progbar(capsys):
    bar = utils.Progbar(10, verbose=2, stateful_metrics=["rate"])
    for step in range(9):
        bar.add(1, [("loss", float(step)), ("rate", step)])
    assert bar.means() == {"loss": 4.0, "rate": 8.0}
    assert capsys.readouterr().out == ""
    bar.update(10, [("loss", 7.0)])
    (line,) = capsys.readouterr().out.splitlines()
    assert "loss: 7.0000" in line and "rate: 8.0000" in line
    bar.update(11)
    assert capsys.readouterr().out == ""
    weighted = utils.Progbar(None, verbose=0, stateless_metrics=["loss"])
    weighted.update(3, [("loss", 1.0), ("rate", 1)])
    weighted.update(4, [("loss", 5.0), ("rate", 2)])
    assert weighted.means() == {"loss": 2.0, "rate": 2.0}


def test_clear_session_names_anew():
    from fastnet import Sequential, layers

    utils.clear_session()
    names = [(layers.Dense(1).name, layers.Dense(1).name, Sequential().name, Sequential().name)]
    utils.clear_session(free_memory=False)
    names.append((layers.Dense(1).name, layers.Dense(1).name, Sequential().name, Sequential().name))
    assert names == [("dense", "dense_1", "sequential", "sequential_1")] * 2


def test_clear_session_frees_much_memory(monkeypatch):
    """A model without references is freed with the garbage, which is collected when there is much to gain."""
    from fastnet import Sequential, layers
    from fastnet.engine.variable import Allocated

    monkeypatch.setattr(Allocated, "bytes", 0)
    monkeypatch.setattr(process_state, "_LARGE", 4 * 12)
    gc.disable()
    try:
        model = weakref.ref(Sequential([layers.Input((2,)), layers.Dense(3)]))  # 9 weights of 4 bytes
        utils.clear_session()
        other = Sequential([layers.Input((2,)), layers.Dense(1)])
        utils.clear_session(free_memory=False)
        assert model() is not None
        utils.clear_session()
        assert model() is None and other.built and Allocated.bytes == 0
    finally:
        gc.enable()
