"""Sick trainings, each with a healthy twin, and the tool that has the word for it.

`CASES` has one for each symptom that concerns training of SageMaker Debugger's rules,
DeepDiagnosis, AUTOTRAINER and TheDeepChecker's checks of the set-up; docs:
other-systems. Those of `LossWatch` alone are in `loss_zoo`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

import keras_gradwatch as kgw
from tests.support.plants import PLANTS

initializers = keras.initializers


@dataclass(frozen=True)
class Case:
    """A sick training, or a healthy one.

    Args:
        name: What is wrong.
        rules: Which systems look for it, as S(ageMaker), D(eepDiagnosis),
            A(UTOTRAINER), T(heDeepChecker).
        tool: The public name of what finds it.
        word: What that must say.
        words: Trains, sick or not, and returns all that the tool says.
    """

    name: str
    rules: str
    tool: str
    word: str
    words: Callable[[bool], set[str]]


CASES: list[Case] = []


def _case(rules, tool, word):
    """A function of `is_sick` that builds what the tool is shown."""

    def add(build):
        shown = _SHOWN[tool]
        found = Case(
            build.__name__,
            rules,
            tool,
            word,
            lambda is_sick: shown(*build(is_sick)),
        )
        CASES.append(found)
        return build

    return add


def _in_stats(model, x, y, rate=1e-2, epochs=6):
    model.compile(keras.optimizers.SGD(rate), "mse", jit_compile=False)
    stats = kgw.GradientStats(check_freq=2, verbose=0)
    model.fit(x, y, batch_size=16, epochs=epochs, verbose=0, callbacks=[stats])
    return {alert.kind for alert in stats.alerts}


def _in_gradients(model, x, y):
    model.compile("sgd", "mse", jit_compile=False)
    report = kgw.check_gradients(model, x[:8], y[:8])
    return {v.verdict for v in report.variables} - {"PASS"}


def _in_setup(model, x, y, loss):
    model.compile("adam", loss, jit_compile=False)
    report = kgw.check_setup(model, x, y)
    bad = ("wrong", "worth a look")
    return {q for q in report.NAMES if getattr(report, q).state in bad}


_SHOWN = {
    "GradientStats": _in_stats,
    "check_gradients": _in_gradients,
    "check_setup": _in_setup,
}


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def _x():
    return numbers(128, 8)


def _curve():
    x = _x()
    return x, np.sin(x[:, :1]) + 0.5 * x[:, 1:2]


def _stack(*inner, width=8):
    return keras.Sequential([keras.Input((width,)), *inner])


def _labels():
    x = _x()
    return x, (x[:, 0] > 0).astype(int) + (x[:, 1] > 0)


# --- gradients -------------------------------------------------------------------


@_case("SDAT", "GradientStats", "vanishing")
def deep_sigmoids(is_sick):
    hidden = [layers.Dense(16, "sigmoid") for _ in range(12 if is_sick else 2)]
    return _stack(*hidden, layers.Dense(1)), *_curve()


@_case("SDAT", "GradientStats", "exploding")
def recurrent_kernel_too_large(is_sick):
    kernel = initializers.Orthogonal(4.0 if is_sick else 1.0)
    rnn = layers.SimpleRNN(32, recurrent_initializer=kernel)
    model = keras.Sequential([keras.Input((40, 8)), rnn, layers.Dense(1)])
    x = numbers(64, 40, 8)
    return model, x, np.sin(3 * x[:, 0, :1]), 1e-6 if is_sick else 1e-2


@_case("ST", "GradientStats", "exploding")
def steps_as_large_as_the_weights(is_sick):
    model = _stack(layers.Dense(16, "relu"), layers.Dense(1))
    return model, *_curve(), 30.0 if is_sick else 1e-2


@_case("SDAT", "GradientStats", "dead")
def dead_relu(is_sick):
    bias = initializers.Constant(-100.0 if is_sick else 0.0)
    hidden = [layers.Dense(16, "relu"), layers.Dense(16, "relu", bias_initializer=bias)]
    return _stack(*hidden, layers.Dense(1)), *_curve()


@_case("ST", "GradientStats", "dead")
def weights_of_zero(is_sick):
    """Two layers of zeros in a row: no gradient gets to either."""
    start = "zeros" if is_sick else "glorot_uniform"
    hidden = [layers.Dense(16, "tanh", kernel_initializer=start) for _ in range(2)]
    return _stack(*hidden, layers.Dense(1, kernel_initializer=start)), *_curve()


class Length(layers.Layer):
    def call(self, x):
        return ops.sqrt(ops.sum(x**2, axis=-1, keepdims=True))


@_case("SDT", "GradientStats", "nonfinite")
def gradient_of_a_root_at_zero(is_sick):
    model = _stack(layers.Dense(4, use_bias=False), Length(), layers.Dense(1))
    x, y = _curve()
    if is_sick:
        x[::16] = 0.0
    return model, x, y


@_case("ST", "GradientStats", "saturated")
def saturated_tanh(is_sick):
    kernel = initializers.RandomNormal(stddev=30.0 if is_sick else 0.3)
    hidden = [layers.Dense(16, "tanh", kernel_initializer=kernel) for _ in range(2)]
    return _stack(*hidden, layers.Dense(1)), *_curve()


@_case("SDT", "GradientStats", "still")
def steps_too_small(is_sick):
    model = _stack(layers.Dense(16, "relu"), layers.Dense(1))
    return model, *_curve(), 1e-12 if is_sick else 1e-2, 20


@_case("ST", "GradientStats", "scale")
def scale_at_initialisation(is_sick):
    kernel = initializers.RandomNormal(stddev=30.0 if is_sick else 0.3)
    hidden = [layers.Dense(16, "relu", kernel_initializer=kernel) for _ in range(5)]
    return _stack(*hidden, layers.Dense(1)), *_curve(), 1e-30 if is_sick else 1e-2


# --- weights that do not learn, and wrong gradients --------------------------------


class Aside(keras.Model):
    """Has a layer whose output is used for nothing."""

    def __init__(self, is_sick):
        super().__init__()
        self.out, self.aside = layers.Dense(1), layers.Dense(1)
        self.is_sick = is_sick
        self(np.zeros((1, 8), "float32"))

    def call(self, x):
        out, aside = self.out(x), self.aside(x)
        return out + 0.0 * ops.stop_gradient(aside) if self.is_sick else out + aside


@_case("SDT", "check_gradients", "UNUSED")
def layer_that_is_not_used(is_sick):
    return Aside(is_sick), *_curve()


class Rounded(layers.Layer):
    def __init__(self, is_sick):
        super().__init__()
        self.is_sick = is_sick

    def call(self, x):
        return ops.round(4 * x) / 4 if self.is_sick else x


@_case("SDT", "check_gradients", "BLOCKED")
def rounding_on_the_way(is_sick):
    return _stack(layers.Dense(8), Rounded(is_sick), layers.Dense(1)), *_curve()


class Squared(layers.Layer):
    """With a backward pass by hand."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, x):
        @tf.custom_gradient
        def square(x):
            return x * x, lambda upstream: self.factor * x * upstream

        return square(x)


