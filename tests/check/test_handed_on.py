"""What reaches the optimizer: severe where weights learn by something else."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_gradwatch as kgw
from keras_gradwatch.__main__ import ALARMED, main
from keras_gradwatch.findings.digest import digest
from keras_gradwatch.findings.headline import headline
from keras_gradwatch.findings.notes import SEVERE
from tests.support.marks import some
from tests.support.steps import Gan, Scaled, compile_gan

X = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")
Y = np.random.default_rng(1).normal(size=(32, 6)).astype("float32")


class Handing(keras.Model):
    """Changes what the tape returns before it hands it on."""

    change = staticmethod(lambda gradients, weights: gradients)

    def train_step(self, data):
        x, y = data
        weights = self.trainable_variables
        with tf.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - y) ** 2)
        gradients = self.change(tape.gradient(loss, weights), weights)
        self.optimizer.apply_gradients(zip(gradients, weights, strict=False))
        return {"loss": loss}


def network(kind=Handing, **options):
    """Two kernels of 6 x 6, their biases, and a scale of one entry."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    hidden = layers.Dense(6, "tanh", name="a")(inputs)
    hidden = layers.Dense(6, "tanh", name="b")(hidden)
    return kind(inputs, layers.PReLU(name="c", shared_axes=[1])(hidden), **options)


def handing(change, optimizer="sgd", **options):
    model = network()
    model.change = change
    model.compile(optimizer, **options)
    model.optimizer.build(model.trainable_variables)
    return model


def report_on(model, **options):
    return kgw.check_gradients(model, X[:8], Y[:8], samples=1, directions=1, **options)


def shifted(gradients, weights):
    """As `zip` does with a list from which a None was left out."""
    return [gradients[2], *gradients[1:2], gradients[2], *gradients[3:]]


WRONG = {
    "uphill": (lambda g, w: [-x for x in g], "-1 times the gradient"),
    "one uphill": (lambda g, w: [*g[:2], -g[2], *g[3:]], "goes uphill"),
    "uphill and clipped": (
        lambda g, w: tf.clip_by_global_norm([-x for x in g], 1e-3)[0],
        "goes uphill",
    ),
    "a scalar uphill": (lambda g, w: [*g[:4], -g[4]], "goes uphill"),
    "swapped": (lambda g, w: [g[2], g[1], g[0], *g[3:]], "gradient of b/kernel"),
    "swapped biases": (lambda g, w: [g[0], g[3], g[2], g[1], g[4]], "of b/bias"),
    "swapped and halved": (
        lambda g, w: [0.5 * g[2], g[1], 0.5 * g[0], *g[3:]],
        "0.5 times the gradient of b/kernel",
    ),
    "shifted": (shifted, "the gradient of b/kernel"),
    "dropped": (lambda g, w: [None, *g[1:]], "nothing, so these weights do not learn"),
    "cut off": (lambda g, w: g[:-1], "do not learn"),
    "zeroed": (lambda g, w: [0 * g[0], *g[1:]], "zeros"),
}


@pytest.mark.parametrize("name", some(WRONG, 5, start=4))
def test_what_keeps_weights_from_learning_is_severe(name):
    change, said = WRONG[name]
    model = handing(change)
    report = report_on(model)
    assert report.verdict == "PASS"  # the gradient itself is right
    assert report.severe
    assert not report.passed
    assert said in report.warning
    # First in each headline.
    assert report.headline.startswith(
        f"Gradient check at step 0: {report.warning[:60]}"
    )
    assert str(headline([digest(report)])).startswith(f"PASS: {report.warning[:60]}")
    assert kgw.GradientReport.from_json(report.to_json()).severe == report.severe


def centralised(gradients, weights):
    """Yong et al., 2020, Gradient centralization."""
    return [
        g - ops.mean(g, axis=0, keepdims=True) if len(g.shape) > 1 else g
        for g in gradients
    ]


def averaged(gradients, weights):
    """What an exponential average hands on after some steps."""
    rng = np.random.default_rng(2)
    old = [rng.normal(size=g.shape).astype("float32") for g in gradients]
    return [0.1 * g + 0.9 * o for g, o in zip(gradients, old, strict=True)]


TOLD = {
    "halved": lambda g, w: [0.5 * x for x in g],
    "by their norm": lambda g, w: [tf.clip_by_norm(x, 1e-3) for x in g],
    "by the norm of all": lambda g, w: tf.clip_by_global_norm(g, 1e-3)[0],
    "by value": lambda g, w: [tf.clip_by_value(x, -1e-3, 1e-3) for x in g],
    "with weight decay": lambda g, w: [
        x + 10.0 * tf.convert_to_tensor(v) for x, v in zip(g, w, strict=True)
    ],
    "centralised": centralised,
    "averaged": averaged,
    "their signs": lambda g, w: [tf.sign(x) for x in g],
    "with noise": lambda g, w: [x + tf.random.normal(tf.shape(x)) for x in g],
    "not yet, as they add up": lambda g, w: [tf.zeros_like(x) for x in g],
    "without NaN": lambda g, w: [tf.where(tf.math.is_finite(x), x, 0) for x in g],
}


