"""One wrong gradient in a layer or a function by itself is found, and laid there."""

import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw
from tests.support.marks import pairs, some
from tests.support.parts import WRONG, Block, Scaled, X, Y, product, verdicts


def test_a_right_function_passes():
    assert verdicts(kgw.assert_function(product(), X, Y)) == {"x": "PASS", "y": "PASS"}


@pytest.mark.parametrize(("what", "at"), pairs(WRONG, [0, 1]))
def test_a_function_with_one_wrong_gradient(what, at):
    report = kgw.check_function(product(WRONG[what], at), X, Y)
    assert [v.path for v in report.failures] == ["xy"[at]], str(report)
    assert report.count("PASS") == 1


def test_a_gradient_that_ignores_what_comes_from_above():
    @tf.custom_gradient
    def op(x):
        return tf.sin(x), lambda dy: tf.cos(x)

    assert kgw.check_function(op, np.array([0.3])).verdict == "FAIL"


def test_an_error_that_a_plain_sum_would_not_show():
    @tf.custom_gradient
    def op(x):  # a softmax without its second term
        y = tf.nn.softmax(x)
        return y, lambda dy: y * (dy - tf.reduce_mean(dy, -1, keepdims=True))

    assert kgw.check_function(op, X).verdict == "FAIL"
    assert kgw.check_function(tf.nn.softmax, X).passed


@pytest.mark.parametrize("what", ["off by 1 %", "negated", "none", "one entry zeroed"])
@pytest.mark.parametrize("at", [0, 1])
def test_a_layer_with_one_wrong_gradient(what, at):
    report = kgw.check_layer(Scaled(product(WRONG[what], at), name="mine"), X)
    wrong, right = ("x", "mine/w")[:: 1 if at == 0 else -1]
    assert verdicts(report) == {wrong: "FAIL", right: "PASS"}, str(report)


def test_a_right_layer_passes():
    report = kgw.assert_layer(Scaled(product(), name="mine"), X)
    assert verdicts(report) == {"x": "PASS", "mine/w": "PASS"}


@pytest.mark.parametrize("order", ["wab", "awb", "abw"])
def test_in_a_layer_of_layers_the_report_says_where_to_look(order):
    class Wrong(layers.Layer):
        def call(self, x):
            return tf.custom_gradient(lambda x: (tf.tanh(x), lambda dy: dy))(x)

    parts = {"w": Wrong(name="bad")}
    parts |= {name: layers.Dense(4, name=name) for name in "ab"}
    report = kgw.check_layer(Block(*(parts[p] for p in order)), X)
    assert len(report.failures) == 1 + 2 * order.index("w")
    (look,) = (n for n in report.notes if n.startswith("Look first at"))
    assert look.startswith("Look first at 'block/bad' (Wrong), test_parts_faults.py:")
    assert "loss" not in look


def test_a_gradient_of_the_shape_the_other_way_round_is_transposed():
    @tf.custom_gradient
    def square(x):
        return x * x, lambda upstream: tf.transpose(2.0 * upstream * x)

    report = kgw.check_function(square, np.ones((2, 3)))
    assert "(3, 2), and the variable (2, 3): it is transposed." in str(report)


@pytest.mark.parametrize("size", some([1e160, 1e305, 1e-160, 1e-290], every=2))
def test_values_whose_squares_have_no_number(size):
    def op(share):
        return tf.custom_gradient(
            lambda x: (size * tf.sin(x), lambda u: share * u * (size * tf.cos(x)))
        )

    assert kgw.check_function(op(1.0), X).passed
    report = kgw.check_function(op(0.5), X)
    assert report.verdict == "FAIL"
    assert "0.5 times" in report.variables[0].reason
