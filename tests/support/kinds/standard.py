"""Models from the building blocks of Keras."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from tests.support.kinds.registry import done, kind, numbers, stack


@kind
def sequential(rng):
    return done(stack(), rng)


@kind
def sequential_built_by_its_first_batch(rng):
    model = keras.Sequential([layers.Dense(4, "tanh"), layers.Dense(2)])
    model, x, y = done(model, rng)
    model.train_on_batch(x, y)
    return model, x, y


@kind
def dict_inputs_and_outputs(rng):
    inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((3,), name="b")}
    both = layers.Concatenate()([inputs["a"], inputs["b"]])
    outputs = {
        "p": layers.Dense(2, name="p")(both),
        "q": layers.Dense(3, "softmax", name="q")(both),
    }
    model = keras.Model(inputs, outputs)
    model.compile(
        "sgd",
        {"p": "mse", "q": "sparse_categorical_crossentropy"},
        loss_weights={"p": 0.3, "q": 2.0},
        metrics={"p": ["mae"], "q": ["accuracy"]},
    )
    x = {"a": numbers(rng, 6, 4), "b": numbers(rng, 6, 3)}
    return model, x, {"p": numbers(rng, 6, 2), "q": rng.integers(0, 3, 6)}


@kind
def list_inputs_and_outputs(rng):
    inputs = [keras.Input((4,)), keras.Input((3,))]
    outputs = [layers.Dense(2)(each) for each in inputs]
    model = keras.Model(inputs, outputs)
    model.compile("sgd", ["mse", "mae"], loss_weights=[1.0, 0.5], metrics=["mae", None])
    y = [numbers(rng, 6, 2), numbers(rng, 6, 2)]
    return model, [numbers(rng, 6, 4), numbers(rng, 6, 3)], y


@kind
def shared_layer(rng):
    inputs = keras.Input((4,))
    shared = layers.Dense(4, "tanh")
    return done(keras.Model(inputs, layers.Dense(2)(shared(shared(inputs)))), rng)


@kind
def layer_shared_across_nesting_levels(rng):
    shared = layers.Dense(4, "tanh")
    inner_inputs = keras.Input((4,))
    inner = keras.Model(inner_inputs, layers.Dense(4)(shared(inner_inputs)))
    inputs = keras.Input((4,))
    return done(keras.Model(inputs, layers.Dense(2)(inner(shared(inputs)))), rng)


@kind
def raw_ops(rng):
    inputs = keras.Input((4,))
    hidden = layers.Dense(4)(inputs)
    hidden = ops.tanh(hidden) * 2.0 + ops.mean(hidden, axis=1, keepdims=True)
    return done(keras.Model(inputs, layers.Dense(2)(hidden)), rng)


class NoConfig(keras.Model):
    def __init__(self, function, units):
        super().__init__()
        self.function = function
        self.blocks = [layers.Dense(units) for _ in range(2)]
        self.heads = {"last": layers.Dense(2)}

    def call(self, x):
        for block in self.blocks:
            x = self.function(block(x))
        return self.heads["last"](x)


@kind
def subclassed_without_config(rng):
    model = NoConfig(ops.tanh, 4)
    model(np.ones((1, 4)))
    return done(model, rng)


class OwnStep(keras.Model):
    """Its own training step, on the compiled loss."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
        weights = self.trainable_variables
        self.optimizer.apply_gradients(
            zip(tape.gradient(loss, weights), weights, strict=True)
        )
        return {"loss": loss}


@kind
def functional_subclass_with_its_own_step(rng):
    inputs = keras.Input((4,))
    return done(OwnStep(inputs, layers.Dense(2)(layers.Dense(4)(inputs))), rng)


class OwnConstructor(keras.Model):
    def __init__(self, units, **kwargs):
        inputs = keras.Input((4,))
        hidden = layers.Dense(units, "tanh")(inputs)
        super().__init__(inputs, layers.Dense(2)(hidden), **kwargs)


@kind
def functional_subclass_with_its_own_constructor(rng):
    return done(OwnConstructor(3), rng)


class Vae(keras.Model):
    """Adds its loss by itself, and draws from a seed generator."""

    def __init__(self):
        super().__init__()
        self.encoder = layers.Dense(4)
        self.decoder = layers.Dense(4)
        self.seeds = keras.random.SeedGenerator(1)

    def call(self, x, training=False):
        mean, log_var = ops.split(self.encoder(x), 2, axis=-1)
        noise = keras.random.normal(ops.shape(mean), dtype=x.dtype, seed=self.seeds)
        self.add_loss(ops.mean(ops.exp(log_var) + mean**2 - log_var))
        return self.decoder(mean + ops.exp(log_var / 2) * noise)


@kind
def vae_with_add_loss(rng):
    model = Vae()
    model(np.ones((1, 4)))
    return done(model, rng, outputs=4)


@kind
def add_loss_alone(rng):
    model = Vae()
    model(np.ones((1, 4)))
    model.compile("sgd", jit_compile=False)
    return model, numbers(rng, 6, 4), None


@kind
def regularisers(rng):
    middle = layers.Dense(
        4,
        kernel_regularizer="l2",
        bias_regularizer="l1",
        activity_regularizer="l2",
        kernel_constraint="max_norm",
    )
    return done(stack(middle, layers.ActivityRegularization(0.1, 0.1)), rng)


@kind
def augmentation_and_adapted_normalisation(rng):
    x = rng.random((6, 6, 6, 1)).astype("float32")
    normalise = layers.Normalization()
    normalise.adapt(x)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.RandomFlip(),
            layers.RandomRotation(0.1),
            normalise,
            layers.Conv2D(2, 3, activation="tanh"),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    return done(model, rng, x)


@kind
def string_lookup(rng):
    inputs = keras.Input((3,), dtype="string")
    lookup = layers.StringLookup(vocabulary=["a", "b"])
    hidden = layers.Flatten()(layers.Embedding(4, 2)(lookup(inputs)))
    x = tf.constant(np.array(["a", "b", "c"])[rng.integers(0, 3, (6, 3))])
    return done(keras.Model(inputs, layers.Dense(2)(hidden)), rng, x)


@kind
def recurrent_dropout(rng):
    model = keras.Sequential(
        [
            keras.Input((5, 3)),
            layers.LSTM(3, dropout=0.3, recurrent_dropout=0.3, return_sequences=True),
            layers.Bidirectional(layers.GRU(2, dropout=0.2)),
            layers.Dense(2),
        ]
    )
    return done(model, rng, numbers(rng, 6, 5, 3))


@kind
def stateful_rnn(rng):
    inputs = keras.Input(batch_shape=(6, 5, 3))
    hidden = layers.LSTM(3, stateful=True)(inputs)
    model = keras.Model(inputs, layers.Dense(2)(hidden))
    x = numbers(rng, 6, 5, 3)
    model.predict(x, batch_size=6, verbose=0)  # leaves a state behind
    return done(model, rng, x)


@kind
def masked_embedding(rng):
    model = keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            layers.Embedding(7, 3, mask_zero=True),
            layers.GRU(3),
            layers.Dense(2),
        ]
    )
    return done(model, rng, rng.integers(0, 7, (6, 5)))
