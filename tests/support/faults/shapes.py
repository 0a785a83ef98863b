"""Models of many shapes that a mistake can be put in, among innocent suspects."""

from __future__ import annotations

import keras
import tensorflow as tf

from tests.support.faults.library import Op, compiled, with_backward
from tests.support.models import normal

layers = keras.layers
UNITS = 8


@tf.custom_gradient
def innocent(x):
    """A hand-written backward pass that is right."""
    y = tf.tanh(x)
    return y, lambda dy: dy * (1 - y * y)


def wrong_op(mistake):
    return with_backward(mistake.forward, mistake.backward, True)


class Shape:
    """What a model is made of.

    Args:
        mistakes: One `Mistake` or more.
        rng: Source of the data.
        is_named: Whether layers have names of their own; else Keras names them.
    """

    def __init__(self, mistakes, rng, is_named):
        self.first = mistakes[0]
        self.mistakes, self.rng, self.is_named = mistakes, rng, is_named
        self.guilty: list[keras.Layer] = []

    def named(self, name):
        return {"name": name} if self.is_named else {}

    def dense(self, name, units=UNITS, mistake=None):
        mistake = mistake or self.first
        start = keras.initializers.RandomNormal(stddev=0.4 * mistake.spread)
        return layers.Dense(
            units, mistake.activation, kernel_initializer=start, **self.named(name)
        )

    def right(self, name):
        return Op(innocent, **self.named(name))

    def wrong(self, name, mistake=None):
        self.guilty.append(Op(wrong_op(mistake or self.first), **self.named(name)))
        return self.guilty[-1]

    def model(self, inputs, outputs, loss="mse"):
        return compiled(inputs, outputs, loss)

    def data(self, outputs=3):
        return normal(self.rng, 12, 6), normal(self.rng, 12, outputs)


def plain(s):
    inputs = keras.Input((6,))
    x = s.right("before")(s.dense("start")(inputs))
    for k, mistake in enumerate(s.mistakes):
        x = s.wrong(f"wrong_{k}", mistake)(s.dense(f"below_{k}", mistake=mistake)(x))
        x = s.right(f"between_{k}")(x)
    return s.model(inputs, layers.Dense(3)(x)), *s.data()


class Block(layers.Layer):
    """A residual block; blocks share the names of what is in them."""

    def __init__(self, up, op, down, **options):
        super().__init__(**options)
        self.up, self.op, self.down = up, op, down

    def build(self, shape):
        self.up.build(shape)
        self.down.build((*shape[:-1], UNITS))

    def call(self, x):
        return x + self.down(self.op(self.up(x)))


def repeated(s):
    inputs = keras.Input((6,))
    x = s.dense("start")(inputs)
    for k in range(3):
        op = s.wrong("op") if k == 1 else s.right("op")
        x = Block(s.dense("up"), op, layers.Dense(UNITS, **s.named("down")))(x)
    return s.model(inputs, layers.Dense(3)(x)), *s.data()


def branch(s):
    inputs = keras.Input((6,))
    trunk = s.right("trunk")(s.dense("start")(inputs))
    left = s.right("left_op")(s.dense("left")(trunk))
    right = s.wrong("right_op")(s.dense("right")(trunk))
    both = layers.Concatenate()([left, right])
    return s.model(inputs, layers.Dense(3)(s.right("after")(both))), *s.data()


def shared(s):
    inputs = keras.Input((6,))
    below, op = s.dense("below"), s.wrong("shared")
    x = s.right("before")(s.dense("start")(inputs))
    x = op(below(op(below(x))))
    return s.model(inputs, layers.Dense(3)(s.right("after")(x))), *s.data()


def in_loss(s):
    op = wrong_op(s.first)

    def own_loss(y_true, y_pred):
        return tf.reduce_mean(tf.square(op(y_pred) - y_true), -1)

    inputs = keras.Input((6,))
    x = s.right("before")(s.dense("start")(inputs))
    return s.model(inputs, s.dense("last", UNITS)(x), own_loss), *s.data(UNITS)


class Eager(keras.Model):
    """Its layers are made in another order than they are called."""

    def __init__(self, s):
        super().__init__()
        self.last = layers.Dense(3, **s.named("last"))
        self.op = s.wrong("wrong")
        self.after = s.right("after")
        self.first = s.dense("first")
        self.before = s.right("before")
        self.start = s.dense("start")

    def call(self, x):
        x = self.before(self.start(x))
        return self.last(self.after(self.op(self.first(x))))


def eager(s):
    model = Eager(s)
    model.compile("sgd", "mse", run_eagerly=True)
    x, y = s.data()
    model(x[:1])
    return model, x, y


SHAPES = {f.__name__: f for f in (plain, repeated, branch, shared, in_loss, eager)}
