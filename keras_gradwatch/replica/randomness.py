"""The knobs that switch dropout and noise off, layer by layer."""

from __future__ import annotations

import keras

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
