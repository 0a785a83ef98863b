"""`check_setup` on many set-ups: no alarm on healthy ones, and sick ones are named."""

import warnings

import keras
import pytest

import keras_gradwatch as kgw
from tests.support.setup_zoo import HEALTHY
from tests.support.sick_setups import SICK

QUICK = {
    *("several_outputs", "own_train_step", "softmax_twice", "unscaled_integers"),
    *("broadcast_in_compute_loss", "far_too_large_initial_weights"),
    *("neighbours_added", "divided_by_one_too_few", "hidden_layers"),
    "gradient_negated",
}


def zoo(programs):
    return [
        pytest.param(name, marks=[] if name in QUICK else [pytest.mark.long])
        for name in programs
    ]


def checked(program):
    with warnings.catch_warnings():
        # What a program says of itself while it is made.
        warnings.simplefilter("ignore")
        arguments = program()
    return kgw.check_setup(*arguments)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", zoo(HEALTHY))
def test_healthy(name, seed):
    keras.utils.set_random_seed(seed)
    report = checked(HEALTHY[name])
    assert report.names_of("wrong") == (), str(report)
    assert report.names_of("worth a look") == (), str(report)


@pytest.mark.parametrize("name", zoo(SICK))
def test_sick(name):
    program, question = SICK[name]
    report = checked(program)
    assert not report.passed
    alarmed = report.names_of("wrong") + report.names_of("worth a look")
    assert question in alarmed, str(report)


def test_how_many_there_are():
    assert len(HEALTHY) >= 20
    assert len(SICK) >= 30
    assert {question for _, question in SICK.values()} == set(kgw.SetupReport.NAMES)
