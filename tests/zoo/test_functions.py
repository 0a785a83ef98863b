"""Functions of tf.math, tf.linalg, tf.signal, tf.image, tf.nn and keras.ops."""

import numpy as np
import pytest

import keras_gradwatch as kgw
from tests.support.functions import FUNCTIONS
from tests.support.functions.wrong import (
    FLAT,
    NO_GRADIENT,
    NO_SECOND,
    WRONG,
    WRONG_SECOND,
)
from tests.support.marks import some

# Whose second derivatives are checked here, too.
SECOND = ("tf.linalg.", "tf.math.special.", "tf.nn.")


def check(function, makers, order=1, seed=0):
    rng = np.random.default_rng(seed)
    arguments = [make(rng) for make in makers]
    return kgw.check_function(
        function, *arguments, samples=3, directions=1, order=order, seed=seed
    )


@pytest.mark.parametrize("name", some(FUNCTIONS, 6))
def test_function(name, record_property):
    left_out = {*NO_SECOND, *WRONG_SECOND}
    order = 2 if name.startswith(SECOND) and name not in left_out else 1
    report = check(*FUNCTIONS[name], order=order)
    record_property("zoo", [report.verdict, report.dtype])
    silent = name in FLAT or name in NO_GRADIENT
    assert report.verdict == ("INCONCLUSIVE" if silent else "PASS"), str(report)
    if name in NO_GRADIENT:
        assert "TensorFlow has no gradient here" in report.reason


@pytest.mark.parametrize("name", sorted(NO_SECOND))
def test_no_second_derivative(name):
    report = check(*FUNCTIONS[name], order=2)
    assert report.verdict == "INCONCLUSIVE", str(report)
    assert "Only the gradient could be compared" in report.reason


@pytest.mark.parametrize("name", WRONG)
def test_wrong_gradient(name):
    report = check(*WRONG[name])
    assert report.verdict == "FAIL"
    assert "TensorFlow's own gradient of it is wrong" in " ".join(report.notes)


@pytest.mark.parametrize("name", WRONG_SECOND)
def test_wrong_second_derivative(name):
    report = check(*WRONG_SECOND[name], order=2)
    targets = {v.target for v in report.failures}
    assert all(t.endswith("second derivative") for t in targets), str(report)
    assert targets


def test_there_are_many():
    modules = {name.rpartition(".")[0] for name in FUNCTIONS}
    assert {"tf.math", "tf.linalg", "tf.signal", "tf.image", "keras.ops"} <= modules
    assert len(FUNCTIONS) >= 250
    assert set(FUNCTIONS) >= FLAT | NO_GRADIENT | NO_SECOND
