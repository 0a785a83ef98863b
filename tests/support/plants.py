"""Trainings in which one thing is not finite, each with a healthy twin.

`PLANTS` maps a name to a function of `planted`, which returns a `Plant`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

# The example to blame: the fourth step takes it, at place 5 of a batch of 8.
BATCH, STEP, AT = 8, 3, 5
BAD = STEP * BATCH + AT


@dataclass
class Plant:
    """A model with data, and what is to be found out.

    Args:
        model: The model, not compiled.
        x: Inputs.
        y: Targets.
        kind: What the finding must say.
        place: What the name of its place must end in.
        examples: Whom it must blame.
        words: What its text must hold.
        compiled: For `compile`.
        fitted: For `fit`.
        step: At which step it must be found.
    """

    model: keras.Model
    x: object
    y: object
    kind: str
    place: str
    examples: tuple | None = (AT,)
    words: tuple[str, ...] = ()
    compiled: dict = field(default_factory=dict)
    fitted: dict = field(default_factory=dict)
    step: int = STEP


PLANTS: dict[str, Callable] = {}


def _plant(build):
    PLANTS[build.__name__] = build
    return build


def _data(width=4):
    rng = np.random.default_rng(0)
    x = rng.uniform(0.5, 1.5, size=(5 * BATCH, width)).astype("float32")
    return x, x[:, :1] ** 2


def _dense(units, activation=None, **kwargs):
    return layers.Dense(units, activation, kernel_initializer="glorot_normal", **kwargs)


class Log(layers.Layer):
    def call(self, x):
        return ops.log(x)


class Length(layers.Layer):
    """The length of each row: its gradient is not finite where that is zero."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return ops.sqrt(ops.sum((x * self.scale) ** 2, axis=-1, keepdims=True))


@_plant
def forward(planted):
    x, y = _data()
    if planted:
        x[BAD, 2] = -1.0
    model = keras.Sequential(
        [keras.Input((4,)), Log(name="log"), layers.Dropout(0.3), _dense(1)]
    )
    words = ("1 of 32 is nan, at [5, 2]", "input (8, 4): from -1 to")
    return Plant(model, x, y, "forward", "log", words=words)


@_plant
def backward(planted):
    x, y = _data()
    if planted:
        x[BAD] = 0.0
    model = keras.Sequential(
        [
            keras.Input((4,)),
            _dense(4, use_bias=False, name="first"),
            Length(name="length"),
            _dense(1),
        ]
    )
    words = ("backward pass of layer", "first/kernel", "length/", "The loss is finite")
    return Plant(model, x, y, "backward", "length", words=words)


