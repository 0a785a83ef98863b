"""Callbacks of one fit hear one another, and tell one story of an alert."""

import copy
import gc
import itertools
import json
import logging
import pickle
import warnings
import weakref

import keras
import numpy as np
import pytest
from keras import layers

import keras_gradwatch as kgw
from keras_gradwatch.tensorboard.plugin import answers
from tests.support.fits import everything_after_fit, on_a_line, subclassed
from tests.support.marks import first
from tests.support.small_models import Halved
from tests.support.tab_server import summary_of

STEPS, SIZE, BAD = 120, 4, 100


def network(wrong=False, rate=1e-3, **compiled):
    middle = [Halved()] if wrong else []
    hidden, line = layers.Dense(4, "tanh", name="hidden"), layers.Dense(1, name="line")
    model = keras.Sequential([keras.Input((3,)), hidden, *middle, line], name="net")
    model.compile(keras.optimizers.SGD(rate), "mse", **compiled)
    return model


def data(bad=(BAD,), steps=STEPS):
    return on_a_line(steps, SIZE, bad)


def watchers(**options):
    """All four, by short names; a check is due at step 10 alone."""
    options = {"verbose": 0, **options}
    check = {"warmup_steps": 10, "time_budget": 30, **options}
    return {
        "check": kgw.GradientCheck(**check),
        "stats": kgw.GradientStats(check_freq=20, **options),
        "nan": kgw.NonFiniteLocator(**{**options, "on_failure": "warn"}),
        "loss": kgw.LossWatch(**options),
    }


def fit(callbacks, model=None, *, bad=(BAD,), steps=STEPS, **options):
    model = model or network()
    options = {"batch_size": SIZE, "shuffle": False, "verbose": 0, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kgw.GradwatchWarning)
        model.fit(*data(bad, steps), callbacks=list(callbacks), **options)
    return model


