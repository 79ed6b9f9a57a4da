"""fit, evaluate, predict and their variants: they adapt and check data, run the trainer, and call the callbacks."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet import checks, random
from fastnet.arrays import check_weights
from fastnet.callbacks import CallbackList, History
from fastnet.engine.sources import Source
from fastnet.training import adapters, own_steps, requirements
from fastnet.training.adapters import Adapter, Reading
from fastnet.training.advice import advise_on_losses
from fastnet.training.class_weights import ClassWeights
from fastnet.training.nonfinite import NonFiniteError
from fastnet.training.options import BATCH, WIDE_BATCH, FitOptions, batch_rows, count_or_none, must_be_compiled
from fastnet.training.resume import Position
from fastnet.training.samples import Batch, Samples, sources_of
from fastnet.training.session import Session, repeated
from fastnet.training.trainer import Hooks, Trainer

if TYPE_CHECKING:
    from fastnet.engine.profiling import Profile

TRAINING = (0, 0)  # key of the seed of masks and permutations of a model with a seed


def new_trainer(model: Any) -> Trainer:
    """A trainer with a seed of its own, or that of the model's seed."""
    if model.seed is None:
        return Trainer(model, random.next_seed())
    return Trainer(model, random.seed_of(model.seed, *TRAINING))


def fit(model: Any, x: Any, y: Any, sample_weight: Any, **given: Any) -> History:
    """See `Sequential.fit`; ``given`` are its other arguments."""
    must_be_compiled(model, "fit")
    options = FitOptions(**given)
    data: Adapter = adapters.adapt(x, y, sample_weight, "fit", model)
    held_out_data: Adapter | None
    if options.validation_data is None:
        data, held_out_data = data.split(options.validation_split)
    else:
        held_out_data = adapters.adapt_validation(options.validation_data, model)
        requirements.check_columns(data.columns, held_out_data.columns)
    plans, columns = model._trainer.plans, model.columns
    try:
        samples = data.samples(_check(model, options.class_weight), _reading(model._trainer, options))
        if options.class_weight is not None and isinstance(data, adapters.ArrayAdapter):
            options.class_weight.warn_absent()
        held_out = None
        if held_out_data is not None:
            size = options.validation_batch_size or options.batch_size
            held_out = held_out_data.samples(_check(model), Reading(size, BATCH, options.validation_steps))
        plans.build(samples.sources[0].signature[0])
        if held_out is not None:
            requirements.check_shape(model, held_out.sources[0].array.shape)  # the shape is known only now
        model.columns = data.columns
        return _fit(model, samples, held_out, options)
    except BaseException:
        model.columns = columns
        plans.undo_build()
        raise


def _reading(trainer: Trainer, options: FitOptions) -> Reading:
    order, within = trainer.order if options.shuffle else None, options.shuffle == "batch"
    return Reading(options.batch_size, BATCH, options.steps_per_epoch, order, within)


def _check(model: Any, class_weight: ClassWeights | None = None) -> adapters.Check:
    return functools.partial(requirements.check_pairs, model, class_weight)


def _fit(model: Any, samples: Samples, held_out: Samples | None, options: FitOptions) -> History:
    trainer = model._trainer
    with (
        samples,
        held_out or contextlib.nullcontext(),
        _calls(model, options.callbacks, options.verbose, samples, options.epochs, add_history=True) as calls,
        _session(model, "train", samples) as session,
    ):
        model.stop_training = False
        calls.on_train_begin()
        position = Position(model, calls, session, samples, held_out, options.initial_epoch)
        calls.resume(position)
        try:
            _train_epochs(model, position, held_out, options)
            trainer.finish(session)
        except Exception as error:
            if isinstance(error, NonFiniteError) or isinstance(error.__cause__, NonFiniteError):
                calls.diverged(error)
            raise
        calls.on_train_end(position.logs)
    assert calls.history is not None
    model.history = calls.history
    return calls.history


