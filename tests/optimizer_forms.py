"""Optimizers in Keras's form, each from one source for both libraries, as papers and guides write them."""


def classes_of(library, ops):
    """Name → class, with the library's own base class and functions."""
    Base = library.optimizers.Optimizer

    class Momentum(Base):
        """Keras's documentation of its base class, with Nesterov's form."""

        def __init__(self, learning_rate=0.01, momentum=0.9, nesterov=False, **kwargs):
            super().__init__(learning_rate=learning_rate, **kwargs)
            self.momentum, self.nesterov = momentum, nesterov

        def build(self, variables):
            super().build(variables)
            self.momentums = []
            for variable in variables:
                self.momentums.append(self.add_variable_from_reference(reference_variable=variable, name="momentum"))

        def update_step(self, gradient, variable, learning_rate):
            learning_rate = ops.cast(learning_rate, variable.dtype)
            gradient = ops.cast(gradient, variable.dtype)
            m = self.momentums[self._get_variable_index(variable)]
            momentum = ops.cast(self.momentum, variable.dtype)
            self.assign(m, ops.subtract(ops.multiply(m, momentum), ops.multiply(gradient, learning_rate)))
            if self.nesterov:
                self.assign_add(
                    variable, ops.subtract(ops.multiply(m, momentum), ops.multiply(gradient, learning_rate))
                )
            else:
                self.assign_add(variable, m)

        def get_config(self):
            config = super().get_config()
            config.update({"momentum": self.momentum, "nesterov": self.nesterov})
            return config

    class Adam(Base):
        """As Keras writes it."""

        def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False, **kwargs):
            super().__init__(learning_rate=learning_rate, **kwargs)
            self.beta_1 = beta_1
            self.beta_2 = beta_2
            self.epsilon = epsilon
            self.amsgrad = amsgrad

        def build(self, var_list):
            if self.built:
                return
            super().build(var_list)
            self._momentums, self._velocities = self.add_optimizer_variables(var_list, ["momentum", "velocity"])
            if self.amsgrad:
                self._velocity_hats = self.add_optimizer_variables(var_list, "velocity_hat")

        def update_step(self, gradient, variable, learning_rate):
            lr = ops.cast(learning_rate, variable.dtype)
            gradient = ops.cast(gradient, variable.dtype)
            local_step = ops.cast(self.iterations + 1, variable.dtype)
            beta_1_power = ops.power(ops.cast(self.beta_1, variable.dtype), local_step)
            beta_2_power = ops.power(ops.cast(self.beta_2, variable.dtype), local_step)
            m = self._momentums[self._get_variable_index(variable)]
            v = self._velocities[self._get_variable_index(variable)]
            alpha = lr * ops.sqrt(1 - beta_2_power) / (1 - beta_1_power)
            self.assign_add(m, ops.multiply(ops.subtract(gradient, m), 1 - self.beta_1))
            self.assign_add(v, ops.multiply(ops.subtract(ops.square(gradient), v), 1 - self.beta_2))
            if self.amsgrad:
                v_hat = self._velocity_hats[self._get_variable_index(variable)]
                self.assign(v_hat, ops.maximum(v_hat, v))
                v = v_hat
            self.assign_sub(variable, ops.divide(ops.multiply(m, alpha), ops.add(ops.sqrt(v), self.epsilon)))

        def get_config(self):
            config = super().get_config()
            names = ("beta_1", "beta_2", "epsilon", "amsgrad")
            config.update({name: getattr(self, name) for name in names})
            return config

    class Moments(Base):
        """A base of those with two averages."""

        def __init__(self, learning_rate=0.01, beta_1=0.9, beta_2=0.99, epsilon=1e-6, **kwargs):
            super().__init__(learning_rate=learning_rate, **kwargs)
            self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

        def build(self, variables):
            super().build(variables)
            self.m = [self.add_variable_from_reference(v, name="m") for v in variables]
            self.v = [self.add_variable_from_reference(v, name="v") for v in variables]

        def states_of(self, variable):
            index = self._get_variable_index(variable)
            return self.m[index], self.v[index]

        def corrections(self, variable):
            t = ops.cast(self.iterations + 1, variable.dtype)
            return 1 - self.beta_1**t, 1 - self.beta_2**t

    class AdaBelief(Moments):
        """Zhuang et al. 2020, arXiv:2010.07468."""

        def update_step(self, gradient, variable, learning_rate):
            m, s = self.states_of(variable)
            correction_1, correction_2 = self.corrections(variable)
            m.assign(self.beta_1 * m + (1 - self.beta_1) * gradient)
            s.assign(self.beta_2 * s + (1 - self.beta_2) * (gradient - m) ** 2 + self.epsilon)
            variable.assign_sub(learning_rate * (m / correction_1) / (ops.sqrt(s / correction_2) + self.epsilon))

    class Yogi(Moments):
        """Zaheer et al. 2018."""

        def update_step(self, gradient, variable, learning_rate):
            m, v = self.states_of(variable)
            correction_1, correction_2 = self.corrections(variable)
            square = ops.square(gradient)
            self.assign(m, self.beta_1 * m + (1 - self.beta_1) * gradient)
            self.assign(v, v - (1 - self.beta_2) * ops.sign(v - square) * square)
            self.assign_sub(variable, learning_rate * (m / correction_1) / (ops.sqrt(ops.abs(v) / correction_2) + 1e-3))

    class AdaMax(Moments):
        """Kingma and Ba 2014, section 7.1."""

        def update_step(self, gradient, variable, learning_rate):
            m, u = self.states_of(variable)
            correction, _ = self.corrections(variable)
            self.assign_add(m, (gradient - m) * (1 - self.beta_1))
            self.assign(u, ops.maximum(self.beta_2 * u, ops.abs(gradient)))
            self.assign_sub(variable, learning_rate * m / (correction * (u + self.epsilon)))

    class RAdam(Moments):
        """Liu et al. 2019, arXiv:1908.03265."""

        def update_step(self, gradient, variable, learning_rate):
            m, v = self.states_of(variable)
            t = ops.cast(self.iterations + 1, variable.dtype)
            correction_1, correction_2 = self.corrections(variable)
            limit = 2 / (1 - self.beta_2) - 1
            rho = limit - 2 * t * (1 - correction_2) / correction_2
            ratio = ops.sqrt(
                ops.maximum((rho - 4) * (rho - 2) * limit, 1e-3) / ((limit - 4) * (limit - 2) * ops.maximum(rho, 1.0))
            )
            self.assign(m, self.beta_1 * m + (1 - self.beta_1) * gradient)
            self.assign(v, self.beta_2 * v + (1 - self.beta_2) * ops.square(gradient))
            m_hat = m / correction_1
            adapted = ratio * m_hat / (ops.sqrt(v / correction_2) + self.epsilon)
            self.assign_sub(variable, learning_rate * ops.where(rho > 5.0, adapted, m_hat))

    class LAMB(Moments):
        """You et al. 2019, arXiv:1904.00962, as Keras has it."""

        def update_step(self, gradient, variable, learning_rate):
            m, v = self.states_of(variable)
            correction_1, correction_2 = self.corrections(variable)
            self.assign_add(m, ops.multiply(ops.subtract(gradient, m), 1 - self.beta_1))
            self.assign_add(v, ops.multiply(ops.subtract(ops.square(gradient), v), 1 - self.beta_2))
            update = (m / correction_1) / (ops.sqrt(v / correction_2) + self.epsilon)
            w_norm = ops.sqrt(ops.sum(ops.power(variable, 2)))
            g_norm = ops.sqrt(ops.sum(ops.power(update, 2)))
            ratio = ops.where(ops.greater(w_norm, 0), ops.where(ops.greater(g_norm, 0), (w_norm / g_norm), 1.0), 1.0)
            self.assign_sub(variable, ratio * learning_rate * update)

    class LARS(Base):
        """You et al. 2017, arXiv:1708.03888, without its decay."""

        def __init__(self, learning_rate=0.1, momentum=0.9, trust=0.1, **kwargs):
            super().__init__(learning_rate=learning_rate, **kwargs)
            self.momentum, self.trust = momentum, trust

        def build(self, variables):
            super().build(variables)
            self.velocities = self.add_optimizer_variables(variables, "velocity")

        def update_step(self, gradient, variable, learning_rate):
            v = self.velocities[self._get_variable_index(variable)]
            w_norm, g_norm = ops.norm(variable), ops.norm(gradient)
            both = ops.logical_and(w_norm > 0, g_norm > 0)
            trust = ops.where(both, self.trust * w_norm / (g_norm + 1e-9), 1.0)
            self.assign(v, self.momentum * v + learning_rate * trust * gradient)
            self.assign_sub(variable, v)

    class Lion(Base):
        """Chen et al. 2023, arXiv:2302.06675."""

        def __init__(self, learning_rate=0.01, beta_1=0.9, beta_2=0.99, **kwargs):
            super().__init__(learning_rate=learning_rate, **kwargs)
            self.beta_1, self.beta_2 = beta_1, beta_2

        def build(self, variables):
            super().build(variables)
            self.m = self.add_optimizer_variables(variables, "m")

        def update_step(self, gradient, variable, learning_rate):
            m = self.m[self._get_variable_index(variable)]
            self.assign_sub(variable, learning_rate * ops.sign(m * self.beta_1 + gradient * (1.0 - self.beta_1)))
            self.assign(m, m * self.beta_2 + gradient * (1.0 - self.beta_2))

    class Adagrad(Base):
        """Duchi et al. 2011; the accumulator does not begin at 0."""

        def __init__(self, learning_rate=0.05, **kwargs):
            super().__init__(learning_rate=learning_rate, **kwargs)

        def build(self, variables):
            super().build(variables)
            first = library.initializers.Constant(0.1)
            self.sums = self.add_optimizer_variables(variables, "sum", initializer=first)

        def update_step(self, gradient, variable, learning_rate):
            total = self.sums[self._get_variable_index(variable)]
            total.assign_add(gradient * gradient)
            variable.assign_sub(learning_rate * gradient * ops.rsqrt(total + 1e-7))

    class CenteredRMSprop(Base):
        """Graves 2013, arXiv:1308.0850, equations 38 to 41."""

        def __init__(self, learning_rate=0.01, rho=0.9, momentum=0.5, **kwargs):
            super().__init__(learning_rate=learning_rate, **kwargs)
            self.rho, self.momentum = rho, momentum

        def build(self, variables):
            super().build(variables)
            names = ["square", "mean", "momentum"]
            self.squares, self.means, self.momentums = self.add_optimizer_variables(variables, names)

        def update_step(self, gradient, variable, learning_rate):
            index = self._get_variable_index(variable)
            square, mean, momentum = self.squares[index], self.means[index], self.momentums[index]
            self.assign(square, self.rho * square + (1 - self.rho) * ops.square(gradient))
            self.assign(mean, self.rho * mean + (1 - self.rho) * gradient)
            step = learning_rate * gradient / ops.sqrt(square - ops.square(mean) + 1e-4)
            self.assign(momentum, self.momentum * momentum + step)
            self.assign_sub(variable, momentum)

    class SignSGD(Base):
        """Bernstein et al. 2018, arXiv:1802.04434; without a state, and without `build`."""

        def update_step(self, gradient, variable, learning_rate):
            self.assign_sub(variable, learning_rate * ops.sign(gradient))

    class NAdam(Moments):
        """Dozat 2016; a product of momenta for each weight."""

        def build(self, variables):
            super().build(variables)
            self.products = [self.add_variable(shape=(), initializer="ones", name="product") for _ in variables]

        def update_step(self, gradient, variable, learning_rate):
            m, v = self.states_of(variable)
            product = self.products[self._get_variable_index(variable)]
            t = ops.cast(self.iterations + 1, variable.dtype)
            u, next_u = self.beta_1 * (1 - 0.5 * 0.96**t), self.beta_1 * (1 - 0.5 * 0.96 ** (t + 1))
            _, correction = self.corrections(variable)
            self.assign(product, product * u)
            self.assign_add(m, (gradient - m) * (1 - self.beta_1))
            self.assign_add(v, (ops.square(gradient) - v) * (1 - self.beta_2))
            m_hat = next_u * m / (1 - product * next_u) + (1 - u) * gradient / (1 - product)
            self.assign_sub(variable, m_hat * learning_rate / (ops.sqrt(v / correction) + self.epsilon))

    class NovoGrad(Base):
        """Ginsburg et al. 2019, arXiv:1905.11286: a second moment for each weight, of its gradient's norm."""

        def __init__(self, learning_rate=0.01, beta_1=0.9, beta_2=0.5, decay=0.01, **kwargs):
            super().__init__(learning_rate=learning_rate, **kwargs)
            self.beta_1, self.beta_2, self.decay = beta_1, beta_2, decay

        def build(self, variables):
            super().build(variables)
            self.m = self.add_optimizer_variables(variables, "m")
            self.v = [self.add_variable((), name="v") for _ in variables]

        def update_step(self, gradient, variable, learning_rate):
            index = self._get_variable_index(variable)
            m, v = self.m[index], self.v[index]
            square = ops.sum(ops.square(gradient))
            self.assign(v, ops.where(self.iterations == 0, square, self.beta_2 * v + (1 - self.beta_2) * square))
            self.assign(m, self.beta_1 * m + gradient / (ops.sqrt(v) + 1e-8) + self.decay * variable)
            self.assign_sub(variable, learning_rate * m)

    class Centralized(Moments):
        """Gradients without their mean: Yong et al. 2020, arXiv:2004.01461; their norm is at most 1."""

        def update_step(self, gradient, variable, learning_rate):
            m, v = self.states_of(variable)
            if len(variable.shape) > 1:
                gradient = gradient - ops.mean(gradient)
            gradient = gradient / ops.maximum(ops.norm(gradient), 1.0)
            self.assign_add(m, (gradient - m) * (1 - self.beta_1))
            self.assign_add(v, (ops.square(gradient) - v) * (1 - self.beta_2))
            self.assign_sub(variable, learning_rate * m / (ops.sqrt(v) + 1e-3))

    class Lookahead(Base):
        """Zhang et al. 2019, arXiv:1907.08610: slow weights follow every third step."""

        def build(self, variables):
            super().build(variables)
            self.slow = self.add_optimizer_variables(variables, "slow")
            for slow, variable in zip(self.slow, variables):
                slow.assign(1.0 * variable)

        def update_step(self, gradient, variable, learning_rate):
            slow = self.slow[self._get_variable_index(variable)]
            now = ops.equal((self.iterations + 1) % 3, 0)
            fast = variable - learning_rate * gradient
            self.assign(slow, ops.where(now, slow + 0.5 * (fast - slow), 1.0 * slow))
            self.assign(variable, ops.where(now, 1.0 * slow, fast))

    class ScheduleFree(Base):
        """Defazio et al. 2024, arXiv:2405.15682, of SGD: the weight lies between z and the average of all z."""

        def build(self, variables):
            super().build(variables)
            self.z = self.add_optimizer_variables(variables, "z")
            for z, variable in zip(self.z, variables):
                self.assign(z, ops.copy(variable))

        def update_step(self, gradient, variable, learning_rate):
            z = self.z[self._get_variable_index(variable)]
            before = z.value
            self.assign_sub(z, learning_rate * gradient)
            average = (variable - 0.1 * before) / 0.9
            average = average + (z - average) / ops.cast(self.iterations + 1, variable.dtype)
            self.assign(variable, 0.1 * z + 0.9 * average)

    class Adan(Base):
        """Xie et al. 2022, arXiv:2208.06677: averages of the gradient and of its difference from the one before."""

        def build(self, variables):
            super().build(variables)
            names = ["m", "v", "n", "before"]
            self.m, self.v, self.n, self.before = self.add_optimizer_variables(variables, names)

        def update_step(self, gradient, variable, learning_rate):
            index = self._get_variable_index(variable)
            m, v, n, before = self.m[index], self.v[index], self.n[index], self.before[index]
            difference = ops.where(ops.equal(self.iterations, 0), ops.zeros_like(gradient), gradient - before)
            self.assign(m, 0.98 * m + 0.02 * gradient)
            self.assign(v, 0.92 * v + 0.08 * difference)
            self.assign(n, 0.99 * n + 0.01 * ops.square(gradient + 0.92 * difference))
            self.assign(before, gradient)
            step = learning_rate / (ops.sqrt(n) + 1e-3)
            self.assign(variable, (variable - step * (m + 0.92 * v)) / (1 + learning_rate * 0.02))

    class SM3(Base):
        """Anil et al. 2019, arXiv:1901.11150, SM3-II: of a weight's squares an accumulator for each axis."""

        def build(self, variables):
            super().build(variables)
            self.accumulators = []
            for v in variables:
                sizes = [[n if i == axis else 1 for i, n in enumerate(v.shape)] for axis in range(len(v.shape))]
                self.accumulators.append([self.add_variable(s, dtype=v.dtype, name="accumulator") for s in sizes])

        def update_step(self, gradient, variable, learning_rate):
            accumulators = self.accumulators[self._get_variable_index(variable)]
            least = 1.0 * accumulators[0]
            for each in accumulators[1:]:
                least = ops.minimum(least, each)
            squares = least + ops.square(gradient)
            self.assign_sub(variable, learning_rate * gradient / ops.sqrt(squares + 1e-12))
            for axis, each in enumerate(accumulators):
                others = tuple(i for i in range(len(variable.shape)) if i != axis)
                self.assign(each, ops.max(squares, axis=others, keepdims=True) if others else squares)

    class Shampoo(Base):
        """Gupta et al. 2018, arXiv:1802.09568, of the rows alone: a matrix that is multiplied by the gradient. Its
        inverse root comes from the iteration of Denman and Beavers in the form of Newton and Schulz."""

        def __init__(self, learning_rate=0.05, steps=8, **kwargs):
            super().__init__(learning_rate=learning_rate, **kwargs)
            self.steps = steps

        def build(self, variables):
            super().build(variables)
            rows = [v.shape[0] if len(v.shape) == 2 else 1 for v in variables]
            self.rows = [self.add_variable((n, n), dtype=v.dtype, name="rows") for n, v in zip(rows, variables)]

        def update_step(self, gradient, variable, learning_rate):
            rows = self.rows[self._get_variable_index(variable)]
            g = gradient if len(variable.shape) == 2 else ops.reshape(gradient, (1, -1))
            one = ops.eye(g.shape[0])
            self.assign(rows, 0.9 * rows + ops.matmul(g, ops.transpose(g)))
            size = ops.norm(rows) + 1e-3
            y, z = rows / size + 1e-2 * one, one
            for _ in range(self.steps):
                factor = 1.5 * one - 0.5 * ops.matmul(z, y)
                y, z = ops.matmul(y, factor), ops.matmul(factor, z)
            step = ops.matmul(z, g) / ops.sqrt(size)
            self.assign_sub(variable, learning_rate * ops.reshape(step, variable.shape))

    class ColumnLAMB(Moments):
        """LAMB whose trust is a number for each column."""

        def update_step(self, gradient, variable, learning_rate):
            m, v = self.states_of(variable)
            correction_1, correction_2 = self.corrections(variable)
            self.assign(m, self.beta_1 * m + (1 - self.beta_1) * gradient)
            self.assign(v, self.beta_2 * v + (1 - self.beta_2) * ops.square(gradient))
            update = (m / correction_1) / (ops.sqrt(v / correction_2) + self.epsilon)
            w_norm = ops.norm(variable, axis=0, keepdims=True)
            trust = ops.where(w_norm > 0, w_norm / (ops.norm(update, axis=0, keepdims=True) + 1e-6), 1.0)
            self.assign_sub(variable, learning_rate * trust * update)

    class Shared(Moments):
        """Dozat's product of momenta as Keras has it, a number of all weights; biases decay half as fast."""

        def build(self, variables):
            super().build(variables)
            self._product = library.Variable(1.0, dtype=variables[0].dtype)

        def _backend_update_step(self, grads, trainable_variables, learning_rate):
            t = ops.cast(self.iterations + 1, self._product.dtype)
            self.assign(self._product, self._product * self.beta_1 * (1 - 0.5 * 0.96**t))
            super()._backend_update_step(grads, trainable_variables, learning_rate)

        def update_step(self, gradient, variable, learning_rate):
            m, v = self.states_of(variable)
            self.assign(m, self.beta_1 * m + (1 - self.beta_1) * gradient)
            self.assign(v, self.beta_2 * v + (1 - self.beta_2) * ops.square(gradient))
            m_hat = m / (1 - ops.cast(self._product, variable.dtype))
            self.assign_sub(variable, learning_rate * m_hat / (ops.sqrt(v) + 0.1))

        def _apply_weight_decay(self, variables):
            for variable in variables:
                if self._use_weight_decay(variable):
                    share = 0.1 if len(variable.shape) > 1 else 0.05
                    variable.assign(variable - variable * share * ops.cast(self.learning_rate, variable.dtype))

    return {name: cls for name, cls in locals().items() if isinstance(cls, type) and cls not in (Base, Moments)}


