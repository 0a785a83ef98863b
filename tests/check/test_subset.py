"""In training, a batch is checked on a part, where the model can do with it."""

import functools
import json
import operator

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_gradwatch as kgw
from tests.support.marks import first, pairs
from tests.support.models import Middle
from tests.support.tally import Tally

CLASSES = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Counted(layers.Layer):
    """Counts how often its code runs: in a compiled model, once for each trace."""

    runs = Tally()

    def call(self, x):
        Counted.runs.add()
        return x


class OnSomeExamples(layers.Layer):
    """Halves the gradient of examples that are marked."""

    def call(self, x):
        @tf.custom_gradient
        def marked(x):
            return tf.identity(x), lambda dy: tf.where(x[:, :1] > 9, 0.5 * dy, dy)

        return marked(x)


def dense(*middle, batch=None, optimizer="adam"):
    first = layers.Dense(5, "tanh", name="first")
    stack = [keras.Input((4,), batch), first, *middle, layers.Dense(3, name="last")]
    model = keras.Sequential(stack)
    model.compile(optimizer, CLASSES)
    return model


def conv(wrong=False):
    stack = [
        keras.Input((8, 8, 1)),
        layers.Conv2D(3, 3, use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        Middle(wrong),
        layers.Dropout(0.3),
        layers.Flatten(),
        layers.Dense(10),
    ]
    model = keras.Sequential(stack)
    model.compile("adam", CLASSES, metrics=["accuracy"])
    return model


class Contrastive(keras.losses.Loss):
    """Each example against all others of the batch."""

    def call(self, y_true, y_pred):
        scores = y_pred @ ops.transpose(y_pred)
        alike = ops.equal(y_true, ops.transpose(y_true))
        return -ops.mean(ops.log_softmax(scores) * ops.cast(alike, scores.dtype), 1)


class Halves(keras.Model):
    """The first half of the batch is to come out as the second."""

    def __init__(self, wrong=False):
        super().__init__()
        self.stack = [layers.Dense(5, "tanh"), Middle(wrong), layers.Dense(3)]

    def call(self, x):
        for layer in self.stack:
            x = layer(x)
        return x

    def train_step(self, data):
        x, _ = data
        with tf.GradientTape() as tape:
            one, other = tf.split(self(x, training=True), 2)
            loss = tf.reduce_mean((one - other) ** 2) - tf.reduce_mean(tf.tanh(one))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


def halves(wrong):
    model = Halves(wrong)
    model(np.zeros((1, 4), "float32"))
    model.compile("adam")
    return model


def two_inputs(wrong):
    left, right = keras.Input((4,), name="left"), keras.Input((2,), name="right")
    hidden = layers.Dense(5, "tanh")(layers.Concatenate()([left, right]))
    model = keras.Model(
        {"left": left, "right": right}, layers.Dense(3)(Middle(wrong)(hidden))
    )
    model.compile("adam", CLASSES)
    return model


def contrastive(wrong):
    model = dense(Middle(wrong))
    model.compile("adam", Contrastive())
    return model


def check(**arguments):
    defaults = {"warmup_steps": 0, "check_freq": 1, "samples": 1, "verbose": 0}
    return kgw.GradientCheck(**defaults | arguments)


@pytest.fixture
def data(rng):
    x = rng.normal(size=(80, 4)).astype("float32")
    return x, rng.integers(0, 3, 80)


@pytest.mark.parametrize("wrong", first([True, False]))
def test_the_report_says_what_was_used_and_training_is_the_same(rng, wrong):
    images = rng.normal(size=(160, 8, 8, 1)).astype("float32")
    digits = rng.integers(0, 10, 160)

    def after_fit(*callbacks):
        keras.utils.set_random_seed(1)
        model = conv(wrong)
        fitted = model.fit(
            images, digits, batch_size=80, epochs=2, verbose=0, callbacks=callbacks
        )
        return [v.numpy() for v in model.optimizer.variables], fitted.history

    checks = check(on_failure="warn", check_freq=2)
    if wrong:
        with pytest.warns(kgw.GradientMismatchWarning, match="on 20 of 80 examples"):
            found = after_fit(checks)
    else:
        found = after_fit(checks)
    np.testing.assert_equal(found, after_fit())
    verdict = "FAIL" if wrong else "PASS"
    assert [(r.verdict, r.examples) for r in checks.reports] == [
        (verdict, (20, 80))
    ] * 2
    assert all("variables, on 20 of 80 examples" in str(r) for r in checks.reports)
    failed = {v.path.split("/")[1] for v in checks.reports[0].failures}
    assert failed == ({"conv2d", "batch_normalization"} if wrong else set())
    back = kgw.GradientReport.from_json(checks.reports[0].to_json())
    assert back == checks.reports[0]
    assert back.examples == (20, 80)


def test_the_part_is_another_one_each_time(data):
    x, y = data
    model = dense(optimizer=keras.optimizers.SGD(0.0))
    checks = check()
    model.fit(x, y, 80, 4, verbose=0, shuffle=False, callbacks=[checks])
    whole = kgw.check_gradients(model, x, y)
    assert whole.examples == (80, 80)
    assert "examples" not in str(whole)
    parts = [slice(turn, None, 4) for turn in range(4)]
    expected = [kgw.check_gradients(model, x[p], y[p]).loss for p in parts]
    np.testing.assert_allclose([r.loss for r in checks.reports], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("batch", "used"),
    [(5, 5), (8, 8), (9, 8), (32, 8), (50, 12), (80, 20), (128, 32), (1000, 32)],
)
def test_how_many_examples_of_a_batch(rng, batch, used):
    x = rng.normal(size=(batch, 4)).astype("float32")
    checks = check()
    dense().fit(x, rng.integers(0, 3, batch), batch, verbose=0, callbacks=[checks])
    assert [(r.verdict, r.examples) for r in checks.reports] == [
        ("PASS", (used, batch))
    ]


@pytest.mark.parametrize("batch", [9, 31, 45])
def test_in_turn_all_examples_are_used(batch):
    """The loss is the mean of the inputs: it tells which of them were there."""
    x = np.eye(batch, dtype="float32")
    model = keras.Sequential([keras.Input((batch,)), Scale()])
    model.compile(keras.optimizers.SGD(0.0), lambda y, z: ops.sum(z * y, axis=-1))
    checks = check()
    powers = np.tile(2.0 ** np.arange(batch) / 2.0 ** (batch // 2), (batch, 1))
    model.fit(x, powers, batch, 12, verbose=0, shuffle=False, callbacks=[checks])
    seen = [round(r.loss * r.examples[0] * 2.0 ** (batch // 2)) for r in checks.reports]
    assert all(bin(s).count("1") == checks.reports[0].examples[0] for s in seen)
    assert functools.reduce(operator.or_, seen) == 2**batch - 1


def test_what_is_wrong_for_few_examples_is_found_when_their_turn_comes(data):
    x, y = data
    x[2::4, :] = 0
    x[2::4, 0] = 10
    model = keras.Sequential(
        [keras.Input((4,)), Scale(), OnSomeExamples(), layers.Dense(3)]
    )
    model.compile("sgd", CLASSES)
    checks = check()
    with pytest.warns(kgw.GradientMismatchWarning):
        model.fit(x, y, 80, 3, verbose=0, shuffle=False, callbacks=[checks])
    assert [r.verdict for r in checks.reports] == ["PASS", "PASS", "FAIL"]


class Scale(layers.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=shape[-1:], initializer="ones")

    def call(self, x):
        return x * self.scale


def test_there_is_one_trace_whatever_the_length_of_the_last_batch(data):
    x, y = (np.concatenate([part] * 3) for part in data)

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.runs.append(Counted.runs.count)

        def on_train_begin(self, logs=None):
            self.runs = []
            Counted.runs.count = 0

    def runs(*callbacks):
        look = Look()
        # Batches of 100, 100 and 40.
        dense(Counted()).fit(x, y, 100, 2, verbose=0, callbacks=[*callbacks, look])
        return np.array(look.runs)

    of_checks = runs(check()) - runs()
    assert of_checks[0] > 0
    assert set(of_checks) == {of_checks[0]}


@pytest.mark.parametrize(
    ("build", "wrong"), pairs([contrastive, halves, two_inputs], [False, True])
)
def test_losses_over_the_batch_and_nested_data(data, build, wrong):
    x, y = data
    weights = {}
    if build is two_inputs:
        x = {"left": x, "right": x[:, :2]}
        weights = {"sample_weight": np.arange(80.0)}
    checks = check(on_failure="stop")
    if wrong:
        with pytest.warns(kgw.GradientMismatchWarning):
            build(wrong).fit(
                x, y[:, None], 80, verbose=0, callbacks=[checks], **weights
            )
    else:
        build(wrong).fit(x, y[:, None], 80, verbose=0, callbacks=[checks], **weights)
    (report,) = checks.reports
    assert (report.verdict, report.examples) == ("FAIL" if wrong else "PASS", (20, 80))
    assert report.dtype == "float64"


def test_class_weights_come_with_their_examples(data):
    x, y = data
    model = dense(optimizer=keras.optimizers.SGD(0.0))
    checks = check()
    model.fit(
        x, y, 80, verbose=0, shuffle=False, callbacks=[checks], class_weight={0: 2.0}
    )
    (report,) = checks.reports
    weights = np.where(y == 0, 2.0, 1.0)[::4]
    again = kgw.check_gradients(model, x[::4], y[::4], weights)
    assert report.loss == pytest.approx(again.loss, rel=1e-12)
    assert (report.verdict, report.examples) == ("PASS", (20, 80))


class FixedReshape(layers.Layer):
    """Knows how many examples there are, and tells nobody."""

    def call(self, x):
        return ops.reshape(ops.reshape(x, (10, 8, 5)), (80, 5))

    def compute_output_shape(self, shape):
        return shape


class LastAlone(keras.losses.Loss):
    """Not a number unless the last example is there, which is marked."""

    def call(self, y_true, y_pred):
        there = ops.cast(y_true == 2, y_pred.dtype)
        return ops.sum(there * ops.mean(y_pred**2, -1)) / ops.sum(there)


def fixed_reshape():
    return dense(FixedReshape())


def fixed_input():
    return dense(batch=80)


def stateful():
    stack = [layers.Reshape((2, 2)), layers.GRU(3, stateful=True), layers.Dense(3)]
    model = keras.Sequential([keras.Input(batch_shape=(80, 4)), *stack])
    model.compile("adam", CLASSES)
    return model


def last_alone():
    model = dense()
    model.compile("adam", LastAlone())
    return model


@pytest.mark.parametrize("build", [fixed_reshape, fixed_input, stateful, last_alone])
def test_a_model_that_needs_the_whole_batch_has_it(data, build):
    x, y = data
    y = np.where(np.arange(80) < 79, y % 2, 2)[:, None]
    checks = check()
    build().fit(x, y, 80, 2, shuffle=False, verbose=0, callbacks=[checks])
    assert [(r.verdict, r.examples) for r in checks.reports] == [("PASS", (80, 80))] * 2
    assert {r.dtype for r in checks.reports} == {"float64"}
    assert not any(r.notes for r in checks.reports)


def test_what_the_user_hands_over_is_used_as_it_is(data):
    for options in ({"data": data}, {"dropout": "freeze"}):
        checks = check(**options)
        dense(layers.Dropout(0.5)).fit(*data, 80, verbose=0, callbacks=[checks])
        assert [r.examples for r in checks.reports] == [(80, 80)]
        assert checks.reports[0].passed


def test_sparse_data_and_rows_of_other_numbers_are_used_whole(data):
    x, y = data
    inputs = keras.Input((4,), sparse=True)
    model = keras.Model(inputs, layers.Dense(3)(inputs))
    model.compile("adam", CLASSES)
    checks = check()
    batch = tf.data.Dataset.from_tensors((tf.sparse.from_dense(x), y))
    model.fit(batch, shuffle=False, verbose=0, callbacks=[checks])
    assert [(r.verdict, r.examples) for r in checks.reports] == [("PASS", None)]

    nodes, links = keras.Input((4,)), keras.Input((2,), dtype="int32")
    hidden = layers.Dense(5, "tanh")(nodes)
    hidden = hidden + ops.segment_sum(
        ops.take(hidden, links[:, 0], axis=0), links[:, 1], num_segments=80
    )
    graph = keras.Model([nodes, links], layers.Dense(3)(hidden))
    graph.compile("adam", CLASSES)
    checks = check()
    edges = np.stack([np.arange(100) % 80, np.arange(100) % 7], 1).astype("int32")
    batch = tf.data.Dataset.from_tensors(((x, edges), y))
    graph.fit(batch, shuffle=False, verbose=0, callbacks=[checks])
    assert [(r.verdict, r.examples) for r in checks.reports] == [("PASS", None)]


def test_old_reports_are_read(data):
    report = kgw.check_gradients(dense(), *data, samples=1, directions=0)
    old = json.loads(report.to_json())
    del old["examples"]
    assert kgw.GradientReport.from_json(json.dumps(old)).examples is None