def _train_epochs(model: Any, position: Position, held_out: Samples | None, options: FitOptions) -> None:
    """Train from a position to the last epoch, or until a callback stops."""
    trainer, calls = model._trainer, position.calls
    assert calls.history is not None
    is_advised, is_resumed = False, position.step or position.epoch > options.initial_epoch
    for epoch in range(options.epochs if position.is_over else position.epoch, options.epochs):
        calls.on_epoch_begin(epoch)
        if position.step:
            calls.resume(position)
        logs = _train_epoch(trainer, position) or _without_validation(position.logs)
        trainer.epochs_done += 1
        if held_out is not None and options.validates(epoch):
            results = _evaluate(model, held_out, calls)
            logs |= {f"val_{name}": value for name, value in results.items()}
        calls.on_epoch_end(epoch, logs)
        position.next_epoch(logs)
        is_advised = is_advised or advise_on_losses(position.samples, calls.history.history.get("loss", []))
        if options.class_weight is not None and not is_resumed and _has_read_all(options, epoch, model.stop_training):
            options.class_weight.warn_absent()
        if model.stop_training:
            break


def _has_read_all(options: FitOptions, epoch: int, is_stopped: bool) -> bool:
    """Whether all targets have been read: after an epoch, or at the end where ``steps_per_epoch`` divides them."""
    return not is_stopped if options.steps_per_epoch is None else is_stopped or epoch + 1 == options.epochs


def _calls(model: Any, callbacks: Any, verbose: Any, samples: Samples, epochs: int = 1, **more: bool) -> CallbackList:
    """The user's callbacks, and those that fastnet adds."""
    params = {"verbose": verbose, "epochs": epochs, "steps": samples.steps}
    return CallbackList(callbacks, add_progbar=verbose != 0, model=model, **more, **params)


def _session(model: Any, mode: str, samples: Samples) -> Session:
    return model._trainer.session(mode, samples.batch_size, samples.sources)


def _without_validation(logs: dict[str, float]) -> dict[str, float]:
    """The logs of an epoch without a batch: the last epoch's numbers, as in Keras."""
    return {name: value for name, value in logs.items() if not name.startswith("val_")}


def _train_epoch(trainer: Trainer, position: Position) -> dict[str, float]:
    calls = position.calls

    def after(steps, logs):
        if calls.wants_batches:
            calls.on_train_batch_end(steps - 1, logs())
        if calls.wants_progress:
            calls.on_progress(steps, logs())
        position.reach(steps)

    own = _own_step(trainer.network, "train_step")
    one_step = calls.wants_batches or own is not None
    hooks = Hooks(one_step, calls.on_train_batch_begin, after, calls.steps_wanted, own=own)
    try:
        return trainer.train_epoch(position.session, position.samples, hooks, position.step)
    except NonFiniteError as error:
        if not calls.accepts_nonfinite(error.batch, error):
            raise
        logs = position.session.logs() | {"loss": float("nan")}
        if calls.wants_batches:
            calls.on_train_batch_end(error.batch, logs)
        return logs


def _own_step(model: Any, method: str) -> str | None:
    """The name of a method, where the model's class defines it."""
    return method if method in model._own_steps else None


def evaluate(
    model: Any, x: Any, y: Any, batch_size: Any, verbose: Any, sample_weight: Any, steps: Any, callbacks: Any,
    caller: str = "evaluate", own: bool = True,
) -> dict[str, float]:  # fmt: skip
    """See `Sequential.evaluate`."""
    must_be_compiled(model, caller, trains=False)
    reading = Reading(batch_size, WIDE_BATCH, count_or_none("steps", steps))
    data = adapters.adapt(x, y, sample_weight, caller, model)
    requirements.check_columns(model.columns, data.columns)
    samples = data.samples(_check(model), reading)
    with samples, _calls(model, callbacks, verbose, samples) as calls:
        return _evaluate(model, samples, calls, own)


