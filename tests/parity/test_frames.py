"""Frames and columns of pandas and polars: what is taken, what is refused by name, and columns in another order."""

import copy

import numpy as np
import pytest

import fastnet
from fastnet import layers
from fastnet.arrays import as_array

from ..test_bad_input import refuses

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")


def net(inputs, loss="mse"):
    fastnet.utils.set_random_seed(1)
    model = fastnet.Sequential([layers.Input((inputs,)), layers.Dense(1)])
    model.compile("sgd", loss)
    return model


def test_columns_of_any_kind_of_number():
    frame = pandas.DataFrame(
        {
            "float": [1.5, np.nan],
            "bool": [True, False],
            "int": np.array([1, 2], "int8"),
            "nullable int": pandas.array([3, 4], "Int64"),
            "nullable float": pandas.array([5.5, None], "Float64"),
            "nullable bool": pandas.array([True, False], "boolean"),
            "objects": np.array([7, 8.5], object),
            "sparse": pandas.arrays.SparseArray([0, 9]),
        }
    )
    expected = [[1.5, 1, 1, 3, 5.5, 1, 7, 0], [np.nan, 0, 2, 4, np.nan, 0, 8.5, 9]]
    assert np.array_equal(as_array(frame, "x"), expected, equal_nan=True)
    for name, values in zip(frame.columns, zip(*expected)):
        assert np.array_equal(as_array(frame[name], "x"), values, equal_nan=True), name
    assert as_array(frame[["bool", "int"]], "x").dtype == np.int8
    assert as_array(frame[["bool"]], "x").dtype == bool


def test_integers_of_128_bits():
    column = polars.Series("wide", [3, -1], dtype=polars.Int128)
    assert as_array(polars.DataFrame({"wide": column, "float": [0.5, 2]}), "x").tolist() == [[3, 0.5], [-1, 2]]
    assert as_array(column, "x").tolist() == [3, -1]
    refuses(lambda: as_array(polars.DataFrame([polars.Series("i", [1, 2**70], polars.Int128)]), "x"), "'i' (Int128)")


def test_columns_of_polars():
    frame = polars.DataFrame({"float": [1.5, None], "bool": [True, False], "int": [1, 2], "object": [3, 4]})
    frame = frame.with_columns(polars.col("object").cast(polars.Decimal(10, 0)).cast(polars.Int8))
    assert np.array_equal(as_array(frame, "x"), [[1.5, 1, 1, 3], [np.nan, 0, 2, 4]], equal_nan=True)
    assert as_array(frame["int"], "y").tolist() == [1, 2]
    refuses(
        lambda: as_array(frame.with_columns(polars.Series("i", [1, None])), "x"), "'i' (Int64)", "row 1", "fill_null"
    )
    texts = frame.with_columns(polars.Series("s", ["a", "b"]), polars.Series("c", ["a", "b"], polars.Categorical))
    refuses(lambda: as_array(texts, "x"), "'s' (String), 'c' (category)", "to_dummies", "to_physical", "cast(")
    refuses(lambda: as_array(texts["s"], "y"), "np.unique(y, return_inverse=True)")


def test_a_frame_of_one_dtype_is_read_in_place():
    data = np.ones((5, 3), np.float32)
    assert np.shares_memory(as_array(pandas.DataFrame(data, copy=False), "x"), data)


def test_columns_that_are_no_numbers_are_named():
    frame = pandas.DataFrame({"size": [1.0, 2.0], "colour": ["red", "blue"], "kind": pandas.Categorical([3, 4])})
    parts = ["x must hold real numbers", "'colour'", "'kind' (category)", "pd.get_dummies(x)", "factorize", "astype"]
    refuses(lambda: net(3).fit(frame, np.zeros(2)), *parts)
    refuses(lambda: net(3).predict(frame), *parts)
    many = pandas.DataFrame({f"column {k}": ["a"] for k in range(1000)})
    with pytest.raises(ValueError, match="'column 2'.* and 997 more") as caught:
        as_array(many, "x")
    assert len(str(caught.value)) < 500
    missing = pandas.DataFrame({"a": [1.0, 2.0, 3.0], "b": pandas.array([1, None, 3], "Int64")})
    refuses(lambda: net(2).fit(missing, np.zeros(3)), "x: column 'b' (Int64) has no value in row 1", "fillna")
    refuses(lambda: net(1).fit(missing[["a"]], missing["b"]), "y (Int64) has no value in row 1", "dropna")
    dummies = pandas.get_dummies(frame[["size", "colour"]])
    history = net(3).fit(dummies, pandas.Series([0.0, 1.0]), verbose=0)
    same = net(3).fit(np.array([[1.0, 0, 1], [2, 1, 0]]), np.array([0.0, 1.0]), verbose=0)
    assert history.history == same.history


def test_columns_without_any_value():
    """Those of floats are NaN, as where some values are missing; numpy's other numbers cannot be."""
    empty = [None, None]
    for column in (pandas.Series(empty, dtype="Float32"), polars.Series(empty, dtype=polars.Float64)):
        assert np.isnan(as_array(column, "x")).tolist() == [True, True]
    assert np.isnan(
        as_array(pandas.DataFrame({"a": pandas.Series(empty, dtype="Float64"), "b": [1, 2]}), "x")[:, 0]
    ).all()
    for column in (
        pandas.Series(empty, dtype="Int64"), pandas.Series(empty, dtype="boolean"),
        polars.Series(empty, dtype=polars.UInt8), polars.Series(empty, dtype=polars.Boolean),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"has no value in row 0. Fill or drop it: (fillna|fill_null)"):
            as_array(column, "x")
    for column in (pandas.Series(empty, dtype=object), polars.Series(empty), pandas.Series([[1], [2, 3]])):
        with pytest.raises(ValueError, match="x must hold real numbers; received objects"):
            as_array(column, "x")


