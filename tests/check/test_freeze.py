"""`dropout="freeze"`: the gradient with dropout on, at the draw that training makes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_gradwatch as kgw
from tests.support.marks import first
from tests.support.models import Middle


class StochasticDepth(layers.Layer):
    """Skips examples at random, in code of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seeds = keras.random.SeedGenerator(5)

    def call(self, x, training=False):
        if not training:
            return x
        shape = (ops.shape(x)[0], 1)
        kept = keras.random.uniform(shape, dtype=x.dtype, seed=self.seeds) < 0.6
        return x * ops.cast(kept, x.dtype) / 0.6


def dense(wrong=False):
    return [
        layers.Dense(8, "tanh", name="first"),
        layers.Dropout(0.4),
        Middle(wrong),
        layers.GaussianNoise(0.3),
        layers.GaussianDropout(0.2),
        layers.AlphaDropout(0.2),
        layers.Dense(3, name="last"),
    ]


def recurrent(wrong=False):
    return [
        layers.Reshape((3, 2)),
        layers.LSTM(4, dropout=0.3, recurrent_dropout=0.3, name="first"),
        Middle(wrong),
        layers.Dense(3, name="last"),
    ]


def custom(wrong=False):
    return [
        layers.Dense(8, "tanh", name="first"),
        Middle(wrong),
        StochasticDepth(),
        layers.Dense(3, name="last"),
    ]


def build(stack, wrong=False, policy=None, **compiled):
    keras.utils.clear_session()
    keras.utils.set_random_seed(4)
    with_policy = keras.dtype_policies.get(policy or "float32")
    found = keras.Sequential([keras.Input((6,)), *stack(wrong)])
    for layer in found.layers:
        layer.dtype_policy = with_policy
    found.compile("adam", "mse", **compiled)
    return found


@pytest.fixture
def data(rng):
    x = rng.normal(size=(16, 6)).astype("float32")
    return x, rng.normal(size=(16, 3)).astype("float32")


@pytest.mark.parametrize("stack", first([dense, custom, recurrent], 2))
@pytest.mark.parametrize(
    "compiled",
    [
        pytest.param({"jit_compile": False}, id="graph"),
        pytest.param({"jit_compile": True}, id="jit", marks=pytest.mark.long),
        pytest.param({"run_eagerly": True}, id="eager", marks=pytest.mark.long),
    ],
)
def test_the_draw_is_the_one_that_training_makes(stack, compiled, data):
    model = build(stack, **compiled)
    check = kgw.GradientCheck(
        warmup_steps=0, check_freq=1, dropout="freeze", samples=1, verbose=0
    )
    history = model.fit(*data, epochs=3, batch_size=16, verbose=0, callbacks=[check])
    assert [r.verdict for r in check.reports] == ["PASS"] * 3
    found = [r.loss for r in check.reports]
    np.testing.assert_allclose(found, history.history["loss"], rtol=1e-5)


@pytest.mark.parametrize("policy", first(["mixed_float16", "mixed_bfloat16"]))
def test_so_it_is_in_mixed_precision(policy, data):
    model = build(dense, policy=policy, jit_compile=False)
    report = kgw.check_gradients(model, *data, dropout="freeze")
    assert (report.verdict, report.dtype) == ("PASS", "float64")
    trained = model.fit(*data, shuffle=False, verbose=0).history["loss"][0]
    assert report.loss == pytest.approx(trained, rel=0.02)
    bypassed = kgw.check_gradients(build(dense, policy=policy), *data)
    assert abs(bypassed.loss / report.loss - 1) > 0.1


@pytest.mark.parametrize("stack", first([custom, dense, recurrent]))
def test_a_wrong_gradient_fails_with_dropout_on(stack, data):
    report = kgw.check_gradients(build(stack, wrong=True), *data, dropout="freeze")
    assert report.verdict == "FAIL"
    assert all("first" in v.path for v in report.failures)


class WrongMask(layers.Layer):
    """Drops in the forward pass, and forgets to in the backward pass."""

    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(2)

    def call(self, x, training=False):
        mask = keras.random.uniform(ops.shape(x), dtype=x.dtype, seed=self.seeds) < 0.5

        @tf.custom_gradient
        def dropped(x):
            return x * tf.cast(mask, x.dtype), lambda dy: dy

        return dropped(x) if training else x


def test_a_mistake_of_the_dropout_itself_is_seen(data):
    def stack(wrong):
        return [layers.Dense(8, name="first"), WrongMask(), layers.Dense(3)]

    report = kgw.check_gradients(build(stack), *data, dropout="freeze")
    assert {v.path.split("/")[-2] for v in report.failures} == {"first"}


def test_public_draws_are_put_back(data):
    modules = (tf.random, tf.nn.experimental, keras.random)
    before = [dict(vars(module)) for module in modules]
    kgw.check_gradients(build(dense), *data, dropout="freeze")
    assert [dict(vars(module)) for module in modules] == before
