"""One training that is watched, without a callback."""

import numpy as np

from keras_gradwatch.findings.nonfinite import WEIGHT
from keras_gradwatch.nonfinite.session import Session
from tests.support.nonfinite_fits import logs_model


def spoil(model):
    kernel = model.layers[-1].kernel
    kernel.assign(np.full(kernel.shape, np.nan))


def test_all_is_well():
    session = Session(logs_model(), check_freq=2)
    assert session.begin_step()
    assert session.is_awaiting
    assert session.after_step(None, {"loss": 1.0}) is None
    assert not session.is_awaiting
    assert not session.begin_step()


def test_a_step_that_nobody_showed_is_not_replayed():
    model = logs_model()
    session = Session(model, check_freq=1)
    session.begin_step()
    assert session.after_step(None, {"loss": 1.0}) is None
    session.begin_step()
    spoil(model)
    finding = session.after_step(None, {"loss": np.nan}).finding
    assert not finding.replayed
    assert "can't be replayed" in finding.notes[0]
    assert finding.place == model.layers[-1].kernel.path
    assert [step for step, _ in finding.history] == [0, 0]
    assert not session.begin_step()  # it is over


def test_it_goes_on_once_the_weights_are_mended(data):
    model = logs_model()
    session = Session(model, check_freq=1)
    before = model.get_weights()
    spoil(model)
    session.begin_step()
    held = session.before_step([data])
    assert session.after_step(held, {"loss": np.nan}).finding.kind == WEIGHT
    session.begin_epoch()
    assert not session.begin_step()
    model.set_weights(before)
    session.begin_epoch()
    assert session.begin_step()


def test_losses_may_be_left_unheeded():
    session = Session(logs_model(), check_freq=1, heeds_losses=False)
    session.begin_step()
    assert session.after_step(None, {"loss": np.nan}) is None
