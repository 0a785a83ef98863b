"""`GradientCheck` in the middle of `fit`."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw
from tests.support.marks import first, pairs
from tests.support.small_models import small_model, unbuilt


@pytest.fixture
def data(rng):
    x = rng.normal(size=(24, 4)).astype("float32")
    return x, rng.integers(0, 3, 24)


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return self.x[6 * i : 6 * i + 6], self.y[6 * i : 6 * i + 6]


def sources(x, y):
    def generate():
        while True:
            yield x[:6], y[:6]

    return {
        "arrays": {"x": x, "y": y, "batch_size": 6},
        "tf.data": {"x": tf.data.Dataset.from_tensor_slices((x, y)).batch(6)},
        "PyDataset": {"x": Batches(x, y)},
        "generator": {"x": generate(), "steps_per_epoch": 4},
        "weights": {"x": x, "y": y, "batch_size": 6, "sample_weight": np.ones(24)},
        "class_weight": {"x": x, "y": y, "batch_size": 6, "class_weight": {0: 2.0}},
    }


@pytest.mark.basic
@pytest.mark.parametrize(
    ("source", "compiled"),
    pairs(
        ["arrays", "tf.data", "PyDataset", "generator", "weights", "class_weight"],
        [{}, {"run_eagerly": True}, {"steps_per_execution": 3}, {"jit_compile": True}],
    ),
)
def test_checks_the_live_batch_of_any_source(data, source, compiled):
    check = kgw.GradientCheck(warmup_steps=2, check_freq=3, verbose=0)
    model = small_model(**compiled)
    model.fit(
        **sources(*data)[source], epochs=2, shuffle=False, verbose=0, callbacks=[check]
    )
    assert [r.verdict for r in check.reports] == ["PASS"] * len(check.reports)
    if "steps_per_execution" not in compiled:
        steps = [2, 5]
    elif source == "generator":  # an endless one: each call takes all three steps
        steps = [3, 6, 9]
    else:
        steps = [3, 7]
    assert [r.step for r in check.reports] == steps


def functional():
    inputs = keras.Input((4,))
    hidden = layers.Dense(5, activation="relu")(inputs)
    model = keras.Model(inputs, layers.Dense(3)(hidden))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first = layers.Dense(5, activation="gelu")
        self.second = layers.Dense(3)

    def call(self, x):
        return self.second(self.first(x))


def subclassed():
    model = Subclassed()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@pytest.mark.parametrize(
    ("build", "first"), [(functional, 0), (subclassed, 1), (unbuilt, 1)]
)
def test_any_way_to_write_a_model(data, build, first):
    # What `fit` itself builds has no weights to check before the first step.
    check = kgw.GradientCheck(warmup_steps=0, check_freq=2, verbose=0)
    build().fit(*data, batch_size=6, verbose=0, callbacks=[check])
    assert [(r.step, r.verdict) for r in check.reports] == [
        (first, "PASS"),
        (2, "PASS"),
    ]


def test_fixed_data_is_checked_instead_of_the_live_batch(data):
    x, y = data
    check = kgw.GradientCheck(
        warmup_steps=1, check_freq=2, data=(10 * x[:7], y[:7]), verbose=0
    )
    model = small_model()
    model.fit(x, y, batch_size=6, verbose=0, callbacks=[check])
    report = kgw.check_gradients(model, 10 * x[:7], y[:7])
    assert [r.step for r in check.reports] == [1, 3]
    # One step later, about the same loss; the live batch has quite another.
    assert check.reports[-1].loss == pytest.approx(report.loss, rel=0.1)


def test_the_loss_is_that_of_the_batch_before_the_step(data):
    x, y = (part[:8] for part in data)  # of so few, all are checked
    check = kgw.GradientCheck(warmup_steps=0, check_freq=1, verbose=0)
    model = functional()
    history = model.fit(
        x, y, batch_size=8, epochs=3, shuffle=False, verbose=0, callbacks=[check]
    )
    np.testing.assert_allclose(
        [r.loss for r in check.reports], history.history["loss"], rtol=1e-6
    )


def test_failure_warns_once_and_training_goes_on(data):
    check = kgw.GradientCheck(warmup_steps=0, check_freq=1, verbose=0)
    model = small_model(wrong=True)
    with pytest.warns(kgw.GradientMismatchWarning, match="first/kernel") as caught:
        history = model.fit(*data, batch_size=6, epochs=2, verbose=0, callbacks=[check])
    assert len(caught) == 1
    assert len(history.epoch) == 2
    assert {r.verdict for r in check.reports} == {"FAIL"}
    names = {v.path.split("/")[-2] for v in check.reports[0].failures}
    assert names == {"first"}


@pytest.mark.parametrize("verbose", first([1, 0, 2]))
def test_a_failure_is_told_once(data, capsys, verbose):
    check = kgw.GradientCheck(warmup_steps=2, check_freq=9, verbose=verbose)
    with pytest.warns(kgw.GradientMismatchWarning) as caught:
        small_model(wrong=True).fit(*data, batch_size=6, verbose=0, callbacks=[check])
    (warning,) = [str(w.message) for w in caught]
    printed = capsys.readouterr().out
    told = f"{printed}{warning}"
    report = check.reports[0]
    assert printed.splitlines()[:1] == [report.headline][: bool(verbose)]
    assert told.count(report.details) == 1
    assert told.count(report.headline) == 1 + (verbose == 2)
    # The line alone has place, size and names.
    assert "Look at 'halved" in report.headline
    assert "relative error 3.3e-01. Wrong: sequential" in report.headline


@pytest.mark.parametrize("verbose", [0, 1])
def test_lines_stand_beside_the_bar_of_keras(data, capsys, verbose):
    callbacks = [
        kgw.GradientCheck(warmup_steps=0, check_freq=2),
        kgw.GradientStats(check_freq=2, verbose=2),
    ]
    small_model().fit(*data, batch_size=6, verbose=verbose, callbacks=callbacks)
    lines = re.split(r"[\n\r]", capsys.readouterr().out.strip())
    own = [line for line in lines if line.startswith("Gradient")]
    assert len(own) == 4
    assert verbose or lines == own  # no empty ones in between


def test_what_could_be_made_and_not_be_written_is_told_so(data, tmp_path):
    stats = kgw.GradientStats(tmp_path, check_freq=1)
    check = kgw.GradientCheck(
        tmp_path, warmup_steps=1, check_freq=1, verbose=0, on_failure="raise"
    )

    class Spoil(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            (tmp_path / "gradwatch").write_text("in the way")

    with pytest.warns(kgw.GradwatchWarning) as caught:
        small_model().fit(
            *data, batch_size=6, verbose=0, callbacks=[Spoil(), check, stats]
        )
    told = [str(w.message) for w in caught]
    assert len(told) == 2  # once a fit
    assert "A gradient reading could not be written at step" in told[0]
    assert "A gradient check could not be written at step 1" in told[1]
    assert [r.verdict for r in check.reports] == ["PASS"] * 3
    assert len(stats.readings) == 4


def test_failure_stops(data):
    check = kgw.GradientCheck(
        warmup_steps=3, check_freq=1, on_failure="stop", verbose=0
    )
    model = small_model(wrong=True)
    with pytest.warns(kgw.GradientMismatchWarning):
        model.fit(*data, batch_size=6, epochs=5, verbose=0, callbacks=[check])
    assert len(check.reports) == 1
    assert int(model.optimizer.iterations) == 4


def test_failure_raises_and_the_model_stays_usable(data):
    check = kgw.GradientCheck(
        warmup_steps=1, check_freq=1, on_failure="raise", verbose=0
    )
    model = small_model(wrong=True)
    with pytest.raises(kgw.GradientMismatchError, match="first/kernel") as caught:
        model.fit(*data, batch_size=6, verbose=0, callbacks=[check])
    assert caught.value.report is check.reports[-1]
    model.fit(*data, batch_size=6, verbose=0)
    assert len(check.reports) == 1


def test_healthy_training_is_silent(data, capsys):
    check = kgw.GradientCheck(
        warmup_steps=0, check_freq=2, on_failure="raise", verbose=0
    )
    small_model().fit(*data, batch_size=6, verbose=0, callbacks=[check])
    assert capsys.readouterr().out == ""


def test_verbose(data, capsys):
    for verbose, lines in ((1, 1), (2, 7)):
        check = kgw.GradientCheck(warmup_steps=0, check_freq=9, verbose=verbose)
        small_model().fit(*data, batch_size=6, verbose=0, callbacks=[check])
        printed = capsys.readouterr().out.strip().splitlines()
        assert len(printed) == lines
        assert printed[0].startswith("Gradient check at step 0: PASS")


def test_says_that_no_check_ran_and_what_to_change(data):
    check = kgw.GradientCheck(verbose=0)
    told = r"after 4 .*warmup_steps=100.* Train longer"
    with pytest.warns(kgw.GradwatchWarning, match=told):
        small_model().fit(*data, batch_size=6, verbose=0, callbacks=[check])


def test_who_was_stopped_is_not_told_to_train_longer(data):
    x, y = data
    check, locator = kgw.GradientCheck(verbose=0), kgw.NonFiniteLocator(verbose=0)
    with pytest.warns(kgw.GradwatchWarning) as caught:
        small_model().fit(
            x * np.nan, y, batch_size=6, verbose=0, callbacks=[check, locator]
        )
    told = [str(w.message) for w in caught if w.category is kgw.GradwatchWarning]
    assert len(told) == 1
    assert "No gradient check ran: training was stopped after 1 " in told[0]
    assert "longer" not in told[0]


class Fragile(layers.Layer):
    """Breaks whenever it computes in double precision and in single alike."""

    broken = False

    def call(self, x):
        if Fragile.broken:
            raise ZeroDivisionError("out of order")
        return x


@pytest.fixture
def fragile_model():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), Fragile()])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    yield model
    Fragile.broken = False


class BreakAfterOneStep(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        Fragile.broken = True


def test_a_check_that_breaks_leaves_training_alone(data, fragile_model):
    check = kgw.GradientCheck(warmup_steps=1, check_freq=1, verbose=0)
    history = fragile_model.fit(
        *data, batch_size=6, verbose=0, callbacks=[check, BreakAfterOneStep()]
    )
    assert len(history.epoch) == 1
    assert int(fragile_model.optimizer.iterations) == 4
    assert {r.verdict for r in check.reports} == {"INCONCLUSIVE"}
    assert "ZeroDivisionError: out of order" in check.reports[0].reason


def test_a_check_that_breaks_does_not_spoil_the_next(data, fragile_model):
    check = kgw.GradientCheck(warmup_steps=1, check_freq=1, verbose=0)
    callbacks = [check, BreakAfterOneStep()]
    fragile_model.fit(*data, batch_size=6, verbose=0, callbacks=callbacks)
    assert {r.verdict for r in check.reports} == {"INCONCLUSIVE"}
    broken, Fragile.broken = len(check.reports), False
    # What could not be traced is not traced again in a fit; another one has its own.
    fragile_model.fit(*data, batch_size=6, verbose=0, callbacks=[check])
    assert {r.verdict for r in check.reports[broken:]} == {"PASS"}


def test_what_can_not_be_written_to_is_refused_before_training(data, tmp_path):
    (tmp_path / "file").write_text("in the way")
    check = kgw.GradientCheck(tmp_path / "file", warmup_steps=3, verbose=0)
    model = small_model()
    with pytest.raises(kgw.InvalidArgumentError, match="log_dir"):
        model.fit(*data, batch_size=6, verbose=0, callbacks=[check])
    assert int(model.optimizer.iterations) == 0


class Interrupt(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        raise KeyboardInterrupt


def test_nothing_stays_behind_when_another_callback_interrupts(data, tmp_path):
    check = kgw.GradientCheck(warmup_steps=0, check_freq=1, verbose=0)
    model = small_model()
    with pytest.raises(KeyboardInterrupt):
        model.fit(*data, batch_size=6, verbose=0, callbacks=[check, Interrupt()])
    keras.models.clone_model(model)
    model.save_weights(tmp_path / "model.weights.h5")
    check.reports.clear()
    model.fit(*data, batch_size=6, verbose=0)
    model.fit(*data, batch_size=6, verbose=0, callbacks=[check])
    assert [r.verdict for r in check.reports] == ["PASS"] * 4


def test_two_callbacks_at_once_and_a_second_fit(data):
    often = {"warmup_steps": 0, "check_freq": 2, "time_budget": 60, "verbose": 0}
    one = kgw.GradientCheck(**often)
    two = kgw.GradientCheck(**often, seed=1)
    model = small_model()
    for _ in range(2):
        model.fit(*data, batch_size=6, verbose=0, callbacks=[one, two])
    assert (
        [r.step for r in one.reports] == [r.step for r in two.reports] == [0, 2, 4, 6]
    )
    assert all(r.passed for r in one.reports + two.reports)
    entries = [
        [c.index for v in callback.reports[0].variables for c in v.coordinates]
        for callback in (one, two)
    ]
    assert entries[0] != entries[1]


def test_ragged_last_batch_is_checked_too(data):
    check = kgw.GradientCheck(warmup_steps=0, check_freq=1, verbose=0)
    small_model().fit(*data, batch_size=10, verbose=0, callbacks=[check])
    assert [r.verdict for r in check.reports] == ["PASS"] * 3


def test_changing_trainable_and_recompiling_between_fits(data):
    check = kgw.GradientCheck(warmup_steps=0, check_freq=4, verbose=0)
    model = small_model()
    model.fit(*data, batch_size=6, verbose=0, callbacks=[check])
    model.layers[0].trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(*data, batch_size=6, verbose=0, callbacks=[check])
    assert [len(r.variables) for r in check.reports] == [4, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"on_failure": "explode"}, "on_failure"),
        ({"verbose": 3}, "verbose"),
        ({"samples": -1}, "samples"),
        ({"samples": 0, "directions": 0}, "Nothing would be compared"),
        ({"tolerance": 0}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"dropout": "off"}, "dropout"),
        ({"expected": "*kernel*"}, "expected"),
        ({"time_budget": 0}, "time_budget"),
        ({"seed": -1}, "seed"),
        ({"data": np.ones((3, 4))}, "data"),
        ({"data": (np.ones((3, 4)), np.ones(2))}, "same number"),
        ({"check_freq": "batch"}, "check_freq"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_at_once(arguments, message):
    with pytest.raises(kgw.InvalidArgumentError, match=message) as caught:
        kgw.GradientCheck(**arguments)
    assert "Received" in str(caught.value)


def test_time_budget_takes_fewer_comparisons_and_others_next_time(data):
    check = kgw.GradientCheck(warmup_steps=0, check_freq=1, time_budget=1e-9, verbose=0)
    small_model().fit(*data, batch_size=3, verbose=0, callbacks=[check])
    assert len(check.reports) == 8
    for report in check.reports:
        # The screen sees every variable, whatever the budget.
        assert report.passed, str(report)
        assert {v.verdict for v in report.variables} == {"PASS"}
        assert {c.kind for v in report.variables for c in v.directions} == {"screen"}
        assert not any(v.coordinates for v in report.variables)


def test_what_the_budget_leaves_goes_round(data, monkeypatch):
    """With time for one variable in each check, all are looked at in turn."""
    check = kgw.GradientCheck(warmup_steps=0, check_freq=1, time_budget=9.0, verbose=0)
    model = small_model()
    seconds = property(lambda problem: 9.0 / 2 / 7.5)  # seven pairs and a half
    monkeypatch.setattr("keras_gradwatch.check.problem.ReplicaProblem.seconds", seconds)
    model.fit(*data, batch_size=3, verbose=0, callbacks=[check])
    alone = [{v.path for v in r.variables if v.coordinates} for r in check.reports]
    assert {len(paths) for paths in alone} <= {1, 2}
    assert set.union(*alone[:4]) == {v.path for v in model.trainable_variables}
    so_far = [sum(v.entries_so_far for v in r.variables) for r in check.reports]
    assert so_far == sorted(so_far)
    assert so_far[-1] > so_far[0] > 0
    assert all(v.coverage_so_far == 1 for v in check.reports[-1].variables)
