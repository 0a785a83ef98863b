"""What looks like a failure and is none, and what is told only in part."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_gradwatch as kgw
from tests.support.nonfinite_fits import fitted, logs_model
from tests.support.plants import BAD


def test_steps_that_a_loss_scale_skips_are_no_alarm(data):
    x, y = data
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4, dtype="mixed_float16"),
            layers.Dense(1, dtype="mixed_float16"),
        ]
    )
    scale = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(), initial_scale=2.0**30
    )
    model.compile(scale, "mse", jit_compile=False)
    check = kgw.NonFiniteLocator(on_failure="raise")
    fitted(model, (x, 100 * y), check)
    assert check.findings == []
    assert float(scale.dynamic_scale) < 2.0**30  # some were skipped


@pytest.mark.parametrize("name", ["Lion", "accumulating"])
def test_a_gradient_that_waits_in_the_optimizer_is_seen_at_once(data, name):
    class Steep(layers.Layer):
        def call(self, x):
            return ops.sqrt(x - ops.stop_gradient(ops.min(x)))

    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(3), Steep(), layers.Dense(1)]
    )
    optimizers = {
        "Lion": lambda: keras.optimizers.Lion(),
        "accumulating": lambda: keras.optimizers.SGD(gradient_accumulation_steps=8),
    }
    model.compile(optimizers[name](), "mae", jit_compile=False)
    check = kgw.NonFiniteLocator(verbose=0)
    with pytest.warns(kgw.NonFiniteWarning):
        fitted(model, data, check)
    assert (check.finding.step, check.finding.kind) == (0, "backward")
    assert "steep" in check.finding.place


class Fickle(layers.Layer):
    """Is not the same each time: a NaN at its fourth call."""

    calls = 0

    def call(self, x):
        Fickle.calls += 1
        return x * (np.nan if Fickle.calls == 4 else 1.0)


def test_what_does_not_show_again_is_said_so(data):
    model = keras.Sequential([keras.Input((3,)), Fickle(), layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    Fickle.calls = 0
    check = kgw.NonFiniteLocator(verbose=0)
    with pytest.warns(kgw.NonFiniteWarning, match="not the same each time"):
        fitted(model, data, check)
    assert (check.finding.step, check.finding.kind) == (3, "unknown")
    assert not check.finding.replayed


class Unlabelled(keras.Sequential):
    """Logs a loss that it does not train on, which is not always there."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - y) ** 2)
        own = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, own), own)
        return {"loss": loss, "class_loss": tf.constant(np.nan)}


def test_a_logged_nan_that_harms_nothing_is_no_failure(data):
    model = Unlabelled([keras.Input((3,)), layers.Dense(1)])
    model.compile("sgd", jit_compile=False)
    check = kgw.NonFiniteLocator(on_failure="raise")
    with pytest.warns(kgw.GradwatchWarning, match="not counted as a failure") as all_:
        fitted(model, data, check)
    assert len(all_) == 1
    assert check.findings == []


class Keeps(layers.Layer):
    """Has a constant that is infinite on purpose."""

    def build(self, shape):
        self.mask = self.add_weight(
            shape=(3,),
            initializer=lambda s, dtype: -np.inf * np.ones(s, dtype),
            trainable=False,
        )

    def call(self, x):
        return ops.maximum(x, self.mask)


@pytest.mark.parametrize("built", [True, False], ids=["built", "built_by_fit"])
def test_constants_that_are_infinite_on_purpose_are_no_alarm(data, built):
    start = [keras.Input((3,))] if built else []
    model = keras.Sequential([*start, Keeps(), layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    check = kgw.NonFiniteLocator(on_failure="raise")
    fitted(model, data, check)
    data[0][BAD] = np.nan
    with pytest.raises(kgw.NonFiniteError, match="in the data: x"):
        fitted(model, data, check)


@pytest.mark.parametrize("optimizer", ["sgd", "lion"])
def test_the_first_step_of_a_model_that_fit_builds(data, optimizer):
    """It can't be run again, but it is told, with the number of that step."""
    data[0][:] = np.nan
    model = keras.Sequential([Keeps(), layers.Dense(1)])
    model.compile(optimizer, "mse", jit_compile=False)
    check = kgw.NonFiniteLocator(verbose=0)
    with pytest.warns(kgw.NonFiniteWarning, match="Not finite at step 0: the loss"):
        fitted(model, data, check)
    assert not check.finding.replayed


def test_a_coarser_look_says_that_it_is_coarse(bad_data):
    check = kgw.NonFiniteLocator(check_freq=3, verbose=0)
    with pytest.warns(kgw.NonFiniteWarning, match="Looked at every 3 steps only"):
        fitted(logs_model(), bad_data, check)
    # Steps 0, 3 are watched, and it arises in step 3.
    assert (check.finding.step, check.finding.kind) == (3, "forward")
    check = kgw.NonFiniteLocator(check_freq=2, verbose=0)
    with pytest.warns(kgw.NonFiniteWarning, match="not finite already before") as all_:
        fitted(logs_model(), bad_data, check)
    assert (check.finding.step, check.finding.kind) == (4, "weight")
    assert "something else" not in str(all_[0].message)
