"""The locator in use: what it does with a finding, in all ways to train."""

import copy
import gc
import pickle
import warnings
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw
from tests.support.marks import first, pairs
from tests.support.nonfinite_fits import Steps, fitted, logs_model
from tests.support.plants import AT, BAD, BATCH, PLANTS, STEP


@pytest.mark.parametrize(("on_failure", "steps"), [("stop", 4), ("warn", 10)])
def test_it_stops_or_warns_once(bad_data, capsys, on_failure, steps):
    check, count = kgw.NonFiniteLocator(on_failure=on_failure), Steps()
    with pytest.warns(
        kgw.NonFiniteWarning, match="Example 5 of the batch of 8"
    ) as all_:
        fitted(logs_model(), bad_data, check, count, epochs=2)
    assert count.count == steps
    assert len(all_) == len(check.findings) == 1
    assert capsys.readouterr().out.strip() == check.finding.headline


def test_the_tab_gets_an_alert(bad_data, tmp_path):
    check = kgw.NonFiniteLocator(tmp_path, verbose=0)
    with pytest.warns(kgw.NonFiniteWarning):
        fitted(logs_model(), bad_data, check)
    (alert,) = kgw.read_alerts(tmp_path)
    assert (alert.kind, alert.step) == ("nonfinite", STEP)
    assert alert.where == (check.finding.place,)
    assert str(alert).startswith(check.finding.headline)
    assert "Example 5 of the batch of 8" in alert.message


@pytest.mark.basic
def test_it_raises(bad_data):
    check, model = kgw.NonFiniteLocator(on_failure="raise", verbose=0), logs_model()
    with pytest.raises(kgw.NonFiniteError, match="log' \\(Log\\)") as caught:
        fitted(model, bad_data, check)
    assert caught.value.finding is check.finding
    assert isinstance(caught.value, ArithmeticError)
    copied = pickle.loads(pickle.dumps(caught.value))
    assert str(copied) == str(caught.value) == str(check.finding)


class Mend(keras.callbacks.Callback):
    """Sets the weights anew before each epoch, and what the optimizer keeps."""

    def on_epoch_begin(self, epoch, logs=None):
        for v in [*self.model.weights, *self.model.optimizer.variables[2:]]:
            v.assign(tf.zeros_like(v.value))


def test_after_weights_are_mended_the_next_one_is_found(bad_data):
    check = kgw.NonFiniteLocator(on_failure="warn", verbose=0)
    with pytest.warns(kgw.NonFiniteWarning):
        fitted(logs_model(), bad_data, Mend(), check, epochs=3)
    assert [finding.step for finding in check.findings] == [3, 8, 13]


def plain_model():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    model.compile("adam", "mse", jit_compile=False)
    return model


def test_a_second_fit_and_copies_start_anew(bad_data):
    bad_data[0][BAD, 1] = np.nan
    check = kgw.NonFiniteLocator(on_failure="stop", verbose=0)
    with pytest.warns(kgw.NonFiniteWarning):
        fitted(plain_model(), bad_data, check)
    others = [check, copy.deepcopy(check), pickle.loads(pickle.dumps(check))]
    for other in others:
        with pytest.warns(kgw.NonFiniteWarning):
            fitted(plain_model(), bad_data, other)
        assert [finding.step for finding in other.findings] == [STEP, STEP]


