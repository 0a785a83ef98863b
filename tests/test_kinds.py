"""Every kind of model that people train: checked right, and left as it was."""

import numpy as np
import pytest

import keras_gradwatch as kgw
from tests.kinds import KINDS

# Weights that the loss does not depend on, or whose gradient is truly zero.
WITHOUT_INFLUENCE = {"frozen_layers": ("dense_1/bias",)}
# Fixed arithmetic, by storage: no float64.
LOW_PRECISION = {"int8_with_lora"}


@pytest.mark.parametrize("name", KINDS)
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


@pytest.mark.parametrize("name", [name for name in KINDS if name not in UNTOLD])
def test_the_loss_is_the_one_that_trains(name, rng):
    model, x, y = KINDS[name](rng)
    report = kgw.check_gradients(model, x, y, samples=1, directions=0, dropout="freeze")
    fitted = model.fit(x, y, batch_size=6, epochs=2, shuffle=False, verbose=0)
    assert report.loss == pytest.approx(fitted.history["loss"][0], rel=1e-4)
