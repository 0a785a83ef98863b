"""Models that override `train_step`: what their own step differentiates."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_gradwatch as kgw
from tests.test_callback import Halved


def dense_stack(*names, wrong=False, units=4, last=None):
    stack = []
    for name in names:
        stack.append(layers.Dense(units, activation="tanh", name=name))
        if wrong and name == names[0]:
            stack.append(Halved())
    return [*stack, *([last] if last else [])]


class OwnTape(keras.Model):
    """The example of a custom step in Keras' guide, with a loss of its own."""

    def __init__(self, wrong):
        super().__init__()
        self.stack = keras.Sequential(dense_stack("a", "b", wrong=wrong))
        self.tracker = keras.metrics.Mean(name="loss")

    def call(self, x):
        return self.stack(x)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - y) ** 4)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(
            zip(gradients, self.trainable_variables, strict=True)
        )
        self.tracker.update_state(loss)
        return {"loss": self.tracker.result()}


class Vae(keras.Model):
    """Reconstruction and divergence, with a sampling layer in between."""

    def __init__(self, wrong):
        super().__init__()
        self.encoder = keras.Sequential(dense_stack("a", "b", wrong=wrong))
        self.decoder = keras.Sequential([layers.Dense(4, name="c")])
        self.seeds = keras.random.SeedGenerator(1)

    def call(self, x):
        mean, spread = ops.split(self.encoder(x), 2, axis=-1)
        noise = keras.random.normal(ops.shape(mean), seed=self.seeds, dtype=mean.dtype)
        return self.decoder(mean + ops.exp(0.5 * spread) * noise), mean, spread

    def train_step(self, data):
        if isinstance(data, tuple):
            data = data[0]
        with tf.GradientTape() as tape:
            output, mean, spread = self(data)
            loss = ops.mean(ops.sum((data - output) ** 2, axis=-1))
            divergence = -0.5 * (1 + spread - ops.square(mean) - ops.exp(spread))
            loss += ops.mean(ops.sum(divergence, axis=-1))
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(
            zip(gradients, self.trainable_weights, strict=True)
        )
        return {"loss": loss}


class Gan(keras.Model):
    """Two tapes and two optimizers, with a gradient penalty: a tape in a tape."""

    def __init__(self, wrong):
        super().__init__()
        self.generator = keras.Sequential(
            [keras.Input((2,)), *dense_stack("g1", "g2", wrong=wrong)]
        )
        self.discriminator = keras.Sequential(
            [keras.Input((4,)), *dense_stack("d1", last=layers.Dense(1, name="d2"))]
        )
        self.seeds = keras.random.SeedGenerator(1)
        self.built = True

    def compile(self, d_optimizer, g_optimizer):
        super().compile()
        self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer
        self.bce = keras.losses.BinaryCrossentropy(from_logits=True)

    def call(self, x):
        return self.discriminator(x)

    def train_step(self, data):
        latent = keras.random.normal((8, 2), seed=self.seeds)
        fake = self.generator(latent)
        with tf.GradientTape() as tape:
            with tf.GradientTape() as inner:
                mixed = 0.5 * (ops.cast(fake, data.dtype) + data)
                inner.watch(mixed)
                score = self.discriminator(mixed)
            slope = inner.gradient(score, mixed)
            penalty = ops.mean((ops.sqrt(ops.sum(slope**2, axis=-1)) - 1) ** 2)
            d_loss = self.bce(ops.ones((8, 1)), self.discriminator(data))
            d_loss += self.bce(ops.zeros((8, 1)), self.discriminator(fake)) + penalty
        weights = self.discriminator.trainable_weights
        found = tape.gradient(d_loss, weights)
        self.d_optimizer.apply_gradients(zip(found, weights, strict=True))
        with tf.GradientTape() as tape:
            score = self.discriminator(self.generator(latent))
            g_loss = self.bce(ops.ones((8, 1)), score)
        weights = self.generator.trainable_weights
        found = tape.gradient(g_loss, weights)
        self.g_optimizer.apply_gradients(zip(found, weights, strict=True))
        return {"d_loss": d_loss, "g_loss": g_loss}


class Wrapped(keras.Model):
    """A Functional model that only wraps the default step."""

    def train_step(self, data):
        return {"extra": ops.zeros(()), **super().train_step(data)}


