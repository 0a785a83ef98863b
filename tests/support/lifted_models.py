"""Small models of which each has something that is hard to compute in float64.

`LIFTED` maps a name to a function `(rng, *fault) -> (model, x, y)`. What is given as
`fault` stands behind the part in question; all layers before it are upstream of it.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from tests.support.models import half

LIFTED = {}
# Models whose own draw can't be had again: of a stream that a check must not advance.
DRAWN = set()
# How near the model's own loss is, where it does not compute in float32.
OWN_PRECISION = {}
# How near the gradient is to the slope, where the backward pass has constants that
# TensorFlow has rounded to float32.
SLOPES = {}
# What is judged in float32: an operation that has no other, or code without a graph.
IN_FLOAT32 = set()


def lifted(drawn=False, precision=None, slope=None, in_float32=False):
    def listed(build):
        name = build.__name__.strip("_")
        LIFTED[name] = build
        if drawn:
            DRAWN.add(name)
        if precision is not None:
            OWN_PRECISION[name] = precision
        if slope is not None:
            SLOPES[name] = slope
        if in_float32:
            IN_FLOAT32.add(name)
        return build

    return listed


def fault():
    """A layer that halves the gradient on its way back."""
    return layers.Lambda(half, name="fault")


def upstream(model):
    """Paths of the weights before the fault."""
    names = [layer.name for layer in model.layers]
    before = model.layers[: names.index("fault")]
    return {v.path for layer in before for v in layer.trainable_variables}


def numbers(rng, *shape):
    return rng.normal(size=shape).astype("float32")


def parted(fault, *parts, kind=keras.Sequential, inputs=(4,), last=2):
    return kind([keras.Input(inputs), *parts, *fault, layers.Dense(last)])


def trained(model, rng, loss="mse", **options):
    model.compile("sgd", loss, jit_compile=False, **options)
    return model, numbers(rng, 6, 4), numbers(rng, 6, 2)


def around(rng, fault, *parts, kind=keras.Sequential, loss="mse", **options):
    """A model with some parts behind a first layer, compiled, and its data."""
    model = parted(fault, layers.Dense(4, "tanh"), *parts, kind=kind)
    return trained(model, rng, loss, **options)


def computing(function, **options):
    """Lists a model with a function in its middle."""

    def listed(name):
        def build(rng, *fault):
            return around(rng, fault, layers.Lambda(function))

        build.__name__ = name
        lifted(**options)(build)

    return listed


class RmsNorm(layers.Layer):
    """Computes in float32, whatever comes."""

    def build(self, shape):
        self.scale = self.add_weight(shape=shape[-1:], initializer="ones")

    def call(self, x):
        wide = ops.cast(x, "float32")
        size = ops.rsqrt(ops.mean(ops.square(wide), axis=-1, keepdims=True) + 1e-6)
        return ops.cast(wide * size, x.dtype) * self.scale


@lifted()
def rms_norm_with_casts(rng, *fault):
    return around(rng, fault, RmsNorm())


def _one_hot(x):
    return x + x[:, :1] * ops.one_hot(ops.cast(x[:, 0] > 0, "int32"), 4)


def _zeros(x):
    return ops.concatenate([x, ops.zeros((ops.shape(x)[0], 2))], axis=-1)


computing(_one_hot)("one_hot")
computing(_zeros)("zeros")
computing(lambda x: x + tf.one_hot(tf.argmax(x, -1), 4))("one_hot_of_tensorflow")
computing(lambda x: x @ tf.linalg.diag(tf.range(1.0, 5.0)))("constants_of_tensorflow")


class OwnStep(keras.Sequential):
    """Trains with a tape of its own on what its kinds have as `loss_of`."""

    def train_step(self, data):
        with tf.GradientTape() as tape:
            loss = self.loss_of(*data[:2])
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


class Casting(OwnStep):
    def loss_of(self, x, y):
        seen = ops.cast(self(x, training=True), "float32")
        return ops.mean(ops.square(ops.cast(y, "float32") - seen))


class Drawing(OwnStep):
    def loss_of(self, x, y):
        noise = tf.random.normal(tf.shape(x))
        return tf.reduce_mean((self(x + 0.1 * noise, training=True) - y) ** 2)


@lifted()
def cast_in_a_step(rng, *fault):
    return around(rng, fault, kind=Casting)


class Seeded(OwnStep):
    """Draws with a generator of its own."""

    seeds = None

    def loss_of(self, x, y):
        noise = keras.random.normal(ops.shape(x), seed=self.seeds)
        return ops.mean((self(x + 0.1 * noise, training=True) - y) ** 2)


@lifted()
def draw_of_keras_in_a_step(rng, *fault):
    found = around(rng, fault, kind=Seeded)
    found[0].seeds = keras.random.SeedGenerator(3)
    return found


@lifted(drawn=True)
def draw_of_tensorflow_in_a_step(rng, *fault):
    return around(rng, fault, kind=Drawing)


@lifted(drawn=True)
def draw_of_tensorflow_in_a_loss(rng, *fault):
    def loss(y, seen):
        smooth = y + 0.1 * tf.random.uniform(tf.shape(seen))
        return tf.reduce_mean((smooth - seen) ** 2, axis=-1)

    return around(rng, fault, loss=loss)


computing(lambda x: x + tf.random.normal(tf.shape(x)), drawn=True)(
    "draw_of_tensorflow_in_a_layer"
)


class Generating(layers.Layer):
    def __init__(self):
        super().__init__()
        self.generator = tf.random.Generator.from_seed(3)

    def call(self, x):
        shape = tf.shape(x)
        return x * self.generator.uniform(shape) + self.generator.normal(shape)


@lifted()
def generator_of_tensorflow(rng, *fault):
    return around(rng, fault, Generating())


computing(lambda x: ops.gelu(x, approximate=False), slope=1e-7)("exact_gelu")


class Orthogonal(keras.Regularizer):
    def __call__(self, w):
        off = ops.matmul(ops.transpose(w), w) - ops.eye(w.shape[1])
        return 0.1 * ops.sum(ops.square(off))


@lifted()
def regulariser_with_eye(rng, *fault):
    return around(rng, fault, layers.Dense(3, kernel_regularizer=Orthogonal()))


def _images(part, shape=(4, 3, 2)):
    def build(rng, *fault):
        first = layers.Dense(int(np.prod(shape)), "tanh")
        parts = (first, layers.Reshape(shape), part(), layers.Flatten())
        return trained(parted(fault, *parts), rng)

    return build


def _listed(name, build):
    build.__name__ = name
    lifted()(build)


for _kind in ("bilinear", "bicubic"):
    _listed(
        f"{_kind}_upsampling",
        _images(lambda kind=_kind: layers.UpSampling2D(2, interpolation=kind)),
    )
    _listed(
        f"{_kind}_resizing",
        _images(lambda kind=_kind: layers.Resizing(5, 2, interpolation=kind)),
    )
    _listed(
        f"{_kind}_resizing_of_tensorflow",
        _images(
            lambda kind=_kind: layers.Lambda(lambda x: tf.image.resize(x, [3, 7], kind))
        ),
    )
for _pool in (layers.MaxPooling3D, layers.AveragePooling3D):
    for _padding in ("valid", "same"):
        _listed(
            f"{_pool.__name__}_{_padding}",
            _images(
                lambda pool=_pool, padding=_padding: pool(
                    (2, 3, 2), (1, 2, 2), padding
                ),
                (3, 4, 3, 2),
            ),
        )


def _kept(name, function):
    """Lists what has a kernel in float32 alone."""
    build = _images(lambda: layers.Lambda(function))
    build.__name__ = name
    lifted(in_float32=True)(build)


_kept("local_response_normalization", tf.nn.local_response_normalization)
_kept("antialiased_resizing", lambda x: tf.image.resize(x, [2, 3], antialias=True))


def _labelled(rng, fault, loss, last=4):
    parts = layers.Reshape((2, 2)), layers.SimpleRNN(3, return_sequences=True)
    up = layers.UpSampling1D(3)
    model = parted(fault, layers.Dense(4, "tanh"), *parts, up, last=last)
    model.compile("sgd", loss, jit_compile=False)
    return model, numbers(rng, 6, 4), rng.integers(1, last, (6, 2))


@lifted()
def ctc_of_keras(rng, *fault):
    return _labelled(rng, fault, keras.losses.CTC())


@lifted()
def ctc_of_tensorflow(rng, *fault):
    def loss(y, seen):
        count = tf.shape(y)[0]
        return tf.nn.ctc_loss(
            tf.cast(y, tf.int32),
            seen,
            tf.fill([count], 2),
            tf.fill([count], 6),
            logits_time_major=False,
        )

    return _labelled(rng, fault, loss)


@lifted(in_float32=True)
def ctc_of_sparse_labels(rng, *fault):
    def loss(y, seen):
        return tf.nn.ctc_loss(
            tf.sparse.from_dense(tf.cast(y, tf.int32)),
            seen,
            None,
            tf.fill([tf.shape(y)[0]], 6),
            logits_time_major=False,
            blank_index=0,
        )

    return _labelled(rng, fault, loss)


def _while(x):
    return tf.while_loop(
        lambda i, y: i < 3, lambda i, y: (i + 1, tf.sin(y) + x), (0, x)
    )[1]


def _scan(x):
    rows = tf.scan(lambda a, b: tf.tanh(a + b), tf.transpose(x))
    return tf.transpose(rows)


def _cond(x):
    return tf.cond(tf.reduce_sum(x) > 0, lambda: tf.sin(x), lambda: 2 * tf.cos(x))


def _switch(x):
    chosen = tf.cast(tf.reduce_sum(x) > 0, tf.int32)
    return tf.switch_case(chosen, [lambda: tf.sin(x), lambda: tf.cos(x)])


def _keras_scan(x):
    def step(carry, row):
        carry = ops.tanh(carry + row)
        return carry, carry

    return ops.transpose(ops.scan(step, ops.zeros_like(x[:, 0]), ops.transpose(x))[1])


computing(_while)("while_loop")
computing(_scan)("scan")
computing(_cond)("cond")
computing(_switch)("switch_case")
computing(lambda x: tf.map_fn(lambda row: tf.sin(row) * row[0], x))("map_fn")
computing(lambda x: tf.vectorized_map(lambda row: tf.sin(row) * row[0], x))(
    "vectorized_map"
)
computing(_keras_scan)("scan_of_keras")
computing(lambda x: ops.fori_loop(0, 3, lambda i, y: ops.sin(y) + x, x))("fori_loop")
computing(lambda x: ops.map(lambda row: ops.sin(row), x))("map_of_keras")
computing(lambda x: ops.cond(ops.sum(x) > 0, lambda: ops.sin(x), lambda: ops.cos(x)))(
    "cond_of_keras"
)


@tf.function
def _looping(x):
    y = x
    for _ in tf.range(3):
        y = tf.sin(y) + x if tf.reduce_sum(y) > 0 else tf.cos(y)
    return y


def _tensor_array(x):
    rows = tf.TensorArray(x.dtype, size=0, dynamic_size=True)

    def body(i, rows):
        return i + 1, rows.write(i, tf.sin(x) * tf.cast(i, x.dtype))

    rows = tf.while_loop(lambda i, rows: i < 3, body, (0, rows))[1]
    return tf.reduce_sum(rows.stack(), axis=0)


computing(_looping)("loop_of_autograph")
computing(_tensor_array)("tensor_array")
computing(lambda x: tf.cast(tf.sin(tf.cast(x, tf.float64)), x.dtype))("double_inside")


class Recomputing(layers.Layer):
    """Computes its forward pass again in the backward pass."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], shape[-1]), name="kernel")

    def call(self, x):
        return tf.recompute_grad(
            lambda x: tf.tanh(x @ tf.convert_to_tensor(self.kernel))
        )(x)


