"""Operations that round inside, whatever their types say: named, and no mistake."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw


def _by_bits(x):
    bits = tf.bitcast(tf.cast(x, tf.float32), tf.int32)
    return tf.cast(tf.bitcast(bits, tf.float32), x.dtype)


def _by_words(x):
    return tf.strings.to_number(tf.strings.as_string(x), x.dtype)


def _by_digits(x):
    digits = tf.strings.as_string(x, precision=8, scientific=True)
    return tf.strings.to_number(digits, x.dtype)


def _by_steps(x):
    return tf.round(x * 2.0**22) / 2.0**22


def _by_integers(x):
    return tf.cast(tf.cast(x * 2.0**24, tf.int64), x.dtype) / 2.0**24


ROUNDED = {
    "Bitcast": _by_bits,
    "StringToNumber": _by_words,
    "digits": _by_digits,
    "Round": _by_steps,
    "Cast": _by_integers,
}


class Kernel(layers.Layer):
    def __init__(self, function):
        super().__init__(name="kernel")
        self.function = function

    def call(self, x):
        return self.function(x)

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


def rounding(name, factor=1.0):
    """A sine that is rounded, with the slope that it has without."""

    @tf.custom_gradient
    def function(x):
        return ROUNDED[name](tf.sin(x)), lambda dy: factor * dy * tf.cos(x)

    return Kernel(function)


def _dense(name, units=5):
    return layers.Dense(units, "tanh", name=name)


def _chain(kernel):
    stack = [_dense("up_1"), _dense("up_2"), kernel, _dense("down")]
    return keras.Sequential([keras.Input((4,)), *stack, layers.Dense(2, name="last")])


def _branch(kernel):
    """What is measured first of all does not go through the kernel."""
    inputs = keras.Input((4,))
    x = inputs
    for name in ("a", "b", "c", "d", "e"):
        x = _dense(name)(x)
    rough = kernel(_dense("up_2")(_dense("up_1")(inputs)))
    rough = layers.Dense(5, name="down")(rough)
    outputs = layers.Dense(2, name="last")(layers.add([x, rough]))
    return keras.Model(inputs, outputs)


SHAPES = {"chain": _chain, "branch": _branch}
# Stairs so high that half of a gradient is no proof against it.
HIDDEN = ("branch", "digits")


def _checked(shape, kernel, rng):
    keras.utils.set_random_seed(1)
    model = SHAPES[shape](kernel)
    model.compile("sgd", "mse", jit_compile=False)
    return kgw.check_gradients(
        model, rng.normal(size=(16, 4)), rng.normal(size=(16, 2))
    )


def _all_but(first):
    """Pairs of a shape and a kernel: the first in the short run, the others not."""
    pairs = [(shape, name) for shape in SHAPES for name in ROUNDED]
    return [
        pytest.param(*pair, marks=() if pair == first else pytest.mark.long)
        for pair in pairs
    ]


@pytest.mark.parametrize(("shape", "name"), _all_but(("branch", "Bitcast")))
def test_rounding_inside_is_no_mistake(shape, name, rng):
    report = _checked(shape, rounding(name), rng)
    assert {v.verdict for v in report.variables} == {"PASS"}, str(report)
    assert report.dtype == "float64"
    if (shape, name) == ("branch", "Bitcast"):
        assert "Bitcast in kernel rounds, though its type is float64" in str(report)
        assert kgw.GradientReport.from_json(report.to_json()) == report


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in ROUNDED if name != "digits"])
def test_the_operation_is_named(name, rng):
    report = _checked("branch", rounding(name), rng)
    assert f"{name} in kernel rounds" in str(report)


@pytest.mark.parametrize(("shape", "name"), _all_but(("chain", "Bitcast")))
def test_a_mistake_behind_it_is_found(shape, name, rng):
    report = _checked(shape, rounding(name, 0.5), rng)
    told = {v.path.split("/")[-2]: set() for v in report.variables}
    for v in report.variables:
        told[v.path.split("/")[-2]].add(v.verdict)
    # Stairs may hide it from some variables, but not from all.
    assert "PASS" not in told["up_1"] | told["up_2"], str(report)
    assert {name for name, own in told.items() if "FAIL" in own} <= {"up_1", "up_2"}
    assert report.verdict == ("INCONCLUSIVE" if (shape, name) == HIDDEN else "FAIL")
    if shape == "chain":
        assert [place.name for place in report.places] == ["kernel"]


def test_kinks_are_no_stairs(rng):
    model = keras.Sequential(
        [keras.Input((4,)), *(layers.Dense(16, "relu") for _ in range(4))]
    )
    wrong = tf.custom_gradient(lambda x: (tf.identity(x), lambda dy: 0.9 * dy))
    model.add(layers.Lambda(wrong))
    model.add(layers.Dense(2))
    model.compile("sgd", "mse", jit_compile=False)
    x, y = rng.normal(size=(64, 4)), rng.normal(size=(64, 2))
    report = kgw.check_gradients(model, x, y)
    assert len(report.failures) == 8, str(report)
    assert "Stairs" not in {type(note).__name__ for note in report.remarks}


@pytest.mark.long
def test_a_loss_without_rounding_is_not_said_to_have_any(rng):
    model = _chain(Kernel(tf.sin))
    model.compile("sgd", "mse", jit_compile=False)
    x, y = rng.normal(size=(16, 4)), rng.normal(size=(16, 2))
    report = kgw.check_gradients(model, x, y)
    assert report.notes == ()
    assert report.verdict == "PASS"
    np.testing.assert_array_less(
        [v.relative_error for v in report.variables], 1e-4, err_msg=str(report)
    )