def _evaluate(model: Any, samples: Samples, calls: CallbackList, own: bool = True) -> dict[str, float]:
    model.stop_evaluating = False
    calls.on_test_begin()
    samples.restart()
    with _session(model, "evaluate", samples) as session:
        session.reset()

        def after(steps, logs):
            if calls.wants_test_batches:
                calls.on_test_batch_end(steps - 1, logs())

        method = _own_step(model, "test_step") if own else None
        one_step = calls.wants_test_batches or method is not None
        begin = calls.on_test_batch_begin
        hooks = Hooks(one_step, begin, after, stopped=lambda: model.stop_evaluating, own=method)
        steps = model._trainer.run_all(session, samples, hooks)
        # An exhausted generator has no loss; 0 would be wrong.
        logs = model._trainer.pass_logs(session, hooks) if steps else {}
    calls.on_test_end(logs)
    return logs


def predict(model: Any, x: Any, batch_size: Any, verbose: Any, steps: Any, callbacks: Any) -> np.ndarray:
    """See `Sequential.predict`."""
    steps = count_or_none("steps", steps)
    prints = verbose not in ("auto", 0)  # also of one batch, which has no progress to show
    if batch_size is None and steps is None and callbacks is None and not prints:
        session = repeated(model._trainer.plans, "predict", (x,))
        if session is not None:
            with session:
                return model._trainer.predict_batches(session)
    data = adapters.adapt_inputs(x, model)
    requirements.check_columns(model.columns, data.columns)
    if isinstance(data, adapters.ArrayAdapter) and callbacks is None and steps is None and not prints:
        rows = data.batch.x
        if verbose == 0 or rows.ndim == 0 or len(rows) <= WIDE_BATCH:
            if verbose == 0 or model._trainer.plans.free:
                return _predict_batch(model, data.batch, batch_size)
            with CallbackList(add_progbar=True, verbose=verbose):  # the first plan may need kernels
                return _predict_batch(model, data.batch, batch_size)
    samples = data.samples(functools.partial(requirements.check_inputs, model), Reading(batch_size, WIDE_BATCH, steps))
    with samples, _calls(model, callbacks, verbose, samples) as calls:
        return _predict(model, samples, calls)


def _predict(model: Any, samples: Samples, calls: CallbackList) -> np.ndarray:
    results: list[np.ndarray] = []
    batches: Iterator[np.ndarray] = iter(())  # of the last result
    begun = done = size = 0  # steps before the last result, steps in all, rows of a step

    def after(steps, logs):
        nonlocal done
        done = steps
        if calls.wants_progress:
            calls.on_progress(steps)
        if calls.wants_predict_batches:
            calls.on_predict_batch_end(steps - 1, {"outputs": next(batches)})

    model.stop_predicting = False
    calls.on_predict_begin()
    with _session(model, "predict", samples) as session:

        def enter(segment):
            nonlocal batches, begun, size
            result, size, begun = session.new_predictions(segment.total), segment.batch_size, done
            if results and result.shape[1:] != results[0].shape[1:]:
                raise ValueError(
                    f"predict joins the predictions of all batches, whose shapes must be alike: those of the first "
                    f"batch are {results[0].shape[1:]} a sample, those of a later one {result.shape[1:]}. Call "
                    "predict_on_batch for each batch."
                )
            results.append(result)
            batches = (result[first : first + size] for first in range(0, segment.total, size))

        begin = calls.on_predict_batch_begin
        hooks = Hooks(calls.wants_predict_batches, begin, after, stopped=lambda: model.stop_predicting)
        model._trainer.run_all(session, samples, hooks, enter)
    calls.on_predict_end()
    results[-1] = results[-1][: (done - begun) * size]  # all rows, unless a callback stopped it
    return results[0] if len(results) == 1 else np.concatenate(results)


