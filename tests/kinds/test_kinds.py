"""Every kind of model that people train: checked right, and left as it was."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import keras_gradwatch as kgw
from tests.support.kinds import KINDS, LOW_PRECISION, WITHOUT_INFLUENCE
from tests.support.marks import some
from tests.support.models import half


# In the short part each kind is either healthy or faulty.
@pytest.mark.parametrize("name", some(KINDS, 2))
def test_healthy(name, rng):
    model, x, y = KINDS[name](rng)
    weights = [np.array(v) for v in model.variables]
    report = kgw.check_gradients(model, x, y)
    assert report.verdict == "PASS", str(report)
    for before, now in zip(weights, model.variables, strict=True):
        np.testing.assert_array_equal(before, np.array(now))
    if name not in LOW_PRECISION:
        assert report.dtype == "float64"
        without = WITHOUT_INFLUENCE.get(name, ())
        left = [v.path for v in report.variables if v.verdict not in ("PASS", "UNUSED")]
        assert [p for p in left if not p.endswith(without or "\n")] == [], str(report)


# Kinds whose loss of the first step can't be told from `fit`.
UNTOLD = {
    "add_loss_alone": "Keras warns that it leaves variables without a gradient",
    "functional_subclass_with_its_own_step": "Keras logs its own loss, not this",
}


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in KINDS if name not in UNTOLD])
def test_the_loss_is_the_one_that_trains(name, rng):
    model, x, y = KINDS[name](rng)
    report = kgw.check_gradients(model, x, y, samples=1, directions=0, dropout="freeze")
    fitted = model.fit(x, y, batch_size=6, epochs=2, shuffle=False, verbose=0)
    assert report.loss == pytest.approx(fitted.history["loss"][0], rel=1e-4)


def first_with_weights(model):
    """The first layer that holds weights that train, none inside it, if one does."""
    for layer in model._flatten_layers(include_self=False):
        inner = list(layer._flatten_layers(include_self=False))
        if layer.trainable_variables and not inner:
            return layer
    return None


def spoil(layer):
    """Lets a layer pass half of the gradient on to all before it, itself included."""
    quantized = layer.quantization_mode is not None
    name = "quantized_call" if quantized else "call"
    forward = getattr(layer, name)

    @functools.wraps(forward)
    def spoilt(*args, **kwargs):
        return tf.nest.map_structure(half, forward(*args, **kwargs))

    layer.__dict__[name] = spoilt


@pytest.mark.parametrize("name", some(KINDS, 2, 1))
def test_faulty(name, rng):
    model, x, y = KINDS[name](rng)
    layer = first_with_weights(model)
    spoil(layer)
    report = kgw.check_gradients(model, x, y)
    assert report.verdict == "FAIL", str(report)
    own = {v.path for v in layer.trainable_variables}
    wrong = {v.path for v in report.failures}
    assert own & wrong, str(report)
    verdicts = {v.path: v.verdict for v in report.variables}
    assert not [path for path in own if verdicts[path] == "PASS"], str(report)
