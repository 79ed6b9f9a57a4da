"""`EinsumDense` against NumPy's einsum: results, gradients, weights; what it refuses."""

import numpy as np
import pytest

import fastnet
from fastnet import initializers, layers, testing
from fastnet.testing.plans import LayerRun

RNG = np.random.default_rng(0)

EQUATIONS = [  # (equation, output_shape, bias_axes, shape of a sample)
    ("ab,bc->ac", 4, None, (3,)),
    ("ab,bc->ac", (1,), "c", (1,)),
    ("abc,cd->abd", (None, 4), "d", (5, 3)),
    ("abc,dc->abd", (5, 4), "d", (5, 3)),
    ("...x,xy->...y", 4, "y", (2, 5, 3)),
    ("abc,cde->abde", (None, 2, 4), "de", (5, 3)),
    ("abc,cde->abde", (None, 2, 4), "e", (5, 3)),
    ("abc,dec->abde", (None, 2, 4), "de", (5, 3)),
    ("abcd,cde->abe", (None, 7), "e", (2, 5, 3)),
    ("abcd,dce->abe", (None, 7), "e", (2, 5, 3)),
    ("abc,db->adc", (4, None), "dc", (5, 3)),
    ("abc,bd->acd", (None, 4), "cd", (5, 3)),
    ("abcd,ec->aebd", (6, None, None), "bd", (5, 3, 2)),
    ("ab...,bc->ac...", (4,), None, (3, 5, 2)),
    ("abc,cde->abde", (None, 2, 4), "d", (5, 3)),
    ("abc,cde->abde", (None, 2, 4), "bd", (5, 3)),
    ("abc,cde->abde", (None, 2, 4), "be", (5, 3)),
    ("...c,cde->...de", (1, 4), "d", (5, 3)),
    ("abcd,ec->aebd", (6, None, None), "ed", (5, 3, 2)),
    ("ab...,bc->ac...", (4,), "c", (3, 5, 2)),
    ("ab...,bcd->acd...", (4, 2), "d", (3, 5)),
]


@pytest.mark.parametrize(("equation", "sizes", "bias", "shape"), EQUATIONS)
def test_results_and_gradients(equation, sizes, bias, shape):
    def factory():
        return layers.EinsumDense(equation, sizes, bias_axes=bias, bias_initializer="uniform")

    run = LayerRun(factory, "float64", shape, 3)
    kernel = run.layer.kernel.numpy()
    x = RNG.standard_normal((3, *shape))
    wanted = np.einsum(equation, x, kernel) + (run.layer.bias.numpy() if bias else 0.0)
    dy = RNG.standard_normal(wanted.shape)
    data, rest = equation.split(",")
    weight, result = rest.split("->")
    dkernel = np.einsum(f"{data},{result}->{weight}".replace("...", "ZYXW"[: x.ndim - len(data) + 3]), x, dy)
    gradients = [np.einsum(f"{result},{weight}->{data}", dy, kernel), dkernel]
    if bias:
        sizes_of_bias = run.layer.bias.shape
        dbias = dy.sum(tuple(range(dy.ndim - len(sizes_of_bias))))
        gradients.append(dbias.sum(tuple(k for k, size in enumerate(sizes_of_bias) if size == 1), keepdims=True))
    for got, want in zip(run(x, dy), [wanted, *gradients], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
    assert run.layer.compute_output_shape((None, *shape)) == (None, *wanted.shape[1:])


@pytest.mark.slow
@pytest.mark.parametrize("number", [6, 12])
def test_check_layer(number):
    equation, sizes, bias, shape = EQUATIONS[number]
    report = testing.check_layer(lambda: layers.EinsumDense(equation, sizes, "tanh", bias_axes=bias), shape)
    assert "gradient of kernel" in str(report)


def test_trains_to_the_bits_of_dense():
    """Its product, bias and update are those of Dense, also where the kernel has three axes."""
    x, y = RNG.standard_normal((2, 37, 5, 8)).astype("f")
    weights = RNG.standard_normal((8, 8)).astype("f"), RNG.standard_normal(8).astype("f")
    found = []
    for layer in (
        layers.Dense(8, "relu"),
        layers.EinsumDense("abc,cd->abd", (None, 8), "relu", "d"),
        layers.EinsumDense("...c,cde->...de", (2, 4), "relu", "de"),
    ):
        model = fastnet.Sequential([layers.Input((5, 8)), layer, layers.Reshape((5, 8))])
        layer.set_weights([w.reshape(v.shape) for w, v in zip(weights, layer.weights)])
        model.compile("adam", "mse")
        history = model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0).history
        found.append([history["loss"], *(w.ravel() for w in model.get_weights()), model.predict(x, verbose=0)])
    for others in found[1:]:
        for got, want in zip(others, found[0], strict=True):
            np.testing.assert_array_equal(got, want)