def predict_rows(model: Any, x: Any) -> np.ndarray:
    """Predictions of arrays, without callbacks."""
    session = repeated(model._trainer.plans, "predict", (x,))
    if session is None:
        batch = adapters.inputs(x, model)
        requirements.check_columns(model.columns, batch.columns)
        return _predict_batch(model, batch)
    with session:
        return model._trainer.predict_batches(session)


def _predict_batch(model: Any, batch: Batch, batch_size: Any = None) -> np.ndarray:
    (x,) = requirements.check_inputs(model, batch)
    trainer, sources = model._trainer, (Source(x),)
    size = batch_rows(batch_size, len(x), WIDE_BATCH)
    new_session = Session.of_call if batch_size is None else Session
    with new_session(trainer.plans, "predict", size, sources) as session:
        return trainer.predict_batches(session)


def train_on_batch(
    model: Any, x: Any, y: Any, sample_weight: Any, class_weight: Any = None, own: bool = True
) -> dict[str, float]:
    """See `Sequential.train_on_batch`; without ``own`` the step is not that of the model's class."""
    trainer, session = model._trainer, None
    if class_weight is None:
        session = repeated(trainer.plans, "train", (x, y) if sample_weight is None else (x, y, sample_weight))
    if session is None:
        must_be_compiled(model, "train_on_batch")
        batch = adapters.paired(x, y, sample_weight, "train_on_batch", model)
        requirements.check_columns(model.columns, batch.columns)
        weights = None if class_weight is None else ClassWeights(class_weight)
        arrays = requirements.check_pairs(model, weights, batch)
        sources = sources_of(arrays)
        session = Session.of_call(trainer.plans, "train", sources[0].rows, sources)
    else:
        requirements.check_targets(model, x.shape, y)
        if sample_weight is not None:
            check_weights(sample_weight)
    with session:
        if not (own and "train_step" in model._own_steps):
            return trainer.train_batch(session)
        data = tuple(source.array for source in session.sources)
        return own_steps.run_step(model, "train_step", data, lambda: trainer.train_batch(session))


def test_on_batch(model: Any, x: Any, y: Any, sample_weight: Any) -> dict[str, float]:
    """See `Sequential.test_on_batch`."""
    return evaluate(model, x, y, None, 0, sample_weight, None, None, "test_on_batch")


def compute_loss(model: Any, x: Any, y: Any, y_pred: Any, sample_weight: Any) -> float:
    """See `Sequential.compute_loss`."""
    must_be_compiled(model, "compute_loss", trains=False)
    active = [layer.name for layer in model.leaves if layer.activity_regularizer is not None]
    if active:
        raise ValueError(
            f"compute_loss knows predictions only, and {active} have an activity_regularizer; use test_on_batch(x, y)."
        )
    if y is None or (x is None and y_pred is None):
        raise ValueError("compute_loss needs y, and y_pred or x.")
    loss = model.loss(y, predict_rows(model, x) if y_pred is None else y_pred, sample_weight)
    return loss + sum(v.regularizer(v.array) for v in model.trainable_weights if v.regularizer is not None)


def profile(model: Any, x: Any, y: Any, batch_size: Any, seconds: float) -> Profile:
    """See `Sequential.profile`."""
    from fastnet.engine.profiling import Profile  # here: training does not need it

    must_be_compiled(model, "profile")
    checks.number("profile: seconds", seconds, checks.NOT_NEGATIVE)
    data = adapters.ArrayAdapter(adapters.paired(x, y, None, "profile", model))
    samples, trainer = data.samples(_check(model), Reading(batch_size)), model._trainer
    rows, size = samples.sources[0].rows, samples.batch_size
    with _session(model, "train", samples) as session, trainer.unchanged():
        train = functools.partial(trainer.profile, session, rows, size)
        return Profile.take(session.executable, rows / -(-rows // size), seconds, train)


def as_results(logs: dict[str, float], return_dict: bool) -> Any:
    """Logs as Keras returns them: a dictionary in order of the names, or a list that begins with the loss."""
    if return_dict:
        return dict(sorted(logs.items()))
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
