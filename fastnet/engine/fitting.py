"""fit, evaluate, predict: checks what the user gave, then lets the trainer run."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet import random
from fastnet.callbacks import CallbackList, History
from fastnet.engine.data import Source, as_array, match_targets
from fastnet.engine.profiling import Profile
from fastnet.engine.trainer import Trainer
from fastnet.layers.base import check_shape

BATCH = 32
WIDE_BATCH = 256  # rows at a time where nothing depends on the batch and none was given: evaluate, predict


def new_trainer(model: Any) -> Trainer:
    """A trainer with a seed of its own."""
    return Trainer(model, random.next_seed)


def fit(
    model, x, y, batch_size, epochs, verbose, callbacks, validation_split, validation_data, shuffle, initial_epoch,
    validation_batch_size, validation_freq,
) -> History:  # fmt: skip
    """See `Sequential.fit`."""
    _must_be_compiled(model, "fit")
    epochs = _count(epochs, "epochs", 0)
    initial_epoch = _count(initial_epoch, "initial_epoch", 0)
    validation_freq = _count(validation_freq, "validation_freq", 1)
    x, y = _pair(x, y, "fit")
    x, y, validation = _validation(x, y, validation_split, validation_data)
    batch = _batch(batch_size, len(x), BATCH)
    if validation is not None:
        _check_targets(model, *validation)
    xs, ys = _sources(model, x, y)
    held_out = None if validation is None else _sources(model, *validation)
    trainer = model._trainer
    steps = -(-len(x) // batch)
    with (
        CallbackList(
            callbacks,
            add_history=True,
            add_progbar=verbose != 0,
            model=model,
            verbose=verbose,
            epochs=epochs,
            steps=steps,
        ) as calls,
        trainer.lease("train", batch, xs, ys) as ready,
    ):
        model.stop_training = False
        calls.on_train_begin()
        logs: dict[str, float] = {}
        for epoch in range(initial_epoch, epochs):
            calls.on_epoch_begin(epoch)
            order = trainer.order(len(x)) if shuffle else None
            logs = _epoch(trainer, ready, len(x), batch, order, calls)
            trainer.epochs_done += 1
            if held_out is not None and (epoch + 1) % validation_freq == 0:
                size = _batch(validation_batch_size or batch_size, held_out[0].rows, BATCH)
                results = _evaluate(model, held_out[0], held_out[1], size, calls)
                logs |= {f"val_{name}": value for name, value in results.items()}
            calls.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        trainer.finish()
        calls.on_train_end(logs)
    assert calls.history is not None
    model.history = calls.history
    return calls.history


def _epoch(trainer: Trainer, ready: Any, total: int, batch: int, order: Any, calls: CallbackList) -> dict[str, float]:
    if not calls.wants_batches:
        return trainer.train_epoch(
            ready, total, batch, order, lambda steps, logs: calls.on_progress(steps, logs()), False
        )

    def each(steps, logs):
        calls.on_train_batch_end(steps - 1, logs())
        calls.on_progress(steps, logs())
        if steps * batch < total and not trainer.network.stop_training:
            calls.on_train_batch_begin(steps)

    calls.on_train_batch_begin(0)
    return trainer.train_epoch(ready, total, batch, order, each, True)


def evaluate(model, x, y, batch_size, verbose, callbacks) -> dict[str, float]:
    """See `Sequential.evaluate`."""
    _must_be_compiled(model, "evaluate")
    x, y = _pair(x, y, "evaluate")
    batch = _batch(batch_size, len(x), WIDE_BATCH)
    xs, ys = _sources(model, x, y)
    steps = -(-len(x) // batch)
    with CallbackList(
        callbacks, add_progbar=verbose != 0, model=model, verbose=verbose, epochs=1, steps=steps
    ) as calls:
        return _evaluate(model, xs, ys, batch, calls)


def _evaluate(model, xs: Source, ys: Source, batch: int, calls: CallbackList) -> dict[str, float]:
    trainer = model._trainer
    calls.on_test_begin()
    with trainer.lease("evaluate", batch, xs, ys) as ready:
        ready.reset()

        def each(steps, logs):
            if calls.wants_test_batches:
                calls.on_test_batch_end(steps - 1, logs())
                if steps * batch < xs.rows:
                    calls.on_test_batch_begin(steps)

        if calls.wants_test_batches:
            calls.on_test_batch_begin(0)
        trainer.run_all(ready, xs.rows, batch, each, calls.wants_test_batches)
        logs = ready.logs()
    calls.on_test_end(logs)
    return logs


def predict(model, x, batch_size, verbose, callbacks) -> np.ndarray:
    """See `Sequential.predict`."""
    x = as_array(x, "x")
    _check_samples(model, x)
    if callbacks is None and (verbose == 0 or len(x) <= WIDE_BATCH):
        return predict_rows(model, x, batch_size)
    batch = _batch(batch_size, len(x), WIDE_BATCH)
    steps = -(-len(x) // batch)
    with CallbackList(
        callbacks, add_progbar=verbose != 0, model=model, verbose=verbose, epochs=1, steps=steps
    ) as calls:
        calls.on_predict_begin()

        def each(steps, rows):
            calls.on_progress(steps)
            if calls.wants_predict_batches:
                calls.on_predict_batch_end(steps - 1, {"outputs": rows})
                if steps * batch < len(x):
                    calls.on_predict_batch_begin(steps)

        if calls.wants_predict_batches:
            calls.on_predict_batch_begin(0)
        result = predict_rows(model, x, batch_size, each, calls.wants_predict_batches)
        calls.on_predict_end()
    return result


def predict_rows(model, x: Any, batch_size: int | None = None, each: Any = None, one_step: bool = False) -> np.ndarray:
    """Predictions without callbacks."""
    x = as_array(x, "x")
    _build(model, _check_samples(model, x))
    batch = _batch(batch_size, len(x), WIDE_BATCH)
    trainer, source = model._trainer, Source(x)
    last = model.layers_to_run[-1]
    with trainer.lease("predict", batch, source) as ready:
        result = np.empty((len(x), *last.output_shape), ready.low.outputs[-1][1].dtype)
        ready.step[ready.low.result.index] = result.ctypes.data
        # each batch's rows: of use where a chunk is one step
        told = each and (lambda steps, logs: each(steps, result[(steps - 1) * batch : steps * batch]))
        trainer.run_all(ready, len(x), batch, told, one_step)
    return result


def train_on_batch(model, x: Any, y: Any) -> dict[str, float]:
    """See `Sequential.train_on_batch`."""
    _must_be_compiled(model, "train_on_batch")
    x, y = _pair(x, y, "train_on_batch")
    xs, ys = _sources(model, x, y)
    trainer = model._trainer
    with trainer.lease("train", len(x), xs, ys) as ready:
        return trainer.train_batch(ready, len(x))


def evaluate_rows(model, x: Any, y: Any) -> dict[str, float]:
    """Loss and metrics of one batch."""
    return evaluate(model, x, y, None, 0, None)


def profile(model, x: Any, y: Any, batch_size: int | None, seconds: float) -> Profile:
    """See `Sequential.profile`."""
    _must_be_compiled(model, "profile")
    x, y = _pair(x, y, "profile")
    batch = _batch(batch_size, len(x), BATCH)
    xs, ys = _sources(model, x, y)
    trainer = model._trainer
    with trainer.lease("train", batch, xs, ys) as ready:
        times, steps = trainer.profile(ready, len(x), batch, seconds)
        return Profile.of(ready.low.plan.launches, times, steps, len(x) / -(-len(x) // batch))


def as_results(logs: dict[str, float], return_dict: bool) -> Any:
    """Logs as Keras returns them."""
    if return_dict:
        return logs
    values = list(logs.values())
    return values[0] if len(values) == 1 else values


def _must_be_compiled(model: Any, what: str) -> None:
    if model.optimizer is None or model.loss is None:
        missing = "compile was not called" if model.optimizer is None else "compile was given no loss"
        raise RuntimeError(
            f"{what} needs an optimizer and a loss, and {missing}: call model.compile(optimizer=..., loss=...) first."
        )


def _count(value: Any, argument: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{argument} must be an integer of at least {least}, received {value!r}.")
    return int(value)


def _batch(batch_size: Any, rows: int, default: int) -> int:
    batch = default if batch_size is None else _count(batch_size, "batch_size", 1)
    return max(1, min(batch, rows))


def _pair(x: Any, y: Any, what: str) -> tuple[np.ndarray, np.ndarray]:
    if x is None or y is None:
        raise ValueError(f"{what} needs x and y, received {'no x' if x is None else 'no y'}.")
    x, y = as_array(x, "x"), as_array(y, "y")
    for name, array in (("x", x), ("y", y)):
        if array.ndim == 0:
            raise ValueError(f"{name} must have one row for each sample, received a number.")
    if len(x) != len(y):
        raise ValueError(f"x and y must have the same number of samples; received {len(x)} and {len(y)}.")
    if len(x) == 0:
        raise ValueError(f"{what} needs at least one sample; x has the shape {x.shape}.")
    return x, y


def _validation(x: np.ndarray, y: np.ndarray, split: Any, data: Any):
    """(x, y to train on, (x, y) to validate on or None)."""
    if data is not None:
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise ValueError("validation_data must be a pair (x, y).")
        return x, y, _pair(data[0], data[1], "validation_data")
    if not isinstance(split, (int, float)) or not 0 <= split < 1:
        raise ValueError(f"validation_split must be at least 0 and below 1, received {split!r}.")
    if split == 0:
        return x, y, None
    at = int(np.floor(len(x) * (1 - split)))
    if at == 0 or at == len(x):
        raise ValueError(
            f"validation_split={split} of {len(x)} samples leaves {at} to train on and {len(x) - at} to validate on; "
            "both must be at least 1."
        )
    return x[:at], y[:at], (x[at:], y[at:])


def _sources(model: Any, x: np.ndarray, y: np.ndarray) -> tuple[Source, Source]:
    y = _check_targets(model, x, y)
    _build(model, x.shape[1:])
    return Source(x), Source(y)


def _check_targets(model: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The targets as the loss reads them; builds nothing."""
    shape = model.sample_output_shape(_check_samples(model, x))
    loss = model.loss
    y = match_targets(y, shape or (1,), len(x), loss.sparse, loss.name)
    for metric in model.metrics_for(shape):
        if metric.sparse is not None and metric.sparse != loss.sparse:
            kinds = {True: "class indices", False: "rows of the predictions' shape"}
            raise ValueError(
                f"The metric {metric.name!r} reads {kinds[metric.sparse]} as targets, but the loss {loss.name!r} reads "
                f"{kinds[loss.sparse]}; use a metric of the same kind, or metrics=['accuracy']."
            )
    return y


def _build(model: Any, shape: tuple[int, ...]) -> None:
    if not model.built:
        model.build((None, *shape))


def _check_samples(model: Any, x: np.ndarray) -> tuple[int, ...]:
    """The shape of one sample, which is the one the first layer wants; builds nothing."""
    if x.ndim == 0:
        raise ValueError("x must have one row for each sample, received a number.")
    if not model._layers:
        raise ValueError(f"The model {model.name!r} has no layers; add some first.")
    first = model._layers[0]
    wanted = first.input_shape if model.built else first.given_input_shape
    if wanted is None:
        return check_shape(x.shape[1:], f"data for model {model.name!r}")
    if x.shape[1:] != wanted:
        hint = f" For one sample give x[None], of shape {(1, *x.shape)}." if x.shape == wanted else ""
        raise ValueError(
            f"The model {model.name!r} (first layer {model.layers_to_run[0].name!r}) takes samples of shape {wanted}, "
            f"that is data of shape {('n', *wanted)}; received data of shape {x.shape}.{hint}".replace("'n'", "n")
        )
    return wanted