class Between(keras.Model):
    """Takes a root in its own code, between two layers, in a model inside."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.last = layers.ReLU(name="first"), _dense(2, name="last")

    def call(self, x):
        return self.last(1.0 / self.first(x))


@_plant
def between_layers(planted):
    x, y = _data()
    if planted:
        x[BAD, 1] = -0.5
    inner = Between(name="inner")
    model = keras.Sequential([keras.Input((4,)), inner, _dense(1)])
    words = ("in the code of layer", "inner' (Between), between layer 'first' (ReLU)")
    return Plant(model, x, y, "forward", "last", words=words)


@_plant
def operation(planted):
    x, y = _data()
    if planted:
        x[BAD, 0] = -2.0
    inputs = keras.Input((4,))
    model = keras.Model(inputs, _dense(1)(ops.sqrt(inputs)))
    return Plant(model, x, y, "forward", "sqrt", words=("operation 'sqrt",))


class Masked(layers.Layer):
    """Adds -inf where there is nothing to see, as attention does."""

    def call(self, x):
        return ops.where(x > 0.6, x, -np.inf)


@_plant
def not_the_mask(planted):
    x, y = _data()
    x[:, 0] = 1.0
    inputs = keras.Input((4,))
    seen = layers.Softmax(name="softmax")(Masked(name="mask")(inputs))
    if planted:
        x[BAD, 3] = -1e-3
    logs = Log(name="log")(inputs)
    model = keras.Model(inputs, _dense(1)(layers.Concatenate()([seen, logs])))
    return Plant(model, x, y, "forward", "log")


@_plant
def recurrent_cell(planted):
    x, y = _data(6)
    x = x.reshape(-1, 3, 2)
    if planted:
        x[BAD, 1, 0] = -1.0

    class Cell(layers.SimpleRNNCell):
        def call(self, sequence, states, training=False):
            return super().call(ops.log(sequence), states, training=training)

    cell = Cell(3, name="cell")
    model = keras.Sequential([keras.Input((3, 2)), layers.RNN(cell), _dense(1)])
    return Plant(model, x, y, "forward", "cell", words=("(Cell) (call",))


def _log_loss(y, y_pred):
    return -ops.mean(ops.log(ops.relu(y_pred) * y), axis=-1)


@_plant
def loss(planted):
    x, y = _data()
    if planted:
        y[BAD] = 0.0
    model = keras.Sequential([keras.Input((4,)), _dense(1, activation="softplus")])
    compiled = {"loss": _log_loss, "optimizer": keras.optimizers.SGD(1e-3)}
    return Plant(model, x, y, "loss", "log_loss", compiled=compiled)


def _plain_model():
    return keras.Sequential([keras.Input((4,)), _dense(3, "tanh", name="a"), _dense(1)])


@_plant
def inputs_not_finite(planted):
    x, y = _data()
    if planted:
        x[BAD, 2] = np.inf
    words = ("1 of 32 is inf, at [5, 2]",)
    return Plant(_plain_model(), x, y, "data", "x", words=words)


@_plant
def targets_not_finite(planted):
    x, y = _data()
    if planted:
        y[BAD] = np.nan
    return Plant(_plain_model(), x, y, "data", "y")


@_plant
def sample_weight_not_finite(planted):
    x, y = _data()
    weights = np.ones(len(x), "float32")
    if planted:
        weights[BAD] = np.nan
    fitted = {"sample_weight": weights}
    return Plant(_plain_model(), x, y, "data", "sample_weight", fitted=fitted)


class Spoil(keras.callbacks.Callback):
    """Writes a NaN to a weight, before a step or after the one before."""

    def __init__(self, active, before):
        super().__init__()
        self.active, self.before = active, before

    def _spoil(self):
        kernel = self.model.get_layer("a").kernel
        value = kernel.numpy()
        value[1, 2] = np.nan
        kernel.assign(value)

    def on_train_batch_begin(self, batch, logs=None):
        if self.active and self.before and batch == STEP:
            self._spoil()

    def on_train_batch_end(self, batch, logs=None):
        if self.active and not self.before and batch == STEP - 1:
            self._spoil()


@_plant
def weight(planted):
    fitted = {"callbacks": [Spoil(planted, before=True)]}
    words = ("1 of 12 is nan, at [1, 2]", "already before the step")
    model, data = _plain_model(), _data()
    return Plant(model, *data, "weight", "a/kernel", None, words=words, fitted=fitted)


@_plant
def weight_after_a_step(planted):
    fitted = {"callbacks": [Spoil(planted, before=False)]}
    return Plant(_plain_model(), *_data(), "weight", "a/kernel", None, fitted=fitted)


@_plant
def exploding_learning_rate(planted):
    x, y = _data()
    model = keras.Sequential([keras.Input((4,)), _dense(4), _dense(1)])
    rate = 1e3 if planted else 1e-3
    compiled = {"optimizer": keras.optimizers.SGD(rate)}
    words = ("Training diverged", "The learning rate is 1000: lower it", "weights grew")
    return Plant(model, x, y, "", "", None, words=words, compiled=compiled, step=-1)


@_plant
def update(planted):
    x, y = _data()
    compiled = {"optimizer": keras.optimizers.SGD(3e38 if planted else 1e-3)}
    model = keras.Sequential([keras.Input((4,)), _dense(1, name="a")])
    y = 100 * y
    words = ("by the optimizer, at learning rate 3e+38", "gradient that the optimizer")
    return Plant(model, x, y, "update", "a/kernel", None, words, compiled, step=0)


class RootOfNorm(keras.regularizers.Regularizer):
    def __call__(self, w):
        return 1e-3 * ops.sqrt(ops.sum(w**2))


@_plant
def gradient_of_a_regulariser(planted):
    x, y = _data()
    start = "zeros" if planted else "ones"
    last = layers.Dense(
        1, kernel_initializer=start, kernel_regularizer=RootOfNorm(), name="last"
    )
    model = keras.Sequential([keras.Input((4,)), _dense(4), last])
    words = ("or of a regulariser, for the weight", "last/kernel itself")
    return Plant(model, x, y, "backward", "last", None, words, step=0)


class Adds(layers.Layer):
    def call(self, x):
        self.add_loss(1e-3 * ops.mean(ops.log(x)))
        return x


@_plant
def added_loss(planted):
    x, y = _data()
    if planted:
        x[BAD, 0] = -1.0
    model = keras.Sequential([keras.Input((4,)), Adds(name="adds"), _dense(1)])
    return Plant(model, x, y, "loss", "adds", words=("adds' (Adds) adds",))


class Gan(keras.Model):
    """Two losses, two optimizers; the second loss goes through a logarithm."""

    def __init__(self):
        super().__init__()
        self.generator = keras.Sequential([keras.Input((2,)), _dense(4)], name="maker")
        self.critic = keras.Sequential(
            [keras.Input((4,)), Log(name="log"), _dense(1)], name="critic"
        )
        self.other = keras.optimizers.SGD(1e-3)
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, x):
        return self.critic(x)

    def train_step(self, data):
        x, _ = data
        noise = keras.random.normal((ops.shape(x)[0], 2), seed=self.seeds)
        with tf.GradientTape() as tape:
            fake = ops.softplus(self.generator(noise))
            g_loss = -ops.mean(self.critic(fake))
        own = self.generator.trainable_variables
        self.other.apply(tape.gradient(g_loss, own), own)
        with tf.GradientTape() as tape:
            d_loss = ops.mean(self.critic(x) ** 2)
        own = self.critic.trainable_variables
        self.optimizer.apply(tape.gradient(d_loss, own), own)
        return {"g_loss": g_loss, "d_loss": d_loss}


@_plant
def two_losses(planted):
    x, y = _data()
    if planted:
        x[BAD, 1] = -1.0
    return Plant(Gan(), x, y, "forward", "critic/log", words=("(call 2)",))


class UnitGradient(keras.Sequential):
    """Hands a gradient of unit length to the optimizer."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - y) ** 2)
        gradients = tape.gradient(loss, self.trainable_variables)
        gradients = [g / tf.norm(g) for g in gradients]
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


@_plant
def step(planted):
    x, y = _data()
    if planted:
        x[STEP * BATCH : (STEP + 1) * BATCH] = 0.0
    model = UnitGradient([keras.Input((4,)), _dense(1, name="a")])
    words = ("what the training step makes of them",)
    return Plant(model, x, y, "step", "a/kernel", None, words)


class Spread(layers.Layer):
    """Divides by the spread of the batch."""

    def call(self, x):
        return x / ops.std(x, axis=0, keepdims=True)


@_plant
def the_batch_as_a_whole(planted):
    x, y = _data()
    if planted:
        x[STEP * BATCH : (STEP + 1) * BATCH] = 1.0
    model = keras.Sequential([keras.Input((4,)), Spread(name="spread"), _dense(1)])
    return Plant(model, x, y, "forward", "spread", None, ("No single example",))


@_plant
def half_precision(planted):
    x, y = _data()
    if planted:
        x[BAD] = 6e4
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(3, kernel_initializer="ones", name="half"),
            layers.Dense(1, dtype="float32"),
        ]
    )
    for layer in model.layers[:1]:
        layer.dtype_policy = "mixed_float16"
    return Plant(model, x, y, "forward", "half", words=("no more than 65504",))
