"""What `check_setup` leaves as it is, returns and refuses."""

import json
import pickle
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gradwatch as kgw
from tests.support.setup_zoo import LOGITS, compiled, dense, labels, numbers, stack

X = numbers(60, 8)
Y = labels(X)


class Counting(keras.layers.Layer):
    """Has state of every kind."""

    def __init__(self):
        super().__init__()
        self.raw = tf.Variable(0, trainable=False)
        self.seeds = keras.random.SeedGenerator(5)
        self.calls, self.seen = 0, []

    def call(self, x, training=False):
        self.calls += 1
        self.seen.append(x)
        self.raw.assign_add(1)
        tf.print("called", output_stream="file:///dev/null")
        noise = keras.random.normal(keras.ops.shape(x), seed=self.seeds)
        return x + (0.01 * noise if training else 0)


def full():
    hidden = keras.layers.Dense(16), keras.layers.BatchNormalization(), Counting()
    last = keras.layers.Dropout(0.2), keras.layers.Dense(3)
    return compiled(stack((8,), *hidden, *last), metrics=["accuracy"])


def state_of(model):
    counting = model.layers[2]
    return (
        [v.numpy().tolist() for v in [*model.variables, *model.metrics_variables]],
        [v.numpy().tolist() for v in model.optimizer.variables],
        (counting.raw.numpy(), counting.calls, len(counting.seen)),
        keras.random.normal((2,)).numpy().tolist(),  # of the global generator
        (random.random(), np.random.random(), float(tf.random.normal(()))),  # noqa: NPY002
        keras.layers.Dense(1).name,
    )


@pytest.mark.parametrize(
    "is_trained", [True, pytest.param(False, marks=pytest.mark.long)]
)
def test_nothing_is_touched(is_trained):
    def after(check):
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(0)
        model = full()
        if is_trained:
            model.fit(X, Y, batch_size=20, verbose=0)
        if check:
            assert not kgw.check_setup(model, X, Y).names_of("wrong")
        left = state_of(model)
        history = model.fit(X, Y, batch_size=20, epochs=2, verbose=0).history
        return left, history, state_of(model)

    assert after(True) == after(False)


@pytest.mark.basic
def test_the_report():
    model = compiled(dense(3), "sparse_categorical_crossentropy")
    report = kgw.check_setup(model, X, Y)
    assert report.verdict == "FAIL"
    assert report.outputs.state == "wrong"
    assert report.outputs.observations[0].kind == "logits_as_probabilities"
    assert report.inputs.state == report.weights.state == "right"
    text = str(report)
    assert text.startswith("Set-up: FAIL. Wrong: outputs")
    assert "`from_logits=True`" in text
    assert "docs/check-setup.md#outputs" in text
    again = kgw.SetupReport.from_json(report.to_json())
    assert again == report
    assert str(again) == text
    assert json.loads(report.to_json())["in_words"]["headline"] == report.headline
    table = report._repr_html_()
    assert ">wrong</b>" in table
    assert "from_logits" in table
    with pytest.raises(ValueError, match="report of a set-up"):
        kgw.SetupReport.from_json("{}")


def test_assert_setup_says_all_that_is_wrong():
    assert kgw.assert_setup(compiled(dense(3)), X, Y).passed
    model = compiled(dense(3), "sparse_categorical_crossentropy")
    x = X.copy()
    x[0, 0] = np.nan
    with pytest.raises(kgw.SetupError, match="infinite entries of x: 1") as raised:
        kgw.assert_setup(model, x, Y)
    assert isinstance(raised.value, AssertionError)
    assert "takes its inputs for probabilities" in str(raised.value)
    error = pickle.loads(pickle.dumps(raised.value))
    assert error.report == raised.value.report


def test_what_is_expected_and_what_is_not_told():
    model = compiled(dense(1), lambda y, p: keras.ops.sum(keras.ops.square(y - p)))
    with pytest.raises(kgw.SetupError, match="it is a sum"):
        kgw.assert_setup(model, X, X[:, :1])
    report = kgw.assert_setup(model, X, X[:, :1], expected=["average"])
    assert report.expected == ("average",)
    assert "expected: average" in report.headline.lower()
    one = X[:1], X[:1, :1]
    with pytest.raises(kgw.UncheckableError, match="a single example"):
        kgw.assert_setup(compiled(dense(1), "mse"), *one)


@pytest.mark.parametrize("expected", ["average", ["averages"], None, [["average"]]])
def test_unknown_questions(expected):
    with pytest.raises(kgw.InvalidArgumentError, match=r"`expected`.*Received"):
        kgw.check_setup(compiled(dense(3)), X, Y, expected=expected)


def test_what_is_no_set_up():
    model = keras.Sequential([keras.layers.Dense(3)])
    with pytest.raises(kgw.InvalidArgumentError, match="must be compiled"):
        kgw.check_setup(model, X, Y)
    model.compile("adam", LOGITS)
    with pytest.raises(kgw.InvalidArgumentError, match="must be built"):
        kgw.check_setup(model, X, Y)
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    with pytest.raises(kgw.InvalidArgumentError, match="`y` and `sample_weight`"):
        kgw.check_setup(compiled(dense(3)), data, Y)
    with pytest.raises(kgw.InvalidArgumentError, match="at least one batch"):
        kgw.check_setup(compiled(dense(3)), iter(()))


def test_examples_come_from_all_over():
    """Data that are sorted by class have more than the first."""
    x = numbers(3000, 8)
    report = kgw.check_setup(compiled(dense(3)), x, np.repeat([0, 1, 2], 1000))
    assert report.examples_used == 1024
    assert report.targets.state == "right"


@pytest.mark.basic
def test_batch_statistics_are_named():
    report = kgw.check_setup(full(), X, Y)
    (seen,) = report.examples.observations
    assert (seen.kind, seen.names) == ("batch_statistics", ("batch_normalization",))


def test_the_first_layer_that_mixes_is_named():
    mix = keras.layers.Lambda(lambda x: x - keras.ops.mean(x, axis=0), name="mix")
    hidden = keras.layers.Dense(4), keras.layers.Dense(3)
    report = kgw.check_setup(compiled(stack((8,), hidden[0], mix, hidden[1])), X, Y)
    assert report.examples.observations[0].names == ("mix", "Lambda")
