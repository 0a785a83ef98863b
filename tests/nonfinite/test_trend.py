"""The last readings before a failure."""

from keras_gradwatch.nonfinite.trend import Trend


def test_the_last_six_readings_are_kept():
    trend = Trend()
    for step in range(9):
        trend.note_losses(step, {"loss": float(step)})
        trend.note_size(step, 2.0 * step)
    assert trend.losses("loss") == tuple((k, float(k)) for k in range(3, 9))
    assert trend.sizes() == tuple((k, 2.0 * k) for k in range(3, 9))


def test_of_several_losses_the_named_one_is_told_or_else_the_first():
    trend = Trend()
    trend.note_losses(0, {"loss": 1.0, "b_loss": 2.0})
    trend.note_losses(1, {})
    trend.note_losses(2, {"loss": 3.0})
    assert trend.losses("b_loss") == ((0, 2.0), (2, 3.0))
    assert trend.losses("") == ((0, 1.0), (2, 3.0))
