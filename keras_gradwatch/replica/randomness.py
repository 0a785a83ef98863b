"""Sources of randomness: the knobs that switch them off, and custom draws."""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading

import keras
import tensorflow as tf

from keras_gradwatch.replica import keras_internals as internals
from keras_gradwatch.replica.patches import Patch

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


@contextlib.contextmanager
def draws_in_double():
    """Casts what `keras.random` draws in the default float type to float64.

    Custom layers mix such draws with their inputs, which are in float64 here.
    The numbers are those that training would draw. Only this thread is affected.
    """
    thread = threading.get_ident()
    originals = {name: getattr(keras.random, name) for name in _DRAWS}

    def in_double(draw):
        parameters = inspect.signature(draw)

        @functools.wraps(draw)
        def drawn(*args, **kwargs):
            value = draw(*args, **kwargs)
            given = parameters.bind(*args, **kwargs).arguments.get("dtype")
            if given is not None or threading.get_ident() != thread:
                return value
            return tf.cast(value, tf.float64)

        return drawn

    try:
        for name, draw in originals.items():
            setattr(keras.random, name, in_double(draw))
        yield
    finally:
        for name, draw in originals.items():
            setattr(keras.random, name, draw)


def bypassed(model) -> list[Patch]:
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
