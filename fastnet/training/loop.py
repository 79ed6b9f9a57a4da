"""fit, evaluate, predict: checks what the user gave, then lets the trainer run."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastnet import random
from fastnet.arrays import as_array
from fastnet.callbacks import CallbackList, History
from fastnet.engine.profiling import Profile
from fastnet.engine.sources import Source
from fastnet.training import arguments
from fastnet.training.arguments import BATCH, WIDE_BATCH
from fastnet.training.nonfinite import NonFiniteError
from fastnet.training.resume import Place
from fastnet.training.samples import ArrayFeed, Part, StreamFeed, is_stream
from fastnet.training.session import Lease
from fastnet.training.trainer import Trainer, Watch

Feed = ArrayFeed | StreamFeed


def new_trainer(model: Any) -> Trainer:
    """A trainer with a seed of its own."""
    return Trainer(model, random.next_seed)


def _builds_or_not_at_all(call: Callable) -> Callable:
    """``call(model, ...)`` that leaves a model unbuilt where it fails before there is a plan."""

    @functools.wraps(call)
    def wrapped(model: Any, *given: Any) -> Any:
        try:
            return call(model, *given)
        except BaseException:
            model._trainer.take_back_build()
            raise

    return wrapped


@_builds_or_not_at_all
def fit(
    model, x, y, batch_size, epochs, verbose, callbacks, validation_split, validation_data, shuffle, class_weight,
    sample_weight, initial_epoch, steps_per_epoch, validation_steps, validation_batch_size, validation_freq,
) -> History:  # fmt: skip
    """See `Sequential.fit`."""
    arguments.must_be_compiled(model, "fit")
    epochs = arguments.count(epochs, "epochs", 0)
    initial_epoch = arguments.count(initial_epoch, "initial_epoch", 0)
    steps_per_epoch = arguments.count_or_none(steps_per_epoch, "steps_per_epoch")
    validation_steps = arguments.count_or_none(validation_steps, "validation_steps")
    validation_batch_size = arguments.count_or_none(validation_batch_size, "validation_batch_size")
    freq = arguments.validation_epochs(validation_freq)
    arguments.check_shuffle(shuffle)
    x, y, sample_weight = arguments.unpacked(x, y, sample_weight)
    x, y, sample_weight, validation_data = _split(x, y, sample_weight, validation_split, validation_data)
    trainer = model._trainer
    feed = _feed(
        model, x, y, sample_weight, "fit", batch_size, BATCH, steps_per_epoch, trainer.order if shuffle else None,
        shuffle, class_weight,
    )  # fmt: skip
    held_out = None
    if validation_data is not None:
        size = validation_batch_size or batch_size
        held_out = _feed(model, *_validation(validation_data), "validation_data", size, BATCH, validation_steps)
    lease = _lease(model, "train", feed)
    if held_out is not None:
        arguments.check_samples(model, held_out.sources[0].array)  # against the shape that is known now
    given = {"model": model, "verbose": verbose, "epochs": epochs, "steps": feed.steps}
    shown = {"add_history": True, "add_progbar": verbose != 0, **given}
    with feed, held_out or contextlib.nullcontext(), CallbackList(callbacks, **shown) as calls, lease:
        model.stop_training = False
        calls.on_train_begin()
        place = Place(model, calls, lease, feed, held_out, initial_epoch)
        calls.resume(place)
        for epoch in range(epochs if place.is_over else place.epoch, epochs):
            calls.on_epoch_begin(epoch)
            if place.step:
                calls.resume(place)
            logs = _train_epoch(trainer, place) or _without_validation(place.logs)
            trainer.epochs_done += 1
            if held_out is not None and arguments.validates(freq, epoch):
                results = _evaluate(model, held_out, calls)
                logs |= {f"val_{name}": value for name, value in results.items()}
            calls.on_epoch_end(epoch, logs)
            place.next_epoch(logs)
            if model.stop_training:
                break
        trainer.finish()
        calls.on_train_end(place.logs)
    assert calls.history is not None
    model.history = calls.history
    return calls.history


def _without_validation(logs: dict[str, float]) -> dict[str, float]:
    """What an epoch that got no batch reports: the last one's numbers, as in Keras."""
    return {name: value for name, value in logs.items() if not name.startswith("val_")}