@pytest.mark.parametrize("name", some(TOLD, 9, start=5))
def test_what_steps_are_written_for_is_told_and_not_warned_of(name):
    report = report_on(handing(TOLD[name]))
    assert report.passed
    assert report.severe == ()
    assert report.headline.startswith("Gradient check at step 0: PASS")


OPTIMIZERS = {
    "clipnorm": lambda: keras.optimizers.Adam(clipnorm=1e-3),
    "global_clipnorm": lambda: keras.optimizers.SGD(global_clipnorm=1e-3),
    "clipvalue": lambda: keras.optimizers.SGD(clipvalue=1e-3),
    "weight decay": lambda: keras.optimizers.AdamW(weight_decay=0.1),
    "average": lambda: keras.optimizers.SGD(use_ema=True),
    "accumulation": lambda: keras.optimizers.SGD(gradient_accumulation_steps=2),
    "lion": keras.optimizers.Lion,
    "adafactor": keras.optimizers.Adafactor,
    "muon": keras.optimizers.Muon,
    "loss scale": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()),
    "constant scale": lambda: keras.optimizers.SGD(loss_scale_factor=128.0),
}


@pytest.mark.long
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_no_warning_of_what_optimizers_do(name):
    model = network(keras.Model)
    model.compile(OPTIMIZERS[name](), "mse")
    check = kgw.GradientCheck(warmup_steps=1, check_freq=2, verbose=0, samples=1)
    model.fit(X, Y, batch_size=8, verbose=0, callbacks=[check])
    assert {(r.passed, r.severe) for r in check.reports} == {(True, ())}


def test_layers_that_are_frozen_are_not_dropped():
    model = handing(lambda g, w: g)
    model.layers[1].trainable = False
    model.compile("sgd")
    report = report_on(model)
    assert (report.severe, len(report.variables)) == ((), 3)


class WholeGan(Gan):
    """Takes gradients for all weights, and hands on those of one half."""

    def train_step(self, data):
        weights = self.trainable_weights
        for net, optimizer, label in (
            (self.generator, self.g_optimizer, 1.0),
            (self.discriminator, self.d_optimizer, 0.0),
        ):
            with tf.GradientTape() as tape:
                score = self.discriminator(self.generator(data[:, :2]))
                loss = self.bce(label * ops.ones_like(score), score)
            found = tape.gradient(loss, weights)
            own = {id(v) for v in net.trainable_weights}
            pairs = zip(found, weights, strict=True)
            optimizer.apply_gradients([(g, v) for g, v in pairs if id(v) in own])
        return {"loss": loss}


@pytest.mark.long
def test_two_optimizers_that_share_gradients_are_not_warned_of():
    model = WholeGan(wrong=False)
    compile_gan(model)
    report = kgw.check_gradients(model, X[:8, :4], samples=1)
    assert report.severe == ()
    told = {v.applied for v in report.variables}
    assert told == {"", "the gradient of another loss alone"}


class TwoTasks(Handing):
    """Projects conflicting gradients: Yu et al., 2020, Gradient surgery."""

    def train_step(self, data):
        x, y = data
        weights = self.trainable_variables
        with tf.GradientTape(persistent=True) as tape:
            seen = self(x, training=True)
            first, second = ops.mean((seen - y) ** 2), ops.mean(ops.sin(seen))
        one, other = tape.gradient(first, weights), tape.gradient(second, weights)
        handed = []
        for g, h in zip(one, other, strict=True):
            dot = ops.minimum(ops.sum(g * h), 0.0)
            g, h = (
                g - dot / ops.sum(h * h) * h,
                h - dot / ops.sum(g * g) * g,
            )
            handed.append(g + h)
        self.optimizer.apply(handed, weights)
        return {"loss": first}


def test_projected_gradients_are_told_and_not_warned_of():
    model = network(TwoTasks)
    model.compile("sgd")
    assert report_on(model).severe == ()


class ByHand(Handing):
    """Updates one of its weights without an optimizer."""

    def train_step(self, data):
        x, y = data
        weights = self.trainable_variables
        with tf.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - y) ** 2)
        gradients = tape.gradient(loss, weights)
        weights[0].assign_sub(0.1 * gradients[0])
        self.optimizer.apply(gradients[1:], weights[1:])
        return {"loss": loss}


def test_a_weight_that_the_step_moves_itself_is_not_dropped():
    model = network(ByHand)
    model.compile("sgd")
    assert report_on(model).severe == ()


