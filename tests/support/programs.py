"""Four small programs as people write them after reading Keras' documentation.

Each maps `callbacks` to the trained model. Nothing in them knows of a check.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops


def own_training_step(callbacks):
    """A regression whose model takes its training step itself."""

    class Regression(keras.Model):
        def train_step(self, data):
            features, goal = data
            with tf.GradientTape() as tape:
                guess = self(features, training=True)
                loss = self.compute_loss(y=goal, y_pred=guess)
            weights = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, weights), weights)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(goal, guess)
            return {metric.name: metric.result() for metric in self.metrics}

    rng = np.random.default_rng(0)
    features = rng.random((96, 8)).astype("float32")
    goal = (features @ np.linspace(-1, 1, 8)[:, None]).astype("float32")
    inputs = keras.Input((8,))
    hidden = layers.Dense(6, activation="relu")(inputs)
    model = Regression(inputs, layers.Dense(1)(hidden))
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(features, goal, epochs=3, verbose=0, callbacks=callbacks)
    return model


class Reparameterised(layers.Layer):
    """Draws a code around its mean."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seeds = keras.random.SeedGenerator(11)

    def call(self, inputs):
        mean, log_variance = inputs
        noise = keras.random.normal(ops.shape(mean), seed=self.seeds)
        return mean + ops.exp(log_variance / 2) * noise


class VariationalAutoencoder(keras.Model):
    """Encoder and decoder that are trained together."""

    def __init__(self, encoder, decoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.decoder = encoder, decoder
        self.trackers = {
            name: keras.metrics.Mean(name=name) for name in ("picture", "code", "total")
        }

    @property
    def metrics(self):
        return list(self.trackers.values())

    def train_step(self, pictures):
        with tf.GradientTape() as tape:
            mean, log_variance, code = self.encoder(pictures)
            again = self.decoder(code)
            per_pixel = keras.losses.binary_crossentropy(pictures, again)
            picture = ops.mean(ops.sum(per_pixel, axis=(1, 2)))
            divergence = 1 + log_variance - ops.square(mean) - ops.exp(log_variance)
            code_loss = ops.mean(ops.sum(-0.5 * divergence, axis=1))
            total = picture + code_loss
        gradients = tape.gradient(total, self.trainable_weights)
        self.optimizer.apply_gradients(
            zip(gradients, self.trainable_weights, strict=True)
        )
        for name, value in zip(self.trackers, (picture, code_loss, total), strict=True):
            self.trackers[name].update_state(value)
        return {name: tracker.result() for name, tracker in self.trackers.items()}


def variational_autoencoder(callbacks):
    """Learns to draw small pictures of bars."""
    inputs = keras.Input((8, 8, 1))
    hidden = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(inputs)
    hidden = layers.Dense(8, activation="relu")(layers.Flatten()(hidden))
    mean, log_variance = layers.Dense(2)(hidden), layers.Dense(2)(hidden)
    code = Reparameterised()([mean, log_variance])
    encoder = keras.Model(inputs, [mean, log_variance, code])

    codes = keras.Input((2,))
    hidden = layers.Dense(4 * 4 * 4, activation="relu")(codes)
    hidden = layers.Reshape((4, 4, 4))(hidden)
    hidden = layers.Conv2DTranspose(4, 3, strides=2, padding="same")(hidden)
    hidden = layers.Activation("relu")(hidden)
    pictures = layers.Conv2D(1, 3, padding="same", activation="sigmoid")(hidden)
    decoder = keras.Model(codes, pictures)

    rng = np.random.default_rng(0)
    bars = np.zeros((64, 8, 8, 1), "float32")
    bars[np.arange(64), rng.integers(0, 8, 64)] = 1
    model = VariationalAutoencoder(encoder, decoder)
    model.compile(optimizer=keras.optimizers.Adam())
    model.fit(bars, epochs=3, batch_size=16, verbose=0, callbacks=callbacks)
    return model


class WordsAndPlaces(layers.Layer):
    """Embeds each word, and where in the text it stands."""

    def __init__(self, length, vocabulary, width, **kwargs):
        super().__init__(**kwargs)
        self.words = layers.Embedding(vocabulary, width)
        self.places = layers.Embedding(length, width)

    def call(self, texts):
        return self.words(texts) + self.places(ops.arange(ops.shape(texts)[-1]))


class Block(layers.Layer):
    """Attention and a small network, each with a shortcut around it."""

    def __init__(self, width, heads, inner, **kwargs):
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(heads, width)
        self.network = keras.Sequential(
            [layers.Dense(inner, activation="relu"), layers.Dense(width)]
        )
        self.norms = [layers.LayerNormalization(epsilon=1e-6) for _ in range(2)]
        self.dropouts = [layers.Dropout(0.1) for _ in range(2)]

    def call(self, x, training=False):
        attended = self.dropouts[0](self.attention(x, x), training=training)
        x = self.norms[0](x + attended)
        changed = self.dropouts[1](self.network(x), training=training)
        return self.norms[1](x + changed)


def text_classifier(callbacks):
    """A transformer that tells texts with many low words from others."""
    rng = np.random.default_rng(0)
    texts = rng.integers(0, 30, (96, 10))
    labels = (texts.mean(axis=1) > 14.5).astype("int32")
    inputs = keras.Input((10,), dtype="int32")
    hidden = Block(8, 2, 8)(WordsAndPlaces(10, 30, 8)(inputs))
    hidden = layers.Dropout(0.1)(layers.GlobalAveragePooling1D()(hidden))
    hidden = layers.Dropout(0.1)(layers.Dense(6, activation="relu")(hidden))
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(hidden))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(
        texts,
        labels,
        batch_size=16,
        epochs=2,
        validation_split=0.25,
        verbose=0,
        callbacks=callbacks,
    )
    return model


def image_classifier(callbacks):
    """A small convolutional network, with augmentation, from `tf.data`."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 64)
    pictures = rng.integers(0, 200, (64, 12, 12, 3)).astype("float32")
    pictures[labels == 1, :, 6:] += 55

    def separable(x, filters):
        x = layers.Activation("relu")(x)
        x = layers.SeparableConv2D(filters, 3, padding="same")(x)
        return layers.BatchNormalization()(x)

    inputs = keras.Input((12, 12, 3))
    x = layers.RandomFlip("vertical", seed=5)(inputs)
    x = layers.Rescaling(1 / 255)(x)
    x = layers.Conv2D(6, 3, strides=2, padding="same")(x)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    shortcut = layers.Conv2D(8, 1, strides=2, padding="same")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(separable(x, 8))
    x = layers.GlobalAveragePooling2D()(layers.add([x, shortcut]))
    model = keras.Model(inputs, layers.Dense(1)(layers.Dropout(0.25)(x)))
    model.compile(
        keras.optimizers.Adam(3e-4),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(name="accuracy")],
    )
    data = tf.data.Dataset.from_tensor_slices((pictures, labels)).batch(16)
    model.fit(
        data.take(3).prefetch(2),
        epochs=2,
        shuffle=False,
        validation_data=data.skip(3),
        verbose=0,
        callbacks=callbacks,
    )
    return model


PROGRAMS = (
    own_training_step,
    variational_autoencoder,
    text_classifier,
    image_classifier,
)
