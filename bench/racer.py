"""One side of a race: trains on command with the fastnet that its interpreter finds.

`race.py` runs this file by its path, once for each installation. It uses only fastnet's public interface, which the two
versions share.
"""

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

if not __package__:  # imports the installation's fastnet first, then this checkout's benchmarks
    sys.path.pop(0)  # this folder
    import fastnet

    sys.path.insert(0, str(Path(__file__).parents[1]))

import fastnet
from bench import optimizer_cases, peers, small_models, workers, workloads
from fastnet import layers, losses, metrics

CHECK_STEPS = 3  # after these steps both versions must have the same loss
SIDE = 3162  # of a kernel of 10 million weights, whose update is nearly all of a step of one row


@dataclass
class Lap:
    """The work of a row: `run` does a round and returns the seconds of one unit. `loss` must agree between versions."""

    run: object
    loss: float | None = None


def mean(work, units):
    """Make a round that does `work`, of `units` units, once."""

    def run():
        start = time.perf_counter()
        work()
        return (time.perf_counter() - start) / units

    return run


def dense(name):
    """Make the work of a network of `workloads`: epochs."""

    def make(quick):
        workload = {**workloads.WORKLOADS, **workloads.ENDS}[name]
        workload = replace(workload, steps=max(CHECK_STEPS, workload.steps // (50 if quick else 1)))
        x, y = workload.data()
        contender = peers.Fastnet(workload, x, y, workload.weights())
        rows = CHECK_STEPS * workload.batch
        contender.fit(rows, shuffle=False)
        return Lap(mean(lambda: contender.fit(len(x), shuffle=True), workload.steps), contender.loss(rows))

    return make


def trained(make_model, x, y, batch_size, steps):
    """Make the work of a model: epochs, after `CHECK_STEPS` steps whose loss is compared."""
    fastnet.utils.set_random_seed(0)
    model = make_model()
    rows = CHECK_STEPS * batch_size
    model.fit(x[:rows], y[:rows], batch_size=batch_size, shuffle=False, verbose=0)
    loss = model.evaluate(x[:rows], y[:rows], batch_size=batch_size, verbose=0)
    loss = loss[0] if isinstance(loss, list) else loss
    return Lap(mean(lambda: model.fit(x, y, batch_size=batch_size, verbose=0), steps), loss)


def layer(make_layer):
    """Make the work of a layer: it follows each of two hidden layers of 256 units, in batches of 128."""

    def make(quick):
        x, y = small_models.batch(128 * (3 if quick else 100), 64, 10)

        def model():
            stack = [layers.Input((64,)), layers.Dense(256), make_layer(), layers.Dense(256), make_layer()]
            net = fastnet.Sequential([*stack, layers.Dense(10)])
            net.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True))
            return net

        return trained(model, x, y, 128, len(x) // 128)

    return make


def ending(loss, make_metrics=list, labels=False):
    """Make the work of a loss and metrics, behind a network of 64-64-10, in batches of 256."""

    def make(quick):
        x, y = small_models.batch(256 * (3 if quick else 100), 64, 10)
        y = y if labels else np.eye(10, dtype="float32")[y]

        def model():
            net = fastnet.Sequential([layers.Input((64,)), layers.Dense(64), layers.Dense(10, "softmax")])
            net.compile("sgd", loss, metrics=make_metrics())
            return net

        return trained(model, x, y, 256, len(x) // 256)

    return make


def optimizer(case):
    """Make the work of an optimizer: steps of one row through a kernel of 10 million weights. Where the update consists
    of matrix products, the kernel has 100,000."""

    def make(quick):
        side = SIDE // 10 if quick or case.products else SIDE
        rng, steps = np.random.default_rng(0), 4 if quick else 16
        x, y = (rng.standard_normal((steps, side)).astype("float32") for _ in range(2))
        kernel = (rng.standard_normal((side, side)) / np.sqrt(side)).astype("float32")

        def model():
            net = fastnet.Sequential([layers.Input((side,)), layers.Dense(side, use_bias=False)])
            net.compile(case.make(), "mse")
            net.set_weights([kernel])
            return net

        return trained(model, x, y, 1, steps)

    return make


def call(prepare, count):
    """Make the work of a call, the result of `prepare()`: a round is the best of `count`, since other programs disturb
    many."""

    def make(quick):
        one, repeats = prepare(), max(1, count // (10 if quick else 1))
        return Lap(lambda: small_models.best_seconds(one, repeats))

    return make


def train_on_batch():
    model, (x, y) = small_models.small_model(), small_models.batch()
    return lambda: model.train_on_batch(x, y)


def predict():
    model, (x, _) = small_models.small_model(), small_models.batch(1)
    return lambda: model.predict(x, verbose=0)


def new_architecture():
    """Builds, compiles and fits a network of new sizes."""
    (x, y), sizes = small_models.batch(), iter(range(37, 100_000))

    def one():
        units = next(sizes)
        small_models.small_model((units, units + 16, units + 8)).fit(x, y, batch_size=32, verbose=0)

    return one


def small_model():
    """Builds, trains and drops a small model of one of 13 sizes."""
    seeds = iter(range(1_000_000))
    return lambda: small_models.build_train_drop(next(seeds))


LAYERS = {
    "ReLU": lambda: layers.ReLU(),
    "gelu": lambda: layers.Activation("gelu"),
    "softmax": lambda: layers.Softmax(),
    "PReLU": lambda: layers.PReLU(),
    "Dropout": lambda: layers.Dropout(0.2, seed=1),
    "GaussianNoise": lambda: layers.GaussianNoise(0.1, seed=1),
    "BatchNormalization": lambda: layers.BatchNormalization(),
    "LayerNormalization": lambda: layers.LayerNormalization(),
    "RMSNormalization": lambda: layers.RMSNormalization(),
    "GroupNormalization": lambda: layers.GroupNormalization(32),
    "UnitNormalization": lambda: layers.UnitNormalization(),
    "Dense, l2 and max_norm": lambda: layers.Dense(256, kernel_regularizer="l2", kernel_constraint="max_norm"),
}
ENDINGS = {
    "mse": ending("mse"),
    "huber": ending("huber"),
    "kl_divergence": ending("kl_divergence"),
    "categorical crossentropy": ending("categorical_crossentropy"),
    "sparse crossentropy": ending("sparse_categorical_crossentropy", labels=True),
    "cosine_similarity": ending("cosine_similarity"),
    "accuracy and top 3": ending("categorical_crossentropy", lambda: ["accuracy", metrics.TopKCategoricalAccuracy(3)]),
    "AUC and F1": ending("categorical_crossentropy", lambda: [metrics.AUC(), metrics.F1Score()]),
}
LATENCIES = {
    "train_on_batch, tiny, 32 rows": call(train_on_batch, 1000),
    "predict, tiny, 1 row": call(predict, 1000),
    "new architecture, cached kernels": call(new_architecture, 10),
    "a small model's life": call(small_model, 50),
}
RACES = {
    "dense": {name: dense(name) for name in [*workloads.WORKLOADS, *workloads.ENDS]},
    "layers": {name: layer(make) for name, make in LAYERS.items()},
    "losses": ENDINGS,
    "optimizers": {case.name: optimizer(case) for case in optimizer_cases.CASES},
    "latency": LATENCIES,
}


class Racer:
    """Serves the commands `hello`, `prepare` and `lap`."""

    def __call__(self, command, **arguments):
        return getattr(self, command)(**arguments)

    def hello(self):
        """Tell the file and the version of fastnet."""
        return {"file": fastnet.__file__, "version": fastnet.__version__}

    def prepare(self, kind, name, quick):
        """Prepare the work of a row and warm it up: its loss, or the error for which this version cannot do it."""
        self.made = None  # frees the memory of the last row
        try:
            self.made = RACES[kind][name](quick)
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}
        self.made.run()
        return {"loss": self.made.loss}

    def lap(self):
        """Do a round: the seconds of one unit."""
        return {"seconds": self.made.run()}


if __name__ == "__main__":
    workers.serve(Racer())
