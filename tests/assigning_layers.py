"""Layers whose call assigns weights, as Keras's users write them, over the layers and operations of a library."""


def classes_of(layers, ops):
    """The classes by name; each keeps the shape of its input but `Spectral`, which gives 3 columns."""

    class Layer(layers.Layer):
        def state(self, shape, initializer="zeros", name="state"):
            return self.add_weight(shape=shape, initializer=initializer, trainable=False, name=name)

    class Warm(Layer):
        """A factor that grows from call to call, also in evaluations."""

        def build(self, input_shape):
            self.steps = self.state(())

        def call(self, x):
            self.steps.assign_add(1)
            return x * ops.minimum(self.steps / 10, 1.0)

    class Guarded(Warm):
        def call(self, x, training=None):
            factor = 1.0 + self.steps / 7
            if training:
                self.steps.assign(self.steps + 1)
            return x * factor

    class Tracker(Layer):
        """Normalizes by what its averages are after the batch, through which gradients flow."""

        def build(self, input_shape):
            self.mean = self.state(input_shape[1:], name="mean")
            self.variance = self.state(input_shape[1:], "ones", "variance")
            self.scale = self.add_weight(shape=input_shape[1:], initializer="ones", name="scale")

        def call(self, x, training=None):
            if training:
                self.mean.assign(self.mean * 0.9 + ops.mean(x, axis=0) * 0.1)
                self.variance.assign(self.variance * 0.9 + ops.var(x, axis=0) * 0.1)
            return self.scale * (x - self.mean) / ops.sqrt(self.variance + 1e-3)

    class Before(Layer):
        """Subtracts what its average is before the batch."""

        def build(self, input_shape):
            self.mean = self.state((1, input_shape[-1]), name="mean")

        def call(self, x, training=None):
            y = x - self.mean
            if training:
                self.mean.assign(self.mean * 0.9 + 0.1 * ops.mean(x, axis=0, keepdims=True))
            return y

    class Images(Layer):
        """A mean of channels that no gradient passes, and how many numbers were above it."""

        def build(self, input_shape):
            self.mean = self.state((1, 1, 1, input_shape[-1]), name="mean")
            self.above = self.state((input_shape[-1],), name="above")
            self.rows = self.state((), name="rows")

        def call(self, x, training=None):
            if training:
                mean = ops.stop_gradient(ops.mean(x, axis=(0, 1, 2), keepdims=True))
                self.mean.assign(0.5 * (self.mean + mean))
                self.above.assign_add(ops.sum(ops.cast(x > self.mean, x.dtype), axis=(0, 1, 2)))
                self.rows.assign_add(ops.cast(ops.shape(x)[0], x.dtype))
            return x - ops.reshape(self.mean, (-1,)) * ops.mean(self.above) / (1.0 + self.rows)

    class Spectral(Layer):
        """A dense layer whose kernel is divided by its largest singular value."""

        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], 3), initializer="glorot_uniform", name="kernel")
            self.u = self.state((1, 3), "ones", "u")

        def call(self, x, training=None):
            u = self.u
            v = ops.matmul(u, ops.transpose(self.kernel))
            v = ops.stop_gradient(v / ops.norm(v))
            u = ops.matmul(v, self.kernel)
            u = ops.stop_gradient(u / ops.norm(u))
            if training:
                self.u.assign(u)
            return ops.matmul(x, self.kernel / ops.matmul(ops.matmul(v, self.kernel), ops.transpose(u)))

    class Around(Layer):
        """The average of what an inner layer gives; its kernel, whose average is kept too, gives the outer one."""

        def __init__(self, **more):
            super().__init__(**more)
            self.inner = layers.Dense(6, activation="tanh")

        def build(self, input_shape):
            self.inner.build(input_shape)
            self.mean = self.state((6,), name="mean")
            self.kernel = self.state((input_shape[-1], 6), name="kernel")

        def call(self, x, training=None):
            y = self.inner(x)
            if training:
                self.mean.assign(0.8 * self.mean + 0.2 * ops.mean(y, axis=0))
                self.kernel.assign(0.8 * self.kernel + 0.2 * self.inner.kernel)
            return y - self.mean + ops.matmul(x, self.kernel)

    class Several(Layer):
        """Assigned more than once, each other's value, and a constant."""

        def build(self, input_shape):
            self.a, self.b = self.state((input_shape[-1],), "ones", "a"), self.state((input_shape[-1],), name="b")
            self.last = self.state((2,), name="last")

        def call(self, x, training=None):
            if training:
                a = 1.0 * self.a
                self.a.assign_add(ops.tanh(self.b))
                self.a.assign_sub(0.5 * self.a)
                self.b.assign(a + ops.mean(x, axis=0))
                self.last.assign([3.0, 4.0])
            return x * self.a + self.b * self.last[1]

    cases = Warm, Guarded, Tracker, Before, Images, Spectral, Around, Several
    return {cls.__name__: cls for cls in cases}


#: shapes of samples
SHAPES = {"Images": (4, 3, 6)}
