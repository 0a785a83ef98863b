"""Models with layers, losses and variables of their own."""

import keras
import tensorflow as tf
from keras import layers, ops

from tests.support.kinds.registry import done, kind, numbers, stack, train
from tests.support.kinds.standard import NoConfig


class Holder(layers.Layer):
    def __init__(self):
        super().__init__()
        self.inner = layers.Dense(4, "tanh")
        self.more = [layers.Dense(4), (layers.Dense(4), {"deep": layers.Dense(4)})]

    def call(self, x):
        x = self.more[0](self.inner(x))
        return x + self.more[1][0](x) * self.more[1][1]["deep"](x)


@kind
def layer_that_holds_layers(rng):
    return done(stack(Holder()), rng)


class Borrower(layers.Layer):
    """Uses the variable of another layer."""

    def __init__(self, lender):
        super().__init__()
        self.lender = lender

    def call(self, x):
        return ops.matmul(x, ops.transpose(self.lender.kernel))


@kind
def one_variable_in_two_layers(rng):
    inputs = keras.Input((4,))
    lender = layers.Dense(3, "tanh")
    return done(keras.Model(inputs, Borrower(lender)(lender(inputs))), rng, outputs=4)


@kind
def reversible_embedding(rng):
    table = layers.ReversibleEmbedding(7, 3)
    inputs = keras.Input((5,), dtype="int32")
    outputs = table(layers.Dense(3, "tanh")(table(inputs)), reverse=True)
    x = rng.integers(0, 7, (6, 5))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model, x, x


@kind
def frozen_layers(rng):
    model = stack(layers.Dense(4, trainable=False), layers.BatchNormalization())
    model.layers[-2].trainable = False
    return done(model, rng)


@kind
def lora(rng):
    middle = layers.Dense(4)
    model = stack(middle)
    middle.enable_lora(2)
    return train(*done(model, rng))


@kind
def int8_with_lora(rng):
    # At the input: upstream of a quantised layer, Keras' gradient is a
    # straight-through one, which is meant to differ.
    first = layers.Dense(4)
    model = keras.Sequential([keras.Input((4,)), first, layers.Dense(2)])
    first.quantize("int8")
    first.enable_lora(2)
    return train(*done(model, rng))


@kind
def lambda_layer(rng):
    return done(stack(layers.Lambda(lambda x: ops.sin(x))), rng)


@kind
def time_distributed(rng):
    model = keras.Sequential(
        [keras.Input((3, 4)), layers.TimeDistributed(layers.Dense(2)), layers.Flatten()]
    )
    return done(model, rng, numbers(rng, 6, 3, 4), outputs=6)


class CustomLoss(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return ops.log(ops.cosh(y_true - y_pred))


@kind
def custom_loss_object(rng):
    return done(stack(), rng, loss=CustomLoss())


@kind
def no_reduction(rng):
    return done(stack(), rng, loss=keras.losses.MeanSquaredError(reduction="sum"))


class OwnLoss(keras.Model):
    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        return ops.mean((y - y_pred) ** 4) + 0.01 * ops.sum(self.layers[1].kernel ** 2)


@kind
def own_compute_loss(rng):
    inputs = keras.Input((4,))
    return done(OwnLoss(inputs, layers.Dense(2)(inputs)), rng)


@kind
def rematerialised(rng):
    wide = keras.remat(lambda x: ops.tanh(ops.concatenate([x, 2 * x], axis=-1)))
    return done(stack(layers.Lambda(wide)), rng)


@kind
def eager_model(rng):
    return done(stack(), rng, run_eagerly=True)


@kind
def policy_map(rng):
    policies = keras.dtype_policies.DTypePolicyMap(default_policy="float32")
    return done(stack(layers.Dense(4, dtype=policies)), rng)


class Untracked(layers.Layer):
    """Keeps a variable where Keras does not see it."""

    def __init__(self):
        super().__init__()
        self.hidden = (keras.Variable(2.0, trainable=False),)
        self.kernel = self.add_weight(shape=(4, 4), name="kernel")

    def call(self, x):
        return ops.tanh(x @ self.kernel) * self.hidden[0]


@kind
def untracked_variable(rng):
    return done(stack(Untracked()), rng)


class WithVariables(layers.Layer):
    """A right gradient by hand, of the input and of a weight."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")

    def call(self, x):
        @tf.custom_gradient
        def scaled(x, scale):
            def grad(dy):
                return dy * scale, tf.reduce_sum(dy * x, 0)

            return x * scale, grad

        return scaled(x, ops.convert_to_tensor(self.scale))


@kind
def custom_gradient(rng):
    return done(stack(WithVariables()), rng)


@kind
def nested_subclass(rng):
    inner = NoConfig(ops.tanh, 3)
    inputs = keras.Input((4,))
    return done(keras.Model(inputs, layers.Dense(2)(inner(inputs))), rng)


@kind
def scalar_weight(rng):
    return done(stack(layers.PReLU(shared_axes=[1]), ScalarScale()), rng)


class ScalarScale(layers.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, x):
        return x * self.scale


@kind
def gradient_accumulation_and_loss_scaling(rng):
    model, x, y = done(stack(), rng)
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    model.compile(optimizer, "mse", jit_compile=False)
    return model, x, y
