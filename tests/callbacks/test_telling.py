"""Findings are handed on: as data, to Python's logging, and as figures in the logs."""

import logging

import keras
import numpy as np
import pytest

import keras_gradwatch as kgw
from tests.support.small_models import small_model


@pytest.fixture
def data(rng):
    return rng.normal(size=(24, 4)).astype("float32"), rng.integers(0, 3, 24)


class Spoil(keras.callbacks.Callback):
    """Makes a weight infinite, and all but one of the others zero."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            bias = self.model.layers[-1].bias
            bias.assign(np.full(bias.shape, np.inf, "float32"))


def all_three(told, **options):
    return [
        kgw.GradientCheck(warmup_steps=0, time_budget=30, on_finding=told, **options),
        kgw.GradientStats(
            check_freq=1, patience=1, vanishing=0.9999, on_finding=told, **options
        ),
        kgw.NonFiniteLocator(on_finding=told, on_failure="warn", **options),
    ]


def fit(data, callbacks, epochs=3):
    model = small_model(wrong=True)
    with pytest.warns(kgw.GradwatchWarning) as warned:
        model.fit(*data, batch_size=12, epochs=epochs, verbose=0, callbacks=callbacks)
    return model, [str(w.message) for w in warned]


def test_each_finding_is_handed_on_as_data(data, caplog):
    told = []
    check, stats, locator = callbacks = all_three(told.append, verbose=0)
    with caplog.at_level(logging.INFO, "keras_gradwatch"):
        _model, _ = fit(data, [Spoil(), *callbacks])
    found = [*check.reports, *stats.alerts, *locator.findings, *check.incidents]
    assert check.incidents
    assert len(check.reports) >= 2
    assert stats.alerts
    assert len(locator.findings) == 1
    assert len(told) == len(found)
    assert all(any(one is other for other in told) for one in found)
    lines = [record.getMessage() for record in caplog.records]
    for one in (*check.reports, *locator.findings):
        assert one.headline in lines
    for alert in stats.alerts:
        assert str(alert) in lines
    wrong = {record.levelno for record in caplog.records if "FAIL" in record.message}
    assert wrong == {logging.WARNING}


def test_what_is_right_is_information(data, caplog):
    check = kgw.GradientCheck(warmup_steps=0, time_budget=30, verbose=0)
    with caplog.at_level(logging.INFO, "keras_gradwatch"):
        small_model().fit(*data, batch_size=12, verbose=0, callbacks=[check])
    # TensorFlow may have something to say of its own.
    (record,) = [r for r in caplog.records if r.name == "keras_gradwatch"]
    assert (record.levelno, record.getMessage()) == (
        logging.INFO,
        check.reports[0].headline,
    )


def test_an_error_of_the_users_own_is_warned_of_once(data):
    def broken(finding):
        raise ConnectionError("nobody listens")

    model, warned = fit(data, [Spoil(), *all_three(broken, verbose=0)])
    assert int(model.optimizer.iterations) == 6
    own = [text for text in warned if "`on_finding` failed" in text]
    assert len(own) == 3  # each callback once
    assert all("ConnectionError: nobody listens" in text for text in own)


def test_it_is_told_before_training_is_ended(data):
    told = []
    check = kgw.GradientCheck(
        warmup_steps=0, on_failure="raise", on_finding=told.append, verbose=0
    )
    with pytest.raises(kgw.GradientMismatchError) as caught:
        small_model(wrong=True).fit(*data, verbose=0, callbacks=[check])
    assert told == [caught.value.report]


FIGURES = {
    "gradients_wrong",
    "gradient_error",
    "gradient_norm",
    "update_ratio",
    "gradient_alerts",
    "nonfinite",
    "loss_level",
    "loss_noise",
    "loss_alerts",
}


def test_figures_in_the_logs(data, tmp_path):
    path = tmp_path / "log.csv"
    stop = keras.callbacks.EarlyStopping("gradients_wrong", mode="min", patience=2)
    check, stats, locator = all_three(None, log_metrics=True, verbose=0)
    watch = kgw.LossWatch(log_metrics=True)
    callbacks = [check, stats, locator, watch, keras.callbacks.CSVLogger(path), stop]
    model, _ = fit(data, callbacks, epochs=9)
    history = model.history.history
    assert set(history) == FIGURES | {"accuracy", "loss"}
    assert history["gradients_wrong"] == [2.0] * 3  # so training ended early
    assert history["gradient_error"][-1] == check.reports[-1].worst_relative_error
    assert history["gradient_norm"][-1] == stats.readings[-1].global_norm
    assert history["update_ratio"][-1] == stats.readings[-1].update_ratio
    assert history["gradient_alerts"][-1] == len(stats.alerts)
    assert history["nonfinite"] == [0] * 3
    assert set(path.read_text().splitlines()[0].split(",")) >= FIGURES


def test_the_history_is_left_as_it_is(data):
    callbacks = [*all_three(None, verbose=0), kgw.LossWatch()]
    model, _ = fit(data, callbacks)
    assert set(model.history.history) == {"accuracy", "loss"}


def test_what_is_not_known_yet_is_nan(data):
    late = {"warmup_steps": 5, "log_metrics": True, "verbose": 0}
    callbacks = [kgw.GradientCheck(**late), kgw.GradientStats(**late)]
    model = small_model()
    model.fit(*data, batch_size=12, epochs=3, verbose=0, callbacks=callbacks)
    history = model.history.history
    for name in ("gradients_wrong", "gradient_norm"):
        assert np.isnan(history[name]).tolist() == [True, True, False]


@pytest.mark.parametrize(
    "make", [kgw.GradientCheck, kgw.GradientStats, kgw.NonFiniteLocator]
)
@pytest.mark.parametrize("name", ["on_finding", "log_metrics"])
def test_wrong_arguments(make, name):
    with pytest.raises(kgw.InvalidArgumentError, match=f"Received: {name}='yes'"):
        make(**{name: "yes"})