def _train_epoch(trainer: Trainer, place: Place) -> dict[str, float]:
    calls = place.calls

    def end(steps, logs):
        if calls.wants_batches:
            calls.on_train_batch_end(steps - 1, logs())
        if calls.wants_progress:
            calls.on_progress(steps, logs())
        place.reach(steps)

    watch = Watch(calls.wants_batches, calls.on_train_batch_begin, end, calls.steps_wanted)
    try:
        return trainer.train_epoch(place.lease, place.feed, watch, place.step)
    except NonFiniteError as error:
        if not calls.accepts_nonfinite(error.batch, error):
            raise
        logs = place.lease.ready.logs() | {"loss": float("nan")}
        if calls.wants_batches:
            calls.on_train_batch_end(error.batch, logs)
        return logs


@_builds_or_not_at_all
def evaluate(model, x, y, batch_size, verbose, sample_weight, steps, callbacks) -> dict[str, float]:
    """See `Sequential.evaluate`."""
    arguments.must_be_compiled(model, "evaluate")
    steps = arguments.count_or_none(steps, "steps")
    x, y, sample_weight = arguments.unpacked(x, y, sample_weight)
    feed = _feed(model, x, y, sample_weight, "evaluate", batch_size, WIDE_BATCH, steps)
    given = {"model": model, "verbose": verbose, "epochs": 1, "steps": feed.steps}
    with feed, CallbackList(callbacks, add_progbar=verbose != 0, **given) as calls:
        return _evaluate(model, feed, calls)


def _evaluate(model, feed: Feed, calls: CallbackList) -> dict[str, float]:
    trainer = model._trainer
    calls.on_test_begin()
    feed.reset()
    with (lease := _lease(model, "evaluate", feed)):
        lease.ready.reset()

        def end(steps, logs):
            if calls.wants_test_batches:
                calls.on_test_batch_end(steps - 1, logs())

        steps = trainer.run_all(lease, feed, Watch(calls.wants_test_batches, calls.on_test_batch_begin, end))
        logs = lease.ready.logs() if steps else {}  # a generator that is used up says nothing, least of all 0
    calls.on_test_end(logs)
    return logs


@_builds_or_not_at_all
def predict(model, x, batch_size, verbose, steps, callbacks) -> np.ndarray:
    """See `Sequential.predict`."""
    steps = arguments.count_or_none(steps, "steps")
    if not is_stream(x):
        x = as_array(x, "x")
        if callbacks is None and steps is None and (verbose == 0 or x.ndim == 0 or len(x) <= WIDE_BATCH):
            return predict_rows(model, x, batch_size)
        arguments.check_samples(model, x)
    feed = _feed(model, x, None, None, "predict", batch_size, WIDE_BATCH, steps)
    given = {"model": model, "verbose": verbose, "epochs": 1, "steps": feed.steps}
    with feed, CallbackList(callbacks, add_progbar=verbose != 0, **given) as calls:
        return _predict(model, feed, calls)


def _predict(model, feed: Feed, calls: CallbackList) -> np.ndarray:
    trainer = model._trainer
    results: list[np.ndarray] = []
    batches: Iterator[np.ndarray] = iter(())  # of the last result

    def enter(ready, part):
        nonlocal batches
        results.append(result := _result(ready, part))
        batches = (result[first : first + part.batch] for first in range(0, part.total, part.batch))

    def end(steps, logs):
        if calls.wants_progress:
            calls.on_progress(steps)
        if calls.wants_predict_batches:
            calls.on_predict_batch_end(steps - 1, {"outputs": next(batches)})

    calls.on_predict_begin()
    with (lease := _lease(model, "predict", feed)):
        trainer.run_all(lease, feed, Watch(calls.wants_predict_batches, calls.on_predict_batch_begin, end), enter)
    calls.on_predict_end()
    return results[0] if len(results) == 1 else np.concatenate(results)


