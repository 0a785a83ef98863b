"""`GradientStats` is silent on healthy trainings, and has a word for sick ones."""

import keras
import pytest

import keras_gradwatch as kgw
from tests.support import loss_zoo
from tests.support.marks import named, some
from tests.support.stats_zoo import (
    HEALTHY,
    SICK,
    accumulated,
    far_too_slow,
    gates_that_are_shut,
    inputs_that_are_not_scaled,
    large_weights,
)

# Those of the other zoo are trained as long as a loss needs: the long part has them.
QUICK = (
    accumulated,
    gates_that_are_shut,
    far_too_slow,
    inputs_that_are_not_scaled,
)


@pytest.mark.parametrize("seed", some(range(2), every=2))
@pytest.mark.parametrize("program", named((*HEALTHY, *loss_zoo.HEALTHY), QUICK))
def test_healthy(program, seed):
    keras.utils.set_random_seed(seed)
    assert program(kgw.GradientStats(check_freq=10)).alerts == []


@pytest.mark.parametrize("seed", some(range(2), every=2))
@pytest.mark.parametrize("program", named(SICK, QUICK))
def test_sick(program, seed):
    keras.utils.set_random_seed(seed)
    with pytest.warns(kgw.GradientAlertWarning):
        stats = program(kgw.GradientStats(check_freq=10, verbose=0))
    found = {alert.kind: alert for alert in stats.alerts}
    assert SICK[program] in found
    alert = found[SICK[program]]
    assert alert.since <= alert.step
    if alert.kind in ("saturated", "still", "scale"):
        # Each says what to do, and where more of it stands.
        assert "docs/layers-and-steps.md#" in alert.message
        assert (
            "not" in alert.message or "Take" in alert.message or "Its" in alert.message
        )


@pytest.mark.long
def test_each_alarm_of_layers_and_steps_can_be_turned_off():
    for program, off in (
        (inputs_that_are_not_scaled, {"saturated": 1.1}),
        (far_too_slow, {"still": 0}),
        (large_weights, {"scale": float("inf")}),
    ):
        keras.utils.set_random_seed(0)
        assert program(kgw.GradientStats(check_freq=10, **off)).alerts == []


@pytest.mark.parametrize(
    "wrong", [{"saturated": 0}, {"still": 1}, {"still": -1e-9}, {"scale": 1}]
)
def test_a_threshold_that_makes_no_sense_is_refused(wrong):
    (name,) = wrong
    with pytest.raises(kgw.InvalidArgumentError, match=rf"{name}.*Received"):
        kgw.GradientStats(**wrong)
