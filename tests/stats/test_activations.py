"""What layers put out, in figures."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_gradwatch as kgw


def numbers(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def read(model, x, y, log_dir=None, **options):
    """One reading, at the weights that the model has now."""
    model.compile("sgd", "mse")
    stats = kgw.GradientStats(log_dir, check_freq=100, verbose=0, **options)
    before = [keras.ops.copy(v) for v in model.variables]
    model.fit(x, y, batch_size=len(x), shuffle=False, verbose=0, callbacks=[stats])
    for variable, value in zip(model.variables, before, strict=True):
        variable.assign(value)
    return stats.readings[0]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    bias = keras.initializers.RandomNormal(stddev=2.0)
    return keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(16, bias_initializer=bias, name="plain"),
            layers.ReLU(name="rectified"),
            layers.Dense(12, "tanh", bias_initializer=bias, name="squashed"),
            layers.Dropout(0.0),
            layers.Dense(3, "sigmoid", name="last"),
        ],
        name="net",
    )


def test_they_are_those_of_the_forward_pass(model):
    x, y = 0.5 * numbers(32, 8), numbers(32, 3)
    found = {one.layer: one for one in read(model, x, y).layers}
    names = ["net/plain", "net/rectified", "net/squashed", "net/last"]
    assert list(found) == names
    parts = keras.Model(model.inputs, [model.get_layer(n[4:]).output for n in names])
    for name, value in zip(names, parts([x]), strict=True):
        value, one = np.asarray(value), found[name]
        assert one.count == 32
        np.testing.assert_allclose(one.mean, value.mean(), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(one.scale, np.sqrt((value**2).mean()), rtol=1e-4)
        if one.operation == "Relu":
            silent = np.mean(np.all(value == 0, axis=0))
            assert one.silent_units == pytest.approx(silent)
            assert silent > 0
        if one.operation == "Tanh":
            share = np.mean(np.abs(value) > 0.98)
            assert one.saturated == pytest.approx(share, abs=1e-3)
            assert share > 0
    assert [found[name].operation for name in names] == ["", "Relu", "Tanh", "Sigmoid"]
    assert [found[name].has_kernel for name in names] == [True, False, True, True]
    assert [found[name].is_last for name in names] == [False] * 3 + [True]
    assert [found[name].may_saturate for name in names] == [False] * 3 + [True]


def test_they_are_in_the_table_and_the_notebook(model):
    reading = read(model, numbers(8, 8), numbers(8, 3))
    assert "layer puts out" in str(reading)
    assert "net/squashed" in str(reading).split("layer puts out")[1]
    assert "silent units" in reading._repr_html_()


def test_gates_and_what_a_model_in_the_model_puts_out_may_saturate():
    keras.utils.set_random_seed(0)
    code = keras.Sequential([keras.Input((8,)), layers.Dense(4, "tanh", name="code")])
    inputs = keras.Input((8,))
    hidden = layers.Dense(4, "tanh", name="hidden")(code(inputs))
    gate = layers.Dense(4, "sigmoid", name="gate")(inputs)
    soft = layers.Dense(4, "sigmoid", name="soft")(inputs)
    outputs = layers.Dense(1)(layers.Concatenate()([hidden * gate, soft]))
    reading = read(keras.Model(inputs, outputs), numbers(8, 8), numbers(8, 1))
    found = {one.layer.rpartition("/")[2]: one.may_saturate for one in reading.layers}
    found.pop("dense", None)
    last = [name for name in found if name.startswith("dense")]
    for name in last:
        found.pop(name)
    assert found == {"code": True, "hidden": False, "gate": True, "soft": False}


def test_of_large_outputs_the_first_examples_are_read():
    keras.utils.set_random_seed(0)
    stack = [keras.Input((64, 64, 3)), layers.Conv2D(8, 3, padding="same")]
    model = keras.Sequential([*stack, layers.Flatten(), layers.Dense(1)])
    reading = read(model, numbers(16, 64, 64, 3), numbers(16, 1))
    assert [one.count for one in reading.layers] == [2 * 64 * 64, 16]


def test_a_step_without_a_graph_has_none():
    class Eager(keras.layers.Layer):
        def call(self, x):
            return x * float(keras.ops.max(x) > -100)

        def compute_output_shape(self, shape):
            return shape

    model = keras.Sequential([keras.Input((4,)), layers.Dense(4)])
    model.add(Eager())
    model.add(layers.Dense(1))
    model.compile("sgd", "mse", run_eagerly=True)
    stats = kgw.GradientStats(check_freq=1, verbose=0)
    model.fit(numbers(8, 4), numbers(8, 1), verbose=0, callbacks=[stats])
    (reading,) = stats.readings
    assert (reading.layers, reading.part) == ((), None)
    assert reading.global_norm > 0
