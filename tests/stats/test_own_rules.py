"""Rules of the user's own give the alarm as the built-in ones do."""

import copy
import dataclasses

import keras
import numpy as np
import pytest

import keras_gradwatch as kgw
from tests.support.small_models import small_model


def fit(stats, epochs=4):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(24, 4)).astype("float32"), rng.integers(0, 3, 24)
    model = small_model()
    model.fit(x, y, batch_size=12, epochs=epochs, verbose=0, callbacks=[stats])
    return stats


def stats(*rules, **options):
    return kgw.GradientStats(check_freq=1, rules=rules, verbose=0, **options)


def loud(reading):
    if reading.global_norm > 0:
        return f"The norm is {reading.global_norm:.1f}. Turn it down."
    return None


def content(reading):
    return None


def test_a_rule_gives_the_alarm_after_several_readings_and_once(tmp_path):
    watch = kgw.GradientStats(tmp_path, check_freq=1, rules=[content, loud], verbose=0)
    with pytest.warns(kgw.GradientAlertWarning, match="Rule at step 2: loud: The norm"):
        fit(watch)
    (alert,) = watch.alerts
    assert (alert.kind, alert.where, alert.since, alert.step) == (
        "rule",
        ("loud",),
        0,
        2,
    )
    assert alert.message.endswith("Turn it down.")
    assert (alert.value, alert.threshold) == (None, None)
    assert kgw.read_alerts(tmp_path) == [dataclasses.replace(alert, epoch=1)]


def test_rules_without_a_complaint_are_silent():
    assert fit(stats(content)).alerts == []


def test_several_rules_in_one_alert():
    def late(reading):
        return "It is late." if reading.step >= 2 else None

    with pytest.warns(kgw.GradientAlertWarning):
        watch = fit(stats(loud, late, lambda reading: "Always.", patience=2))
    assert [(a.where, a.step) for a in watch.alerts] == [
        (("loud", "<lambda>"), 1),
        (("late",), 3),
    ]
    assert "<lambda>: Always." in watch.alerts[0].message


def test_it_stops_or_raises_as_asked():
    with pytest.raises(kgw.GradientAlertError, match="loud"):
        fit(stats(loud, on_failure="raise"))


def test_an_error_in_a_rule_is_warned_of_once_and_the_others_go_on():
    class Broken:
        def __call__(self, reading):
            return reading.no_such_figure

    with pytest.warns(kgw.GradwatchWarning) as warned:
        watch = fit(stats(Broken(), lambda reading: 3, loud))
    texts = [str(w.message) for w in warned]
    assert sum("The rule 'Broken' failed at step 1" in text for text in texts) == 1
    assert sum("must return a message, or None. Received: 3" in t for t in texts) == 1
    assert len(texts) == 3
    assert [alert.where for alert in watch.alerts] == [("loud",)]
    assert len(watch.readings) == 8


def test_a_callback_with_rules_can_be_copied():
    with pytest.warns(kgw.GradientAlertWarning):
        assert len(fit(copy.deepcopy(stats(loud))).alerts) == 1
    keras.utils.clear_session(free_memory=False)


@pytest.mark.parametrize("rules", [loud, "loud", [loud, "loud"]])
def test_wrong_arguments(rules):
    with pytest.raises(kgw.InvalidArgumentError, match="`rules` must be a list of"):
        kgw.GradientStats(rules=rules)