#: name → class, arguments
CASES = {
    "momentum": ("Momentum", {}),
    "Nesterov": ("Momentum", {"nesterov": True}),
    "Adam": ("Adam", {"learning_rate": 0.01}),
    "AMSGrad": ("Adam", {"learning_rate": 0.01, "amsgrad": True}),
    "SignSGD": ("SignSGD", {"learning_rate": 0.003}),
    "Lookahead": ("Lookahead", {"learning_rate": 0.05}),
    "ScheduleFree": ("ScheduleFree", {"learning_rate": 0.05}),
    "Adan": ("Adan", {"learning_rate": 0.01}),
    "SM3": ("SM3", {"learning_rate": 0.05}),
    **{
        name: (name, {})
        for name in (
            "AdaBelief", "Yogi", "AdaMax", "RAdam", "LAMB", "LARS", "Lion", "Adagrad", "CenteredRMSprop", "NAdam",
            "NovoGrad", "Centralized", "Shampoo", "ColumnLAMB", "Shared",
        )
    },
}  # fmt: skip


def makers(classes):
    """Name → a function of further arguments that makes the optimizer, of one of the classes."""

    def maker(cls, given):
        return lambda **more: classes[cls](**{**given, **more})

    return {name: maker(*case) for name, case in CASES.items()}
