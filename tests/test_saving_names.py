"""Names in descriptions and files: of layers whose weights are matched, of the users' classes and functions, of what no
file can describe."""

import copy
import pickle

import numpy as np
import pytest

import fastnet
from fastnet import layers

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)


def dense(*widths, names=None):
    """Dense layers of these widths, all between the first and the last alike in shape."""
    names = names or [None] * (len(widths) - 1)
    given = [layers.Dense(n, name=name, bias_initializer="normal") for n, name in zip(widths[1:], names, strict=True)]
    return fastnet.Sequential([layers.Input((widths[0],)), *given])


def load(into, source, path, left):
    """Names of the model's layers that have the weights of a layer of the other: {layer: layer of the other}."""
    source.save_weights(path)
    with pytest.warns(UserWarning, match=f"no fitting weights for {', '.join(left)}; these stay"):
        into.load_weights(path, skip_mismatch=True)
    found = {}
    for layer in into.layers:
        for other in source.layers:
            ours, theirs = layer.get_weights(), other.get_weights()
            if ours and len(ours) == len(theirs) and all(map(np.array_equal, ours, theirs)):
                found[layer.name] = other.name
    return found


# ---- weights


def test_layers_are_matched_by_name_first(tmp_path):
    source = dense(3, 3, 3, 3, names=["a", "b", "c"])
    longer = dense(3, 3, 3, 3, 3, names=["a", "new", "b", "c"])
    assert load(longer, source, tmp_path / "w", ["new"]) == {"a": "a", "b": "b", "c": "c"}
    turned = dense(3, 3, 3, 3, 5, names=["c", "b", "a", "top"])
    assert load(turned, source, tmp_path / "w", ["top"]) == {"a": "a", "b": "b", "c": "c"}


def test_layers_without_a_namesake_are_matched_in_order(tmp_path):
    source = dense(3, 3, 3, 3, names=["a", "b", "c"])
    other = dense(3, 3, 3, 3, 5, names=["x", "b", "y", "top"])
    assert load(other, source, tmp_path / "w", ["top"]) == {"x": "a", "b": "b", "y": "c"}
    unfitting = dense(3, 3, 4, 3, names=["a", "b", "c"])
    assert load(unfitting, source, tmp_path / "w", ["b", "c"]) == {"a": "a"}


@pytest.mark.parametrize("first", [0, 1, 2, 3, 7])
def test_names_that_classes_gave_count_from_the_first_of_the_model(first, tmp_path):
    """A file has dense_2, dense_3, dense_4; in another process they may be dense, dense_1, dense_2."""
    source = dense(3, 3, 3, 3, names=["dense_2", "dense_3", "dense_4"])
    names = [f"dense_{first + k}" if first + k else "dense" for k in range(3)]
    other = dense(3, 3, 3, 5, names=names)
    assert load(other, source, tmp_path / "w", names[2:]) == {names[0]: "dense_2", names[1]: "dense_3"}


def test_a_layer_put_between_those_that_classes_named(tmp_path):
    source = dense(3, 3, 3)
    both = [layers.Dense(3, bias_initializer="normal"), layers.Dense(3, bias_initializer="normal")]
    other = fastnet.Sequential([layers.Input((3,)), both[0], layers.BatchNormalization(name="norm"), both[1]])
    expected = dict(zip([layer.name for layer in both], [layer.name for layer in source.layers]))
    assert load(other, source, tmp_path / "w", ["norm"]) == expected


def test_a_loss_weight_of_zero_is_kept(tmp_path):
    model = dense(3, 1)
    model.compile("sgd", "mse", loss_weights=0.0)
    before = model.get_weights()
    model.save(tmp_path / "m")
    again = fastnet.saving.load_model(tmp_path / "m")
    assert again.get_compile_config()["loss_weights"] == 0.0
    again.fit(X, X[:, :1], verbose=0)
    assert all(map(np.array_equal, before, again.get_weights()))
    assert set(model.get_compile_config()) == {"optimizer", "loss", "loss_weights"}


# ---- copies of what nobody registered