@lifted()
def recompute_grad(rng, *fault):
    return around(rng, fault, Recomputing())


@lifted()
def remat_scope(rng, *fault):
    with keras.RematScope(mode="full"):
        # Not `Dense`: what takes `training` does not train in this scope at all.
        parts = RmsNorm(), layers.LayerNormalization(), RmsNorm()
    return around(rng, fault, *parts)


def _ragged(x):
    parts = tf.RaggedTensor.from_row_lengths(tf.reshape(x, [-1]), [3, 5, 0, 8, 4, 4])
    sums = tf.reduce_sum(tf.sin(parts), axis=1)
    return tf.concat([x, sums[:, None]], axis=-1)


computing(_ragged)("ragged")


def _segments(x):
    sums = tf.math.segment_sum(x, [0, 0, 1, 2, 2, 3])
    return x + tf.reduce_sum(sums**2) + tf.gather(sums, [0, 3, 2, 1, 0, 0])


computing(_segments)("segments")


def _sparse(x):
    entries = tf.SparseTensor([[0, 1], [1, 3], [2, 0]], x[0, :3], [3, 4])
    return (
        x + tf.transpose(tf.sparse.sparse_dense_matmul(entries, tf.transpose(x)))[:, :1]
    )


computing(_sparse)("sparse")