def _result(ready, part: Part) -> np.ndarray:
    """Where the predictions of a part's rows, which begin with row 0, are written."""
    last = ready.low.outputs[-1][1]
    result = np.empty((part.total, *last.shape), last.dtype)
    ready.step[ready.low.result.index] = result.ctypes.data
    return result


@_builds_or_not_at_all
def predict_rows(model, x: Any, batch_size: int | None = None) -> np.ndarray:
    """Predictions without callbacks."""
    x = as_array(x, "x")
    shape = arguments.check_samples(model, x)
    arguments.check_values(model, x)
    arguments.build(model, shape)
    batch = arguments.batch_rows(batch_size, len(x), WIDE_BATCH)
    part = Part((Source(x),), 0, len(x), batch)
    with model._trainer.lease("predict", batch, *part.sources) as ready:
        result = _result(ready, part)
        model._trainer.run_part(ready, part)
    return result


@_builds_or_not_at_all
def train_on_batch(model, x: Any, y: Any, sample_weight: Any, class_weight: Any) -> dict[str, float]:
    """See `Sequential.train_on_batch`."""
    arguments.must_be_compiled(model, "train_on_batch")
    x, y = arguments.pair(x, y, "train_on_batch")
    sources = _sources(model, x, y, sample_weight, class_weight)
    trainer = model._trainer
    with trainer.lease("train", len(x), *sources) as ready:
        return trainer.train_batch(ready, len(x))


def compute_loss(model, x: Any, y: Any, y_pred: Any, sample_weight: Any) -> float:
    """See `Sequential.compute_loss`."""
    arguments.must_be_compiled(model, "compute_loss")
    active = [layer.name for layer in model.leaves if layer.activity_regularizer is not None]
    if active:
        raise ValueError(
            f"compute_loss knows predictions only, and {active} have an activity_regularizer; use test_on_batch(x, y)."
        )
    if y is None or (x is None and y_pred is None):
        raise ValueError("compute_loss needs y, and y_pred or x.")
    loss = model.loss(y, predict_rows(model, x) if y_pred is None else y_pred, sample_weight)
    return loss + sum(v.regularizer(v.array) for v in model.trainable_weights if v.regularizer is not None)


def evaluate_rows(model, x: Any, y: Any, sample_weight: Any) -> dict[str, float]:
    """Loss and metrics of one batch."""
    arguments.must_be_compiled(model, "test_on_batch")
    return evaluate(model, x, y, None, 0, sample_weight, None, None)


