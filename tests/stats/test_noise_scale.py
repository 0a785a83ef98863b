"""The noise scale of the gradient."""

import keras
import numpy as np
import pytest
from keras import layers
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import keras_gradwatch as kgw


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    x = random.normal(size=(4096, 8)).astype("float32")
    y = x @ random.normal(size=(8, 1)) + 2 * random.normal(size=(4096, 1))
    return x, y.astype("float32")


def linear(rate=1e-6, loss="mse"):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8,)), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate), loss)
    return model


def train(model, data, batch_size=64, log_dir=None):
    stats = kgw.GradientStats(log_dir, check_freq=1, verbose=0)
    model.fit(*data, batch_size=batch_size, epochs=4, verbose=0, callbacks=[stats])
    return stats


def test_it_is_that_of_the_data(data):
    model = linear()
    x, y = data
    slopes = 2 * (np.asarray(model(x)) - y)
    each = np.concatenate([slopes * x, slopes], axis=1)
    true = each.var(0).sum() / np.sum(each.mean(0) ** 2)
    scales = [r.noise_scale for r in train(model, data).readings if r.noise_scale]
    assert all(one.count <= 16 for one in scales)
    # Of estimates that share no reading, so many are within two errors of it.
    apart = scales[12::16]
    near = [abs(one.value - true) < 2 * one.error for one in apart]
    assert len(near) >= 3
    assert sum(near) >= len(near) - 1
    assert str(scales[-1]).endswith(" examples")


def test_a_part_is_read_now_and_then_and_changes_nothing(data):
    model = linear(1e-2)
    stats = train(model, data)
    parts = [reading.part for reading in stats.readings]
    assert [k for k, part in enumerate(parts) if part][:3] == [0, 4, 8]
    assert parts[0][:2] == (16, 64)
    alone = linear(1e-2)
    alone.fit(*data, batch_size=64, epochs=4, verbose=0)
    for one, other in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_of_few_examples_there_is_no_part(data):
    stats = train(linear(), tuple(part[:64] for part in data), batch_size=4)
    assert {reading.part for reading in stats.readings} == {None}
    assert {reading.noise_scale for reading in stats.readings} == {None}


def test_of_a_sum_over_the_batch_nothing_is_told(data):
    model = linear(1e-9, keras.losses.MeanSquaredError("sum"))
    few = tuple(part[:1024] for part in data)
    stats = train(model, few)
    assert {reading.noise_scale for reading in stats.readings} == {None}


def test_it_is_a_scalar_with_its_error(data, tmp_path):
    stats = train(linear(), tuple(part[:2048] for part in data), log_dir=tmp_path)
    events = EventAccumulator(str(tmp_path / "gradwatch"), {"tensors": 0})
    events.Reload()
    told = [r for r in stats.readings if r.part and r.noise_scale]
    assert told
    for name in ("noise_scale", "noise_scale_error"):
        steps = [e.step for e in events.Tensors(f"~GradCheck/{name}")]
        assert steps == [reading.step for reading in told]