# --- what follows from it ---


def test_assertions_fail_unless_it_is_declared():
    model = handing(lambda g, w: [-g[0], *g[1:]])
    with pytest.raises(kgw.GradientMismatchError, match="goes uphill") as caught:
        kgw.assert_gradients(model, X[:8], Y[:8])
    assert caught.value.report.verdict == "PASS"
    report = kgw.assert_gradients(model, X[:8], Y[:8], expected=("a/kernel",))
    assert report.passed
    # It is told all the same.
    assert "-1 times the gradient" in " ".join(report.notes)


def test_fit_warns_once_and_points_to_the_line_that_calls_it(tmp_path, capsys):
    model = handing(lambda g, w: [g[2], g[1], g[0], *g[3:]])
    check = kgw.GradientCheck(tmp_path, warmup_steps=1, check_freq=1, samples=1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, Y, batch_size=8, verbose=0, callbacks=[check])
    assert len(check.reports) == 3
    (told,) = [w for w in caught if issubclass(w.category, kgw.GradwatchWarning)]
    assert told.category is kgw.GradientMismatchWarning
    assert told.filename == __file__
    assert "optimizer the gradient of b/kernel" in str(told.message).partition("\n")[0]
    assert "optimizer the gradient of b/kernel" in capsys.readouterr().out
    assert all(note.severity == SEVERE for note in check.reports[0].severe)
    assert main([str(tmp_path)]) == ALARMED
    assert "optimizer the gradient of b/kernel" in capsys.readouterr().out


@pytest.mark.parametrize("how", ["raise", pytest.param("stop", marks=pytest.mark.long)])
def test_fit_stops_or_raises_as_asked(how):
    model = handing(lambda g, w: [-x for x in g])
    options = {"warmup_steps": 0, "check_freq": 1, "verbose": 0, "on_failure": how}
    check = kgw.GradientCheck(**options)
    if how == "raise":
        with pytest.raises(kgw.GradientMismatchError):
            model.fit(X, Y, batch_size=8, verbose=0, callbacks=[check])
    else:
        with pytest.warns(kgw.GradientMismatchWarning):
            model.fit(X, Y, batch_size=8, verbose=0, callbacks=[check])
    assert len(check.reports) == 1


# --- loss scales ---


class Forgetful(Scaled):
    """Scales its loss in one of several ways, and hands it on to one optimizer."""

    scale = staticmethod(lambda model, loss: loss)
    receive = staticmethod(lambda model: model.optimizer)
    unscale = staticmethod(lambda model, gradient: gradient)

    def train_step(self, data):
        x, y = data
        weights = self.trainable_variables
        with tf.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - y) ** 2)
            scaled = self.scale(self, loss)
        gradients = [self.unscale(self, g) for g in tape.gradient(scaled, weights)]
        self.receive(self).apply(gradients, weights)
        return {"loss": loss}


def scaling(optimizer, **ways):
    keras.utils.set_random_seed(0)
    model = Forgetful(wrong=False)
    model.compile(optimizer, "mse")
    for name, way in ways.items():
        setattr(model, name, way)
    x = X[:8, :4]
    model(x)
    model.optimizer.build(model.trainable_variables)
    model.spare = keras.optimizers.SGD()
    model.spare.build(model.trainable_variables)
    return kgw.check_gradients(model, x, x, samples=1)


def dynamic():
    return keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())


def constant():
    return keras.optimizers.SGD(loss_scale_factor=128.0)


def by_asking(model, loss):
    return model.optimizer.scale_loss(loss)


@pytest.mark.long
@pytest.mark.parametrize(
    ("optimizer", "ways", "said"),
    [
        (dynamic, {}, "does not scale the loss"),
        (constant, {}, "does not scale the loss"),
        (
            dynamic,
            {"scale": by_asking, "receive": lambda model: model.spare},
            "does not divide them by the scale",
        ),
        (constant, {"scale": by_asking}, ""),
        (dynamic, {"scale": lambda model, x: x * model.optimizer.dynamic_scale}, ""),
        (constant, {"scale": lambda model, x: 128.0 * x}, ""),
        (
            dynamic,
            {
                "scale": by_asking,
                "receive": lambda model: model.spare,
                "unscale": lambda model, g: g / model.optimizer.dynamic_scale,
            },
            "",
        ),
    ],
    ids=[
        "forgotten",
        "constant, forgotten",
        "never divided",
        "constant",
        "by hand",
        "constant, by hand",
        "divided by hand",
    ],
)
def test_a_loss_scale_that_is_forgotten_is_severe(optimizer, ways, said):
    report = scaling(optimizer(), **ways)
    assert bool(report.severe) == bool(said)
    assert said in report.warning
