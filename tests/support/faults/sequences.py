"""Wrong backward passes of recurrent layers, attention and embeddings."""

from __future__ import annotations

import keras
import tensorflow as tf

from tests.support.faults.library import (
    WeightedOp,
    compiled,
    fault,
    with_backward,
)
from tests.support.models import normal


def _over_steps(middle, rng, examples=6):
    """Dense "below" on each step, something over time, Dense "above"."""
    inputs = keras.Input((5, 4))
    hidden = keras.layers.Dense(4, "tanh", name="below")(inputs)
    outputs = keras.layers.Dense(2, name="above")(middle(hidden))
    return (
        compiled(inputs, outputs),
        normal(rng, examples, 5, 4),
        normal(rng, examples, 2),
    )


def _lstm(gate_of):
    """An LSTM over five steps; `gate_of` is how the gates are computed."""

    def run(x, kernel, recurrent, bias):
        h = c = tf.zeros_like(x[:, 0])
        for t in range(5):
            z = x[:, t] @ kernel + h @ recurrent + bias
            i, f, g, o = tf.split(z, 4, -1)
            c = gate_of["f"](f) * c + gate_of["i"](i) * tf.tanh(g)
            h = gate_of["o"](o) * tf.tanh(c)
        return h

    return run


def _wrong_gate(name, which, backward):
    @fault(name, "below", "middle")
    def build(wrong, rng):
        gates = dict.fromkeys("ifo", tf.sigmoid)
        gates[which] = with_backward(tf.sigmoid, backward, wrong)
        shapes = {"kernel": (4, 16), "recurrent": (4, 16), "bias": (16,)}
        return _over_steps(WeightedOp(_lstm(gates), shapes, name="middle"), rng)


_wrong_gate("LSTM: forget gate's gradient zero", "f", lambda dy, x: 0 * dy)
_wrong_gate(
    "LSTM: input gate with tanh's gradient",
    "i",
    lambda dy, x: dy * (1 - tf.tanh(x) ** 2),
)
_wrong_gate(
    "LSTM: output gate's gradient halved",
    "o",
    lambda dy, x: 0.5 * dy * tf.sigmoid(x) * (1 - tf.sigmoid(x)),
)


def _rnn(state):
    """A simple RNN; `state` is applied to what goes from step to step."""

    def run(x, kernel, recurrent):
        h = tf.zeros_like(x[:, 0])
        for t in range(5):
            h = tf.tanh(x[:, t] @ kernel + state(h, t) @ recurrent)
        return h

    return run


def _recurrent(name, state, *upstream):
    @fault(name, *upstream)
    def build(wrong, rng):
        run = _rnn(state if wrong else lambda h, t: h)
        shapes = {"kernel": (4, 4), "recurrent": (4, 4)}
        return _over_steps(WeightedOp(run, shapes, name="middle"), rng)


_recurrent(
    "recurrent state detached", lambda h, t: tf.stop_gradient(h), "below", "middle"
)
_recurrent(
    "recurrent state detached halfway",
    lambda h, t: tf.stop_gradient(h) if t == 3 else h,
    "below",
    "middle",
)


@fault("backward pass through time in the wrong order", "below")
def _(wrong, rng):
    decay = tf.constant([0.5, 0.6, 0.7, 0.8, 0.9])
    op = with_backward(
        lambda x: tf.einsum("bti,t->bi", x, tf.cast(decay, x.dtype)),
        lambda dy, x: tf.einsum("bi,t->bti", dy, tf.cast(decay[::-1], x.dtype)),
        wrong,
    )
    return _over_steps(keras.layers.Lambda(op, output_shape=(4,)), rng)


@fault("last step without a gradient", "below")
def _(wrong, rng):
    op = with_backward(
        lambda x: tf.reduce_sum(x, 1),
        lambda dy, x: dy[:, None] * tf.constant([1, 1, 1, 1, 0], dy.dtype)[:, None],
        wrong,
    )
    return _over_steps(keras.layers.Lambda(op, output_shape=(4,)), rng)


def _attention(scores=tf.identity, weights=tf.identity):
    """Attention of one head; functions are applied to scores and weights."""

    def run(x, query, key, value):
        products = tf.einsum("bti,bsi->bts", x @ query, x @ key)
        attended = weights(tf.nn.softmax(scores(products)))
        return tf.reduce_mean(attended @ (x @ value), 1)

    return run