class LookingUp(layers.Layer):
    def __init__(self):
        super().__init__()
        pairs = tf.lookup.KeyValueTensorInitializer(
            tf.range(2, dtype=tf.int64), tf.constant([0.3, 1.7])
        )
        self.table = tf.lookup.StaticHashTable(pairs, 0.0)

    def call(self, x):
        return x * self.table.lookup(tf.cast(x > 0, tf.int64))


@lifted()
def table_to_look_up(rng, *fault):
    return around(rng, fault, LookingUp())


class Compiled(layers.Layer):
    """Its call is compiled by the user."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], shape[-1]), name="kernel")

    @tf.function
    def call(self, x):
        return tf.sin(x @ tf.convert_to_tensor(self.kernel))


class CompiledByXla(layers.Layer):
    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], shape[-1]), name="kernel")

    @tf.function(jit_compile=True)
    def call(self, x):
        return tf.sin(x @ tf.convert_to_tensor(self.kernel))


@lifted()
def layer_compiled_by_the_user(rng, *fault):
    return around(rng, fault, Compiled())


@lifted()
def layer_compiled_by_xla(rng, *fault):
    return around(rng, fault, CompiledByXla())


@tf.function
def _twice(x):
    return tf.sin(2 * x)


computing(lambda x: _twice(_twice(x)))("function_called_twice")


def _fft(x):
    seen = tf.signal.fft(tf.complex(x, tf.zeros_like(x)))
    return tf.math.real(seen) * tf.math.imag(seen) + tf.abs(seen)


computing(_fft)("fft")
computing(lambda x: tf.abs(tf.signal.rfft(x)) ** 2)("rfft")
computing(lambda x: tf.signal.irfft(tf.signal.rfft(x) ** 2))("irfft")


def _policy(policy, rng, fault):
    parts = [layers.Dense(4, "tanh", dtype=policy) for _ in range(2)]
    return trained(parted(fault, *parts), rng)


@lifted(precision=1e-2)
def mixed_float16(rng, *fault):
    return _policy("mixed_float16", rng, fault)


@lifted(precision=3e-2)
def mixed_bfloat16(rng, *fault):
    return _policy("mixed_bfloat16", rng, fault)


@lifted(precision=3e-2)
def bfloat16(rng, *fault):
    return _policy("bfloat16", rng, fault)


computing(
    lambda x: ops.cast(ops.sin(ops.cast(x, "float16")), "float32"), precision=1e-2
)("cast_to_float16")


@lifted()
def model_compiled_by_xla(rng, *fault):
    model, x, y = around(rng, fault, layers.Dropout(0.3), layers.GaussianNoise(0.1))
    model.compile("sgd", "mse", jit_compile=True)
    return model, x, y


@lifted()
def dropout_and_noise(rng, *fault):
    return around(rng, fault, layers.Dropout(0.3), layers.GaussianNoise(0.1))


@lifted()
def eager(rng, *fault):
    return around(rng, fault, layers.Dense(3, "tanh"), run_eagerly=True)


@lifted(in_float32=True)
def eager_code_that_needs_values(rng, *fault):
    def curious(x):
        return x * 2 if float(x[0, 0]) > 0 else ops.sin(x)

    part = layers.Lambda(curious, output_shape=(4,))
    return around(rng, fault, part, run_eagerly=True)


class Raw(layers.Layer):
    """Reads a variable of TensorFlow's that Keras does not know."""

    def __init__(self):
        super().__init__()
        self.factors = tf.Variable([0.3, 0.7, 1.1, 1.9], trainable=False)

    def call(self, x):
        return x * self.factors + tf.gather(self.factors, [0, 1, 2, 0])


