"""What libraries intend is expected, with the reason; a fault beside it is found."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw
from keras_gradwatch.findings.intentions import FLAWS, INTENTIONS
from tests.support.small_models import Halved, halved
from tests.support.steps import layer_of


def trained(*stack):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 6)).astype("float32")
    y = rng.normal(size=(32, 3)).astype("float32")
    model = keras.Sequential([keras.Input((6,)), *stack])
    model.compile("sgd", "mse")
    model.fit(x, y, epochs=4, batch_size=8, verbose=0)
    return model, x[:16], y[:16]


def verdicts(report):
    """The set of verdicts of each layer."""
    found = {}
    for v in report.variables:
        found.setdefault(layer_of(v), set()).add(v.verdict)
    return found


def renormed(*, before=(), after=()):
    return [
        layers.Dense(5, "tanh", name="first"),
        *before,
        layers.Dense(5, name="second"),  # its bias has no gradient
        layers.BatchNormalization(renorm=True, name="renorm"),
        *after,
        layers.Dense(3, name="last"),
    ]


def test_batch_renormalisation_is_expected_and_all_else_is_proven():
    report = kgw.check_gradients(*trained(*renormed()))
    assert verdicts(report) == {
        "first": {"EXPECTED"},
        "second": {"EXPECTED", "ZERO"},
        "renorm": {"PASS"},
        "last": {"PASS"},
    }
    (reason,) = {v.reason for v in report.variables if v.verdict == "EXPECTED"}
    assert "'renorm'" in reason
    assert "Ioffe, 2017" in reason
    assert report.passed
    assert kgw.GradientReport.from_json(report.to_json()) == report


def test_a_fault_upstream_of_batch_renormalisation_is_found():
    report = kgw.check_gradients(*trained(*renormed(before=[Halved()])))
    found = verdicts(report)
    assert found["first"] == {"FAIL"}
    assert found["second"] == {"EXPECTED", "ZERO"}


@pytest.mark.long
def test_a_fault_downstream_of_batch_renormalisation_is_found():
    report = kgw.check_gradients(*trained(*renormed(after=[Halved()])))
    found = verdicts(report)
    assert found["first"] == found["renorm"] == {"FAIL"}
    # Its bias is taken away by what renormalisation holds.
    assert found["second"] == {"FAIL", "ZERO"}
    assert found["last"] == {"PASS"}


@pytest.mark.long
def test_plain_batch_normalisation_is_not_excused():
    stack = [layers.Dense(5, name="first"), Halved(), layers.BatchNormalization()]
    report = kgw.check_gradients(*trained(*stack, layers.Dense(3, name="last")))
    assert "EXPECTED" not in {v.verdict for v in report.variables}
    assert report.verdict == "FAIL"


def test_a_layer_of_its_own_is_checked_for_its_inputs():
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    report = kgw.check_layer(layers.BatchNormalization(renorm=True), x)
    found = {v.path: v.verdict for v in report.variables}
    assert found.pop("inputs") == "EXPECTED"
    assert set(found.values()) == {"PASS"}


FLOAT8 = "float8_from_mixed_bfloat16"


@pytest.mark.parametrize(
    "is_wrong", [False, pytest.param(True, marks=pytest.mark.long)]
)
def test_scales_of_float8_are_expected_and_the_rest_is_compared(is_wrong):
    stack = [layers.Dense(4, "tanh", name="first"), *([Halved()] if is_wrong else [])]
    stack += [layers.Dense(8, dtype=FLOAT8, name="low"), layers.Dense(3, name="last")]
    report = kgw.check_gradients(*trained(*stack))
    found = {v.path.split("/", 1)[1]: v.verdict for v in report.variables}
    kept = {path for path in found if "scale" in path or "history" in path}
    assert len(kept) == 6
    assert {found.pop(path) for path in kept} == {"EXPECTED"}
    first = {found.pop("first/kernel"), found.pop("first/bias")}
    assert first == ({"FAIL"} if is_wrong else {"EXPECTED"})
    assert found == {
        "low/kernel": "EXPECTED",
        "low/bias": "PASS",
        "last/kernel": "PASS",
        "last/bias": "PASS",
    }
    assert report.training_dtype == "bfloat16"


class FakeQuant(layers.Layer):
    def call(self, x):
        return tf.quantization.fake_quant_with_min_max_args(x, -2.0, 2.0, 4)


class Rounding(layers.Layer):
    """A straight-through estimator of the user's own: it is to be declared."""

    def call(self, x):
        return x + tf.stop_gradient(tf.round(x) - x)