_SHAPES = {"query": (4, 4), "key": (4, 4), "value": (4, 4)}


@fault("attention weights detached", "below", "middle/query", "middle/key")
def _(wrong, rng):
    run = _attention(weights=tf.stop_gradient if wrong else tf.identity)
    return _over_steps(WeightedOp(run, _SHAPES, name="middle"), rng)


@fault("attention's scale forgotten backward", "below", "middle/query", "middle/key")
def _(wrong, rng):
    scaled = with_backward(lambda s: s / 2, lambda dy, s: dy, wrong)
    run = _attention(scores=scaled)
    return _over_steps(WeightedOp(run, _SHAPES, name="middle"), rng)


@fault(
    "attention's softmax over the wrong axis backward",
    "below",
    "middle/query",
    "middle/key",
)
def _(wrong, rng):
    def backward(dy, s):
        p = tf.nn.softmax(s)
        return p * (dy - tf.reduce_sum(dy * p, 1, keepdims=True))

    softmax = with_backward(tf.nn.softmax, backward, wrong)

    def run(x, query, key, value):
        products = tf.einsum("bti,bsi->bts", x @ query, x @ key)
        return tf.reduce_mean(softmax(products) @ (x @ value), 1)

    return _over_steps(WeightedOp(run, _SHAPES, name="middle"), rng)


@fault("causal mask leaks backward", "below", "middle/query", "middle/key")
def _(wrong, rng):
    def masked(s):
        future = tf.linalg.band_part(tf.ones_like(s), -1, 0) == 0
        return tf.where(future, tf.cast(-1e9, s.dtype), s)

    run = _attention(scores=with_backward(masked, lambda dy, s: dy[:, ::-1], wrong))
    return _over_steps(WeightedOp(run, _SHAPES, name="middle"), rng)


def _looked_up(name, backward):
    """Registers an embedding "table" with another gradient of the table."""

    @fault(name, "table")
    def build(wrong, rng):
        inputs = keras.Input((6,), dtype="int32")

        def look_up(tokens, table):
            op = with_backward(
                lambda table: tf.gather(table, tokens),
                lambda dy, table: backward(dy, table, tokens),
                wrong,
            )
            return op(table)

        hidden = WeightedOp(look_up, {"table": (7, 4)}, name="table")(inputs)
        hidden = keras.layers.Flatten()(hidden)
        outputs = keras.layers.Dense(2, name="above")(hidden)
        model = compiled(inputs, outputs)
        x = rng.integers(0, 7, (5, 6)).astype("int32")
        return model, x, normal(rng, 5, 2)


def _overwrite(dy, table, tokens):
    return tf.tensor_scatter_nd_update(tf.zeros_like(table), tokens[..., None], dy)


def _add(dy, table, tokens):
    return tf.tensor_scatter_nd_add(tf.zeros_like(table), tokens[..., None], dy)


_looked_up("repeated tokens overwrite", _overwrite)
_looked_up(
    "embedding gradient one row off",
    lambda dy, table, tokens: tf.roll(_add(dy, table, tokens), 1, 0),
)
_looked_up(
    "embedding gradient of the first step only",
    lambda dy, table, tokens: _add(dy[:, :1], table, tokens[:, :1]),
)
_looked_up(
    "one row of the embedding never learns",
    lambda dy, table, tokens: (
        _add(dy, table, tokens) * tf.constant([1, 1, 0, 1, 1, 1, 1], dy.dtype)[:, None]
    ),
)


@fault("gather that forgets the batch", "below")
def _(wrong, rng):
    def backward(dy, x):
        steps = tf.constant([0, 2, 2])[None, :, None]
        at = tf.tile(steps, [tf.shape(x)[0], 1, 1])
        first = tf.zeros_like(at)
        return tf.tensor_scatter_nd_add(
            tf.zeros_like(x), tf.concat([first, at], -1), dy
        )

    op = with_backward(lambda x: tf.gather(x, [0, 2, 2], axis=1), backward, wrong)
    chosen = keras.layers.Lambda(op, output_shape=(3, 4))
    return _over_steps(lambda x: keras.layers.Flatten()(chosen(x)), rng)
