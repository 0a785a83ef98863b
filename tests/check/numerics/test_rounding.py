"""What is said of a gradient in the precision of training, and after the tape."""

import numpy as np
import pytest

from keras_gradwatch.check.numerics.rounding import handed_on, rounding
from keras_gradwatch.findings import sentences


def test_rounding_of_equal_gradients_is_nothing(rng):
    exact = rng.normal(size=100)
    assert rounding(exact, exact.copy(), 1e-13).error == 0
    found = rounding(exact, exact.astype(np.float32).astype(float), 1e-13)
    assert 0 < found.error < 1e-6
    assert (found.vanished, found.overflowed) == (0, 0)


def test_what_vanishes_is_counted_where_there_was_something():
    exact = np.array([1.0, 1e-6, 1e-7, 0.0, 1e-15])
    found = rounding(exact, np.array([1.0, 0.0, 1e-7, 0.0, 0.0]), 1e-13)
    assert found.vanished == pytest.approx(1 / 3)
    assert found.overflowed == 0


def test_what_overflows_is_counted_and_left_out_of_the_error():
    exact = np.array([1.0, 2.0, 3.0, np.inf])
    found = rounding(exact, np.array([1.0, np.nan, np.inf, np.inf]), 1e-13)
    assert found.overflowed == pytest.approx(2 / 3)
    assert found.error == 0


def test_round_off_alone_has_no_error():
    exact = np.array([1e-16, -2e-16])
    assert rounding(exact, np.array([1e-9, 2e-9]), 1e-13).error is None
    assert rounding(np.zeros(3), np.zeros(3), 0.0).error is None


GRADIENT = np.array([1.0, -2.0, 0.5, 4.0])
OTHER = np.array([3.0, 1.0, -1.0, 0.2])


def words_for(*arguments):
    return sentences.handed_on(handed_on(*arguments))


@pytest.mark.parametrize(
    ("handed", "words"),
    [
        ([GRADIENT], ""),
        ([OTHER, GRADIENT], "the gradient, and the gradient of b"),
        ([GRADIENT * (1 + 1e-8)], ""),
        ([0.25 * GRADIENT], "0.25 times the gradient"),
        ([-GRADIENT], "-1 times the gradient"),
        ([0 * GRADIENT], "zeros"),
        ([None], "nothing"),
        ([], "nothing"),
        ([OTHER], "the gradient of b"),
        ([2 * OTHER], "2 times the gradient of b"),
        (
            [np.clip(GRADIENT, -1, 1)],
            "another value, 69% of the gradient's norm away from it",
        ),
    ],
)
def test_what_is_handed_on(handed, words):
    assert words_for(GRADIENT, handed, {"b": OTHER}, 1e-5) == words


def test_what_the_tape_did_not_return():
    assert words_for(None, [None], {}, 1e-5) == ""
    assert words_for(None, [], {}, 1e-5) == ""
    assert "did not return" in words_for(None, [GRADIENT], {}, 1e-5)


def test_few_entries_are_multiples_of_others_by_chance():
    one, other = np.array([2.0]), np.array([3.0])
    assert "another value" not in words_for(one, [-one], {"b": other}, 1e-5)
    assert "gradient of b" in words_for(np.zeros(1), [other], {"b": other}, 1e-5)
    assert "of b" not in words_for(np.zeros(1), [2 * other], {"b": other}, 1e-5)


def test_what_is_not_finite_is_no_multiple():
    broken = np.array([np.nan, 1.0, 1.0, 1.0])
    assert words_for(broken, [broken], {}, 1e-5) == ""
    assert "not finite" in words_for(broken, [GRADIENT], {}, 1e-5)


def test_what_other_losses_account_for_is_theirs():
    assert words_for(GRADIENT, [2 * OTHER, 2 * GRADIENT], {}, 1e-5, [OTHER]) == (
        "2 times the gradient"
    )
    assert words_for(GRADIENT, [OTHER], {}, 1e-5, [OTHER]) == (
        "the gradient of another loss alone"
    )
    assert words_for(GRADIENT, [GRADIENT, OTHER], {}, 1e-5, [OTHER]) == ""


def test_a_sum_of_the_gradients_of_two_losses_is_recognised():
    mean = (GRADIENT + OTHER) / 2
    words = words_for(GRADIENT, [mean], {}, 1e-5, [OTHER])
    assert words == "0.5 times the gradient, added to that of another loss"


def test_what_comes_on_top_of_the_gradient_is_told():
    words = words_for(GRADIENT, [GRADIENT, -2 * GRADIENT], {}, 1e-5)
    assert words == "the gradient, and -2 times the gradient"