def test_fake_quantisation_is_expected_and_what_follows_is_compared():
    stack = [layers.Dense(4, "tanh", name="first"), FakeQuant(name="fake")]
    report = kgw.check_gradients(*trained(*stack, layers.Dense(3, name="last")))
    assert verdicts(report) == {"first": {"EXPECTED"}, "last": {"PASS"}}
    assert "'fake'" in report.variables[0].reason
    assert "can't tell" in report.variables[0].reason


@pytest.mark.long
def test_an_estimator_of_ones_own_is_not_in_the_table():
    stack = [layers.Dense(4, name="first"), Rounding(), layers.Dense(3, name="last")]
    report = kgw.check_gradients(*trained(*stack))
    assert verdicts(report)["first"] == {"FAIL"}


@pytest.mark.parametrize("eagerly", [False, pytest.param(True, marks=pytest.mark.long)])
def test_what_lies_before_a_quantised_layer_is_expected(eagerly):
    stack = [layers.Dense(4, "tanh", name="first"), layers.Dense(8, name="low")]
    model, x, y = trained(*stack, layers.Dense(3, name="last"))
    model.get_layer("low").quantize("int8")
    model.compile("sgd", "mse", run_eagerly=eagerly)
    report = kgw.check_gradients(model, x, y)
    found = verdicts(report)
    assert found["first"] == {"EXPECTED"}
    assert found["last"] == {"PASS"}
    assert "'low'" in report.variables[0].reason


def test_each_entry_of_the_tables_has_a_source_or_a_place():
    assert all(known.what and known.source for known in INTENTIONS.values())
    assert all(flaw.name and flaw.when for flaw in FLAWS.values())
    issues = [flaw.issue for flaw in FLAWS.values() if flaw.issue]
    assert all(re.fullmatch(r"tensorflow#\d+", issue) for issue in issues)
    assert len(set(issues)) == len(issues) >= len(FLAWS) - 1


def test_a_wrong_gradient_of_tensorflow_is_named_as_such():
    x = np.array([2.0, 3.0, 0.0])
    report = kgw.check_function(lambda x: tf.math.cumprod(2 * x), x)
    assert report.verdict == "FAIL"
    assert "tensorflow#119430" in " ".join(report.notes)
    # Where it is right, nothing is said of it.
    report = kgw.check_function(lambda x: tf.math.cumprod(2 * x), x + 1)
    assert (report.verdict, report.notes) == ("PASS", ())
    # Nor where something else is wrong.
    report = kgw.check_function(lambda x: tf.math.cumprod(halved(x)), x + 1)
    assert report.verdict == "FAIL"
    assert "tensorflow#119430" not in " ".join(report.notes)


# --- what is assigned, and read again ---


def test_what_is_assigned_and_read_again_is_named():
    state = tf.Variable(np.ones(4))

    def running(x):
        state.assign(0.9 * state + x)
        return x * state

    x = np.random.default_rng(0).normal(size=4)
    report = kgw.check_function(running, x)
    assert report.verdict == "FAIL"
    assert "assign" in str(report)
    assert "kink" not in str(report)


def test_what_is_assigned_and_not_read_is_not():
    state = tf.Variable(np.ones(4))

    def counting(x):
        state.assign(0.9 * state + x)
        return halved(x)

    report = kgw.check_function(counting, np.random.default_rng(0).normal(size=4))
    assert report.verdict == "FAIL"
    assert "assign" not in str(report)


class Centred(layers.Layer):
    """Takes off a mean that it keeps from call to call."""

    def build(self, shape):
        self.mean = self.add_weight(shape=shape[-1:], trainable=False, name="mean")

    def call(self, x):
        self.mean.assign(0.5 * self.mean + 0.5 * keras.ops.mean(x, 0))
        return x**2 * self.mean


@pytest.mark.long
def test_it_is_named_for_variables_of_keras_too():
    stack = [layers.Dense(4, name="first"), Centred(name="centred")]
    report = kgw.check_gradients(*trained(*stack, layers.Dense(3, name="last")))
    assert verdicts(report)["first"] == {"FAIL"}
    assert "In centred a variable is read after it was assigned" in str(report)