class OwnLoss(keras.Model):
    """A Functional model with its own `compute_loss`."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **_):
        return ops.mean(ops.abs(y - y_pred) ** 3)


class Distiller(keras.Model):
    """Learns from a frozen teacher."""

    def __init__(self, wrong):
        super().__init__()
        self.student = keras.Sequential(dense_stack("a", "b", wrong=wrong))
        self.teacher = keras.Sequential(dense_stack("t", "u"))
        self.teacher.trainable = False

    def call(self, x):
        return self.student(x)

    def train_step(self, data):
        x, y = data
        goal = self.teacher(x, training=False)
        with tf.GradientTape() as tape:
            seen = self.student(x, training=True)
            loss = ops.mean((seen - goal) ** 2) + 0.1 * self.compute_loss(x, y, seen)
        gradients = tape.gradient(loss, self.student.trainable_variables)
        self.optimizer.apply(gradients, self.student.trainable_variables)
        return {"loss": loss}


class Clipped(OwnTape):
    """Clips what the tape returns, which is no mistake of the gradient."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape(persistent=True) as tape:
            loss = ops.mean((self(x, training=True) - y) ** 2)
        found = tape.gradient(loss, self.trainable_variables)
        found, _ = tf.clip_by_global_norm(found, 1e-3)
        self.optimizer.apply_gradients(
            zip(found, self.trainable_variables, strict=True)
        )
        return {"loss": loss}


def functional(kind):
    def build(wrong):
        inputs = outputs = keras.Input((4,))
        for layer in dense_stack("a", "b", wrong=wrong):
            outputs = layer(outputs)
        return kind(inputs, outputs)

    return build


def compile_gan(model):
    model.compile(keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3))


KINDS = {
    "own tape": (OwnTape, None, {"a"}),
    "vae": (Vae, None, {"a"}),
    "gan": (Gan, compile_gan, {"g1"}),
    "wrapped": (functional(Wrapped), None, {"a"}),
    "own loss": (functional(OwnLoss), None, {"a"}),
    "distiller": (Distiller, None, {"a"}),
    "clipped": (Clipped, None, {"a"}),
}


def trained(kind, wrong, callbacks=()):
    build, compile_it, upstream = KINDS.get(kind) or OTHERS[kind]
    model = build(wrong)
    if compile_it:
        compile_it(model)
    else:
        model.compile("adam", "mse")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 4)).astype("float32")
    y = None if kind in ("vae", "gan") else rng.normal(size=(32, 4)).astype("float32")
    model.fit(x, y, batch_size=8, verbose=0, callbacks=list(callbacks))
    return model, x[:8], None if y is None else y[:8], upstream


def layer_of(variable):
    return variable.path.split("/")[-2]


@pytest.mark.parametrize("kind", KINDS)
def test_a_healthy_step_passes(kind):
    model, x, y, _ = trained(kind, wrong=False)
    report = kgw.check_gradients(model, x, y)
    assert report.verdict == "PASS", str(report)
    assert {v.verdict for v in report.variables} == {"PASS"}
    assert len(report.variables) == len(model.trainable_variables)


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_gradient_in_a_step_fails_upstream(kind):
    model, x, y, upstream = trained(kind, wrong=True)
    report = kgw.check_gradients(model, x, y)
    assert report.verdict == "FAIL"
    assert {layer_of(v) for v in report.failures} == upstream
    right = {layer_of(v) for v in report.variables if v.verdict == "PASS"}
    assert right == {layer_of(v) for v in report.variables} - upstream


@pytest.mark.parametrize("kind", KINDS)
def test_in_fit_and_training_is_bitwise_untouched(kind):
    check = kgw.GradientCheck(warmup_steps=0, check_freq=1, verbose=0)
    ends = []
    for callbacks in ([], [check]):
        keras.utils.clear_session()
        keras.utils.set_random_seed(3)
        model, *_ = trained(kind, wrong=False, callbacks=callbacks)
        ends.append([v.numpy() for v in model.variables])
    assert [r.verdict for r in check.reports] == ["PASS"] * len(check.reports)
    assert len(check.reports) >= 3
    np.testing.assert_equal(*ends)


def test_the_loss_is_the_steps_own():
    model, x, y, _ = trained("own tape", wrong=False)
    loss = float(ops.mean((model(x) - y) ** 4))
    assert kgw.check_gradients(model, x, y).loss == pytest.approx(loss, rel=1e-5)


def test_several_losses_are_told_apart():
    model, x, _, _ = trained("gan", wrong=True)
    report = kgw.check_gradients(model, x)
    targets = {layer_of(v): v.target for v in report.variables}
    optimizer = {"d": "d_optimizer", "g": "g_optimizer"}
    assert targets == {name: optimizer[name[0]] for name in ("d1", "d2", "g1", "g2")}
    assert "(g_optimizer)" in str(report)


class ByHand(OwnTape):
    def train_step(self, data):
        return {"loss": ops.zeros(())}


