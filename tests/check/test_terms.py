"""Which term of a derivative a hand-written backward pass has wrong."""

import numpy as np
import pytest
import tensorflow as tf

import keras_gradwatch as kgw
from keras_gradwatch.findings.notes import LookHere
from keras_gradwatch.findings.pattern import INNER, SCALED, TERM, TRANSPOSED
from tests.support.marks import first

X = np.random.default_rng(0).normal(size=(5, 4))
SQUARE = np.random.default_rng(1).normal(size=(4, 4))


def swish(backward):
    @tf.custom_gradient
    def op(x):
        s = tf.sigmoid(x)
        return x * s, lambda u: u * backward(x, s)

    return op, (X,)


def swish_of_tensorflow(backward):
    @tf.custom_gradient
    def op(x):  # itself a function with a backward pass of its own
        return tf.nn.silu(x), lambda u: u * backward(x, tf.sigmoid(x))

    return op, (X,)


def softmax(backward):
    @tf.custom_gradient
    def op(x):
        y = tf.nn.softmax(x)
        return y, lambda u: y * backward(u, tf.reduce_sum(u * y, -1, keepdims=True))

    return op, (X,)


def softmax_by_hand(backward):
    @tf.custom_gradient
    def op(x):
        e = tf.exp(x - tf.reduce_max(x, -1, keepdims=True))
        y = e / tf.reduce_sum(e, -1, keepdims=True)
        return y, lambda u: y * backward(u, tf.reduce_sum(u * y, -1, keepdims=True))

    return op, (X,)


def layer_norm(backward):
    def mean(x):
        return tf.reduce_mean(x, -1, keepdims=True)

    @tf.custom_gradient
    def op(x):
        centred = x - mean(x)
        scale = tf.math.rsqrt(mean(centred * centred) + 1e-3)
        y = centred * scale
        return y, lambda u: scale * backward(u, mean(u), y * mean(u * y))

    return op, (X,)


def sine_of_square(backward):
    @tf.custom_gradient
    def op(x):
        return tf.sin(tf.square(x)), lambda u: u * backward(x)

    return op, (X,)


def product(backward):
    @tf.custom_gradient
    def op(x, w):
        def both(u):
            return backward(u, w), tf.matmul(x, u, transpose_a=True)

        return x @ w, both

    return op, (X, SQUARE)


# A function, a backward pass, and what is wrong with it: the kind, how much of the term
# there is, and the operation by way of which it comes.
MISTAKES = {
    "a term of a product": (
        swish,
        lambda x, s: s,
        (TERM, 0.0, "Sigmoid"),
    ),
    "the sum of a softmax, written out": (
        softmax_by_hand,
        lambda u, total: u,
        (TERM, 0.0, "Sum"),
    ),
    "the derivative of what is inside": (
        sine_of_square,
        lambda x: tf.cos(x**2),
        (INNER, None, "Square"),
    ),
    "a matrix that is not transposed": (
        product,
        lambda u, w: u @ w,
        (TRANSPOSED, None, "MatMul"),
    ),
    "the other term of a product": (
        swish,
        lambda x, s: x * s * (1 - s),
        (TERM, 0.0, "Mul"),
    ),
    "a term of a product inside": (
        swish_of_tensorflow,
        lambda x, s: s,
        (TERM, 0.0, "Mul"),  # by one, of what the sigmoid is taken
    ),
    "the sum of a softmax": (
        softmax,
        lambda u, total: u,
        (TERM, 0.0, "the sum of Softmax"),
    ),
    "a sign": (
        softmax_by_hand,
        lambda u, total: u + total,
        (TERM, -1.0, "Sum"),
    ),
    "the mean": (
        layer_norm,
        lambda u, by_mean, by_variance: u - by_variance,
        (TERM, 0.0, "Mean"),
    ),
    "the variance": (
        layer_norm,
        lambda u, by_mean, by_variance: u - by_mean,
        (TERM, 0.0, "Mul"),
    ),
    "another divisor of the variance": (
        layer_norm,
        lambda u, by_mean, by_variance: u - by_mean - by_variance * 4 / 3,
        (TERM, 4 / 3, "Mul"),
    ),
}


def pattern_of(make, backward):
    op, arguments = make(backward)
    report = kgw.check_function(op, *arguments)
    assert report.verdict == "FAIL"
    (look,) = (note for note in report.remarks if isinstance(note, LookHere))
    (place,) = look.places
    return report, place.pattern


@pytest.mark.parametrize("what", first(MISTAKES, 4))
def test_the_term_is_named(what):
    make, backward, (kind, factor, operation) = MISTAKES[what]
    report, pattern = pattern_of(make, backward)
    assert (pattern.kind, pattern.operation) == (kind, operation)
    assert pattern.factor == (factor if factor is None else pytest.approx(factor))
    assert pattern.line.startswith("test_terms.py:")
    assert kgw.GradientReport.from_json(report.to_json()) == report
    assert f"{operation}, {pattern.line}" in report.notes[0]


WORDS = {
    "the sum of a softmax, written out": "by way of Sum, {}, is left out)",
    "a sign": "the term that comes by way of Sum, {}, has the wrong sign)",
    "another divisor of the variance": "Mul, {}, is 1.333 times what it should be)",
    "the derivative of what is inside": "the derivative of Square, {}, is left out)",
    "a matrix that is not transposed": "a matrix of MatMul, {}, is not transposed)",
}


@pytest.mark.long
@pytest.mark.parametrize("what", WORDS)
def test_it_is_said(what):
    report, pattern = pattern_of(*MISTAKES[what][:2])
    assert WORDS[what].format(pattern.line) in report.notes[0]


def test_what_no_single_term_explains_gets_no_name():
    _, pattern = pattern_of(
        layer_norm, lambda u, by_mean, by_variance: u - 2 * by_mean - 3 * by_variance
    )
    assert pattern is None


def test_a_factor_of_the_whole_is_no_term():
    _, pattern = pattern_of(swish, lambda x, s: 3 * (s + x * s * (1 - s)))
    assert (pattern.kind, pattern.operation) == (SCALED, "")
