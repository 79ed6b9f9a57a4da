"""Sparse matrices of scipy in every format, against the same data dense."""

import numpy as np
import pytest

from ..test_sparse import X, Y, net

sparse = pytest.importorskip("scipy.sparse")


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
@pytest.mark.parametrize("kind", ["matrix", "array"])
def test_every_format(form, kind):
    given = getattr(sparse, f"{form}_{kind}")(X)
    model, dense = net(), net()
    assert model.fit(given, Y, verbose=0).history == dense.fit(X, Y, verbose=0).history
    assert np.array_equal(model.predict(given, verbose=0), dense.predict(X, verbose=0))


def test_elements_that_stand_twice_are_added():
    given = sparse.coo_matrix(([1.0, 2.0, 4.0], ([0, 0, 1], [3, 3, 36])), X.shape)
    raw = sparse.csr_matrix(([4.0, 2.0, 1.0], [36, 3, 3], [0, 3, 3]), (2, 37))  # unsorted too
    assert np.array_equal(net().predict(given, verbose=0), net().predict(given.toarray(), verbose=0))
    assert np.array_equal(net().predict(raw, verbose=0), net().predict(raw.toarray(), verbose=0))
    assert raw.data.tolist() == [4.0, 2.0, 1.0]  # the user's matrix stays
