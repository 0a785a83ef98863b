"""Training on more than one device."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import contextlib, warnings
import keras, numpy as np, tensorflow as tf
from keras import layers

(cpu,) = tf.config.list_physical_devices("CPU")
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
import keras_gradwatch as kgw

rng = np.random.default_rng(0)
x, y = rng.normal(size=(32, 4)).astype("float32"), rng.integers(0, 3, 32)


def after_fit(callbacks, in_scope):
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = keras.Sequential([
            keras.Input((4,)),
            layers.Dense(5, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(3),
        ])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"])
    with strategy.scope() if in_scope else contextlib.nullcontext():
        history = model.fit(
            x, y, batch_size=8, epochs=2, verbose=0, callbacks=callbacks
        )
    variables = [*model.variables, *model.optimizer.variables]
    return [v.numpy() for v in variables], history.history


for in_scope in (False, True):
    check = kgw.GradientCheck(warmup_steps=0, check_freq=2, verbose=0)
    np.testing.assert_equal(after_fit([check], in_scope), after_fit([], in_scope))
    print([(r.step, r.verdict, len(r.variables)) for r in check.reports])

healthy = kgw.NonFiniteLocator(on_failure="raise")
np.testing.assert_equal(after_fit([healthy], False), after_fit([], False))
x[:] = np.nan
locator = kgw.NonFiniteLocator(verbose=0)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    after_fit([locator], False)
print(locator.finding.kind, locator.finding.place, locator.finding.batch_size)
"""


@pytest.mark.long
def test_mirrored_on_two_devices_is_checked_and_untouched():
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", SCRIPT],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )
    expected = str([(step, "PASS", 6) for step in (0, 2, 4, 6)])
    found = [expected, expected, "data x 4"]
    assert done.stdout.splitlines() == found, done.stderr[-2000:]
