"""Deep Q-learning (Mnih et al. 2015, doi:10.1038/nature14236) of a cart that balances a pole, written in NumPy.

The loss of an action is not a formula of the outputs alone: only the output of the action taken has a gradient. It is
computed here, and `train_on_gradient` makes the step.
"""

import numpy as np

import fastnet
from fastnet import layers

GAMMA, BATCH, MEMORY = 0.98, 64, 10_000


class CartPole:
    """A pole on a cart that is pushed to the left (0) or the right (1); Barto, Sutton and Anderson 1983.

    The state is (position, velocity, angle, angular velocity). An episode ends when the pole or the cart is too far
    out, or after 200 steps.
    """

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)

    def reset(self):
        self.state, self.steps = self.rng.uniform(-0.05, 0.05, 4), 0
        return self.state.astype("float32")

    def step(self, action):
        """The new state, and whether the pole fell, and whether the episode is over."""
        x, v, angle, spin = self.state
        cos, sin = np.cos(angle), np.sin(angle)
        push = ((10.0 if action else -10.0) + 0.05 * spin * spin * sin) / 1.1
        spin_up = (9.8 * sin - cos * push) / (0.5 * (4 / 3 - 0.1 * cos * cos / 1.1))
        speed_up = push - 0.05 * spin_up * cos / 1.1
        self.state = np.array([x + 0.02 * v, v + 0.02 * speed_up, angle + 0.02 * spin, spin + 0.02 * spin_up])
        self.steps += 1
        fell = abs(self.state[0]) > 2.4 or abs(self.state[2]) > 0.2095
        return self.state.astype("float32"), fell, fell or self.steps == 200


class Memory:
    """The last transitions, of which batches are drawn."""

    def __init__(self, size=MEMORY):
        self.states, self.next_states = np.zeros((2, size, 4), "float32")
        self.actions, self.fell = np.zeros(size, np.int64), np.zeros(size, "float32")
        self.count, self.size = 0, size

    def add(self, state, action, next_state, fell):
        i = self.count % self.size
        self.states[i], self.actions[i], self.next_states[i], self.fell[i] = state, action, next_state, fell
        self.count += 1

    def draw(self, rng):
        rows = rng.integers(0, min(self.count, self.size), BATCH)
        return self.states[rows], self.actions[rows], self.next_states[rows], self.fell[rows]


def q_network(seed):
    fastnet.utils.set_random_seed(seed)
    model = fastnet.Sequential(
        [layers.Input((4,)), layers.Dense(64, "relu"), layers.Dense(64, "relu"), layers.Dense(2)]
    )
    model.compile(fastnet.optimizers.Adam(5e-4))  # without a loss: its gradient is computed in `train`
    return model


def train(model, target, states, actions, next_states, fell):
    """One step of double Q-learning (van Hasselt et al. 2016, arXiv:1509.06461), with a reward of 1 for each step.

    The loss is Huber's, of Q(s, a) - goal with goal = 1 + gamma Q'(s', argmax Q(s', .)), or 1 where the pole fell.
    """
    rows, both = np.arange(len(states)), model.predict_on_batch(np.concatenate([states, next_states]))
    values, best = both[: len(rows)], both[len(rows) :].argmax(axis=1)
    goal = 1 + GAMMA * (1 - fell) * target.predict_on_batch(next_states)[rows, best]
    gradient = np.zeros_like(values)
    gradient[rows, actions] = (values[rows, actions] - goal).clip(-1, 1) / len(states)
    model.train_on_gradient(states, gradient)


def main(steps=20_000, solved=190, seed=1):
    """Play and train until the last ten episodes lasted long; how long they lasted."""
    model, target = q_network(seed), q_network(seed)
    env, memory, rng = CartPole(seed), Memory(), np.random.default_rng(seed)
    state, lengths = env.reset(), []
    for step in range(steps):
        chance = max(0.02, 1 - step / 3000)  # of a random action
        action = rng.integers(2) if rng.random() < chance else model.predict_on_batch(state[None])[0].argmax()
        next_state, fell, over = env.step(action)
        memory.add(state, action, next_state, fell)
        state = next_state
        if step >= 500:
            train(model, target, *memory.draw(rng))
        if step % 200 == 0:
            target.set_weights(model.get_weights())
        if over:
            lengths.append(env.steps)
            if np.mean(lengths[-10:]) >= solved:
                break
            state = env.reset()
    mean = np.mean(lengths[-10:])
    print(f"after {step + 1} steps the last ten of {len(lengths)} episodes lasted {mean:.0f} of 200 steps on average")
    return mean


if __name__ == "__main__":
    main()