def test_queries_and_columns_of_lists_are_told():
    model = fastnet.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    lazy = polars.LazyFrame({"a": [1.0, 2.0]})
    for call in (lambda: model.fit(lazy, np.zeros(2)), lambda: model.predict(lazy)):
        with pytest.raises(ValueError, match=r"x is a LazyFrame, a query without data: x.collect\(\) runs it"):
            call()
    pairs = polars.Series("a", [[1.0, 2.0], [3.0, 4.0]], dtype=polars.Array(polars.Float32, 2))
    lists, both = polars.Series("a", [[1.0, 2.0], [3.0]]), polars.Series("a", [{"q": 1}, {"q": 2}])
    for column in (pairs, lists, both):
        with pytest.raises(ValueError, match=r"x: column 'a' \((Array|List|Struct).* has several values a row"):
            model.fit(polars.DataFrame([column]), np.zeros(2))
    as_lists = polars.Series("a", [[1.0, 2.0], [3.0, 4.0]])
    remedied = polars.DataFrame([as_lists.list.to_array(2).arr.to_struct()]).unnest("a")
    np.testing.assert_array_equal(as_array(remedied, "x"), as_array(pairs, "x"))


def test_labels_of_a_frame():
    for labels in (pandas.Series(["a", "b"]), pandas.Series(["a", "b"], dtype="category")):
        refuses(lambda: net(1).fit(np.ones(2), labels), "y must", "np.unique(y, return_inverse=True)")  # noqa: B023


def test_columns_in_another_order_are_noticed():
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0], "c": [5.0, 6.0]})
    swapped, y = frame[["a", "c", "b"]], np.zeros(2)
    model = net(3)
    model.fit(frame, y, verbose=0)
    calls = [
        lambda x: model.predict(x, verbose=0),
        lambda x: model.predict_on_batch(x),
        lambda x: model.evaluate(x, y, verbose=0),
        lambda x: model.test_on_batch(x, y),
        lambda x: model.train_on_batch(x, y),
        lambda x: model(x),
        lambda x: model.fit(frame, y, validation_data=(x, y), verbose=0),
    ]
    for call in calls:
        refuses(lambda: call(swapped), "another order", "column 1 is 'c' and was 'b'")  # noqa: B023
        refuses(lambda: call(frame.rename(columns={"b": "d"})), "misses 'b' and adds 'd'")  # noqa: B023
        call(frame), call(frame.to_numpy())
    model.compile("sgd", "mse")
    refuses(lambda: model.predict(swapped), "another order")
    model.fit(swapped, y, verbose=0)  # a new training decides anew
    model.predict(swapped, verbose=0)
    model.fit(frame.to_numpy(), y, verbose=0)
    model.predict(frame, verbose=0), model.predict(swapped, verbose=0)
    refuses(lambda: model.fit(frame, np.zeros(3)), "2 and 3")
    model.predict(swapped, verbose=0)  # a fit that failed decides nothing


def test_a_frame_without_names_has_no_order():
    model = net(2)
    model.fit(pandas.DataFrame(np.ones((2, 2))), np.zeros(2), verbose=0)
    model.predict(pandas.DataFrame(np.ones((2, 2)), columns=["a", "b"]), verbose=0)


def test_nan_names_its_column():
    frame = pandas.DataFrame({"age": [1.0, 2.0, 3.0], "income": [1.0, 2.0, np.nan]})
    with pytest.raises(fastnet.NonFiniteError, match="row 2 of x holds NaN or infinity in column 'income'"):
        net(2).fit(frame, np.zeros(3), verbose=0)
    with pytest.raises(fastnet.NonFiniteError, match="row 2 of x holds NaN or infinity in column 1,"):
        net(2).fit(frame.to_numpy(), np.zeros(3), verbose=0)


def test_a_saved_model_and_a_copy_know_the_columns(tmp_path):
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    model = net(2)
    model.fit(frame, np.zeros(2), verbose=0)
    model.save(tmp_path / "m.fastnet")
    for same in (fastnet.models.load_model(tmp_path / "m.fastnet"), copy.deepcopy(model)):
        refuses(lambda: same.predict(frame[["b", "a"]]), "another order")  # noqa: B023
        assert np.array_equal(same.predict(frame, verbose=0), model.predict(frame, verbose=0))


def test_a_fit_that_fails_leaves_the_columns_of_the_one_before():
    model = fastnet.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    first, second = (pandas.DataFrame({name: [1.0, 2.0] for name in names}) for names in ("ab", "cd"))
    model.fit(first, [1.0, 2.0], verbose=0)
    stop = fastnet.callbacks.LambdaCallback(on_train_begin=lambda logs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.fit(second, [1.0, 2.0], verbose=0, callbacks=[stop])
    assert model.predict(first, verbose=0).shape == (2, 1)
