"""Points nearby at which a loss raises, or is no number; matrices of one triangle."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gradwatch as kgw
from tests.support.marks import first
from tests.support.small_models import halved


def positive(x):
    if float(tf.reduce_min(x)) <= 0:
        raise ValueError("must be positive")
    return x**2


def not_negative(x):
    if float(tf.reduce_min(x)) < 0:
        raise ValueError("must not be negative")
    return x**2 + x


def checked(x):
    float(tf.reduce_sum(x))  # so that it runs eagerly
    return tf.debugging.check_numerics(tf.math.log(x), "no number")


POINTS = {
    positive: [1e-8, 0.5, 0.8],
    not_negative: [0.0, 0.5, 0.8],
    checked: [1e-7, 0.5, 0.8],
}


@pytest.mark.parametrize("function", first(POINTS))
def test_where_it_raises_nearby_other_steps_are_taken_and_it_is_said(function):
    x = np.array(POINTS[function])
    report = kgw.check_function(function, x)
    assert report.verdict == "PASS", str(report)
    if function is not checked:
        [note] = [n for n in report.notes if "at some points nearby" in n]
        assert "ValueError: must" in note
    report = kgw.check_function(lambda x: function(halved(x)), x)
    assert report.verdict == "FAIL"


def test_an_assertion_in_a_graph_does_no_harm():
    def asserted(x):
        tf.debugging.assert_positive(x)
        return x**2

    report = kgw.check_function(asserted, np.array([1e-8, 0.5, 0.8]))
    assert report.verdict == "PASS"
    assert not report.notes


def test_a_slope_is_seen_from_one_side_where_there_is_but_one():
    def function(x):
        return tf.pow(x, 1.5) + x

    x = np.array([0.0, 0.3])
    assert kgw.check_function(function, x).verdict == "PASS"
    assert kgw.check_function(lambda x: function(halved(x)), x).verdict == "FAIL"


@pytest.fixture
def matrix(rng):
    a = rng.normal(size=(3, 3))
    return a @ a.T + 0.1 * np.eye(3)


def test_a_cholesky_factor_is_compared_along_symmetric_changes(matrix):
    report = kgw.check_function(keras.ops.cholesky, matrix.astype("float32"))
    assert report.verdict == "PASS", str(report)
    assert any("one triangle of x" in note for note in report.notes)
    report = kgw.check_function(lambda x: keras.ops.cholesky(halved(x)), matrix)
    assert report.verdict == "FAIL"
    assert not any("one triangle" in note for note in report.notes)


@pytest.mark.long
@pytest.mark.parametrize(
    "function",
    [
        tf.linalg.logdet,
        lambda x: tf.linalg.cholesky(tf.linalg.matrix_transpose(x)),
        lambda x: tf.linalg.cholesky_solve(
            tf.linalg.cholesky(x), tf.eye(3, 2, dtype=x.dtype)
        ),
        tf.linalg.eigvalsh,
        lambda x: tf.linalg.eigh(x)[1] ** 2,
        tf.linalg.inv,
    ],
)
def test_functions_of_symmetric_matrices(function, matrix):
    report = kgw.check_function(function, matrix)
    assert report.verdict == "PASS", str(report)
    report = kgw.check_function(lambda x: function(halved(x)), matrix)
    assert report.verdict == "FAIL"


def bilinear(x):
    """A matrix that is read by both its triangles."""
    rows = np.random.default_rng(2).normal(size=(2, 3))
    return tf.constant(rows, x.dtype) @ x


READ_TWICE = {
    "a product": lambda x: tf.linalg.cholesky(x) + bilinear(x)[:1],
    "a weight decay": lambda x: tf.linalg.logdet(x) + 0.1 * tf.reduce_sum(x * x),
    "a trace": lambda x: tf.linalg.logdet(x) - tf.linalg.trace(x @ tf.sin(x)),
}


@pytest.mark.parametrize("what", first(READ_TWICE))
def test_a_matrix_of_which_something_else_reads_all(what, matrix):
    report = kgw.check_function(READ_TWICE[what], matrix)
    assert report.verdict == "PASS", str(report)
    assert any("one triangle of x" in note for note in report.notes)
    report = kgw.check_function(lambda x: READ_TWICE[what](halved(x)), matrix)
    assert report.verdict == "FAIL"


def test_a_cholesky_factor_is_not_accused_of_what_another_did(matrix):
    def function(x):
        return tf.linalg.cholesky(x) + bilinear(halved(x))[:1]

    report = kgw.check_function(function, matrix)
    assert report.verdict == "FAIL"
    assert [place.operation for place in report.places] == ["halved"]


@pytest.mark.long
def test_a_hermitian_matrix(rng):
    a = rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3))
    report = kgw.check_function(tf.linalg.cholesky, a @ a.conj().T + np.eye(3))
    assert report.verdict == "PASS", str(report)


def test_a_symmetric_gradient_of_a_product_is_wrong():
    @tf.custom_gradient
    def symmetrised(w):
        return tf.identity(w), lambda g: (g + tf.linalg.matrix_transpose(g)) / 2

    x = np.random.default_rng(0).normal(size=(2, 3))
    report = kgw.check_function(lambda w: tf.matmul(x, symmetrised(w)), np.eye(3))
    assert report.verdict == "FAIL"


class Factor(keras.layers.Layer):
    """Multiplies by the Cholesky factor of a weight that is nearly singular."""

    def build(self, shape):
        a = np.random.default_rng(0).normal(size=(3, 3))
        self.w = self.add_weight(shape=(3, 3), name="w")
        self.w.assign(a @ a.T + 1e-3 * np.eye(3))

    def call(self, x):
        return keras.ops.matmul(x, keras.ops.cholesky(self.w))


def test_a_cholesky_factor_of_a_weight_in_fit(rng):
    model = keras.Sequential([keras.Input((3,)), Factor(), keras.layers.Dense(2)])
    model.compile(keras.optimizers.SGD(1e-9), "mse", jit_compile=False)
    check = kgw.GradientCheck(warmup_steps=1, check_freq=2, verbose=0)
    x, y = rng.normal(size=(24, 3)), rng.normal(size=(24, 2))
    model.fit(x, y, batch_size=4, verbose=0, callbacks=[check])
    assert [r.verdict for r in check.reports] == ["PASS"] * 3
