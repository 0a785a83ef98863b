"""Training with the callback is bitwise training without it."""

import random
import runpy
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits.py"


class Sample(keras.Model):
    """A subclassed model with an added loss and randomness of its own."""

    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(3)
        self.hidden = layers.Dense(6, activation="relu")
        self.out = layers.Dense(3)

    def call(self, x):
        hidden = self.hidden(x)
        noise = keras.random.normal(keras.ops.shape(hidden), seed=self.seeds)
        self.add_loss(1e-2 * keras.ops.mean(hidden**2))
        return self.out(hidden + 0.1 * noise + keras.random.normal((6,)))


def digits(rng):
    model = runpy.run_path(str(EXAMPLE))["build_model"]()
    x = rng.normal(size=(40, 8, 8, 1)).astype("float32")
    return model, x, rng.integers(0, 10, 40)


def subclassed(rng):
    return Sample(), rng.normal(size=(40, 5)).astype("float32"), rng.integers(0, 3, 40)


def recurrent(rng):
    model = keras.Sequential(
        [
            keras.Input((3, 4)),
            layers.LSTM(4, dropout=0.2, recurrent_dropout=0.2),
            layers.GaussianNoise(0.1),
            layers.Dense(3),
        ]
    )
    x = rng.normal(size=(40, 3, 4)).astype("float32")
    return model, x, rng.integers(0, 3, 40)


def two_outputs(rng):
    inputs = keras.Input((5,))
    hidden = layers.Dropout(0.3)(layers.Dense(6, activation="relu")(inputs))
    outputs = {"a": layers.Dense(3)(hidden), "b": layers.Dense(3)(hidden)}
    labels = rng.integers(0, 3, 40)
    x = rng.normal(size=(40, 5)).astype("float32")
    return keras.Model(inputs, outputs), x, {"a": labels, "b": labels}


def left_behind(model, history):
    """What a training leaves behind, as plain NumPy values."""
    return {
        "weights": [v.numpy() for v in model.variables],
        "optimizer": [v.numpy() for v in model.optimizer.variables],
        "metrics": [v.numpy() for v in model.metrics_variables],
        "history": history,
        "streams": [
            random.random(),
            np.random.rand(),  # noqa: NPY002
            tf.random.uniform(()).numpy(),
            keras.random.uniform(()).numpy(),
        ],
        "name": layers.Dense(1).name,
        "attributes": sorted(model.__dict__),
    }


def everything_after_fit(build, compiled, fitted, callbacks):
    """All that training leaves behind, as plain NumPy values."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    model, x, y = build(np.random.default_rng(0))
    model.compile(
        keras.optimizers.Adam(1e-2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=None if isinstance(y, dict) else ["accuracy"],
        **compiled,
    )
    history = model.fit(
        x, y, batch_size=8, epochs=2, verbose=0, callbacks=callbacks, **fitted
    )
    return left_behind(model, history.history)


@pytest.mark.parametrize("build", [digits, subclassed, recurrent, two_outputs])
@pytest.mark.parametrize(
    ("compiled", "fitted", "dropout"),
    [
        ({}, {}, "bypass"),
        ({}, {}, "freeze"),
        ({"jit_compile": True}, {}, "bypass"),
        ({"run_eagerly": True}, {}, "bypass"),
        ({"steps_per_execution": 3}, {}, "bypass"),
        ({}, {"validation_split": 0.25}, "bypass"),
    ],
    ids=["graph", "freeze", "jit", "eager", "steps", "ragged"],
)
def test_training_is_bitwise_untouched(build, compiled, fitted, dropout):
    check = kgw.GradientCheck(warmup_steps=0, check_freq=2, dropout=dropout, verbose=0)
    without = everything_after_fit(build, compiled, fitted, [])
    with_check = everything_after_fit(build, compiled, fitted, [check])
    assert len(check.reports) >= 3
    assert {r.verdict for r in check.reports} == {"PASS"}
    assert without.keys() == with_check.keys()
    for name, values in without.items():
        np.testing.assert_equal(with_check[name], values, err_msg=name)


class Unseeded(layers.Layer):
    """Draws from TensorFlow's own stream, which can't be replayed."""

    def call(self, x, training=False):
        return x + tf.random.normal(tf.shape(x), dtype=x.dtype) if training else x


def unseeded(rng):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), Unseeded()])
    x = rng.normal(size=(40, 4)).astype("float32")
    return model, x, rng.integers(0, 3, 40)


@pytest.mark.parametrize("eagerly", [False, True])
def test_what_is_refused_does_not_move_a_random_stream(eagerly):
    compiled = {"run_eagerly": eagerly, "jit_compile": False}
    check = kgw.GradientCheck(warmup_steps=0, check_freq=2, verbose=0)
    without = everything_after_fit(unseeded, compiled, {}, [])
    with_check = everything_after_fit(unseeded, compiled, {}, [check])
    assert {r.verdict for r in check.reports} == {"INCONCLUSIVE"}
    assert "random numbers" in check.reports[0].reason
    np.testing.assert_equal(with_check, without)