@pytest.fixture(scope="module")
def spiked(tmp_path_factory):
    """A fit with a bad batch at a known step, and all four callbacks."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    told, log_dir = [], tmp_path_factory.mktemp("spiked")
    used = watchers(log_dir=log_dir, on_finding=told.append)
    fit(used.values())
    return used, told, log_dir


@pytest.mark.basic
def test_a_spike_is_told_in_one_sentence_with_the_true_numbers(spiked):
    used, _, _ = spiked
    (incident,) = used["loss"].incidents
    (alert,) = used["loss"].alerts
    (seen,) = incident.seen
    assert (seen.kind, seen.where, seen.step) == ("spike", ("loss",), alert.step)
    assert incident.since == seen.since == BAD + 1
    assert seen.value == alert.value == pytest.approx(1e6, rel=0.05)
    assert seen.fold == alert.value / alert.before
    # A check and a reading before the next step; the others were due by themselves.
    now = alert.step + 1
    assert [report.step for report in used["check"].reports] == [10, now]
    readings = {reading.step: reading for reading in used["stats"].readings}
    assert [*readings] == [0, 20, 40, 60, 80, 100, now]
    assert (incident.check_before.step, incident.check_before.verdict) == (10, "PASS")
    assert (incident.check.step, incident.check.verdict) == (now, "PASS")
    assert incident.check.underflow == 0
    # The very step of the bad batch was read, too.
    norms = incident.norms
    assert (norms.before, norms.step) == (80, BAD)
    growth = {
        name: _norm(readings[BAD], name) / _norm(readings[80], name)
        for name in ("net/hidden", "net/line")
    }
    assert norms.grown.layer == max(growth, key=growth.get)
    assert norms.grown.fold == pytest.approx(max(growth.values()))
    assert norms.grown.fold > 100
    assert incident.unknown == ()
    assert f"to {alert.value:.4g} at step 101, and came back" in incident.sentence
    assert f"was right at step 10 and is right at step {now};" in incident.sentence
    assert f"in {norms.grown.layer!r} from step 80 to 100" in incident.sentence
    assert incident.sentence.endswith("nothing underflows.")


def _norm(reading, layer):
    return np.hypot.reduce([v.norm for v in reading.variables if v.layer == layer])


def test_it_is_told_once_to_all_who_asked(spiked):
    used, told, log_dir = spiked
    (incident,) = used["loss"].incidents
    assert all(one.incidents == [incident] for one in used.values())
    assert [one for one in told if isinstance(one, kgw.Incident)] == [incident]
    *_, stored = kgw.read_alerts(log_dir)
    assert (stored.kind, stored.message) == ("incident", incident.sentence)
    assert (stored.epoch, stored.since) == (0, BAD + 1)


def test_it_comes_first_in_the_tab(spiked):
    used, _, log_dir = spiked
    found = summary_of(log_dir)
    worst, *others = answers.story(found)
    assert worst.title == "Incident: loss"
    assert worst.text == used["loss"].incidents[0].sentence
    assert "Loss spike: loss" in [one.title for one in others]
    assert len(answers.grid(found, [worst, *others], None)["timeline"]["alerts"]) == 2


def test_it_is_data(spiked):
    (incident,) = spiked[0]["loss"].incidents
    text = incident.to_json()
    assert kgw.Incident.from_json(text) == incident
    assert hash(kgw.Incident.from_json(text)) == hash(incident)
    assert json.loads(text)["in_words"] == incident.sentence
    assert incident.sentence.split(";")[0].replace("'", "&#x27;") in (
        incident._repr_html_()
    )
    assert "spike" in spiked[0]["loss"].incidents._repr_html_()


@pytest.mark.parametrize(
    "order", first([*itertools.permutations(["check", "stats", "nan", "loss"])][::-5])
)
def test_the_order_of_callbacks_does_not_matter(spiked, order):
    (expected,) = spiked[0]["loss"].incidents
    used = watchers()
    fit(used[name] for name in order)
    (incident,) = used["loss"].incidents
    assert incident == expected


def test_a_healthy_training_is_looked_at_no_more_than_without(caplog):
    used = watchers()
    with caplog.at_level(logging.WARNING, "keras_gradwatch"):
        fit(used.values(), bad=())
    assert all(one.incidents == [] for one in used.values())
    assert [report.step for report in used["check"].reports] == [10]
    assert [r.step for r in used["stats"].readings] == [0, 20, 40, 60, 80, 100]
    assert caplog.records == []


@pytest.mark.parametrize("name", first(["check", "stats", "loss"]))
def test_one_callback_alone_is_what_it_was(name):
    one = watchers()[name]
    fit([one])
    assert one.incidents == []
    assert [r.step for r in getattr(one, "reports", [])] in ([], [10])
    steps = [r.step for r in getattr(one, "readings", [])]
    assert steps in ([], [0, 20, 40, 60, 80, 100])


def test_a_wrong_gradient_is_called_wrong(caplog, capsys):
    used = watchers(verbose=1)
    with caplog.at_level(logging.WARNING, "keras_gradwatch"):
        fit([used["loss"], used["check"]], network(wrong=True))
    (incident,) = used["check"].incidents
    assert incident.check_before.verdict == incident.check.verdict == "FAIL"
    assert incident.check.wrong == ("net/hidden/kernel", "net/hidden/bias")
    assert incident.check.places[0].kind == "Halved"
    assert "the gradient is wrong at step 104 (2 of 4 variables, look at 'halved'" in (
        incident.sentence
    )
    assert "as it was at step 10" in incident.sentence
    # Norms were not asked for, so nothing is said of them.
    assert "norm" not in incident.sentence
    assert [one.what for one in incident.unknown] == ["reading"]
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert lines[-1] == str(incident)
    assert [r.message for r in caplog.records].count(str(incident)) == 1


def test_what_is_not_known_is_said():
    used = watchers()
    fit([used["stats"], used["loss"]])
    (incident,) = used["loss"].incidents
    assert (incident.check, incident.check_before) == (None, None)
    assert "no GradientCheck goes with this training" in incident.sentence
    # A check that may not be made yet: the user's own word goes first.
    late = kgw.GradientCheck(warmup_steps=110, time_budget=30, verbose=0)
    watch = kgw.LossWatch()
    fit([late, watch])
    (incident,) = watch.incidents
    assert incident.sentence.endswith("not known (its warm-up is not over).")
    assert [report.step for report in late.reports] == [110]


def test_callbacks_that_look_at_nothing_have_no_story():
    used = watchers()
    fit([used["nan"], used["loss"]])
    assert used["loss"].alerts
    assert used["loss"].incidents == []


def test_alerts_of_gradients_ask_for_a_check():
    def loud(reading):
        return "It is loud." if reading.global_norm > 100 else None

    check = kgw.GradientCheck(warmup_steps=10, time_budget=30, verbose=0)
    stats = kgw.GradientStats(check_freq=20, patience=1, rules=[loud])
    fit([stats, check])
    (incident,) = stats.incidents
    assert {alert.step for alert in stats.alerts} == {BAD}
    # One event, one story.
    assert [seen.kind for seen in incident.seen] == [a.kind for a in stats.alerts]
    assert [report.step for report in check.reports] == [10, BAD + 1]
    assert [reading.step for reading in stats.readings][-2:] == [BAD, BAD + 1]
    assert "the rule 'loud' speaks since step 100;" in incident.sentence


def test_a_layer_behind_dead_units_is_not_called_dead():
    """Its kernel gets no gradient, but its bias does."""
    model = network()
    model.layers[0].activation = keras.activations.relu
    model.layers[0].bias.assign([-100.0] * 4)
    check = kgw.GradientCheck(warmup_steps=10, time_budget=30, verbose=0)
    stats = kgw.GradientStats(check_freq=10)
    fit([check, stats], model, bad=())
    (incident,) = stats.incidents
    (seen,) = incident.seen
    assert (seen.kind, seen.where) == ("dead", ("net/hidden",))
    assert [idle.layer for idle in incident.norms.idle] == ["net/hidden"]
    assert "no unit of 'net/hidden' gets a gradient;" in incident.sentence


def test_several_steps_at_once_and_a_nan_in_the_data():
    """The gradients that were read are those of a step before, which lost nothing."""
    x, y = data(bad=())
    x[SIZE * 33] = np.nan
    stats = kgw.GradientStats(check_freq=1)
    model = network(steps_per_execution=7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kgw.GradwatchWarning)
        model.fit(
            *(x, y, SIZE),
            shuffle=False,
            verbose=0,
            callbacks=[stats, kgw.NonFiniteLocator()],
        )
    assert stats.readings[-1].step == 28
    assert stats.alerts == []
    (incident,) = stats.incidents
    assert [seen.kind for seen in incident.seen] == ["nonfinite"]
    assert "NaN or infinity arose in 'x' at step 33;" in incident.sentence


def test_many_trainings_in_one_process_are_quiet(caplog):
    """Of graphs that are made again and again TensorFlow warns."""
    with caplog.at_level(logging.WARNING, "tensorflow"):
        for _ in range(7):
            fit([kgw.GradientStats(check_freq=2)], bad=(), steps=4)
    assert [r.message for r in caplog.records if "retracing" in r.message] == []


@pytest.mark.long
def test_who_comes_and_goes_is_not_looked_at_each_time():
    seen = itertools.count()

    def now_and_then(reading):
        return "Odd." if next(seen) % 2 else None

    check = kgw.GradientCheck(warmup_steps=0, time_budget=30, verbose=0)
    stats = kgw.GradientStats(check_freq=5, patience=1, rules=[now_and_then])
    fit([check, stats], bad=(), steps=400)
    assert len(stats.alerts) > 30
    # After 100 steps, then after 200, and so on.
    gaps = np.diff([incident.seen[0].step for incident in stats.incidents])
    assert len(gaps) == 2
    assert 100 <= gaps[0] < 120
    assert 200 <= gaps[1] < 220
    assert len(check.reports) == 1 + len(stats.incidents)


@pytest.mark.parametrize("on_failure", first(["stop", "raise"]))
def test_a_training_that_is_ended_has_its_story(on_failure):
    used = watchers()
    watch = kgw.LossWatch(on_failure=on_failure)
    callbacks = [used["check"], used["stats"], watch]
    if on_failure == "raise":
        with pytest.raises(kgw.LossAlertError):
            fit(callbacks)
    else:
        fit(callbacks)
    (incident,) = watch.incidents
    assert incident.check is None
    assert "was right at step 10, and was not checked again (training ended)" in (
        incident.sentence
    )
    assert "from step 80 to 100" in incident.sentence


@pytest.mark.long
def test_diverging_and_nan_are_two_chapters():
    used = watchers()
    fit(used.values(), network(rate=1.5), bad=())
    diverged, lost = used["nan"].incidents
    assert [seen.kind for seen in diverged.seen] == ["diverging"]
    assert [seen.kind for seen in lost.seen] == ["nonfinite"]
    assert diverged.norms.grown.fold > 1e3
    assert diverged.check.step == diverged.seen[0].step + 1
    assert used["nan"].finding.step == lost.since
    # What was looked at for the first serves the second.
    assert lost.check is None
    assert lost.check_before == diverged.check


def test_a_second_fit_begins_anew():
    used = watchers()
    model = fit(used.values())
    fit(used.values(), model)
    one, other = used["loss"].incidents
    assert other.since == one.since + STEPS
    assert other.check_before.step >= STEPS
    assert other.norms.before >= STEPS
    fit([used["loss"]], model)  # the others are not there any more
    assert len(used["loss"].incidents) == 2
    assert used["check"].reports[-1].step < 2 * STEPS


@pytest.mark.long
def test_a_fit_that_was_broken_off_leaves_nobody_waiting():
    class Unplugged(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 103:
                raise OSError("unplugged")

    used = watchers()
    model = network()
    with pytest.raises(OSError, match="unplugged"):
        fit([Unplugged(), *used.values()], model)
    assert used["loss"].alerts
    fit(used.values(), model, bad=())
    assert [one.seen[0].step for one in used["loss"].incidents] == []
    for one in used.values():
        assert type(copy.deepcopy(one)) is type(one)
    assert pickle.loads(pickle.dumps(used["loss"])).incidents == []
    gone = weakref.ref(model)
    del model, used, one
    gc.collect()
    assert gone() is None


WAYS = {
    "graph": {},
    "eager": {"run_eagerly": True},
    "several": {"steps_per_execution": 3},
    "compiled": {"jit_compile": True},
}


@pytest.mark.parametrize("name", first(WAYS))
def test_training_is_bitwise_untouched(name):
    def often(reading):
        return "Always."

    def run(callbacks):
        return everything_after_fit(subclassed, WAYS[name], {}, callbacks)

    stats = kgw.GradientStats(check_freq=2, patience=1, rules=[often], verbose=0)
    check = kgw.GradientCheck(warmup_steps=0, check_freq=100, verbose=0)
    without = run([])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kgw.GradwatchWarning)
        with_all = run([stats, check, kgw.LossWatch()])
    assert stats.incidents
    assert len(check.reports) == 2
    assert without.keys() == with_all.keys()
    for key, values in without.items():
        np.testing.assert_equal(with_all[key], values, err_msg=key)