def test_weights_descriptions_and_lengths():
    layer = layers.EinsumDense("...c,cde->...de", (2, 400), bias_axes="de")
    again = layers.EinsumDense.from_config(layer.get_config())
    assert again.get_config() == layer.get_config() and again.output_shape is None
    model = fastnet.Sequential([layers.Input((None, 300)), layer])
    assert model.output_shape == (None, None, 2, 400) and layer.bias.shape == (2, 400)
    assert model.predict(np.ones((2, 7, 300)), verbose=0).shape == (2, 7, 2, 400)
    # Glorot's limit is that of 300 inputs and 800 outputs, sqrt(6 / 1100).
    assert np.abs(layer.kernel.numpy()).max() == pytest.approx(np.sqrt(6 / 1100), rel=1e-3)
    given = layers.EinsumDense("ab,bc->ac", 2, kernel_initializer=initializers.Constant(0.5))
    assert given(np.ones((1, 3))).tolist() == [[1.5, 1.5]]
    with pytest.raises(ValueError, match=r"built for a kernel of shape \(3, 2\); received samples of shape \(4,\)"):
        given(np.ones((1, 4)))


WRONG = [
    (("abc,cd", 4), "must name the axes of data, kernel and result as"),
    (("abc,cd->...d", 4), "'...' at one end of data and result or nowhere"),
    ((5, 4), "received 5"),
    (("abb,bc->ac", 4), "each axis once"),
    (("ab,ac->bc", 4), "the first axis of data and of the result is the batch"),
    (("abc,abd->acd", 4), "the first axis .* is the batch"),
    (("abc,bcd->abd", (None, 4)), "each axis must be in two .* 'b' .* is not"),
    (("abc,cd->ad", 4), "each axis must be in two .* 'b' .* is not"),
    (("ab,c->abc", (None, 4)), "must have axes of the data and axes of the result"),
    (("abc,c->ab", (None,)), "must have axes of the data and axes of the result"),
    (("abc,cd->abd", (None, 4), None, "bc"), "bias_axes must be axes of the result 'abd' behind the batch, in order"),
    (("abc,cd->abd", (None, 4), None, "db"), "bias_axes must be axes of the result 'abd' .* received 'db'"),
    (("abc,cd->abd", (None, 4), None, "ad"), "bias_axes must be axes of the result"),
    (("abc,cd->abd", (None, 4), None, ""), "bias_axes must be axes of the result"),
    (("abc,cd->abd", "four"), "output_shape must be a tuple"),
]
WRONG_SHAPES = [
    (("abc,cd->abd", (None, 4)), (3,), "does not name the axes of data of 2 axes"),
    (("abc,cd->abd", (None, None)), (5, 3), "the size of 'd', an axis of the kernel"),
    (("abc,cd->abd", (6, 4)), (5, 3), r"gives the axis 'b' .* the size 6; .* shape \(5, 3\), where it is 5"),
    (("abc,cd->abd", 4), (5, 3), "the sizes of 2 axes, 'bd'"),
    (("abcd,ced->abe", (None, 4)), (5, 3, 2), "must stand together, before or behind the others: write 'cde'"),
]


@pytest.mark.parametrize(("given", "message"), WRONG, ids=str)
def test_what_is_not_one_product_is_refused(given, message):
    with pytest.raises(ValueError, match=rf"Layer 'e' \(EinsumDense\).*{message}"):
        layers.EinsumDense(*given, name="e")


@pytest.mark.parametrize(("given", "shape", "message"), WRONG_SHAPES, ids=str)
def test_samples_that_do_not_fit_are_refused(given, shape, message):
    layer = layers.EinsumDense(*given, name="e")
    with pytest.raises(ValueError, match=rf"Layer 'e' \(EinsumDense\).*{message}"):
        layer.build((None, *shape))
    assert not layer.weights
