"""Each argument is compared, whatever it is made of."""

from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw
from tests.support.marks import first
from tests.support.parts import X, Y, verdicts

SPARSE = tf.sparse.from_dense(2.0 * np.eye(3))
RAGGED = tf.ragged.constant([[1.0, 2.0], [], [0.5]], dtype=tf.float64)
SLICES = tf.IndexedSlices(tf.constant([1.0, 2.0], tf.float64), tf.constant([0, 2]))


def scaled(wrong):
    """`v * x`, whose gradient for `v` may be zero."""

    @tf.custom_gradient
    def op(v, x):
        def backward(dy):
            right = tf.reduce_sum(dy * x, -1)
            return (tf.zeros_like(v) if wrong else right), v[:, None] * dy

        return v[:, None] * x, backward

    return op


class Two(NamedTuple):
    a: object
    b: object


@pytest.mark.parametrize(
    ("argument", "get", "path"),
    [
        (SPARSE, lambda s: s.values, "s/values"),
        (RAGGED, lambda s: s.flat_values, "s/values"),
        (SLICES, lambda s: s.values, "s/values"),
        ({"a": Two(3, RAGGED)}, lambda s: s["a"].b.values, "s/a/1/values"),
    ],
    ids=["sparse", "ragged", "slices", "nested"],
)
def test_by_their_values(argument, get, path):
    count = len(get(argument))

    def check(wrong):
        op = scaled(wrong)
        return kgw.check_function(lambda s, x: op(get(s), x), argument, X[:count])

    assert verdicts(check(False)) == {path: "PASS", "x": "PASS"}
    assert verdicts(check(True)) == {path: "FAIL", "x": "PASS"}


def test_layers_of_sparse_and_ragged_inputs():
    report = kgw.assert_layer(layers.Dense(2, name="d"), SPARSE)
    assert verdicts(report) == {
        "inputs/values": "PASS",
        "d/kernel": "PASS",
        "d/bias": "PASS",
    }
    sparse = tf.sparse.from_dense(X)
    assert kgw.check_function(tf.sparse.sparse_dense_matmul, sparse, Y[:, None]).passed
    assert kgw.check_function(lambda r: r * r, RAGGED).passed
    assert kgw.check_function(lambda r: tf.reduce_sum(r**3, 1), RAGGED).passed


def test_of_complex_sparse_numbers():
    complex_ones = tf.sparse.from_dense(X[:2, :2] + 1j * X[1:, :2])
    report = kgw.assert_function(lambda s: tf.sparse.to_dense(s) ** 2, complex_ones)
    assert set(verdicts(report)) == {"s/values/real", "s/values/imag"}


def test_of_size_zero():
    def f(a, b):
        return tf.concat([a, b**2], 0)

    report = kgw.assert_function(f, np.zeros((0, 4)), X)
    assert verdicts(report) == {"b": "PASS"}
    assert "a (float64 of size 0)" in report.notes[0]
    empty = tf.ragged.constant([[], []], dtype=tf.float64)
    report = kgw.check_function(lambda e, b: tf.reduce_sum(e, 1) + b[:2, 0], empty, X)
    assert verdicts(report) == {"b": "PASS"}


@pytest.mark.parametrize("size", first([(), (1,) * 9]))
def test_of_one_number(size):
    x = np.full(size, 0.3)
    assert verdicts(kgw.assert_function(lambda x: x * x, x, order=2))["x"] == "PASS"


def test_half_precision():
    report = kgw.check_function(lambda x, y: x * y, X.astype("float16"), np.float16(2))
    assert verdicts(report) == {"x": "PASS", "y": "PASS"}
    assert (report.dtype, report.training_dtype) == ("float64", "float16")
