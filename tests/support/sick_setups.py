"""Set-ups before their training, sick ones, and the question that each is about."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, losses, ops

from tests.support.setup_zoo import (
    LOGITS,
    OwnStep,
    compiled,
    dense,
    labels,
    numbers,
    pictures,
    sentences,
    stack,
)

# A function and the name of the question, by the name of the set-up.
SICK = {}


def sick(question):
    def add(function):
        SICK[function.__name__] = function, question
        return function

    return add


X = numbers(200, 8)
Y = labels(X)


def layer(function, **options):
    return layers.Lambda(function, **options)


# --- outputs: logits, classes, shapes ---------------------------------------------


@sick("outputs")
def softmax_twice():
    return compiled(dense(3, "softmax")), X, Y


@sick("outputs")
def softmax_twice_in_float32():
    hidden = layers.Dense(3, "softmax", dtype="float64"), layers.Activation("linear")
    return compiled(stack((8,), *hidden)), X, Y


@sick("outputs")
def softmax_twice_one_hot():
    loss = losses.CategoricalCrossentropy(from_logits=True)
    return compiled(dense(3, "softmax"), loss), X, keras.utils.to_categorical(Y)


@sick("outputs")
def no_softmax():
    return compiled(dense(3), "sparse_categorical_crossentropy"), X, Y


@sick("outputs")
def no_softmax_one_hot():
    model = compiled(dense(3), "categorical_crossentropy")
    return model, X, keras.utils.to_categorical(Y)


@sick("outputs")
def sigmoid_twice():
    loss = losses.BinaryCrossentropy(from_logits=True)
    return compiled(dense(1, "sigmoid"), loss), X, (X[:, :1] > 0).astype(int)


@sick("outputs")
def no_sigmoid():
    return compiled(dense(1), "binary_crossentropy"), X, (X[:, :1] > 0).astype(int)


@sick("outputs")
def rectified_before_a_softmax_that_is_missing():
    return compiled(dense(3, "relu"), "sparse_categorical_crossentropy"), X, Y


@sick("outputs")
def softmax_of_one_unit():
    y = (X[:, :1] > 0).astype(int)
    return compiled(dense(1, "softmax"), "binary_crossentropy"), X, y


@sick("outputs")
def one_unit_for_classes():
    return compiled(dense(1), LOGITS), X, (X[:, 0] > 9).astype(int)


@sick("outputs")
def softmax_for_many_labels():
    y = (X[:, :3] > 0).astype("float32")
    return compiled(dense(3, "softmax"), "binary_crossentropy"), X, y


@sick("outputs")
def sigmoids_for_classes():
    return compiled(dense(3, "sigmoid"), "sparse_categorical_crossentropy"), X, Y


@sick("outputs")
def one_hot_to_a_sparse_loss():
    return compiled(dense(3), LOGITS), X, keras.utils.to_categorical(Y)


@sick("outputs")
def numbers_to_a_one_hot_loss():
    loss = losses.CategoricalCrossentropy(from_logits=True)
    return compiled(dense(3), loss), X, Y


@sick("outputs")
def too_few_units_one_hot():
    loss = losses.CategoricalCrossentropy(from_logits=True)
    return compiled(dense(2), loss), X, keras.utils.to_categorical(Y)


@sick("outputs")
def inputs_of_another_shape():
    return compiled(dense(3)), X[:, :5], Y


@sick("outputs")
def logarithm_of_zero():
    model = stack((8,), layers.Dense(3, "relu"), layer(ops.log))
    return compiled(model, "mse"), X, X[:, :3]


@sick("outputs")
def no_softmax_in_own_step():
    inputs = keras.Input((8,))
    model = OwnStep(inputs, layers.Dense(3)(inputs))
    return compiled(model, "sparse_categorical_crossentropy"), X, Y


@sick("outputs")
def no_softmax_in_a_function():
    def loss(y, p):
        return losses.sparse_categorical_crossentropy(y, p)

    return compiled(dense(3), loss), X, Y


@sick("outputs")
def sigmoid_twice_in_a_step():
    class Own(keras.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                scores = self(x, training=True)
                found = losses.binary_crossentropy(y, scores, from_logits=True)
                loss = ops.mean(found) + 0.01 * ops.mean(scores)
            own = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, own), own)
            return {"loss": loss}

    inputs = keras.Input((8,))
    outputs = layers.Dense(1, "sigmoid")(inputs)
    return compiled(Own(inputs, outputs), None), X, (X[:, :1] > 0).astype("float32")


# --- targets ----------------------------------------------------------------------


@sick("targets")
def too_few_units():
    return compiled(dense(2)), X, Y


@sick("targets")
def labels_from_one():
    return compiled(dense(3)), X, Y + 1


@sick("targets")
def labels_of_minus_one():
    y = np.sign(X[:, :1])
    return compiled(dense(1, "sigmoid"), "binary_crossentropy"), X, y


@sick("targets")
def several_labels_to_a_softmax():
    y = (X[:, :3] > 0).astype("float32")
    return compiled(dense(3, "softmax"), "categorical_crossentropy"), X, y


@sick("targets")
def single_class():
    return compiled(dense(3)), X, 0 * Y + 1


@sick("targets")
def missing_targets():
    y = X[:, :1].copy()
    y[7] = np.nan
    return compiled(dense(1), "mse"), X, y


@sick("targets")
def beyond_a_sigmoid():
    return compiled(dense(1, "sigmoid"), "mse"), X, 5 * X[:, :1]


@sick("targets")
def beyond_a_tanh():
    x, _ = pictures()
    inner = [layers.Conv2D(1, 3, padding="same", activation="tanh")]
    return compiled(stack(x.shape[1:], *inner), "mse"), x, np.round(255 * x)


@sick("targets")
def negative_behind_a_relu():
    return compiled(dense(1, "relu"), "mse"), X, X[:, :1]


class Unsqueezed(losses.Loss):
    def call(self, y, outputs):
        return ops.mean(ops.square(y - outputs), axis=-1)


@sick("targets")
def broadcast_in_a_loss_of_ones_own():
    return compiled(dense(1), Unsqueezed()), X, X[:, 0]


@sick("targets")
def broadcast_in_compute_loss():
    class Own(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **_):
            return ops.mean(ops.square(y - y_pred))

    inputs = keras.Input((8,))
    model = Own(inputs, layers.Dense(1)(layers.Dense(16, "relu")(inputs)))
    return compiled(model, None), X, X[:, 0]


@sick("targets")
def one_target_for_several_outputs():
    return compiled(dense(3), "mse"), X, X[:, :1]


@sick("targets")
def years():
    y = 1990 + 8 * X[:, :1]
    return compiled(dense(1), "mse"), X, y


@sick("targets")
def targets_in_the_millions():
    return compiled(dense(1), "mse"), X, 3e6 * np.exp(X[:, :1])


@sick("targets")
def no_example_counts():
    return compiled(dense(3)), X, Y, np.zeros(200)


@sick("targets")
def negative_sample_weights():
    return compiled(dense(3)), X, Y, X[:, 3]


@sick("targets")
def fractions_of_classes():
    return compiled(dense(3)), X, Y / 2


# --- inputs -----------------------------------------------------------------------


@sick("inputs")
def missing_inputs():
    x = X.copy()
    x[3, 2] = np.nan
    return compiled(dense()), x, Y


@sick("inputs")
def constant_feature():
    x = X.copy()
    x[:, 4] = 7.5
    return compiled(dense()), x, Y


@sick("inputs")
def nothing_was_loaded():
    return compiled(dense()), 0 * X + 1, Y


@sick("inputs")
def unscaled_pictures():
    x, y = pictures()
    inner = layers.Conv2D(8, 3, activation="relu"), layers.Flatten(), layers.Dense(3)
    return compiled(stack(x.shape[1:], *inner)), np.round(255 * x), y


@sick("inputs")
def unscaled_integers():
    x, y = pictures()
    inner = layers.Conv2D(8, 3, activation="relu"), layers.Flatten(), layers.Dense(3)
    return compiled(stack(x.shape[1:], *inner)), (255 * x).astype("uint8"), y


@sick("inputs")
def unscaled_flat_pictures():
    x, y = pictures()
    inner = layers.Flatten(), layers.Dense(32, "relu"), layers.Dense(3)
    return compiled(stack(x.shape[1:], *inner)), np.round(255 * x), y


@sick("inputs")
def columns_in_their_units():
    x = np.abs(numbers(200, 4)) * [1, 40, 0.1, 5e4]
    return compiled(dense(width=4)), x.astype("float32"), Y


@sick("inputs")
def ids_beyond_the_table():
    x, y = sentences(words=60)
    inner = layers.Embedding(50, 8), layers.GlobalAveragePooling1D()
    model = stack((7,), *inner, layers.Dense(1, "sigmoid"))
    return compiled(model, "binary_crossentropy"), x, y


@sick("inputs")
def scaled_ids():
    x, y = sentences()
    inner = layers.Embedding(20, 8), layers.GlobalAveragePooling1D()
    model = stack((7,), *inner, layers.Dense(1, "sigmoid"))
    return compiled(model, "binary_crossentropy"), x / 3.0, y


# --- the first loss ---------------------------------------------------------------


@sick("first_loss")
def far_too_large_initial_weights():
    last = layers.Dense(3, kernel_initializer=keras.initializers.RandomNormal(stddev=9))
    return compiled(stack((8,), layers.Dense(16, "relu"), last)), X, Y


@sick("first_loss")
def masked_out():
    """By a mask that was meant the other way round."""

    def loss(y, p):
        return ops.mean(ops.square(y - p) * ops.cast(ops.abs(y) > 99, "float32"))

    return compiled(dense(1), loss), X, X[:, :1]


# --- examples ---------------------------------------------------------------------


@sick("examples")
def softmax_over_the_batch():
    inner = layers.Dense(3), layers.Softmax(axis=0)
    return compiled(stack((8,), *inner), "mse"), X, keras.utils.to_categorical(Y)


@sick("examples")
def centred_over_the_batch():
    centre = layer(lambda x: x - ops.mean(x, axis=0))
    return compiled(stack((8,), layers.Dense(8), centre, layers.Dense(3))), X, Y


@sick("examples")
def reshaped_for_transposed():
    """Where the axes of batch and time were meant to be swapped and back."""
    x = numbers(100, 6, 4)

    def mixed(x):
        return ops.reshape(ops.transpose(x, (1, 0, 2)), (-1, 6, 4))

    inner = layer(mixed), layers.LSTM(4), layers.Dense(3)
    return compiled(stack((6, 4), *inner)), x, labels(x)


@sick("examples")
def attention_over_the_batch():
    def attend(x):
        return ops.matmul(ops.softmax(ops.matmul(x, ops.transpose(x))), x)

    return compiled(stack((8,), layer(attend), layers.Dense(3))), X, Y


@sick("examples")
def neighbours_added():
    shifted = layer(lambda x: x + ops.roll(x, 1, axis=0))
    return (
        compiled(stack((8,), layers.Dense(8, "relu"), shifted, layers.Dense(3))),
        X,
        Y,
    )


@sick("examples")
def inputs_are_lost():
    lost = layer(lambda x: ops.ones_like(x))
    return compiled(stack((8,), lost, layers.Dense(3))), X, Y


# --- average ----------------------------------------------------------------------


@sick("average")
def summed():
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    return compiled(dense(3), loss), X, Y


@sick("average")
def summed_by_hand():
    model = compiled(dense(1), lambda y, p: ops.sum(ops.square(y - p)))
    return model, X, X[:, :1]


@sick("average")
def divided_by_a_batch_of_32():
    model = compiled(dense(1), lambda y, p: ops.sum(ops.square(y - p)) / 32)
    return model, X, X[:, :1]


@sick("average")
def divided_by_one_too_few():
    def loss(y, p):
        return ops.sum(ops.square(y - p)) / ops.cast(ops.shape(y)[0] - 1, "float32")

    return compiled(dense(1), loss), X, X[:, :1]


@sick("average")
def divided_twice():
    def loss(y, p):
        return ops.mean(ops.square(y - p)) / ops.cast(ops.shape(y)[0], "float32")

    return compiled(dense(1), loss), X, X[:, :1]


@sick("average")
def added_as_a_sum():
    class Penalty(layers.Layer):
        def call(self, x):
            self.add_loss(0.01 * ops.sum(ops.square(x)))
            return x

    return compiled(stack((8,), layers.Dense(16), Penalty(), layers.Dense(3))), X, Y


@sick("average")
def summed_in_own_step():
    class Own(keras.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = ops.sum(ops.square(y - self(x, training=True)))
            own = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, own), own)
            return {"loss": loss}

    inputs = keras.Input((8,))
    return compiled(Own(inputs, layers.Dense(1)(inputs)), "mse"), X, X[:, :1]


# --- weights ----------------------------------------------------------------------


@sick("weights")
def raw_variable():
    class Raw(layers.Layer):
        def __init__(self):
            super().__init__()
            self.scale = tf.Variable(tf.ones(8))

        def call(self, x):
            return x * self.scale

    return compiled(stack((8,), Raw(), layers.Dense(3))), X, Y


class Held:
    """Of which Keras does not know that it holds layers."""

    def __init__(self, *inner):
        self.inner = inner


@sick("weights")
def hidden_layers():
    class Hiding(layers.Layer):
        def __init__(self):
            super().__init__()
            self.held = Held(layers.Dense(8, "relu"))

        def call(self, x):
            return self.held.inner[0](x)

    return compiled(stack((8,), Hiding(), layers.Dense(3))), X, Y


@sick("weights")
def layer_made_in_call():
    class Making(keras.Model):
        def __init__(self):
            super().__init__()
            self.last = layers.Dense(3)

        def call(self, x):
            return self.last(layers.Dense(16, "relu")(x))

    model = Making()
    model(X[:2])
    return compiled(model, LOGITS, run_eagerly=False), X, Y


@sick("weights")
def layer_never_used():
    class Idle(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.second = layers.Dense(16, "relu"), layers.Dense(16)
            self.last = layers.Dense(3)

        def call(self, x):
            return self.last(self.first(x))

    model = Idle()
    model(X[:2]), model.second(X[:2])
    return compiled(model), X, Y


@sick("weights")
def gradient_stopped():
    stop = layer(ops.stop_gradient)
    return compiled(stack((8,), layers.Dense(16, "relu"), stop, layers.Dense(3))), X, Y


@sick("weights")
def rounded():
    rounding = layer(lambda x: ops.round(4 * x) / 4)
    hidden = layers.Dense(16, "tanh")
    return compiled(stack((8,), hidden, rounding, layers.Dense(3))), X, Y


@sick("weights")
def all_frozen():
    model = dense()
    model.trainable = False
    return compiled(model), X, Y


@sick("weights")
def dead_units():
    never = keras.initializers.Constant(-50.0)
    hidden = layers.Dense(16, "relu", bias_initializer=never)
    return compiled(stack((8,), hidden, layers.Dense(3))), X, Y


@sick("weights")
def unfrozen_after_the_optimizer_was_built():
    body = dense(8)
    body.trainable = False
    model = compiled(stack((8,), body, layers.Dense(3)))
    model.optimizer.build(model.trainable_variables)
    body.trainable = True
    return model, X, Y


@sick("weights")
def root_of_zero():
    root = layer(lambda x: ops.sqrt(ops.square(x)))
    hidden = layers.Dense(16, kernel_initializer="zeros")
    return compiled(stack((8,), hidden, root, layers.Dense(3))), X, Y


# --- overfit ----------------------------------------------------------------------


@tf.custom_gradient
def negated(x):
    return x, lambda upstream: -upstream


@sick("overfit")
def gradient_negated():
    return compiled(stack((8,), layers.Dense(3), layer(negated))), X, Y


@sick("examples")
def inputs_times_zero():
    model = stack((8,), layer(lambda x: 0 * x), layers.Dense(16), layers.Dense(3))
    return compiled(model), X, Y


@sick("overfit")
def argmax_on_the_way():
    def chosen(x):
        return ops.one_hot(ops.argmax(x, axis=-1), 3)

    model = stack((8,), layers.Dense(3), layer(chosen))
    return compiled(model, "mse"), X, keras.utils.to_categorical(Y)