@_case("T", "check_gradients", "FAIL")
def wrong_gradient_by_hand(is_sick):
    factor = 1.0 if is_sick else 2.0
    return _stack(layers.Dense(8), Squared(factor), layers.Dense(1)), *_curve()


# --- the set-up ------------------------------------------------------------------

ENTROPY = "sparse_categorical_crossentropy"
LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _classifier(*last):
    return _stack(layers.Dense(16, "relu"), layers.Dense(3, *last))


@_case("T", "check_setup", "outputs")
def softmax_is_missing(is_sick):
    return _classifier(), *_labels(), ENTROPY if is_sick else LOGITS


@_case("T", "check_setup", "outputs")
def softmax_twice(is_sick):
    return _classifier("softmax"), *_labels(), LOGITS if is_sick else ENTROPY


@_case("T", "check_setup", "targets")
def labels_that_start_at_one(is_sick):
    x, y = _labels()
    return _classifier(), x, y + is_sick, LOGITS


@_case("ST", "check_setup", "targets")
def a_single_class(is_sick):
    x, y = _labels()
    return _classifier(), x, 0 * y if is_sick else y, LOGITS


@_case("ST", "check_setup", "inputs")
def pictures_up_to_255(is_sick):
    x = np.random.default_rng(0).uniform(size=(64, 8, 8, 3)).astype("float32")
    y = (x.mean((1, 2, 3)) > 0.5).astype(int)
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3, activation="relu")]
    )
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(2))
    return model, 255 * x if is_sick else x, y, LOGITS


