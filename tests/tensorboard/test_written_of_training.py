"""What a training writes for the tab: when, in which epoch, and what was read."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw
from keras_gradwatch.tensorboard.plugin import answers
from tests.support.tab_server import summary_of


class Root(layers.Layer):
    def call(self, x):
        return tf.sqrt(x)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Two epochs of four steps; in the second, a batch makes a root negative."""
    log = tmp_path_factory.mktemp("log")
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), Root(name="root"), layers.Dense(2)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).uniform(1, 2, size=(64, 4)).astype("float32")
    x[50, 0] = -1.0
    data = tf.data.Dataset.from_tensor_slices((x, x[:, 2:])).batch(8)
    callbacks = [
        kgw.GradientCheck(log, warmup_steps=1, check_freq=3, verbose=0),
        kgw.GradientStats(log, check_freq=2, verbose=0),
        kgw.NonFiniteLocator(log, verbose=0),
    ]
    options = {"shuffle": False, "verbose": 0, "callbacks": callbacks}
    with pytest.warns(kgw.GradwatchWarning):
        model.fit(data, epochs=2, steps_per_epoch=4, **options)
    return summary_of(log)


def test_checks_tell_their_epoch_and_loss(written):
    assert [(c.digest.step, c.digest.epoch) for c in written.checks[:2]] == [
        (1, 0),
        (4, 1),
    ]
    assert all(math.isfinite(c.digest.loss) for c in written.checks[:2])
    shapes = [v.shape for v in written.checks[0].digest.variables]
    assert shapes == [(4, 2), (2,)]


def test_readings_are_points_of_the_timeline(written):
    moments = [p.moment for p in written.points]
    assert [(m.step, m.epoch) for m in moments] == [(0, 0), (2, 0), (4, 1), (6, 1)]
    assert all(m.loss > 0 and m.norm > 0 for m in moments[:3])
    assert math.isnan(moments[3].norm)


def test_alerts_tell_their_epoch(written):
    (first, *_) = written.alerts
    assert (first.alert.step, first.alert.epoch) == (6, 1)


def test_all_of_it_is_of_one_fit_in_the_order_of_time(written):
    events = [*written.checks, *written.alerts, *written.points]
    assert len({event.fit for event in events}) == 1
    walls = [check.wall for check in written.checks]
    assert walls == sorted(walls)
    assert walls[0] > 0


def test_the_run_is_as_bad_as_its_nan(written):
    found = answers.run("gradwatch", written)
    assert found["state"] == "NaN"
    assert found["title"].startswith("NaN or infinity in")
    assert found["since"] == 6