@pytest.mark.basic
@pytest.mark.parametrize("rate", first([0.5, 0.0]))
def test_what_is_saved_gives_the_nan_again(bad_data, tmp_path, rate):
    check = kgw.NonFiniteLocator(tmp_path, verbose=0)
    model = logs_model(rate)
    with pytest.warns(kgw.NonFiniteWarning):
        fitted(model, bad_data, check)
    failure = kgw.load_failure(check.finding.saved)
    assert failure.finding["kind"] == "forward"
    assert failure.finding["examples"] == [AT]
    x, y = bad_data
    np.testing.assert_array_equal(failure.batch[0], x[STEP * BATCH : BAD + 3])
    np.testing.assert_array_equal(failure.batch[1], y[STEP * BATCH : BAD + 3])
    assert all(np.isfinite(w).all() for w in failure.weights)
    fresh = logs_model(rate)
    failure.restore(fresh)
    assert [len(w) for w in fresh.get_weights()] == [len(w) for w in failure.weights]
    assert np.isnan(fresh.train_on_batch(*failure.batch))
    failure.restore(fresh)
    fresh.reset_metrics()  # which keep the NaN in some versions of Keras
    healthy = [np.delete(part, AT, axis=0) for part in failure.batch]
    assert np.isfinite(fresh.train_on_batch(*healthy))
    other = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    with pytest.raises(kgw.InvalidArgumentError, match="must fit the model"):
        failure.restore(other)
    with pytest.raises(kgw.InvalidArgumentError, match="NonFiniteLocator saved"):
        kgw.load_failure(tmp_path)


def test_batches_of_any_structure_are_saved(tmp_path):
    from keras_gradwatch.nonfinite.saved import save_failure

    batch = (
        {"b": tf.ragged.constant([[1.0, 2.0], [3.0]]), "a": [tf.ones((2, 1)), None]},
        tf.constant([["x"], ["longer"]]),
        tf.sparse.from_dense([[0.0, 1.0], [2.0, 0.0]]),
    )
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    folder = save_failure(tmp_path / "a", model, batch, lambda v: v.numpy(), "{}")
    again = save_failure(tmp_path / "a", model, batch, lambda v: v.numpy(), "{}")
    assert folder != again
    x, y, weights = kgw.load_failure(folder).batch
    assert x["b"].to_list() == [[1.0, 2.0], [3.0]]
    assert x["a"][1] is None
    assert y.tolist() == [[b"x"], [b"longer"]]
    np.testing.assert_array_equal(tf.sparse.to_dense(weights), [[0, 1], [2, 0]])


@pytest.mark.parametrize(("optimizer", "steps"), pairs(["sgd", "adam"], [3, 5]))
def test_the_step_is_found_among_several_of_one_execution(bad_data, optimizer, steps):
    model = logs_model()
    model.compile(optimizer, "mse", steps_per_execution=steps, jit_compile=False)
    check = kgw.NonFiniteLocator(verbose=0)
    with pytest.warns(kgw.NonFiniteWarning):
        fitted(model, bad_data, check)
    assert (check.finding.step, check.finding.kind) == (STEP, "forward")
    assert check.finding.examples == (AT,)
    assert f"It is step {STEP % steps + 1} of the" in str(check.finding)


def test_divergence_inside_one_execution_is_followed(data):
    plain, at_once = (
        keras.Sequential([keras.Input((3,)), layers.Dense(1, name="a")])
        for _ in range(2)
    )
    at_once.set_weights(plain.get_weights())
    findings = []
    for model, steps in ((plain, 1), (at_once, 5)):
        sgd = keras.optimizers.SGD(1e10, momentum=0.9)
        model.compile(sgd, "mse", steps_per_execution=steps, jit_compile=False)
        check = kgw.NonFiniteLocator(verbose=0)
        with pytest.warns(kgw.NonFiniteWarning):
            fitted(model, data, check)
        findings.append(check.finding)
    one, other = findings
    assert (one.step, one.kind) == (other.step, other.kind)
    assert one.step < 4
    assert one.kind == "loss"
    for mine, its in zip(one.inputs, other.inputs, strict=True):
        np.testing.assert_allclose(mine.high, its.high, rtol=1e-4)


def test_a_loop_of_train_on_batch(bad_data):
    model, check = logs_model(), kgw.NonFiniteLocator(on_failure="warn", verbose=0)
    callbacks = keras.callbacks.CallbackList([check], model=model)

    def loop():
        callbacks.on_train_begin()
        for k in range(5):
            part = slice(BATCH * k, BATCH * (k + 1))
            callbacks.on_train_batch_begin(k)
            logs = model.train_on_batch(
                bad_data[0][part], bad_data[1][part], return_dict=True
            )
            callbacks.on_train_batch_end(k, logs)
        callbacks.on_train_end()

    with pytest.warns(kgw.NonFiniteWarning):
        loop()
    (finding,) = check.findings
    assert finding.kind == "forward", str(finding)
    assert (finding.step, finding.examples) == (STEP, (AT,))