@_case("ST", "check_setup", "inputs")
def a_column_that_never_changes(is_sick):
    x, y = _labels()
    if is_sick:
        x[:, 3] = 7.0
    return _classifier(), x, y, LOGITS


@_case("T", "check_setup", "inputs")
def nan_in_the_data(is_sick):
    x, y = _labels()
    if is_sick:
        x[5, 2] = np.nan
    return _classifier(), x, y, LOGITS


@_case("DT", "check_setup", "targets")
def outputs_that_can_not_reach_the_targets(is_sick):
    x, y = _curve()
    last = layers.Dense(1, "sigmoid" if is_sick else None)
    return _stack(layers.Dense(16, "relu"), last), x, 5 * y, "mse"


@_case("T", "check_setup", "average")
def loss_is_a_sum(is_sick):
    loss = keras.losses.MeanSquaredError("sum" if is_sick else "sum_over_batch_size")
    return _stack(layers.Dense(16, "relu"), layers.Dense(1)), *_curve(), loss


class AcrossBatch(layers.Layer):
    def __init__(self, axis):
        super().__init__()
        self.axis = axis

    def call(self, x):
        return ops.softmax(x, axis=self.axis)


@_case("T", "check_setup", "examples")
def softmax_over_the_batch(is_sick):
    axis = 0 if is_sick else -1
    return _stack(layers.Dense(8), AcrossBatch(axis), layers.Dense(1)), *_curve(), "mse"


class Hidden(layers.Layer):
    """Keeps its weight where Keras does not find it."""

    def __init__(self, is_sick):
        super().__init__()
        self.is_sick = is_sick

    def build(self, shape):
        start = numbers(shape[-1], 8, seed=1)
        if self.is_sick:
            self.kernel = tf.Variable(start)
        else:
            self.kernel = self.add_weight(
                shape=start.shape, initializer=lambda *args, **kwargs: start
            )

    def call(self, x):
        return ops.matmul(x, ops.convert_to_tensor(self.kernel))


@_case("DT", "check_setup", "weights")
def a_variable_unknown_to_keras(is_sick):
    return _stack(Hidden(is_sick), layers.Dense(1)), *_curve(), "mse"


class Ignores(layers.Layer):
    """Goes on with zeros in the place of its input."""

    def __init__(self, is_sick):
        super().__init__()
        self.is_sick = is_sick

    def call(self, x):
        return 0.0 * x if self.is_sick else x


@_case("DT", "check_setup", "overfit")
def inputs_that_do_not_reach_the_outputs(is_sick):
    return _stack(Ignores(is_sick), layers.Dense(8), layers.Dense(1)), *_curve(), "mse"


# --- what is not finite ------------------------------------------------------------


def _planted(name):
    def words(is_sick):
        plant = PLANTS[name](is_sick)
        compiled = {"optimizer": "adam", "loss": "mse", "jit_compile": False}
        plant.model.compile(**{**compiled, **plant.compiled})
        fitted = {"batch_size": 8, "shuffle": False, "verbose": 0, **plant.fitted}
        locator = kgw.NonFiniteLocator(on_failure="stop", verbose=0)
        callbacks = [*fitted.pop("callbacks", ()), locator]
        plant.model.fit(plant.x, plant.y, callbacks=callbacks, **fitted)
        return {finding.kind for finding in locator.findings}

    return words


for _name, _rules in {
    **{"inputs_not_finite": "DT", "targets_not_finite": "DT", "forward": "SDT"},
    **{"backward": "SDT", "loss": "SDT", "weight": "ST", "update": "SADT"},
    "added_loss": "T",
}.items():
    _kind = PLANTS[_name](False).kind
    CASES.append(Case(_name, _rules, "NonFiniteLocator", _kind, _planted(_name)))


def said(case: Case, is_sick: bool) -> set[str]:
    """What the tool says of a case, its warnings left aside."""
    keras.utils.set_random_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kgw.GradwatchWarning)
        return case.words(is_sick)
