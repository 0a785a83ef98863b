"""`GradientStats` gives the alarm where it is due, and only there."""

import pickle
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
from keras import layers

import keras_gradwatch as kgw
from tests.support.marks import first


def numbers(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def dense(activation, depth, **options):
    stack = [layers.Dense(16, activation, **options) for _ in range(depth)]
    model = keras.Sequential([keras.Input((8,)), *stack, layers.Dense(1)])
    return model, numbers(64, 8)


def deep_sigmoids():
    return dense("sigmoid", 12)


def deep_tanh():
    return dense("tanh", 12)


def deep_relu():
    return dense("relu", 12, kernel_initializer="he_normal")


def residual():
    """With branches that are scaled down to a millionth, as in ConvNeXt."""
    inputs = keras.Input((8,))
    x = layers.Dense(16)(inputs)
    for _ in range(6):
        branch = layers.LayerNormalization()(x)
        branch = layers.Dense(16, "gelu")(branch)
        x = layers.Add()([x, layers.Rescaling(1e-6)(branch)])
    return keras.Model(inputs, layers.Dense(1)(x)), numbers(64, 8)


def normalised():
    """With biases whose true gradient is zero."""
    stack = []
    for _ in range(4):
        stack += [layers.Dense(16), layers.BatchNormalization(), layers.ReLU()]
    model = keras.Sequential([keras.Input((8,)), *stack, layers.Dense(1)])
    return model, numbers(64, 8)


def rnn(gain, activation="tanh"):
    kernel = keras.initializers.Orthogonal(gain)
    model = keras.Sequential(
        [
            keras.Input((40, 8)),
            layers.SimpleRNN(32, activation, recurrent_initializer=kernel),
            layers.Dense(1),
        ]
    )
    return model, numbers(64, 40, 8)


def exploding_rnn():
    return rnn(4.0)


def overflowing_rnn():
    return rnn(2.0, "linear")


def healthy_rnn():
    return rnn(1.0)


def dead_units():
    bias = keras.initializers.Constant(-100.0)
    stack = [layers.Dense(16, "relu"), layers.Dense(16, "relu", bias_initializer=bias)]
    model = keras.Sequential([keras.Input((8,)), *stack, layers.Dense(1)])
    return model, numbers(64, 8)


def from_zero():
    """A linear model whose first step is infinitely large, seen from its weights."""
    layer = layers.Dense(1, kernel_initializer="zeros")
    return keras.Sequential([keras.Input((8,)), layer]), numbers(64, 8)


def too_fast():
    return dense("relu", 1)


RATES = {"too_fast": 30.0, "exploding_rnn": 1e-6}


def watched(build, epochs=6, **options):
    keras.utils.set_random_seed(1)
    model, x = build()
    rate = RATES.get(build.__name__, 1e-2)
    model.compile(keras.optimizers.SGD(rate), "mse")
    stats = kgw.GradientStats(check_freq=2, verbose=0, **options)
    y = np.sin(3 * x.reshape(len(x), -1)[:, :1])
    model.fit(x, y, batch_size=16, epochs=epochs, verbose=0, callbacks=[stats])
    return stats


@pytest.mark.parametrize(
    ("build", "kind", "where"),
    [
        (deep_sigmoids, "vanishing", "dense"),
        (exploding_rnn, "exploding", "simple_rnn"),
        (overflowing_rnn, "exploding", ""),
        (too_fast, "exploding", ""),
        (dead_units, "dead", "dense_1"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_alarm_is_given(build, kind, where):
    with pytest.warns(kgw.GradientAlertWarning) as told:
        stats = watched(build)
    assert any(f"{kind.capitalize()} gradients" in str(w.message) for w in told)
    assert kind in {alert.kind for alert in stats.alerts}
    alert = next(alert for alert in stats.alerts if alert.kind == kind)
    assert any(where in name for name in alert.where)
    assert alert.message.startswith(("The gradient", "A change", "A step", "No ", "1"))
    # Once, not at each reading again; of a chaotic network, whose gradients depend on
    # the order of rounding, once more after it was well for a while.
    most = 2 if build is exploding_rnn else 1
    assert 1 <= [a.kind for a in stats.alerts].count(kind) <= most


@pytest.mark.parametrize(
    "build",
    first([normalised, healthy_rnn, from_zero, deep_tanh, deep_relu, residual], 3),
    ids=lambda build: build.__name__,
)
def test_no_alarm_on_the_healthy(build):
    stats = watched(build)
    assert len(stats.readings) == 12
    assert stats.alerts == []


def cancelling(y_true, y_pred):
    """As a policy gradient on its own policy: zero, but for round-off."""
    gain = y_true - keras.ops.mean(y_true)
    return keras.ops.mean(
        gain * keras.ops.exp(y_pred - keras.ops.stop_gradient(y_pred))
    )


def within_a_margin(y_true, y_pred):
    return keras.ops.mean(keras.ops.relu(keras.ops.abs(y_true - y_pred) - 1.0))


@pytest.mark.parametrize("loss", first([cancelling, "mse", within_a_margin]))
def test_no_alarm_where_the_loss_is_next_to_nothing(loss):
    x = numbers(64, 8)
    model = keras.Sequential([keras.Input((8,)), layers.Dense(4), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.2), loss)
    y = 0.5 * x[:, :1]
    if loss != cancelling:
        model.fit(x, y, epochs=100, batch_size=16, verbose=0)  # all is learnt
    stats = kgw.GradientStats(check_freq=1)
    history = model.fit(x, y, epochs=3, batch_size=16, verbose=0, callbacks=[stats])
    assert abs(history.history["loss"][-1]) < 1e-6
    assert len(stats.readings) == 12
    assert stats.alerts == []


@pytest.mark.long
def test_it_speaks_only_after_several_readings():
    with pytest.warns(kgw.GradientAlertWarning):
        stats = watched(deep_sigmoids, patience=5)
    (alert,) = stats.alerts
    assert (alert.since, alert.step) == (0, 8)
    assert watched(deep_sigmoids, patience=13).alerts == []


@pytest.mark.long
def test_each_alarm_can_be_turned_off():
    assert watched(deep_sigmoids, vanishing=0).alerts == []
    assert watched(exploding_rnn, exploding=float("inf")).alerts == []
    assert watched(dead_units, dead=1.1).alerts == []


def test_it_stops_or_raises_as_asked():
    with pytest.warns(kgw.GradientAlertWarning):
        stats = watched(dead_units, on_failure="stop")
    assert len(stats.readings) == 3
    with pytest.raises(kgw.GradientAlertError, match="Dead gradients") as caught:
        watched(dead_units, on_failure="raise")
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.alert == caught.value.alert


def small(y_true, y_pred):
    return 1e-7 * keras.ops.mean((y_true - y_pred) ** 2, axis=-1)


def in_half(loss, bias=0.0, optimizer="sgd", dtype="mixed_float16"):
    """The message of the alert on a net of ReLU that computes in float16."""
    keras.utils.set_random_seed(0)
    dead = keras.initializers.Constant(bias)
    stack = [layers.Dense(16, "relu", dtype=dtype, bias_initializer=dead)]
    stack += [layers.Dense(1, dtype=dtype)]
    model = keras.Sequential([keras.Input((8,)), *stack])
    model.compile(optimizer, loss)
    stats = kgw.GradientStats(check_freq=1, verbose=0)
    x = numbers(64, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kgw.GradientAlertWarning)
        model.fit(x, x[:, :1], batch_size=16, epochs=2, verbose=0, callbacks=[stats])
    return " ".join(alert.message for alert in stats.alerts)


def test_underflow_in_float16_is_not_called_dead_relu():
    said = in_half(small)
    assert "underflows in float16" in said
    assert "LossScaleOptimizer" in said
    assert "ReLU" not in said
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())
    assert in_half(small, optimizer=scaled) == ""


@pytest.mark.long
def test_a_scale_that_is_too_small_is_named():
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(), 2.0)
    smaller = in_half(lambda y, p: 1e-2 * small(y, p), optimizer=scaled)
    assert "scaled by 2: raise `initial_scale`" in smaller


@pytest.mark.parametrize(
    "dtype", ["mixed_float16", pytest.param("float32", marks=pytest.mark.long)]
)
def test_dead_units_are_not_called_underflow(dtype):
    said = in_half("mse", bias=-100.0, dtype=dtype)
    assert "ReLU" in said
    assert ("float16" in said) == (dtype != "float32")
    assert "underflows" not in said


def test_a_gradient_that_is_nan_does_not_wait():
    x = numbers(64, 8)
    x[5, 2] = np.nan
    with pytest.warns(kgw.GradientAlertWarning, match="NonFiniteLocator"):
        stats = watched(lambda: (dense("tanh", 1)[0], x), epochs=1)
    assert stats.alerts[0].kind == "nonfinite"


def test_overflow_of_a_scaled_loss_is_no_alarm():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((8,)), layers.Dense(16, dtype="mixed_float16"), layers.Dense(1)]
    )
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(), initial_scale=2.0**40
    )
    model.compile(optimizer, "mse")
    stats = kgw.GradientStats(check_freq=1, verbose=0)
    x = numbers(64, 8)
    model.fit(x, x[:, :1], batch_size=16, verbose=0, callbacks=[stats])
    assert stats.readings[0].variables[0].nonfinite
    assert stats.alerts == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"vanishing": 1.0}, "vanishing=1.0"),
        ({"vanishing": "no"}, "vanishing='no'"),
        ({"exploding": 0}, "exploding=0"),
        ({"exploding": float("nan")}, "exploding=nan"),
        ({"dead": 0}, "dead=0"),
        ({"patience": 0}, "patience=0"),
        ({"dropout": "on"}, "dropout='on'"),
        ({"check_freq": 0}, "check_freq=0"),
        ({"on_failure": "cry"}, "on_failure='cry'"),
    ],
    ids=str,
)
def test_wrong_arguments(options, expected):
    with pytest.raises(kgw.InvalidArgumentError, match=f"Received: {expected}"):
        kgw.GradientStats(**options)


@pytest.mark.basic
def test_alerts_are_written_and_read_back(tmp_path):
    with pytest.warns(kgw.GradientAlertWarning):
        stats = watched(dead_units, log_dir=tmp_path)
    assert kgw.read_alerts(tmp_path) == stats.alerts
    assert kgw.read_reports(tmp_path) == []
    done = subprocess.run(
        [sys.executable, "-m", "keras_gradwatch", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ALERT since step 0: Dead gradients" in done.stdout
    assert done.returncode == 3


def test_an_alert_goes_to_json_and_back():
    alert = kgw.Alert("exploding", 7, ("a", "b"), "much", 3, float("inf"), 1.0)
    assert kgw.Alert.from_json(alert.to_json()) == alert
    for bad in ("[]", '{"format": 9}', "{", '{"format": 1, "kind": "odd"}'):
        with pytest.raises(ValueError, match=r"Received|Expecting"):
            kgw.Alert.from_json(bad)
