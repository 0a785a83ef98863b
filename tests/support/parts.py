"""Layers and functions by themselves, with one wrong gradient, and data for them."""

import numpy as np
import tensorflow as tf
from keras import layers

X = np.random.default_rng(0).normal(size=(3, 4))

Y = np.random.default_rng(1).normal(size=(4,))


def verdicts(report):
    return {v.path: v.verdict for v in report.variables}


def product(wrong=lambda gradient: gradient, at=1):
    """`sin(x) * y` over broadcast rows, one of its two gradients changed."""

    @tf.custom_gradient
    def op(x, y):
        def backward(dy):
            found = [dy * tf.cos(x) * y, tf.reduce_sum(dy * tf.sin(x), 0)]
            found[at] = wrong(found[at])
            return found

        return tf.sin(x) * y, backward

    return op


def first_zeroed(gradient):
    flat = tf.reshape(gradient, [-1])
    return tf.reshape(
        tf.concat([[tf.zeros_like(flat[0])], flat[1:]], 0), gradient.shape
    )


WRONG = {
    "off by 1 %": lambda g: 1.01 * g,
    "doubled": lambda g: 2 * g,
    "negated": lambda g: -g,
    "zeroed": tf.zeros_like,
    "one entry zeroed": first_zeroed,
    "turned round": lambda g: g[::-1],
    "none": lambda g: None,
    "not finite": lambda g: g / 0,
    "not summed over what is broadcast": lambda g: tf.stack([g, g]),
    "of the shape (1,)": lambda g: tf.reduce_sum(g, keepdims=True),
}


class Scaled(layers.Layer):
    """`sin(x) * w`, by `product`."""

    def __init__(self, op, **kwargs):
        super().__init__(**kwargs)
        self.op = op

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1],), initializer="ones", name="w")

    def call(self, x):
        return self.op(x, tf.convert_to_tensor(self.w))


class Block(layers.Layer):
    def __init__(self, *stack, **kwargs):
        super().__init__(**kwargs)
        self.stack = list(stack)

    def call(self, x):
        for layer in self.stack:
            x = layer(x)
        return x
