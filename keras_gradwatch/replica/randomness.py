"""Sources of randomness: the knobs that switch them off, and custom draws."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator

import keras
import tensorflow as tf

from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.patches import Patch, Replacement, replaced

_KNOBS = {
    keras.layers.Dropout: ("rate",),
    keras.layers.SpatialDropout1D: ("rate",),
    keras.layers.SpatialDropout2D: ("rate",),
    keras.layers.SpatialDropout3D: ("rate",),
    keras.layers.AlphaDropout: ("rate",),
    keras.layers.GaussianDropout: ("rate",),
    keras.layers.GaussianNoise: ("stddev",),
    keras.layers.SimpleRNNCell: ("dropout", "recurrent_dropout"),
    keras.layers.LSTMCell: ("dropout", "recurrent_dropout"),
    keras.layers.GRUCell: ("dropout", "recurrent_dropout"),
    keras.layers.Attention: ("dropout",),
    keras.layers.AdditiveAttention: ("dropout",),
    keras.layers.MultiHeadAttention: ("_dropout",),
    keras.layers.GroupQueryAttention: ("dropout",),
}

# Draws of no given dtype come in Keras' default float type.
_DRAWS = ("normal", "truncated_normal", "uniform", "gamma", "beta", "binomial")
# What all draws of Keras go through.
_STATELESS = (
    (tf.random, "stateless_normal"),
    (tf.random, "stateless_truncated_normal"),
    (tf.random, "stateless_uniform"),
    (tf.random, "stateless_gamma"),
    (tf.random, "stateless_binomial"),
    (tf.nn.experimental, "stateless_dropout"),
)


@contextlib.contextmanager
def drawn_as_in_training(
    model: keras.Model, compute_dtypes: dict[int, str], kept: set[int]
) -> Iterator[None]:
    """Lets the model's code draw the very numbers that it draws in training.

    A draw in float64 is another one than in float32, and a draw that XLA compiles
    another one than the same draw without it. So each is made as in training, and
    then cast. Only this thread is affected.

    Args:
        model: The live model.
        compute_dtypes: In what each layer computes in training, by its id.
        kept: Ids of layers that stay in their own precision.
    """

    def default(draw, *args, **kwargs):
        value = draw(*args, **kwargs)
        given = inspect.signature(draw).bind(*args, **kwargs).arguments.get("dtype")
        is_kept = id(model) in kept
        return value if is_kept or given is not None else tf.cast(value, tf.float64)

    def stateless(draw, *args, **kwargs):
        own = compute_dtypes.get(id(_running_layer()), keras.config.floatx())
        return _as_compiled(model, draw, own, args, kwargs)

    with replaced(
        [
            *(Replacement(keras.random, name, default) for name in _DRAWS),
            *(Replacement(module, name, stateless) for module, name in _STATELESS),
        ]
    ):
        yield


def _as_compiled(model, draw, own, args, kwargs):
    """One draw in the precision `own`, compiled by XLA if the model is."""
    arguments = inspect.signature(draw).bind(*args, **kwargs).arguments
    arguments = {name: _constant(value) for name, value in arguments.items()}
    if "x" in arguments:  # dropout: the mask is what is drawn
        x, rate = arguments["x"], arguments["rate"]
        ones = tf.ones_like(x, own if x.dtype == tf.float64 else x.dtype)
        mask = _run(model, draw, {**arguments, "x": ones}) != 0
        return tf.where(mask, x / tf.cast(1 - rate, x.dtype), tf.zeros_like(x))
    if tf.as_dtype(arguments.get("dtype", tf.float32)) != tf.float64:
        return _run(model, draw, arguments)
    arguments["dtype"] = own
    for name in ("minval", "maxval", "mean", "stddev", "alpha"):
        if tf.is_tensor(arguments.get(name)):
            arguments[name] = tf.cast(arguments[name], own)
    return tf.cast(_run(model, draw, arguments), tf.float64)


def _run(model, draw, arguments):
    if not model.jit_compile:
        return draw(**arguments)
    tensors = {name: v for name, v in arguments.items() if tf.is_tensor(v)}
    others = {name: v for name, v in arguments.items() if name not in tensors}
    return tf.function(
        lambda tensors: draw(**tensors, **others), jit_compile=True, autograph=False
    )(tensors)


def _constant(value):
    """A shape as numbers where they are known: XLA needs them."""
    if tf.is_tensor(value) and value.dtype.is_integer:
        known = tf.get_static_value(value)
        return value if known is None else known
    return value


def _running_layer():
    """The innermost layer whose code called us, or None."""
    frame = inspect.currentframe()
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, keras.Layer):
            return owner
        frame = frame.f_back
    return None


def bypassed(model: keras.Model) -> list[Patch]:
    """What to change so that no layer drops or adds anything at random.

    Args:
        model: The live model.

    Returns:
        A list of `Patch`, for nested models, wrappers and RNN cells too.
    """
    patches = []
    for layer in internals.all_layers(model):
        if not type(layer).call.__module__.startswith("keras."):
            continue  # a user's own forward and backward pass: it must run
        names = {
            n for kind, ns in _KNOBS.items() if isinstance(layer, kind) for n in ns
        }
        if callable(getattr(layer, "get_dropout_mask", None)):  # a cell of ConvLSTM
            names |= {"dropout", "recurrent_dropout"}
        patches += [Patch(layer, n, 0.0) for n in sorted(names) if n in layer.__dict__]
    return patches
