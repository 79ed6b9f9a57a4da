"""Sparse matrices: rows become dense when they are gathered, with the bits of dense data."""

import numpy as np
import pytest

import fastnet
from fastnet import layers

from .test_bad_input import refuses

RNG = np.random.default_rng(0)
X = ((RNG.random((60, 37)) < 0.1) * RNG.normal(size=(60, 37))).astype(np.float32)
X[7], X[:, 5] = 0, 0  # an empty row, an empty column
Y = X.sum(1)


class Csr:
    """What of `scipy.sparse.csr_matrix` matters here."""

    has_canonical_format = True

    def __init__(self, dense, dtype=np.float32, index=np.int32):
        row, self.indices = (a.astype(index) for a in np.nonzero(dense))
        self.data, self.shape = dense[np.nonzero(dense)].astype(dtype), dense.shape
        self.indptr = np.searchsorted(row, np.arange(len(dense) + 1)).astype(index)

    def tocsr(self):
        return self

    def toarray(self):
        dense = np.zeros(self.shape, self.data.dtype)
        for row, (a, b) in enumerate(zip(self.indptr, self.indptr[1:])):
            dense[row, self.indices[a:b]] = self.data[a:b]
        return dense


def net(inputs=37):
    fastnet.utils.set_random_seed(1)
    made = fastnet.Sequential([layers.Input((inputs,)), layers.Dense(3, activation="relu"), layers.Dense(1)])
    made.compile("adam", "mse")
    return made


@pytest.mark.parametrize(
    ("dtype", "index"),
    [("float32", np.int32), ("float64", np.int64), ("float16", np.int32), ("bool", np.int32)],
)
def test_a_sparse_matrix_trains_as_a_dense_one(dtype, index):
    x = X != 0 if dtype == "bool" else X
    sparse = Csr(x, dtype, index)
    dense, results = sparse.toarray(), []
    for data in (sparse, dense):
        model = net()
        history = model.fit(data, Y, epochs=2, batch_size=7, validation_split=0.2, verbose=0).history
        results.append([history, model.evaluate(data, Y, verbose=0), model.train_on_batch(data, Y)])
        results[-1] += [model.predict(data, batch_size=9, verbose=0).tolist(), model(data).tolist()]
        results[-1].append(model.fit(data, Y, validation_data=(data, Y), shuffle=False, verbose=0).history)
    assert results[0] == results[1]


def test_batches_targets_and_one_row():
    model, dense = net(), net()
    assert model.fit([(Csr(X), Y)] * 2, verbose=0).history == dense.fit([(X, Y)] * 2, verbose=0).history
    assert np.array_equal(model.predict(Csr(X[3:4]), verbose=0), dense.predict(X[3:4], verbose=0))
    assert np.array_equal(model.predict([Csr(X)], verbose=0), dense.predict([X], verbose=0))
    assert np.array_equal(model.predict(Csr(X[7:8]), verbose=0), dense.predict(X[7:8], verbose=0))
    assert model.evaluate(X, Csr(Y[:, None]), verbose=0) == dense.evaluate(X, Y, verbose=0)
    deferred = fastnet.Sequential([layers.Dense(1)])
    deferred.compile("sgd", "mse")
    deferred.fit(Csr(X), Y, verbose=0)
    assert deferred.input_shape == (None, 37)


def test_other_layers_first():
    scaled, dense = (fastnet.Sequential([layers.Rescaling(2.0, 1.0), layers.Reshape((1, 37))]) for _ in range(2))
    assert np.array_equal(scaled.predict(Csr(X), verbose=0), dense.predict(X, verbose=0))
    codes = fastnet.Sequential([layers.CategoryEncoding(4, name="codes")])
    refuses(lambda: codes.predict(Csr(np.rint(abs(X)))), "'codes'", "sparse", "x.toarray()")


def test_the_matrix_is_not_copied():
    from fastnet.arrays import as_rows

    matrix = Csr(X)
    rows = as_rows(matrix, "x")[10:20]
    for array, given in ((rows.values, matrix.data), (rows.columns, matrix.indices), (rows.starts, matrix.indptr)):
        assert np.shares_memory(array, given)
    assert rows.shape == (10, 37) and np.array_equal(net().predict(matrix)[10:20], net().predict(X[10:20]))


def test_nan_in_a_sparse_matrix_is_named():
    x = X.copy()
    x[11, 3] = np.nan
    with pytest.raises(fastnet.NonFiniteError, match="row 11 of x holds NaN or infinity in column 3"):
        net().fit(Csr(x), Y, verbose=0)


@pytest.mark.parametrize("spoil", ["column", "negative", "start", "order", "end"])
def test_indices_that_point_outside(spoil):
    matrix, model = Csr(X), net()
    if spoil in ("column", "negative"):
        matrix.indices[4] = 37 if spoil == "column" else -1
    elif spoil == "end":
        matrix.data = matrix.data[:-1]
    else:
        matrix.indptr[0 if spoil == "start" else 3] = -1 if spoil == "start" else 10**6
    refuses(lambda: model.fit(matrix, Y), "x: the indices of the sparse matrix of shape (60, 37)", "outside")
    refuses(lambda: model.predict(matrix), "outside")


def test_shapes_and_dtypes_of_sparse_data():
    refuses(lambda: net(5).fit(Csr(X), Y), "(5,)", "(60, 37)")
    refuses(lambda: net().fit(Csr(X), Y[:9]), "60 and 9")
    refuses(lambda: net().fit(Csr(X, complex), Y), "x must hold real numbers", "complex")