class Mine(layers.Dense):
    """A class that nobody registered."""


class Dense(layers.Dense):
    """One with the name of fastnet's."""


def twice(x):
    return x * 2


def ones(shape, dtype):
    return np.ones(shape, dtype)


def other(name):
    """A function and a class that have names which others have, too."""

    def twice(x):
        return x * 3

    twice.__name__ = name

    class Mine(layers.Activation):
        pass

    return twice, Mine


COPIES = {
    "clone": fastnet.models.clone_model,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("how", COPIES)
def test_copies_need_no_names(how):
    thrice, second = other("twice")
    inner = fastnet.Sequential([Mine(2, kernel_initializer=ones), layers.Lambda(thrice)], name="inner")
    given = [layers.Input((3,)), Mine(4, name="mine"), Dense(4), layers.Dense(4), second("relu"), layers.Lambda(twice)]
    model = fastnet.Sequential([*given, inner])
    twin = COPIES[how](model)
    assert [type(leaf) for leaf in twin.leaves] == [type(leaf) for leaf in model.leaves]
    assert [leaf.name for leaf in twin.leaves] == [leaf.name for leaf in model.leaves]
    assert not {id(leaf) for leaf in twin.leaves} & {id(leaf) for leaf in model.leaves}
    assert twin.layers[-1].leaves[0].kernel_initializer is ones
    twin.set_weights(model.get_weights())
    np.testing.assert_array_equal(twin(X), model(X))
    assert twin.get_config() == model.get_config()  # names are those that a file would have


def test_a_clone_is_new():
    model = dense(3, 2)
    model.compile("sgd", "mse")
    twin = fastnet.models.clone_model(model)
    assert twin.optimizer is not model.optimizer and not np.array_equal(twin.get_weights()[0], model.get_weights()[0])
    deferred = fastnet.models.clone_model(fastnet.Sequential([Mine(2)]))
    assert not deferred.built and type(deferred.layers[0]) is Mine


# ---- what has no description


class Odd(layers.Layer):
    """What it tells of itself no file can hold."""

    def get_config(self):
        return {**super().get_config(), "more": object()}


def test_what_cannot_be_described_is_found_and_named(tmp_path):
    bad = layers.Dense(2, name="top", kernel_initializer=lambda shape, dtype: np.ones(shape))
    model = fastnet.Sequential([layers.Input((3,)), fastnet.Sequential([bad], name="inner")])
    for call in (lambda: model.save(tmp_path / "m"), lambda: fastnet.models.clone_model(model), model.to_json):
        with pytest.raises(TypeError, match=r"Layer 'top' \(Dense\): kernel_initializer: A lambda has no name .* def"):
            call()
    with pytest.raises(TypeError, match=r"Layer 'odd' \(Odd\): more: <object .* has no get_config\(\)"):
        fastnet.saving.serialize_keras_object(Odd(name="odd"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimizer": fastnet.optimizers.SGD(lambda step: 0.1)}, "optimizer: SGD: learning_rate: A lambda"),
        ({"metrics": [lambda y_true, y_pred: y_pred - y_true]}, "^metrics: .*A lambda"),
    ],
)
def test_what_compile_was_given(arguments, message):
    model = dense(3, 2)
    model.compile(**{"optimizer": "sgd", "loss": "mse", **arguments})
    with pytest.raises(TypeError, match=message):
        model.get_compile_config()


# ---- histories


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_history_is_pickled_without_its_model(protocol):
    model = dense(3, 500, 1)
    model.compile(fastnet.optimizers.SGD(lambda step: 0.01), "mse")
    stays = fastnet.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(more=1.0))
    history = model.fit(X, X[:, :1], epochs=3, verbose=0, callbacks=[stays])
    content = pickle.dumps(history, protocol)
    again = pickle.loads(content)
    assert again.history == history.history and set(again.history) == {"loss", "more"}
    assert again.epoch == [0, 1, 2] and again.params == history.params and again.model is None
    assert len(content) < 1000 and history.model is model
    assert copy.deepcopy(history).history == history.history