def test_a_loop_of_ones_own_is_watched_without_a_replay(data):
    model, check = logs_model(), kgw.NonFiniteLocator(on_failure="warn", verbose=0)
    callbacks = keras.callbacks.CallbackList([check], model=model)

    def loop():
        for k in range(3):
            callbacks.on_train_batch_begin(k)
            if k == 1:
                model.layers[-1].bias.assign([np.nan])
            callbacks.on_train_batch_end(k, {})

    with pytest.warns(kgw.NonFiniteWarning, match="can't be replayed"):
        loop()
    (finding,) = check.findings
    assert (finding.kind, finding.replayed) == ("unknown", False)
    assert finding.place.endswith("bias")


def test_the_model_is_left_as_it_is(bad_data):
    model = logs_model(0.5)
    callbacks = [kgw.NonFiniteLocator(on_failure="warn", verbose=0)]
    left = []
    for added in ([], callbacks):
        keras.utils.set_random_seed(3)
        model = logs_model(0.5)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted(model, bad_data, *added, epochs=2)
        left.append(
            [v.numpy() for v in [*model.variables, *model.optimizer.variables]]
            + [keras.random.uniform(()).numpy(), np.random.default_rng(0).random()]
            + [sorted(model.__dict__)]
        )
    np.testing.assert_equal(left[1], left[0])


class BreakOff(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        if batch == 2:
            raise KeyboardInterrupt


def test_nothing_stays_behind_where_a_fit_is_broken_off(bad_data):
    bad_data[0][BAD, 1] = np.nan
    model = plain_model()
    model.make_train_function()
    own = model.train_function
    check = kgw.NonFiniteLocator(verbose=0)
    with pytest.raises(KeyboardInterrupt):
        fitted(model, bad_data, check, BreakOff())
    copy.deepcopy(model)
    copy.deepcopy(check)
    with pytest.warns(kgw.NonFiniteWarning):
        fitted(model, bad_data, check)
    assert model.train_function is own
    assert check.finding.step == 2 + STEP
    with pytest.raises(KeyboardInterrupt):
        fitted(plain_model(), bad_data, check, BreakOff())
    gone = weakref.ref(check)
    del check
    gc.collect()
    assert gone() is None


def test_it_shares_its_steps_with_the_gradient_check(bad_data):
    gradients = kgw.GradientCheck(warmup_steps=0, check_freq=1, verbose=0)
    check = kgw.NonFiniteLocator(verbose=0)
    with pytest.warns(kgw.NonFiniteWarning):
        fitted(logs_model(), bad_data, gradients, check)
    assert check.finding.examples == (AT,)
    assert [r.verdict for r in gradients.reports] == ["PASS"] * 3 + ["INCONCLUSIVE"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"check_freq": 0}, "Argument `check_freq` must be an integer, 1 or more"),
        ({"on_failure": "ignore"}, "Argument `on_failure` must be one of"),
        ({"verbose": 3}, "Argument `verbose` must be 0 or 1"),
    ],
)
def test_wrong_arguments_are_refused(wrong, message):
    with pytest.raises(kgw.InvalidArgumentError, match=message):
        kgw.NonFiniteLocator(**wrong)


def test_several_examples_are_all_named(data):
    data[0][[STEP * BATCH + 1, STEP * BATCH + 6], 0] = -2.0
    check = kgw.NonFiniteLocator(verbose=0)
    with pytest.warns(kgw.NonFiniteWarning, match="Examples 1, 6 of the batch of 8"):
        fitted(logs_model(), data, check)
    assert check.finding.examples == (1, 6)


def test_the_plants_are_all_of_the_kinds_that_there_are():
    kinds = {build(True).kind for build in PLANTS.values()} - {""}
    assert kinds == {
        "data",
        "weight",
        "forward",
        "loss",
        "backward",
        "step",
        "update",
    }