@lifted()
def raw_variable(rng, *fault):
    return around(rng, fault, Raw())


def _tokens(rng, fault, *parts, kind=keras.Sequential):
    inputs = keras.Input((4,), dtype="int32")
    model = kind([inputs, *parts, *fault, layers.Dense(2)])
    model, _, y = trained(model, rng)
    return model, rng.integers(0, 5, (6, 4)), y


@lifted()
def sparse_gradient_of_an_embedding(rng, *fault):
    return _tokens(rng, fault, layers.Embedding(5, 3), layers.GlobalAveragePooling1D())


class Gathering(layers.Layer):
    """Looks rows of its table up in a loop."""

    def build(self, shape):
        self.table = self.add_weight(shape=(5, 3), name="table")

    def call(self, tokens):
        start = tf.zeros([tf.shape(tokens)[0], 3])

        def body(i, state):
            rows = tf.nn.embedding_lookup(self.table.value, tokens[:, i])
            return i + 1, tf.tanh(state + rows)

        loop = tf.while_loop(lambda i, state: i < 4, body, (0, start))
        return loop[1]


@lifted()
def embedding_in_a_loop(rng, *fault):
    return _tokens(rng, fault, Gathering())


class OfVariables(layers.Layer):
    """A gradient by hand that is handed the variables, too."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")

    def call(self, x):
        @tf.custom_gradient
        def scaled(x):
            scale = tf.convert_to_tensor(self.scale)

            def grad(dy, variables=None):
                given = [tf.reduce_sum(dy * x, 0)] * len(variables or ())
                return dy * scale, given

            return x * scale, grad

        return scaled(x)


@lifted()
def custom_gradient_of_variables(rng, *fault):
    return around(rng, fault, OfVariables())
