"""The table of faults, and the few pieces that they are built from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tests.support.models import normal


@dataclass(frozen=True)
class Fault:
    """One mistake in a gradient.

    Args:
        name: What is wrong, in a few words.
        build: `build(wrong, rng)` returns a compiled model and its data, a
            tuple `(model, x, y)` or `(model, x, y, sample_weight)`; with the
            mistake if `wrong`, else the same model without it.
        upstream: Names of the layers, or parts of paths such as
            `"below/kernel"`, whose variables get a wrong gradient.
        twin: Verdict of these variables in the healthy twin. None where its
            loss is piecewise constant, so that only FAIL would be wrong.
    """

    name: str
    build: Callable
    upstream: tuple[str, ...]
    twin: str | None = "PASS"

    def is_upstream(self, path: str) -> bool:
        return any(f"/{part}/" in f"/{path}/" for part in self.upstream)


FAULTS: dict[str, Fault] = {}


@dataclass(frozen=True)
class Mistake:
    """A function of one tensor with a wrong backward pass, to be put anywhere.

    Args:
        forward: The function; its result has the shape of its argument.
        backward: `backward(dy, x)`.
        activation: What comes before it.
        spread: How large the weights before it are.
    """

    forward: Callable
    backward: Callable
    activation: str | None = "tanh"
    spread: float = 1.0


MISTAKES: dict[str, Mistake] = {}


def fault(name: str, *upstream: str, twin: str | None = "PASS"):
    """Registers a builder `build(wrong, rng)` in the table."""

    def register(build):
        assert name not in FAULTS, name
        FAULTS[name] = Fault(name, build, upstream, twin)
        return build

    return register


def with_backward(forward, backward, wrong: bool):
    """`forward`, with TensorFlow's own gradient or with `backward` for it.

    Args:
        forward: Function of tensors.
        backward: `backward(dy, *inputs)` returns the gradients of the inputs.
        wrong: Whether to use `backward`.
    """
    if not wrong:
        return forward

    @tf.custom_gradient
    def op(*inputs):
        return forward(*inputs), lambda dy: backward(dy, *inputs)

    return op


class Op(keras.layers.Layer):
    """A layer without weights that applies a function to its inputs."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def call(self, *inputs):
        return self.function(*inputs)


class WeightedOp(keras.layers.Layer):
    """A layer that applies a function to its input and its weights.

    Args:
        function: `function(x, *weights)`.
        weights: Initial values, or shapes to draw them for, by name.
    """

    def __init__(self, function, weights, **kwargs):
        super().__init__(**kwargs)
        self.function = function
        self.initial = weights

    def build(self, *shapes):
        self.parts = []
        for name, value in self.initial.items():
            shape, start = value, keras.initializers.RandomNormal(stddev=0.5)
            if not isinstance(value, tuple):
                value = np.asarray(value, "float32")
                shape, start = value.shape, keras.initializers.Constant(value)
            self.parts.append(
                self.add_weight(name=name, shape=shape, initializer=start)
            )

    def call(self, x):
        return self.function(x, *[tf.convert_to_tensor(w) for w in self.parts])


def compiled(inputs, outputs, loss="mse", **options) -> keras.Model:
    model = keras.Model(inputs, outputs)
    model.compile("sgd", loss, **options)
    return model


def sandwich(op, rng, *, examples=12, units=8, activation="tanh", spread=1.0):
    """Dense "below", an op in the middle, Dense "above"; squared error."""
    inputs = keras.Input((6,))
    start = keras.initializers.RandomNormal(stddev=spread * 0.4)
    hidden = keras.layers.Dense(
        units, activation, kernel_initializer=start, name="below"
    )(inputs)
    hidden = op(hidden) if isinstance(op, keras.layers.Layer) else Op(op)(hidden)
    outputs = keras.layers.Dense(3, name="above")(hidden)
    x = normal(rng, examples, 6)
    return compiled(inputs, outputs), x, normal(rng, examples, 3)