def test_a_step_without_a_tape_says_so():
    model = ByHand(wrong=False)
    model.compile("sgd")
    x = np.ones((4, 4))
    model(x)
    report = kgw.check_gradients(model, x, x)
    assert report.verdict == "INCONCLUSIVE"
    assert "does not differentiate its weights" in report.reason


class Bootstrapped(OwnTape):
    """Learns towards a goal that it sets itself, outside of its tape."""

    def train_step(self, data):
        x, y = data
        goal = y + 0.9 * self(-x, training=True)
        with tf.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - goal) ** 2)
        found = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(
            zip(found, self.trainable_variables, strict=True)
        )
        return {"loss": loss}


@pytest.mark.parametrize("wrong", [False, True])
def test_no_gradient_is_meant_to_flow_through_a_goal(wrong):
    model, x, y, upstream = trained("goal", wrong=wrong)
    report = kgw.check_gradients(model, x, y)
    assert {layer_of(v) for v in report.failures} == (upstream if wrong else set())
    assert {v.verdict for v in report.variables} == {"PASS", *["FAIL"][: int(wrong)]}


class Meta(OwnTape):
    """A penalty on the gradient for the weights, inside the loss."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                loss = ops.mean((self(x, training=True) - y) ** 2)
            weights = self.trainable_variables
            slopes = inner.gradient(loss, weights)
            loss += 0.1 * ops.sum([ops.sum(ops.square(g)) for g in slopes])
        found = outer.gradient(loss, weights)
        self.optimizer.apply_gradients(zip(found, weights, strict=True))
        return {"loss": loss}


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize("wrong", [False, True])
def test_a_gradient_inside_the_loss_is_checked_as_part_of_it(wrong, eagerly):
    model, x, y, upstream = trained("meta", wrong)
    model.run_eagerly = eagerly
    report = kgw.check_gradients(model, x, y)
    inner = [v for v in report.variables if v.target == "target 1"]
    outer = [v for v in report.variables if v.target == "target 2"]
    assert len(inner) == len(outer) == 4
    assert {layer_of(v) for v in inner if v.verdict == "FAIL"} == (
        upstream if wrong else set()
    )
    assert {v.verdict for v in outer if layer_of(v) in upstream} == (
        {"FAIL"} if wrong else {"PASS"}
    )


@tf.custom_gradient
def square_once(x):
    """Its derivative is right, and the derivative of that is not."""
    return x * x, lambda dy: dy * 2 * tf.stop_gradient(x)


def test_a_wrong_second_derivative_fails_where_it_is_used():
    model = Meta(wrong=False)
    model.stack.add(layers.Lambda(square_once))
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    model.fit(x, x, verbose=0)
    report = kgw.check_gradients(model, x, x)
    verdicts = {v.target: set() for v in report.variables}
    for variable in report.variables:
        verdicts[variable.target].add(variable.verdict)
    assert verdicts == {"target 1": {"PASS"}, "target 2": {"FAIL"}}


class Tuples(OwnTape):
    """Takes tuples of one, and of four."""

    def train_step(self, data):
        x, goal = data[0], data[1] if len(data) > 1 else 0.0
        with tf.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - goal) ** 2)
        found = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(
            zip(found, self.trainable_variables, strict=True)
        )
        return {"own": loss}


@pytest.mark.parametrize("parts", [1, 4])
def test_a_step_is_handed_what_fit_hands_it(parts):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 4)).astype("float32")
    dataset = tf.data.Dataset.from_tensors((x,) * parts)
    model = Tuples(wrong=False)
    model(x)
    model.compile("sgd")
    check = kgw.GradientCheck(warmup_steps=0, verbose=0)
    history = model.fit(dataset, epochs=2, shuffle=False, verbose=0, callbacks=[check])
    assert [r.verdict for r in check.reports] == ["PASS", "PASS"]
    np.testing.assert_allclose(
        [r.loss for r in check.reports], history.history["own"], rtol=1e-5
    )


def test_a_loss_that_can_not_be_checked_does_not_hide_another():
    class Undefined(Gan):
        def train_step(self, data):
            with tf.GradientTape() as tape:
                loss = ops.log(ops.sum(self.discriminator(data)) * 0.0 - 1.0)
            weights = self.discriminator.trainable_weights
            found = tape.gradient(loss, weights)
            self.d_optimizer.apply_gradients(zip(found, weights, strict=True))
            return super().train_step(data)

    model = Undefined(wrong=True)
    compile_gan(model)
    report = kgw.check_gradients(model, np.ones((8, 4)))
    assert report.verdict == "FAIL"
    assert {layer_of(v) for v in report.failures} == {"g1"}
    assert any("The loss is nan" in note for note in report.notes)


OTHERS = {"goal": (Bootstrapped, None, {"a"}), "meta": (Meta, None, {"a"})}
