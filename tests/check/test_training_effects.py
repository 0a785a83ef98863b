"""What becomes of the gradients in training: its precision, and its optimizers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_gradwatch as kgw
from keras_gradwatch.findings.digest import digest
from keras_gradwatch.findings.headline import headline
from tests.support.marks import pairs
from tests.support.steps import OwnTape, Scaled, layer_of

CLASSES = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def network(policy, weight=1.0, optimizer="adam", **compiled):
    """Its layers, not the model itself, have the policy: nothing scales the loss."""
    dtype = keras.dtype_policies.get(policy)
    stack = [layers.Dense(8, "tanh", dtype=dtype, name="first")]
    stack += [layers.Dense(3, dtype=dtype, name="last")]
    model = keras.Sequential([keras.Input((6,)), *stack])
    model.compile(optimizer, CLASSES, loss_weights=weight, **compiled)
    return model


def loss_scaled(scale):
    adam = keras.optimizers.Adam()
    return keras.optimizers.LossScaleOptimizer(adam, initial_scale=scale)


@pytest.fixture
def data(rng):
    return rng.normal(size=(16, 6)).astype("float32"), rng.integers(0, 3, 16)


@pytest.mark.parametrize(
    ("policy", "dtype", "largest"),
    [
        ("float64", "float64", 1e-6),  # Keras' loss is float32 still
        ("float32", "float32", 1e-5),
        ("mixed_float16", "float16", 1e-2),
        ("mixed_bfloat16", "bfloat16", 5e-2),
        ("float16", "float16", 1e-2),
    ],
)
def test_rounding_in_training_is_measured_and_small(policy, dtype, largest, data):
    model = network(policy)
    report = kgw.check_gradients(model, *data)
    assert (report.verdict, report.dtype) == ("PASS", "float64")
    assert (report.training_dtype, report.notes) == (dtype, ())
    for variable in report.variables:
        assert 0 <= variable.training_error < largest
        assert variable.vanished == variable.overflowed == 0
        assert variable.applied == ""
    assert kgw.GradientReport.from_json(report.to_json()) == report


def gradient_that_trains(model, x, y):
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x=x, y=y, y_pred=model(x, training=True))
    return [
        np.array(g, "float64") for g in tape.gradient(loss, model.trainable_weights)
    ]


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_it_is_the_very_gradient_of_training(policy, data):
    model = network(policy, jit_compile=False)
    report = kgw.check_gradients(model, *data, samples=1000)
    own = gradient_that_trains(model, *data)
    for variable, gradient in zip(report.variables, own, strict=True):
        exact = np.zeros(variable.shape)
        for c in variable.coordinates:
            exact[c.index] = c.analytic
        error = np.linalg.norm(gradient - exact)
        error /= np.linalg.norm(gradient) + np.linalg.norm(exact)
        # What is compiled is free to round otherwise.
        assert variable.training_error == pytest.approx(error, rel=0.5, abs=1e-7)


def test_underflow_is_found_and_named_with_the_remedy(data):
    model = network("mixed_float16", weight=1e-5)
    report = kgw.check_gradients(model, *data)
    assert report.verdict == "PASS"
    assert max(v.vanished for v in report.variables) > 0.1
    (note,) = report.notes
    assert "underflows" in note
    assert "does not learn" in report.headline
    assert not report.passed
    assert "LossScaleOptimizer" in note
    # The remedy helps.
    mended = network(
        "mixed_float16",
        1e-5,
        keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), 2.0**15),
    )
    report = kgw.check_gradients(mended, *data)
    assert (report.verdict, report.notes) == ("PASS", ())
    assert max(v.vanished for v in report.variables) < 0.01
    assert max(v.training_error for v in report.variables) < 1e-2


def test_a_scale_that_is_too_small_is_named(data):
    report = kgw.check_gradients(network("mixed_float16", 1e-5, loss_scaled(1)), *data)
    told = " ".join(report.notes)
    assert "underflows although the loss is scaled by 1" in told
    assert "Raise `initial_scale`" in told


def test_overflow_fails_unless_the_loss_is_scaled(data):
    report = kgw.check_gradients(network("mixed_float16", weight=1e7), *data)
    assert report.verdict == "FAIL"
    assert "In float16, the precision of training" in report.failures[0].reason
    assert max(v.overflowed for v in report.variables) > 0
    scaled = loss_scaled(2.0**30)
    report = kgw.check_gradients(network("mixed_float16", 1.0, scaled), *data)
    assert report.verdict == "PASS"
    assert "skips such a step" in " ".join(report.notes)


class Norm(layers.Layer):
    """Its squares are zero in float32: the slope of the root is infinite there."""

    def call(self, x):
        small = (1e-25 * x) ** 2
        return 1e25 * ops.sqrt(ops.sum(small, axis=-1, keepdims=True))


def test_a_gradient_that_is_nan_only_in_float32_fails(rng):
    stack = [layers.Dense(1, name="first"), Norm(), layers.Dense(2, name="last")]
    model = keras.Sequential([keras.Input((4,)), *stack])
    model.compile("sgd", "mse")
    x = rng.normal(size=(16, 4)).astype("float32")
    report = kgw.check_gradients(model, x, np.ones((16, 2)))
    assert {layer_of(v) for v in report.failures} == {"first"}
    assert all("In float32" in v.reason for v in report.failures)
    assert "Look first at" in str(report)
    told = str(headline([digest(report)]))
    assert "not finite in the precision of training" in told
    assert not np.isfinite(gradient_that_trains(model, x, np.ones((16, 2)))[0]).all()


def test_a_loss_that_is_not_finite_in_training_is_named(rng):
    stack = [layers.Dense(3, name="first"), layers.Activation(ops.exp)]
    model = keras.Sequential([keras.Input((4,)), *stack])
    model.compile("sgd", "mae")
    x = 100 * rng.normal(size=(4, 4)).astype("float32")
    report = kgw.check_gradients(model, x, np.ones((4, 3)))
    assert "In float32, the precision of training, the loss is inf" in str(report)


@pytest.mark.parametrize(
    ("policy", "is_named"), [("mixed_bfloat16", True), ("float32", False)]
)
def test_what_rounding_leaves_of_a_gradient_is_named(policy, is_named, rng):
    dtype = keras.dtype_policies.get(policy)
    inputs = keras.Input((4,))
    hidden = layers.Dense(6, "tanh", dtype=dtype)(inputs)
    # What is added and taken away again leaves steps of a half in bfloat16.
    offset = layers.Lambda(lambda x: (x + 100) - 100, dtype=dtype)(hidden)
    model = keras.Model(inputs, offset)
    model.compile("sgd", "mse")
    x = rng.normal(size=(31, 4)).astype("float32")
    report = kgw.check_gradients(model, x, np.zeros((31, 6)))
    assert report.verdict == "PASS"
    assert ("is off by" in " ".join(report.notes)) == is_named, str(report)


# --- what the optimizer is handed ---


class HandsOn(OwnTape):
    """Changes what the tape returns before it hands it on."""

    change = staticmethod(lambda gradients, weights: gradients)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - y) ** 2)
        weights = self.trainable_variables
        gradients = self.change(tape.gradient(loss, weights), weights)
        self.optimizer.apply(gradients, weights)
        return {"loss": loss}


def after(change, **compiled):
    model = HandsOn(wrong=False)
    model.change = change
    model.compile("adam", "mse", **compiled)
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    model(x)
    model.optimizer.build(model.trainable_variables)
    return kgw.check_gradients(model, x, x[:, ::-1].copy())


def by_global_norm(gradients, weights):
    return tf.clip_by_global_norm(gradients, 1e-3)[0]


def swapped(gradients, weights):
    return [gradients[2], gradients[1], gradients[0], gradients[3]]


CHANGES = {
    "as it is": (lambda g, w: g, [""] * 4),
    "halved": (lambda g, w: [0.5 * x for x in g], ["0.5 times the gradient"] * 4),
    "uphill": (lambda g, w: [-g[0], *g[1:]], ["-1 times the gradient", "", "", ""]),
    "dropped": (lambda g, w: [None, *g[1:]], ["nothing", "", "", ""]),
    "zeroed": (lambda g, w: [0 * g[0], *g[1:]], ["zeros", "", "", ""]),
    "swapped": (
        swapped,
        ["the gradient of {2}", "", "the gradient of {0}", ""],
    ),
}


@pytest.mark.parametrize(("name", "eagerly"), pairs(CHANGES, [False, True]))
def test_what_reaches_the_optimizer_is_told_and_not_called_wrong(name, eagerly):
    change, expected = CHANGES[name]
    report = after(change, run_eagerly=eagerly)
    assert {v.verdict for v in report.variables} == {"PASS"}
    paths = [v.path for v in report.variables]
    assert [v.applied for v in report.variables] == [e.format(*paths) for e in expected]
    assert len(report.notes) == len(set(expected) - {""})


def test_a_weight_that_the_step_forgets_is_named():
    class Forgetful(OwnTape):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = ops.mean((self(x, training=True) - y) ** 2)
            weights = self.trainable_variables[1:]
            self.optimizer.apply(tape.gradient(loss, weights), weights)
            return {"loss": loss}

    report = checked(Forgetful, "adam")
    assert report.verdict == "PASS"
    (note,) = report.notes
    assert note.startswith("The training step takes no gradient for")
    assert note.endswith("a/kernel.")


def test_clipping_is_told_by_its_factor():
    report = after(by_global_norm)
    factors = {v.applied for v in report.variables}
    assert len(factors) == 1
    assert factors.pop().endswith(" times the gradient")
    (note,) = report.notes
    assert "(and 3 more) the training step hands the optimizer 0.00" in note
    report = after(lambda g, w: [tf.clip_by_value(x, -1e-2, 1e-2) for x in g])
    assert {v.applied.partition(",")[0] for v in report.variables} == {"another value"}


def checked(kind, optimizer):
    model = kind(wrong=False)
    model.compile(optimizer, "mse")
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    model(x)
    return kgw.check_gradients(model, x, x[:, ::-1].copy())


def test_a_loss_that_is_not_scaled_for_its_optimizer_is_named():
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    assert checked(Scaled, optimizer).notes == ()
    report = checked(
        HandsOn, keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    )
    assert report.verdict == "PASS"
    assert "`self.optimizer.scale_loss(loss)`" in " ".join(report.notes)


def test_a_step_that_differentiates_in_a_branch_says_so():
    class Branching(OwnTape):
        def train_step(self, data):
            tf.cond(tf.reduce_sum(data[0]) > 0, lambda: self.learn(*data), lambda: None)
            return {"loss": ops.zeros(())}

        def learn(self, x, y):
            with tf.GradientTape() as tape:
                loss = ops.mean((self(x) - y) ** 2)
            weights = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, weights), weights)

    report = checked(Branching, "adam")
    assert report.verdict == "INCONCLUSIVE"
    assert "inside a branch" in report.reason
