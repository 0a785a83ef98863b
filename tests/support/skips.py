"""A training with bad batches, and the same with these not in the data."""

import warnings

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw
from tests.support.fits import next_of_streams

BATCH, COUNT = 8, 7


def stack(**options):
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, **options),
            layers.BatchNormalization(**options),
            layers.ReLU(**options),
            layers.Dropout(0.3, **options),
            layers.Dense(1, **options),
        ]
    )


def data(bad, left_out, count=COUNT):
    """Batches, of which some have a NaN in them, or are left out."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, BATCH, 4)).astype("float32")
    y = x[..., :1] ** 2
    for k in bad:
        x[k, 1, 2] = np.nan
    kept = [k for k in range(count) if not (left_out and k in bad)]
    return x[kept], y[kept]


def arrays(model, x, y, callbacks, **options):
    options = {"epochs": 2, "shuffle": False, "verbose": 0, **options}
    x, y = x.reshape(-1, 4), y.reshape(-1, 1)
    return model.fit(x, y, batch_size=BATCH, callbacks=callbacks, **options)


def pipeline(model, x, y, callbacks):
    pairs = tf.data.Dataset.from_tensor_slices((x, y)).prefetch(2)
    return model.fit(pairs, epochs=2, verbose=0, callbacks=callbacks)


def generator(model, x, y, callbacks):
    def endless():
        while True:
            yield from zip(x, y, strict=True)

    options = {"steps_per_epoch": 4, "epochs": 3, "verbose": 0}
    return model.fit(endless(), callbacks=callbacks, **options)


def of_unknown_length(model, x, y, callbacks):
    pairs = tf.data.Dataset.from_tensor_slices((x, y)).filter(lambda x, y: True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Your input ran out of data")
        return model.fit(pairs, epochs=2, verbose=0, callbacks=callbacks)


def validated(model, x, y, callbacks):
    return arrays(model, x, y, callbacks, validation_data=(x[0], y[0]))


class OwnStep(keras.Model):
    """Two optimizers, a metric of its own, and a counter that it keeps by itself.

    It draws from a generator of its own, and from everybody's.
    """

    def __init__(self):
        super().__init__()
        self.hidden, self.out = layers.Dense(6, "tanh"), layers.Dense(1)
        self.seeds = keras.random.SeedGenerator(5)
        self.mean = keras.metrics.Mean("error")
        self.steps = tf.Variable(0, trainable=False)
        self.draws = tf.random.Generator.from_seed(3)
        everybodys = tf.random.Generator.from_seed(7)
        tf.random.set_global_generator(everybodys)
        self.raw = (self.steps, self.draws.state, everybodys.state)
        self.build((None, 4))

    def build(self, shape):
        self.hidden.build(shape)
        self.out.build((None, 6))
        self.built = True

    def compile(self, *args, **options):
        super().compile(**{k: v for k, v in options.items() if k == "run_eagerly"})
        self.first = keras.optimizers.Adam(1e-2)
        self.second = keras.optimizers.SGD(1e-2, 0.9)

    def call(self, x):
        noise = keras.random.normal(keras.ops.shape(x), seed=self.seeds)
        return self.out(self.hidden(x + 0.1 * noise))

    def train_step(self, batch):
        x, y = batch
        self.steps.assign_add(1)
        with tf.GradientTape(persistent=True) as tape:
            factor = self.draws.uniform((), 0.9, 1.1)
            factor += tf.random.get_global_generator().uniform((), 0.0, 0.1)
            error = factor * tf.reduce_mean((self(x) - y) ** 2)
        for part, optimizer in ((self.hidden, self.first), (self.out, self.second)):
            weights = part.trainable_variables
            optimizer.apply(tape.gradient(error, weights), weights)
        self.mean.update_state(error)
        return {"loss": self.mean.result(), "last": error}


def everything(build, compiled, fit, bad, left_out, make_optimizer, count=COUNT):
    """All that a training leaves behind, and what was found."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    model = build()
    compiled = {"jit_compile": False, "metrics": ["mae"], **compiled}
    model.compile(make_optimizer(), "mse", **compiled)
    locator = kgw.NonFiniteLocator(on_failure="skip", verbose=0)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        history = fit(
            model, *data(bad, left_out, count), [] if left_out else [locator]
        ).history
    variables = {id(v): v for v in model.variables}
    for name in ("optimizer", "first", "second"):
        optimizer = getattr(model, name, None)
        variables |= {id(v): v for v in getattr(optimizer, "variables", ())}
    left = {
        "variables": [v.numpy() for v in variables.values()],
        "metrics": [v.numpy() for v in model.metrics_variables],
        "raw": [v.numpy() for v in getattr(model, "raw", ())],
        "history": history,
        "streams": next_of_streams(),
    }
    return left, locator.findings


def sgd():
    return keras.optimizers.SGD(1e-2, momentum=0.9)


def adam():
    return keras.optimizers.Adam(1e-2)


def accumulating():
    return keras.optimizers.Adam(1e-2, gradient_accumulation_steps=2)


def averaging():
    return keras.optimizers.AdamW(1e-2, use_ema=True, ema_overwrite_frequency=3)


def scaling():
    return keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(1e-2), initial_scale=2.0**10, dynamic_growth_steps=3
    )


def half():
    return stack(dtype="mixed_float16")
