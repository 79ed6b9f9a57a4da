"""Layers as the guides and papers write them, over the layers and operations of a library."""


def classes_of(layers, ops):
    """The classes by name."""

    class Linear(layers.Layer):
        def __init__(self, units=4, rectified=False, **more):
            super().__init__(**more)
            self.units, self.rectified = units, rectified

        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="glorot_uniform", name="w")
            self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")

        def call(self, x):
            y = ops.matmul(x, self.w) + self.b
            return ops.relu(y) if self.rectified else y

        def get_config(self):
            return {**super().get_config(), "units": self.units, "rectified": self.rectified}

    class Antirectifier(layers.Layer):
        def build(self, input_shape):
            size = 2 * input_shape[-1]
            self.kernel = self.add_weight(shape=(size, input_shape[-1]), initializer="he_normal", name="kernel")

        def call(self, x):
            x = x - ops.mean(x, axis=-1, keepdims=True)
            return ops.matmul(ops.concatenate([ops.relu(x), ops.relu(-x)], axis=-1), self.kernel)

    class RMSNorm(layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

        def call(self, x):
            return x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + 1e-6) * self.scale

    class Maxout(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1], 12), initializer="glorot_uniform", name="w")
            self.b = self.add_weight(shape=(4,), initializer="zeros", name="b")

        def call(self, x):
            return ops.max(ops.reshape(ops.matmul(x, self.w), (-1, 4, 3)), axis=-1) + self.b

    class GatedLinear(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1], 8), initializer="glorot_uniform", name="w")

        def call(self, x):
            y = ops.matmul(x, self.w)
            return y[:, :4] * ops.sigmoid(y[:, 4:])

    class SqueezeExcite(layers.Layer):
        def __init__(self, **more):
            super().__init__(**more)
            self.down, self.up = layers.Dense(2, activation="relu"), layers.Dense(6, activation="sigmoid")

        def call(self, x):
            return x * self.up(self.down(x))

    class FiLM(layers.Layer):
        def __init__(self, **more):
            super().__init__(**more)
            self.condition = layers.Dense(12)

        def call(self, x):
            both = self.condition(x)
            return x * (1.0 + both[:, :6]) + both[:, 6:]

    class Rezero(layers.Layer):
        def __init__(self, **more):
            super().__init__(**more)
            self.inner = layers.Dense(6, activation="tanh")

        def build(self, input_shape):
            self.alpha = self.add_weight(shape=(), initializer="zeros", name="alpha")
            self.inner.build(input_shape)

        def call(self, x):
            return x + self.alpha * self.inner(x)

    class Highway(layers.Layer):
        def __init__(self, **more):
            super().__init__(**more)
            self.transform, self.gate = layers.Dense(6, activation="relu"), layers.Dense(6, activation="sigmoid")

        def call(self, x):
            gate = self.gate(x)
            return gate * self.transform(x) + (1.0 - gate) * x

    class TwiceTheSame(layers.Layer):
        def __init__(self, **more):
            super().__init__(**more)
            self.inner = layers.Dense(6)

        def call(self, x):
            return ops.softmax(self.inner(self.inner(x)))

    class Steps(layers.Layer):
        def build(self, input_shape):
            self.query = self.add_weight(shape=(input_shape[-1], 3), initializer="glorot_uniform", name="query")
            self.bias = self.add_weight(shape=(3,), initializer="zeros", name="bias")

        def call(self, x):
            return ops.log_softmax(ops.matmul(x, self.query) + self.bias)

    class WeightNormalized(layers.Layer):
        def build(self, input_shape):
            self.v = self.add_weight(shape=(input_shape[-1], 4), initializer="glorot_uniform", name="v")
            self.g = self.add_weight(shape=(4,), initializer="ones", name="g")

        def call(self, x):
            return ops.matmul(x, self.v / ops.norm(self.v, axis=0, keepdims=True)) * self.g

    class LowRank(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1], 5), initializer="glorot_uniform", name="w")
            self.a = self.add_weight(shape=(input_shape[-1], 2), initializer="glorot_uniform", name="a")
            self.b = self.add_weight(shape=(2, 5), initializer="glorot_uniform", name="b")

        def call(self, x):
            return ops.matmul(x, self.w + 0.5 * ops.matmul(self.a, self.b))

    class Tied(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1], 3), initializer="glorot_uniform", name="w")

        def call(self, x):
            return ops.matmul(ops.tanh(ops.matmul(x, self.w)), ops.transpose(self.w))

    class Position(layers.Layer):
        def build(self, input_shape):
            self.table = self.add_weight(shape=input_shape[1:], initializer="glorot_uniform", name="table")

        def call(self, x):
            return x + ops.tanh(self.table) * self.table[0]

    class SelfAttention(layers.Layer):
        def build(self, input_shape):
            size = input_shape[-1]
            self.query = self.add_weight(shape=(size, size), initializer="glorot_uniform", name="query")
            self.key = self.add_weight(shape=(size, size), initializer="glorot_uniform", name="key")
            self.value = self.add_weight(shape=(size, size), initializer="glorot_uniform", name="value")

        def call(self, x):
            query, key = ops.matmul(x, self.query), ops.matmul(x, self.key)
            scores = ops.matmul(query, ops.transpose(key, (0, 2, 1))) / 2.0
            return ops.matmul(ops.softmax(scores, axis=-1), ops.matmul(x, self.value))

    class Heads(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1], 2, 3), initializer="glorot_uniform", name="w")

        def call(self, x):
            heads = ops.einsum("bsd,dhk->bhsk", x, self.w)
            weights = ops.softmax(ops.einsum("bhik,bhjk->bhij", heads, heads), axis=-1)
            return ops.reshape(ops.einsum("bhij,bhjk->bihk", weights, heads), (-1, 5, 6))

    class Experts(layers.Layer):
        def build(self, input_shape):
            self.gate = self.add_weight(shape=(input_shape[-1], 3), initializer="glorot_uniform", name="gate")
            self.w = self.add_weight(shape=(input_shape[-1], 3, 4), initializer="glorot_uniform", name="w")

        def call(self, x):
            return ops.einsum("be,beo->bo", ops.softmax(ops.matmul(x, self.gate)), ops.einsum("bi,ieo->beo", x, self.w))

    class Prototypes(layers.Layer):
        def build(self, input_shape):
            self.centres = self.add_weight(shape=(3, input_shape[-1]), initializer="glorot_uniform", name="centres")

        def call(self, x):
            return ops.exp(-ops.sum(ops.square(x[:, None, :] - self.centres), axis=-1))

    class Penalizing(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1], 4), initializer="glorot_uniform", name="w")

        def call(self, x):
            y = ops.matmul(x, self.w)
            self.add_loss(0.1 * ops.mean(ops.square(y)) + ops.sum(ops.abs(x)) / 50.0)
            self.add_loss(0.3 * ops.sum(ops.square(self.w)) - ops.sum(ops.tanh(y[:, 0])) * 0.01)
            return ops.tanh(y)

    class ImageBlock(layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(3, 3, input_shape[-1], 4), initializer="glorot_uniform", name="kernel")
            self.bias = self.add_weight(shape=(4,), initializer="zeros", name="bias")

        def call(self, x):
            y = ops.relu(ops.conv(x, self.kernel, strides=1, padding="same") + self.bias)
            pooled = ops.max_pool(y, 2, strides=2) - ops.average_pool(y, 2, strides=2)
            return pooled * ops.sigmoid(ops.mean(pooled, axis=(1, 2), keepdims=True))

    class Codebook(layers.Layer):
        """The nearest code gates the data, after van den Oord et al. 2017, arXiv:1711.00937."""

        def build(self, input_shape):
            self.codes = self.add_weight(shape=(7, input_shape[-1]), initializer="glorot_uniform", name="codes")

        def call(self, x):
            distances = ops.sum(ops.square(self.codes), axis=-1) - 2 * ops.matmul(x, ops.transpose(self.codes))
            nearest = ops.take(self.codes, ops.argmin(distances, axis=-1), axis=0)
            return x * nearest + ops.matmul(x, ops.einsum("ki,kj->ij", self.codes, self.codes))

    class Chosen(layers.Layer):
        """Steps and entries that weights choose."""

        def build(self, input_shape):
            self.w = self.add_weight(shape=(5, input_shape[-1]), initializer="glorot_uniform", name="w")

        def call(self, x):
            at = ops.argmax(self.w, axis=0)
            return ops.take(x, at, axis=1) * ops.take(self.w, at - 2, axis=-1)[1] + ops.take(x, at - 4, axis=-1)[:, :4]

    class StandardizedConvolution(layers.Layer):
        """Qiao et al. 2019, arXiv:1903.10520, by the fan-in as Brock et al. 2021, behind a depthwise convolution."""

        def build(self, input_shape):
            self.depthwise = self.add_weight(shape=(3, 2, input_shape[-1], 2), name="depthwise")
            self.kernel = self.add_weight(shape=(2, 2, 2 * input_shape[-1], 3), name="kernel")

        def call(self, x):
            x = ops.depthwise_conv(x, self.depthwise, strides=1, padding="same")
            centered = self.kernel - ops.mean(self.kernel, axis=(0, 1, 2), keepdims=True)
            variance = ops.mean(ops.square(centered), axis=(0, 1, 2), keepdims=True)
            fan_in = 4 * x.shape[-1]
            return ops.conv(ops.relu(x), centered / ops.sqrt(fan_in * variance + 1e-3), strides=1, padding="valid")

    return {
        cls.__name__: cls
        for cls in (
            Linear, Antirectifier, RMSNorm, Maxout, GatedLinear, SqueezeExcite, FiLM, Rezero, Highway, TwiceTheSame,
            Steps, WeightNormalized, LowRank, Tied, Position, SelfAttention, Heads, Experts, Prototypes,
            Penalizing, ImageBlock, StandardizedConvolution, Codebook, Chosen,
        )
    }  # fmt: skip


def layers_of(layers, ops):
    """Name → (a function that makes a layer, the shape of a sample)."""
    classes = classes_of(layers, ops)
    shapes = {
        "Steps": (5, 4),
        "Linear": (3, 7),
        "Chosen": (5, 4),
        "Position": (5, 3),
        "SelfAttention": (5, 4),
        "ImageBlock": (6, 5, 2),
        "StandardizedConvolution": (5, 4, 2),
        "Heads": (5, 4),
    }
    return {name: (cls, shapes.get(name, (6,))) for name, cls in classes.items()}
