"""Healthy models at points where gradient checks are known to cry wolf."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gradwatch as kgw

layers = keras.layers


def _check(model, x, y, loss="mse", **options):
    model.compile("sgd", loss)
    report = kgw.check_gradients(model, x, y, **options)
    assert report.verdict != "FAIL", str(report)
    return report


def _verdict(report, end):
    return {v.path: v for v in report.variables if v.path.endswith(end)}


def _sequential(*stack):
    return keras.Sequential([*stack])


@pytest.mark.parametrize(
    "activation",
    [
        "relu",
        "leaky_relu",
        "relu6",
        "hard_sigmoid",
        "hard_tanh",
        "elu",
        "selu",
        keras.ops.abs,
    ],
)
@pytest.mark.parametrize("use_bias", [True, False])
def test_exactly_at_the_kink_of_an_activation(activation, use_bias, rng):
    # A kernel and a bias of zero put every unit on the kink.
    model = _sequential(
        keras.Input((3,)),
        layers.Dense(4, kernel_initializer="zeros", use_bias=use_bias),
        layers.Activation(activation),
        layers.Dense(2),
    )
    report = _check(model, rng.normal(size=(8, 3)), rng.normal(size=(8, 2)))
    assert report.passed


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "mae", "huber"])
def test_exactly_at_the_kink_of_a_loss(loss, rng):
    model = _sequential(keras.Input((3,)), layers.Dense(1, "tanh"), layers.Dense(1))
    x = rng.normal(size=(8, 3)).astype("float32")
    on_the_kink = np.asarray(model(x))
    if "hinge" in loss:
        on_the_kink = np.sign(on_the_kink) / np.abs(on_the_kink)
    _check(model, x, on_the_kink, loss)


def test_some_units_of_a_relu_at_the_kink(rng):
    model = _sequential(keras.Input((3,)), layers.Dense(4, "relu"), layers.Dense(2))
    x = rng.normal(size=(8, 3))
    x[:3] = 0  # with a bias of zero, these examples sit on the kink
    assert _check(model, x, rng.normal(size=(8, 2))).passed


def test_ties_of_max_pooling_on_a_constant_image(rng):
    model = _sequential(
        keras.Input((6, 6, 1)),
        layers.Conv2D(3, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(2),
    )
    assert _check(model, np.ones((4, 6, 6, 1)), rng.normal(size=(4, 2))).passed


def test_ties_of_the_maximum_of_two_equal_branches(rng):
    inputs = keras.Input((3,))
    one = layers.Dense(4, kernel_initializer="ones")(inputs)
    two = layers.Dense(4, kernel_initializer="ones")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.Maximum()([one, two])))
    _check(model, rng.normal(size=(4, 3)), rng.normal(size=(4, 2)))


def test_bias_before_batch_normalisation(rng):
    model = _sequential(
        keras.Input((3,)),
        layers.Dense(4, name="before"),
        layers.BatchNormalization(),
        layers.Dense(2),
    )
    report = _check(model, rng.normal(size=(8, 3)), rng.normal(size=(8, 2)))
    assert report.passed
    [bias] = _verdict(report, "before/bias").values()
    assert bias.verdict == "ZERO"


def test_key_bias_of_attention(rng):
    inputs = keras.Input((5, 4))
    hidden = layers.MultiHeadAttention(2, 3)(inputs, inputs)
    model = keras.Model(inputs, layers.Dense(2)(hidden))
    report = _check(model, rng.normal(size=(3, 5, 4)), rng.normal(size=(3, 5, 2)))
    assert report.passed
    [bias] = _verdict(report, "key/bias").values()
    assert bias.verdict == "ZERO"


def test_all_zero_inputs(rng):
    model = _sequential(
        keras.Input((3,)),
        layers.Dense(4, "relu", name="before"),
        layers.LayerNormalization(),
        layers.Dense(2),
    )
    report = _check(model, np.zeros((4, 3)), rng.normal(size=(4, 2)))
    [kernel] = _verdict(report, "before/kernel").values()
    assert kernel.verdict != "PASS"  # nothing flows through it: no proof


def test_all_zero_images(rng):
    model = _sequential(
        keras.Input((6, 6, 1)),
        layers.Conv2D(3, 3, activation="relu"),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(2),
    )
    _check(model, np.zeros((4, 6, 6, 1)), rng.normal(size=(4, 2)))


def test_untouched_rows_of_an_embedding(rng):
    model = _sequential(
        keras.Input((4,), dtype="int32"),
        layers.Embedding(500, 3),
        layers.Flatten(),
        layers.Dense(2),
    )
    report = _check(model, rng.integers(0, 4, (6, 4)), rng.normal(size=(6, 2)))
    assert {v.verdict for v in report.variables} == {"PASS"}


@pytest.mark.parametrize("rnn", ["LSTM", "GRU", "SimpleRNN"])
def test_masked_steps(rnn, rng):
    model = _sequential(
        keras.Input((5,), dtype="int32"),
        layers.Embedding(9, 3, mask_zero=True),
        getattr(layers, rnn)(4),
        layers.Dense(2),
    )
    x = rng.integers(1, 9, (6, 5))
    x[:, 3:] = 0
    x[0] = 0  # one example without a single step
    report = _check(model, x, rng.normal(size=(6, 2)))
    assert {v.verdict for v in report.variables} == {"PASS"}


@pytest.mark.parametrize("size", [1e-5, 1e-3, 1e3, 3e4, 1e9])
def test_losses_tiny_and_huge(size, rng):
    # The mean squared error goes with the square of the size.
    model = _sequential(
        keras.Input((3,)),
        layers.Dense(4, "tanh"),
        layers.Dense(2),
        layers.Rescaling(size),
    )
    x = rng.normal(size=(8, 3))
    report = _check(model, x, size * rng.normal(size=(8, 2)))
    assert {v.verdict for v in report.variables} == {"PASS"}


@pytest.mark.parametrize("offset", [1e3, 1e6])
def test_small_gradients_on_top_of_a_large_loss(offset, rng):
    model = _sequential(
        keras.Input((3,)),
        layers.Dense(4, "tanh"),
        layers.Dense(2),
    )
    y = np.sqrt(offset) + rng.normal(size=(8, 2))
    _check(model, rng.normal(size=(8, 3)), y)


@pytest.mark.parametrize("size", [1e-6, 1e-12])
def test_tiny_gradients(size, rng):
    def loss(y, y_pred):
        return size * keras.ops.mean(keras.ops.square(y - y_pred)) + 0.0

    model = _sequential(keras.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(2))
    report = _check(model, rng.normal(size=(8, 3)), rng.normal(size=(8, 2)), loss)
    assert {v.verdict for v in report.variables} == {"PASS"}


def test_tiny_gradients_of_one_layer(rng):
    model = _sequential(
        keras.Input((3,)),
        layers.Dense(4, "tanh", name="first"),
        layers.Rescaling(1e-12),
        layers.Dense(2),
    )
    _check(model, rng.normal(size=(8, 3)), rng.normal(size=(8, 2)))


def test_a_batch_of_one(rng):
    model = _sequential(
        keras.Input((6, 6, 1)),
        layers.Conv2D(3, 3),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(2),
    )
    report = _check(model, rng.normal(size=(1, 6, 6, 1)), rng.normal(size=(1, 2)))
    assert report.passed


def test_batch_normalisation_of_a_single_number(rng):
    # The variance over one example is zero: nothing before it has influence.
    model = _sequential(
        keras.Input((3,)),
        layers.Dense(4, name="before"),
        layers.BatchNormalization(),
        layers.Dense(2),
    )
    _check(model, rng.normal(size=(1, 3)), rng.normal(size=(1, 2)))


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_batch_normalisation_with_untypical_settings(momentum, rng):
    model = _sequential(
        keras.Input((3,)),
        layers.Dense(4),
        layers.BatchNormalization(momentum=momentum, epsilon=1e-7, center=False),
        layers.Dense(2),
    )
    _check(model, rng.normal(size=(8, 3)), rng.normal(size=(8, 2)))


def test_constant_features_before_batch_normalisation(rng):
    model = _sequential(
        keras.Input((3,)),
        layers.Dense(4),
        layers.BatchNormalization(),
        layers.Dense(2),
    )
    _check(model, np.ones((8, 3)), rng.normal(size=(8, 2)))


def test_rounding_and_floor(rng):
    model = _sequential(
        keras.Input((3,)),
        layers.Dense(4, name="before"),
        layers.Lambda(lambda x: tf.floor(4 * x) + tf.round(x)),
        layers.Dense(2),
    )
    report = _check(model, rng.normal(size=(8, 3)), rng.normal(size=(8, 2)))
    [kernel] = _verdict(report, "before/kernel").values()
    assert kernel.verdict != "PASS"


def test_a_saturated_clip_is_never_passed(rng):
    model = _sequential(
        keras.Input((3,)),
        layers.Dense(4, name="before"),
        layers.Lambda(lambda x: tf.clip_by_value(x, 100.0, 101.0)),
        layers.Dense(2),
    )
    report = _check(model, rng.normal(size=(8, 3)), rng.normal(size=(8, 2)))
    [kernel] = _verdict(report, "before/kernel").values()
    assert kernel.verdict in ("ZERO", "BLOCKED")


def test_sort_top_k_and_norm(rng):
    def call(x):
        top = tf.math.top_k(x, 3).values
        return tf.concat([top, tf.sort(x), tf.norm(x, axis=1, keepdims=True)], 1)

    model = _sequential(
        keras.Input((3,)), layers.Dense(5), layers.Lambda(call), layers.Dense(2)
    )
    assert _check(model, rng.normal(size=(8, 3)), rng.normal(size=(8, 2))).passed


def test_a_perfect_fit_has_no_gradient(rng):
    model = _sequential(keras.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(2))
    x = rng.normal(size=(8, 3)).astype("float32")
    report = _check(model, x, np.asarray(model(x)))
    assert report.verdict != "FAIL"


def test_oscillating_activation(rng):
    model = _sequential(
        keras.Input((3,)),
        layers.Dense(4),
        layers.Lambda(lambda x: tf.sin(1000.0 * x)),
        layers.Dense(2),
    )
    _check(model, rng.normal(size=(8, 3)), rng.normal(size=(8, 2)))