@_builds_or_not_at_all
def profile(model, x: Any, y: Any, batch_size: int | None, seconds: float) -> Profile:
    """See `Sequential.profile`."""
    arguments.must_be_compiled(model, "profile")
    arguments.check_seconds(seconds, "profile")
    x, y = arguments.pair(x, y, "profile")
    batch = arguments.batch_rows(batch_size, len(x), BATCH)
    trainer, sources = model._trainer, _sources(model, x, y)
    rows = len(x) / -(-len(x) // batch)
    with trainer.lease("train", batch, *sources) as ready, trainer.unchanged():
        return Profile.take(ready.bound, rows, seconds, lambda part: trainer.profile(ready, len(x), batch, part))


def as_results(logs: dict[str, float], return_dict: bool) -> Any:
    """Logs as Keras returns them."""
    if return_dict:
        return logs
    values = list(logs.values())
    return values[0] if len(values) == 1 else values


def _feed(
    model: Any, x: Any, y: Any, sample_weight: Any, what: str, batch_size: Any, default: int,
    steps: int | None = None, new_order: Callable | None = None, shuffle: Any = False, class_weight: Any = None,
) -> Feed:  # fmt: skip
    """Data as the trainer takes it, known to fit; builds nothing."""
    if is_stream(x):
        if y is not None:
            raise ValueError(f"{what}: x is a {type(x).__name__}, whose batches hold the targets too: give no y.")
        if sample_weight is not None:
            raise ValueError(f"{what}: a {type(x).__name__} yields the sample weights too: (x, y, sample_weight).")
        return StreamFeed(x, functools.partial(_check_batch, model, what, class_weight), steps, new_order)
    if what == "predict":
        arguments.check_values(model, x)
        rows, sources = len(x), (Source(x),)
    else:
        x, y = arguments.pair(x, y, what)
        rows, sources = len(x), _checked_sources(model, x, y, sample_weight, class_weight)
    batch = arguments.batch_rows(batch_size, rows, default, steps)
    if shuffle == "batch":
        assert new_order is not None
        return ArrayFeed(sources, batch, steps, functools.partial(_order_in_batches, new_order, batch))
    return ArrayFeed(sources, batch, steps, new_order)


def _order_in_batches(new_order: Callable, batch: int, rows: int) -> np.ndarray:
    """A permutation that moves no row to another batch."""
    order = new_order(rows)
    return np.ascontiguousarray(order[np.argsort(order // batch, kind="stable")])


def _check_batch(model: Any, what: str, class_weight: Any, arrays: tuple) -> tuple:
    """One batch of a stream, as the model reads it."""
    x, y, weights = arrays
    if what == "predict":
        if x is None or x.ndim == 0 or len(x) == 0:
            raise ValueError("x must have at least one row.")
        arguments.check_samples(model, x)
        arguments.check_values(model, x)
        return (x,)
    x, y = arguments.pair(x, y, what)
    targets = arguments.check_targets(model, x, y)
    arguments.check_values(model, x)
    return x, targets, arguments.row_weights(model, x, y, weights, class_weight)


def _lease(model: Any, mode: str, feed: Feed) -> Lease:
    """The model, built for these data, and its plan for them."""
    arguments.build(model, feed.sources[0].array.shape[1:])
    return model._trainer.lease(mode, feed.batch, *feed.sources)


def _split(x: Any, y: Any, weights: Any, split: Any, data: Any) -> tuple[Any, Any, Any, Any]:
    """(x, y and sample weights to train on, what to validate on or None)."""
    if data is not None:
        return x, y, weights, data
    if is_stream(x):
        if split:
            raise ValueError(
                f"validation_split needs arrays: a {type(x).__name__} cannot be divided. Give validation_data."
            )
        return x, y, weights, None
    x, y = arguments.pair(x, y, "fit")
    at = arguments.split_place(len(x), split)
    if at == len(x):
        return x, y, weights, None
    if weights is not None:
        weights = as_array(weights, "sample_weight")
        if weights.ndim == 0 or len(weights) != len(x):
            raise ValueError(
                f"sample_weight must have one weight for each of the {len(x)} samples; received shape {weights.shape}."
            )
        return x[:at], y[:at], weights[:at], (x[at:], y[at:], weights[at:])
    return x[:at], y[:at], None, (x[at:], y[at:])


def _validation(data: Any) -> tuple[Any, Any, Any]:
    """x, y and sample weights of ``validation_data``; the last two None where x yields batches."""
    if is_stream(data):
        return data, None, None
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise ValueError(
            "validation_data must be a pair (x, y), or (x, y, sample_weight), or yield batches; received "
            f"{type(data).__name__}."
        )
    return data[0], data[1], data[2] if len(data) == 3 else None


def _sources(
    model: Any, x: np.ndarray, y: np.ndarray, sample_weight: Any = None, class_weight: Any = None
) -> tuple[Source, ...]:
    """Sources of data, targets and, where there are any, weights; the model is built for them."""
    sources = _checked_sources(model, x, y, sample_weight, class_weight)
    arguments.build(model, x.shape[1:])
    return sources


def _checked_sources(model: Any, x: np.ndarray, y: np.ndarray, sample_weight: Any, class_weight: Any):
    targets = Source(arguments.check_targets(model, x, y))
    arguments.check_values(model, x)
    weights = arguments.row_weights(model, x, y, sample_weight, class_weight)
    return (Source(x), targets) if weights is None else (Source(x), targets, Source(weights))
