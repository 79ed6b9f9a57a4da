"""The bound plans of one network: made when they are first needed, kept for the batches that come again."""

from __future__ import annotations

import threading
import warnings
from typing import Any

from fastnet._kernels.compile import KernelError
from fastnet.engine import changes, convolution, devices
from fastnet.engine.cuda.driver import DeviceError
from fastnet.engine.sources import Source
from fastnet.layers.layer import Layer, all_parts
from fastnet.layers.undo import AttributeSnapshot
from fastnet.training.step import MODES, Step, lower

_MOST = 8  # kinds of plans that a model keeps, and of calls
_MOST_SHAPES = 32  # the same of a model whose samples may have different shapes, each of which needs plans


class PlanCache:
    """The bound plans of one network. Each is used by one thread at a time; several threads have several.

    Args:
        network: a layer with ``loss``, ``metrics_for(...)``, ``compiled_metrics`` and ``optimizer`` (a `Sequential`).

    Attributes:
        free: the plans of each kind that are not in use.
        recent: sessions of calls whose arrays fitted, by mode, shapes and dtypes; see `session.repeated`.
        known_shapes: shapes of a sample and its targets that fit; their number of classes, 0 without labels.
    """

    def __init__(self, network: Any):
        self.network = network
        self.free: dict[tuple, list[Step]] = {}
        self.recent: dict[tuple, Any] = {}
        self.known_shapes: dict[tuple, int] = {}
        self._process: object = None
        self._build_snapshot: AttributeSnapshot | None = None  # of a build for the first data, until it has a plan
        self._structure: tuple[object, str] = (None, "")  # the last change when it was found, and what it was
        self._losses: tuple[object, tuple] = (None, ())  # the same of losses
        self.renew_locks()

    def renew_locks(self) -> None:
        """Make locks of this process's own: in a forked child no thread would ever give its parent's back."""
        if self._process is not changes.process.token:
            self.training = threading.Lock()  # held while the model is trained
            self._lookup = threading.Lock()  # held while plans are looked up
            self._process = changes.process.token  # last: another thread that sees it finds the new locks

    def must_be_idle(self) -> None:
        """Raise where the model is being trained: neither its layers nor how it is compiled may change then."""
        self.renew_locks()
        if self.training.locked():
            raise RuntimeError(
                "This model is being trained: by another thread, or by the fit that this callback belongs to. Compile "
                "it, add and remove layers before or after; within a callback do so with a copy, copy.deepcopy(model)."
            )

    @property
    def most(self) -> int:
        """The kinds of plans, and of calls, that the model keeps."""
        return _MOST_SHAPES if self.network.is_open else _MOST

    def forget(self) -> None:
        """Drop all plans: the network has changed."""
        self.free.clear()
        self.recent = {}  # another one: a session in use gives itself back to that which it came from
        self.known_shapes.clear()
        self._structure, self._losses = (None, ""), (None, ())

    def build(self, shape: tuple[int, ...]) -> None:
        """Build the network for samples of this shape, once; `undo_build` can undo it until there is a plan."""
        network = self.network
        if not network.built:
            optimizer = [] if network.optimizer is None else [network.optimizer]
            snapshot = AttributeSnapshot([*all_parts(network), *optimizer])
            network.build((None, *shape))
            self._build_snapshot = snapshot

    def undo_build(self) -> None:
        """Unbuild what `build` built, where it has no plan yet."""
        snapshot, self._build_snapshot = self._build_snapshot, None
        if snapshot is not None:
            snapshot.restore()

    def start_optimizer(self) -> None:
        """Make the optimizer's state where there is none: what a `MultiOptimizer` chooses is a part of versions."""
        network = self.network
        if not network.optimizer.states:
            network.optimizer.build(network.trainable_weights)

    def version(self, mode: str) -> tuple:
        """The values besides the layers from which plans of ``mode`` follow; it changes when plans become void."""
        kind = MODES[mode]
        optimizer = self.network.optimizer if kind.updates else None
        version = None if optimizer is None else optimizer.version
        name = self.network.device
        device = None if name == "cpu" else (devices.driver_of(name), devices.matmul_precision())
        losses = self._losses_now() if kind.loss else ()
        return self._structure_now(), losses, optimizer, version, device, convolution.form()

    def take(self, mode: str, rows: int, sources: tuple[Source, ...], version: tuple) -> tuple[Step, list[Step]]:
        """A plan of this `version` that is free, and the list to which it must be given back."""
        key = (mode, rows, tuple([source.signature for source in sources]), version)
        with self._lookup:
            free = self.free.pop(key, [])
            self.free[key] = free  # last, as the one used last
            if len(self.free) > self.most:
                del self.free[next(iter(self.free))]
            found = free.pop() if free else None
        if found is None:
            found = self.make(mode, rows, sources)
            self._build_snapshot = None
        return found, free

    def make(self, mode: str, rows: int, sources: tuple[Source, ...], reuse: bool = True) -> Step:
        """A new plan with its memory and kernels; without ``reuse`` every buffer has memory of its own."""
        network, kind = self.network, MODES[mode]
        loss, optimizer, metrics = None, None, ()
        x, *others = [source.signature for source in sources]
        y, weights = (*others, None, None)[:2]
        if kind.loss:
            loss = network.loss_of_steps
            counts = kind.updates or not kind.backward  # what only gives gradients has no metrics
            metrics = network.metrics_for(network.sample_output_shape(x[0])) if counts else ()
        if kind.updates:
            optimizer = network.optimizer
            optimizer.build(network.trainable_weights)
        with changes.lowering():
            step = lower(network, mode, rows, x, y, loss, metrics, optimizer, reuse, weights)
            device = devices.chosen(network.device, step.plan, rows)
            try:
                return step.bind(rows, reuse, device)
            except (DeviceError, KernelError) as error:
                if device == "cpu" or network.device != "auto":
                    raise
                warnings.warn(f"device='auto' takes the CPU: {error}", RuntimeWarning, stacklevel=2)
                return step.bind(rows, reuse, "cpu")

    def _structure_now(self) -> str:
        """All of the network that decides what its plans are, but for the layers themselves.

        A text, whose hash is computed once: every step looks its plan up with it, and the hash of a tuple of 2,000
        layers takes 0.05 ms.
        """
        now = changes.arguments.token
        if self._structure[0] is not now:
            self._structure = now, repr([_state_of(part) for part in all_parts(self.network)])
        return self._structure[1]

    def _losses_now(self) -> tuple:
        """How often the loss, and losses as metrics, have changed."""
        now = changes.losses.token
        if self._losses[0] is not now:
            self._losses = (
                now,
                tuple([loss.changes for loss in [self.network.loss, *self.network.compiled_metrics.losses()] if loss]),
            )
        return self._losses[1]


def _state_of(layer: Layer) -> tuple:
    """All of one layer that decides what its plans are, but for its sublayers."""
    penalties = [layer.activity_regularizer]
    for weight in layer._variables:
        penalties += [weight.regularizer, weight.constraint]
    weights = [(weight.trainable, weight.changes) for weight in layer._variables]
    return layer.trainable, layer.changes, *weights, *[each.changes for each in penalties if each is not None]
