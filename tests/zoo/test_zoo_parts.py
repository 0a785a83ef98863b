"""Every layer and loss of Keras by itself: for its weights and for its inputs."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gradwatch as kgw
from tests.support.layer_table import AT_INPUT, MAKE, UNPROVEN, kind_of, layer_names
from tests.support.loss_table import DEMANDS, loss_names, targets
from tests.support.sandwich import BATCH, SHAPES, integers, numbers

pytestmark = pytest.mark.long

layers = keras.layers

# What returns integers, or takes nothing else and has no weights.
NOTHING = {
    "CategoryEncoding": "no argument holds floats",
    "Discretization": "no output holds floats",
    "HashedCrossing": "no output holds floats",
    "Hashing": "no output holds floats",
    "IntegerLookup": "no output holds floats",
    "StringLookup": "no output holds floats",
    "TextVectorization": "no output holds floats",
}
# The gradient of most layers of `AT_INPUT` for what goes into them is wrong; what
# is drawn for some of these happens to show nothing.
SILENT = {
    "ContrastLimitedAdaptiveHistogramEqualization",
    "Equalization",
    "RandomPosterization",
}


def _inputs(name, seed=0):
    kind = kind_of(name)
    one, two = (numbers((BATCH, *SHAPES[k]), seed) for k in ("vector", "sequence"))
    words = np.array(["a", "b", "c", "d"])[integers((BATCH, 4), seed, high=4)]
    crossed = [integers((BATCH, 1), seed + k) for k in range(2)]
    sound = numbers((BATCH, 32), seed)
    picture = 255 * np.random.default_rng(seed).random((BATCH, 8, 8, 3), np.float32)
    if kind in SHAPES:
        return [numbers((BATCH, *SHAPES[kind]), seed)]
    return {
        "film": [numbers((BATCH, 2, 3, 3, 3, 2), seed)],
        "integers": [integers((BATCH, 4), seed)],
        "numbers": [one],
        "pair": [[one, one[::-1].copy()]],
        "pair of sequences": [[two, two[::-1].copy()]],
        "picture": [picture],
        "sound": [sound[..., None] if name == "STFTSpectrogram" else sound],
        "strings": [tf.constant(words)],
        "text": [tf.constant([[" ".join(row)] for row in words])],
        "two integers": [crossed],
        "two sequences": [two, two[::-1].copy()],
    }[kind]


@pytest.mark.parametrize("name", layer_names())
def test_layer(name, record_property):
    layer = MAKE[name]() if name in MAKE else getattr(layers, name)()
    check = functools.partial(kgw.check_layer, layer, *_inputs(name))
    if name in NOTHING:
        with pytest.raises(kgw.InvalidArgumentError, match=NOTHING[name]):
            check()
        return
    report = check(samples=3, directions=1)
    if name in AT_INPUT and name not in SILENT:
        assert [v.path for v in report.failures] == ["data"], str(report)
        return
    record_property("zoo", [report.verdict, report.dtype])
    assert report.verdict != "FAIL", str(report)
    if name not in SILENT and name not in UNPROVEN:
        zero = ("key/bias",) if name.endswith("Attention") else ()
        left = [v.path for v in report.variables if v.verdict != "PASS"]
        assert all(path.endswith(zero) for path in left), str(report)


def _predictions(name, seed=0):
    activation, _ = DEMANDS[name]
    if name == "Circle":
        return keras.ops.convert_to_numpy(
            keras.ops.normalize(numbers((BATCH, 4), seed))
        )
    y = numbers((BATCH, 6, 4) if activation == "sequence" else (BATCH, 3), seed)
    if activation in ("sequence", "linear"):
        return y
    return getattr(keras.activations, activation)(y)


@pytest.mark.parametrize("name", loss_names())
def test_loss(name, record_property):
    loss = getattr(keras.losses, name)()
    y_true = targets(DEMANDS[name][1], 100)
    report = kgw.check_loss(loss, y_true, _predictions(name), samples=3, directions=1)
    record_property("zoo", [report.verdict, report.dtype])
    assert report.passed, str(report)
