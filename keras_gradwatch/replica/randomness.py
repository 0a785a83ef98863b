"""Sources of randomness: the knobs that switch them off, and custom draws."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator

import keras
import tensorflow as tf

from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.patches import Patch, Replacement, replaced
from keras_gradwatch.replica.precision import DOUBLE, TRAINING

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
    keras.layers.MultiHeadAttention: (internals.DROPOUT_OF_ATTENTION,),
    keras.layers.GroupQueryAttention: ("dropout",),
}

# Of a cell that has masks made by Keras: by which methods, and how many in each.
_MASKS, _COUNT = (
    ("get_dropout_mask", "get_recurrent_dropout_mask"),
    "dropout_mask_count",
)

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
    model: keras.Model, compute_dtypes: dict[int, str], precision: str
) -> Iterator[None]:
    """Lets the model's code draw the very numbers that it draws in training.

    A draw in float64 is another one than in float32, and a draw that XLA compiles
    another one than the same draw without it. So each is made as in training, and
    then cast. Only this thread is affected.

    Args:
        model: The live model.
        compute_dtypes: In what each layer computes in training, by its id.
        precision: In what its code runs now, see `precision`.
    """

    is_default = [False]  # whether the draw that runs was asked for no dtype

    def keras_draw(draw, *args, **kwargs):
        before, arguments = is_default[0], inspect.signature(draw).bind(*args, **kwargs)
        is_default[0] = arguments.arguments.get("dtype") is None
        try:
            value = draw(*args, **kwargs)
        finally:
            given, is_default[0] = not is_default[0], before
        return value if given or precision != DOUBLE else tf.cast(value, tf.float64)

    def stateless(draw, *args, **kwargs):
        own = compute_dtypes.get(id(_running_layer()), keras.config.floatx())
        raised = None
        if precision != TRAINING and own != precision and not is_default[0]:
            raised = tf.as_dtype(precision)
        return _as_compiled(model, draw, own, raised, args, kwargs)

    module = internals.backend_random()
    with replaced(
        [
            *(Replacement(module, name, keras_draw) for name in _DRAWS),
            *(Replacement(module, name, stateless) for module, name in _STATELESS),
        ]
    ):
        yield


def _as_compiled(model, draw, own, raised, args, kwargs):
    """One draw in the precision `own`, compiled by XLA if the model is.

    What comes in the type `raised` would come in `own` in training.
    """
    arguments = inspect.signature(draw).bind(*args, **kwargs).arguments
    arguments = {name: _constant(value) for name, value in arguments.items()}
    if "x" in arguments:  # dropout: the mask is what is drawn
        x, rate = arguments["x"], arguments["rate"]
        if x.dtype != raised:
            return _run(model, draw, arguments)
        mask = _run(model, draw, {**arguments, "x": tf.ones_like(x, own)}) != 0
        return tf.where(mask, x / tf.cast(1 - rate, x.dtype), tf.zeros_like(x))
    if tf.as_dtype(arguments.get("dtype", tf.float32)) != raised:
        return _run(model, draw, arguments)
    arguments["dtype"] = own
    for name in ("minval", "maxval", "mean", "stddev", "alpha"):
        if tf.is_tensor(arguments.get(name)):
            arguments[name] = tf.cast(arguments[name], own)
    return tf.cast(_run(model, draw, arguments), raised)


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
    found = []
    for layer in internals.all_layers(model):
        found += [Patch(layer, name, 0.0) for name in _knobs(layer)]
        found += [Patch(layer, name, mask) for name, mask in _masks(layer)]
    return found


def drawing(model: keras.Model) -> list[keras.Layer]:
    """The layers that `bypassed` would switch off: they draw at random by now."""
    return [
        layer
        for layer in internals.all_layers(model)
        if any(layer.__dict__[name] for name in _knobs(layer))
    ]


def _knobs(layer):
    """The attributes of a layer of Keras that say how much it drops or adds."""
    if not type(layer).call.__module__.startswith("keras."):
        return []  # a user's own forward and backward pass: it must run
    names = {n for kind, ns in _KNOBS.items() if isinstance(layer, kind) for n in ns}
    if callable(getattr(layer, _MASKS[0], None)):  # a cell of ConvLSTM
        names |= {"dropout", "recurrent_dropout"}
    return [name for name in sorted(names) if name in layer.__dict__]


def _masks(layer):
    """What masks a cell that is not of the list is to use: it may expect one always."""
    if isinstance(layer, tuple(_KNOBS)) or not _knobs(layer):
        return []

    def ones(step_input):
        mask, count = tf.ones_like(step_input), getattr(layer, _COUNT, None)
        return mask if count is None else [mask] * count

    return [(name, ones) for name in _MASKS if callable(getattr(layer, name, None))]
