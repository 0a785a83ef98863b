"""Models that override `train_step`: what their own step differentiates."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_gradwatch as kgw
from tests.support.marks import first, pairs, some
from tests.support.steps import (
    KINDS,
    Gan,
    Meta,
    OwnTape,
    compile_gan,
    layer_of,
    trained,
)


@pytest.mark.parametrize("kind", some(KINDS, 2))
def test_a_healthy_step_passes(kind):
    model, x, y, _ = trained(kind, wrong=False)
    report = kgw.check_gradients(model, x, y)
    assert report.verdict == "PASS", str(report)
    assert {v.verdict for v in report.variables} == {"PASS"}
    assert len(report.variables) == len(model.trainable_variables)


@pytest.mark.parametrize("kind", some(KINDS, 2, 1))
def test_a_wrong_gradient_in_a_step_fails_upstream(kind):
    model, x, y, upstream = trained(kind, wrong=True)
    report = kgw.check_gradients(model, x, y)
    assert report.verdict == "FAIL"
    assert {layer_of(v) for v in report.failures} == upstream
    right = {layer_of(v) for v in report.variables if v.verdict == "PASS"}
    assert right == {layer_of(v) for v in report.variables} - upstream


@pytest.mark.parametrize("kind", first(KINDS))
def test_in_fit_and_training_is_bitwise_untouched(kind):
    check = kgw.GradientCheck(warmup_steps=0, check_freq=1, verbose=0)
    ends = []
    for callbacks in ([], [check]):
        keras.utils.clear_session()
        keras.utils.set_random_seed(3)
        model, *_ = trained(kind, wrong=False, callbacks=callbacks)
        ends.append([v.numpy() for v in model.variables])
    assert [r.verdict for r in check.reports] == ["PASS"] * len(check.reports)
    assert len(check.reports) >= 2
    np.testing.assert_equal(*ends)


def test_the_loss_is_the_steps_own():
    model, x, y, _ = trained("own tape", wrong=False)
    loss = float(ops.mean((model(x) - y) ** 4))
    assert kgw.check_gradients(model, x, y).loss == pytest.approx(loss, rel=1e-5)


def test_several_losses_are_told_apart():
    model, x, _, _ = trained("gan", wrong=True)
    report = kgw.check_gradients(model, x)
    targets = {layer_of(v): v.target for v in report.variables}
    optimizer = {"d": "d_optimizer", "g": "g_optimizer"}
    assert targets == {name: optimizer[name[0]] for name in ("d1", "d2", "g1", "g2")}
    assert "(g_optimizer)" in str(report)


class ByHand(OwnTape):
    def train_step(self, data):
        return {"loss": ops.zeros(())}


def test_a_step_without_a_tape_says_so():
    model = ByHand(wrong=False)
    model.compile("sgd")
    x = np.ones((4, 4))
    model(x)
    report = kgw.check_gradients(model, x, x)
    assert report.verdict == "INCONCLUSIVE"
    assert "takes no gradient for its variables" in report.reason


@pytest.mark.parametrize("wrong", [False, True])
def test_no_gradient_is_meant_to_flow_through_a_goal(wrong):
    model, x, y, upstream = trained("goal", wrong=wrong)
    report = kgw.check_gradients(model, x, y)
    assert {layer_of(v) for v in report.failures} == (upstream if wrong else set())
    assert {v.verdict for v in report.variables} == {"PASS", *["FAIL"][: int(wrong)]}


@pytest.mark.parametrize(("wrong", "eagerly"), pairs([True, False], [False, True]))
def test_a_gradient_inside_the_loss_is_checked_as_part_of_it(wrong, eagerly):
    model, x, y, upstream = trained("meta", wrong)
    model.run_eagerly = eagerly
    report = kgw.check_gradients(model, x, y)
    inner = [v for v in report.variables if v.target == "target 1"]
    outer = [v for v in report.variables if v.target == "target 2"]
    assert len(inner) == len(outer) == 4
    assert {layer_of(v) for v in inner if v.verdict == "FAIL"} == (
        upstream if wrong else set()
    )
    assert {v.verdict for v in outer if layer_of(v) in upstream} == (
        {"FAIL"} if wrong else {"PASS"}
    )


@pytest.mark.parametrize(("wrong", "eagerly"), pairs([True, False], [False, True]))
def test_a_step_that_moves_its_weights_is_checked_where_it_moves_them(wrong, eagerly):
    model, x, y, _ = trained("sharpness aware", wrong)
    model.run_eagerly = eagerly
    report = kgw.check_gradients(model, x, y)
    for target in ("target 1", "target 2"):
        found = {layer_of(v): v for v in report.variables if v.target == target}
        verdicts = {name: v.verdict for name, v in found.items()}
        assert verdicts == {"a": "FAIL" if wrong else "PASS", "b": "PASS"}
    if not wrong:
        assert not report.notes

    # The second is the gradient up there, not the one down here.
    def kernel(target):
        (found,) = (
            v
            for v in report.variables
            if v.target == target and layer_of(v) == "b" and "bias" in v.path
        )
        return np.array([c.analytic for c in found.coordinates])

    assert not np.allclose(kernel("target 1"), kernel("target 2"), rtol=1e-2)


@tf.custom_gradient
def square_once(x):
    """Its derivative is right, and the derivative of that is not."""
    return x * x, lambda dy: dy * 2 * tf.stop_gradient(x)


def test_a_wrong_second_derivative_fails_where_it_is_used():
    model = Meta(wrong=False)
    model.stack.add(layers.Lambda(square_once))
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    model.fit(x, x, verbose=0)
    report = kgw.check_gradients(model, x, x)
    verdicts = {v.target: set() for v in report.variables}
    for variable in report.variables:
        verdicts[variable.target].add(variable.verdict)
    assert verdicts == {"target 1": {"PASS"}, "target 2": {"FAIL"}}


class Tuples(OwnTape):
    """Takes tuples of one, and of four."""

    def train_step(self, data):
        x, goal = data[0], data[1] if len(data) > 1 else 0.0
        with tf.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - goal) ** 2)
        found = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(
            zip(found, self.trainable_variables, strict=True)
        )
        return {"own": loss}


@pytest.mark.parametrize("parts", [1, 4])
def test_a_step_is_handed_what_fit_hands_it(parts):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 4)).astype("float32")
    dataset = tf.data.Dataset.from_tensors((x,) * parts)
    model = Tuples(wrong=False)
    model(x)
    model.compile("sgd")
    check = kgw.GradientCheck(warmup_steps=0, time_budget=30, verbose=0)
    history = model.fit(dataset, epochs=2, shuffle=False, verbose=0, callbacks=[check])
    assert [r.verdict for r in check.reports] == ["PASS", "PASS"]
    np.testing.assert_allclose(
        [r.loss for r in check.reports], history.history["own"], rtol=1e-5
    )


def test_a_loss_that_can_not_be_checked_does_not_hide_another():
    class Undefined(Gan):
        def train_step(self, data):
            with tf.GradientTape() as tape:
                loss = ops.log(ops.sum(self.discriminator(data)) * 0.0 - 1.0)
            weights = self.discriminator.trainable_weights
            found = tape.gradient(loss, weights)
            self.d_optimizer.apply_gradients(zip(found, weights, strict=True))
            return super().train_step(data)

    model = Undefined(wrong=True)
    compile_gan(model)
    report = kgw.check_gradients(model, np.ones((8, 4)))
    assert report.verdict == "FAIL"
    assert {layer_of(v) for v in report.failures} == {"g1"}
    assert any("The loss is nan" in note for note in report.notes)
