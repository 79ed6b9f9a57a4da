"""Gradients as arrays, and training on the gradient of the predictions: methods of `Sequential`."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet._kernels import abi
from fastnet.arrays import as_array
from fastnet.layers.layer import Layer
from fastnet.tracebacks import trimmed
from fastnet.training import adapters, requirements
from fastnet.training.options import must_be_compiled
from fastnet.training.samples import sources_of
from fastnet.training.session import Session, repeated

INPUT = "input"  # the key of the gradient of the data


class Differentiable:
    """The methods of a model that give gradients, or take one."""

    def gradients(self, x: Any, y: Any = None, sample_weight: Any = None, *, gradient: Any = None) -> dict[str, Any]:
        """The gradients of the loss of these rows by the weights and by the data; nothing is changed.

        They are those of the next `train_on_batch`, before the optimizer clips or accumulates them: layers behave as in
        training, dropout with the masks of the coming step and `BatchNormalization` with the statistics of the batch,
        and the penalties of regularizers are part of the loss.

        Args:
            x: data (n, ...).
            y: targets (n, ...).
            sample_weight: weight of each row.
            gradient: instead of ``y``, the gradient of any number by the predictions (n, ...). It flows back, and the
                results are the gradients of that number, and of the penalties. This needs no loss, and no `compile`.

        Returns:
            For each layer with trained weights, by its name, a dictionary from the name of a weight to an array of its
            shape: ``{"dense": {"kernel": ..., "bias": ...}}``. A layer of layers has a dictionary of these. The order
            is that of ``trainable_weights``. Under "input" is the gradient of the data, of the shape of ``x``, unless
            a layer reads indices. NaN and infinity are returned as they are computed.

        Raises:
            ValueError: the data do not fit, neither or both of ``y`` and ``gradient`` are given, or a layer with
                weights is called "input".
            RuntimeError: there is no loss to differentiate.

        Example:
            >>> import numpy as np, fastnet
            >>> from fastnet import layers
            >>> model = fastnet.Sequential([layers.Input((2,)), layers.Dense(1, use_bias=False, name="out")])
            >>> model.set_weights([np.array([[1.0], [3.0]])])
            >>> model.compile("sgd", "mse")
            >>> found = model.gradients([[1.0, 2.0]], [[5.0]])
            >>> found["out"]["kernel"].tolist(), found["input"].tolist()
            ([[4.0], [8.0]], [[4.0, 12.0]])
            >>> model.gradients([[1.0, 2.0]], gradient=[[1.0]])["out"]["kernel"].tolist()
            [[1.0], [2.0]]
        """
        with trimmed:
            return _gradients(self, x, y, sample_weight, gradient)

    def train_on_gradient(self, x: Any, gradient: Any, *, input_gradient: bool = False) -> np.ndarray | None:
        """One step of the optimizer on the gradient of any number by the predictions, which flows back.

        This is the step of algorithms whose loss is not a formula of targets and predictions: policy gradients, DDPG,
        SAC, two networks in a row. The optimizer clips, decays and accumulates as in `train_on_batch`, and penalties
        are added; the loss that was compiled, if there is one, has no part in it.

        Args:
            x: data (n, ...).
            gradient: (n, ...), of the shape of the predictions. That of a mean over the rows includes its 1 / n.
            input_gradient: whether to return the gradient by the data. It costs a matrix product.

        Returns:
            The gradient of that number by ``x``, before the step, where it is asked for; otherwise None.

        Raises:
            ValueError: the data or the gradient do not fit, or a layer reads indices, which have no gradient.
            fastnet.NonFiniteError: NaN or infinity in the data or the gradient; the weights are those before the step.
            RuntimeError: `compile` was not called.

        Example:
            >>> import numpy as np, fastnet
            >>> from fastnet import layers
            >>> model = fastnet.Sequential([layers.Input((2,)), layers.Dense(1, kernel_initializer="ones")])
            >>> model.compile(fastnet.optimizers.SGD(0.5))
            >>> model.train_on_gradient([[1.0, 2.0]], [[1.0]])
            >>> model.get_weights()[0].ravel().tolist()
            [0.5, 0.0]
        """
        with trimmed:
            return _train_on_gradient(self, x, gradient, input_gradient)


def _gradients(model: Any, x: Any, y: Any, sample_weight: Any, gradient: Any) -> dict[str, Any]:
    if (y is None) == (gradient is None):
        raise ValueError("gradients takes y, or gradient=, the gradient by the predictions: one of the two.")
    if gradient is None:
        must_be_compiled(model, "gradients")
        batch = adapters.paired(x, y, sample_weight, "gradients", model)
        requirements.check_columns(model.columns, batch.columns)
        arrays = requirements.check_pairs(model, None, batch)
        mode = "gradients"
    else:
        if sample_weight is not None:
            raise ValueError("gradients: sample_weight weighs a loss; multiply the rows of gradient instead.")
        arrays, mode = _with_gradient(model, x, gradient, "gradients"), "output_gradients"
    sources, trainer = sources_of(arrays), model._trainer
    rows = sources[0].rows
    with trainer.session(mode, rows, sources) as session:
        for variable, copy in session.step.copies.items():
            np.copyto(copy.array, variable.array)
        block = session.block
        block[abi.SEED] = trainer.seed
        block[abi.ITERATION] = 0 if model.optimizer is None else model.optimizer.iterations
        session.executable.run(0, rows, rows, 1, 0.0)
        found = {id(v): session.executable.read(g, rows).copy() for v, g in session.step.gradients.items()}
        given = _input_gradient(session, rows)
    result = _by_layer(model.name, model.layers, found)
    if given is not None:
        if INPUT in result:
            raise ValueError(
                f"The model {model.name!r}: gradients gives that of the data under {INPUT!r}, which is the name of "
                "a layer with weights; name that layer otherwise."
            )
        result[INPUT] = given
    return result


def _train_on_gradient(model: Any, x: Any, gradient: Any, input_gradient: bool) -> np.ndarray | None:
    if model.optimizer is None:
        raise RuntimeError("train_on_gradient needs an optimizer: call model.compile(optimizer=...) first.")
    trainer, mode = model._trainer, "train_through" if input_gradient else "train_on_gradient"
    session = repeated(trainer.plans, mode, (x, gradient))
    if session is None:
        arrays = _with_gradient(model, x, gradient, "train_on_gradient")
        sources = sources_of(arrays)
        session = Session.of_call(trainer.plans, mode, sources[0].rows, sources)
    with session:
        if input_gradient and session.step.input_gradient is None:
            raise ValueError(f"The model {model.name!r}: a layer reads indices, which have no gradient.")
        trainer.train_batch(session)
        return _input_gradient(session, session.rows)


def _with_gradient(model: Any, x: Any, gradient: Any, caller: str) -> tuple[np.ndarray, np.ndarray]:
    """Data, and the gradient of the predictions, as arrays that fit."""
    batch = adapters.inputs(x, model)
    requirements.check_columns(model.columns, batch.columns)
    (x,) = requirements.check_inputs(model, batch)
    gradient = as_array(gradient, "gradient")
    predicted = (len(x), *model.sample_output_shape(x.shape[1:]))
    if gradient.shape != predicted and (*gradient.shape, 1) == predicted:
        gradient = gradient[..., None]
    if gradient.shape != predicted:
        last = model.layers_to_run[-1]
        raise ValueError(
            f"{caller}: gradient must have the shape of the predictions, {predicted} of layer {last.name!r} "
            f"({type(last).__name__}); received {gradient.shape}."
        )
    if not len(x):
        raise ValueError(f"{caller} needs at least one sample; x has the shape {x.shape}.")
    return x, gradient


def _input_gradient(session: Session, rows: int) -> np.ndarray | None:
    view = session.step.input_gradient
    return None if view is None else session.executable.read(view, rows).copy()


def _by_layer(owner: str, layers: list[Layer], found: dict[int, np.ndarray]) -> dict[str, Any]:
    """Gradients by the names of layers and weights; ``found`` loses them: a shared weight is the first layer's."""
    result: dict[str, Any] = {}
    for layer in layers:
        weights = {v.name: found.pop(id(v)) for v in layer._variables if id(v) in found}
        weights |= _by_layer(layer.name, layer.sublayers, found)
        if weights and layer.name in result:
            raise ValueError(f"gradients: two layers in {owner!r} have the name {layer.name!r}; rename one of them.")
        if weights:
            result[layer.name] = weights
    return result
