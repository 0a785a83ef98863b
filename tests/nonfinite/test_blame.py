"""Who of a batch is to blame, without a model; and the words for entries."""

import numpy as np
import pytest

from keras_gradwatch.findings.examples import AMONG_OTHERS, EACH, THESE, TOGETHER
from keras_gradwatch.findings.nonfinite import Entries, Extent
from keras_gradwatch.nonfinite.blame import blame, rows_of


def tried(guilty, count, hint=()):
    """What is blamed, and how many replays that takes."""
    calls = []

    def fails(rows):
        calls.append(list(rows))
        return bool(set(rows) & set(guilty))

    return blame(count, hint, fails), len(calls)


@pytest.mark.parametrize("guilty", [[0], [5], [31], [3, 4], [0, 31], [1, 2, 30]])
@pytest.mark.parametrize("hinted", [False, True])
def test_the_guilty_are_found(guilty, hinted):
    found, calls = tried(guilty, 32, guilty if hinted else ())
    assert (found.kind, found.examples) == (THESE, tuple(guilty))
    assert calls <= (3 if hinted else 3 + 11 * len(guilty))


def test_a_wrong_hint_does_not_mislead():
    found, _ = tried([7], 16, hint=[2])
    assert found.examples == (7,)


def test_all_of_them():
    found, calls = tried(range(16), 16, hint=range(16))
    assert found.examples is None
    assert (found.kind, found.tried) == (EACH, (0, 8, 15))
    assert calls <= 3


def test_many_of_them():
    found, _ = tried(range(1, 14), 16)
    assert found.examples == tuple(range(1, 9))
    assert found.kind == AMONG_OTHERS


def test_only_together():
    found = blame(16, (), lambda rows: {3, 12} <= set(rows))
    assert found.examples is None
    assert found.kind == TOGETHER


def test_one_example():
    assert blame(1, (), lambda rows: True).examples == (0,)


def test_each_stays_in_its_place():
    assert rows_of([2], 4) == [2, 2, 2, 2]
    assert rows_of([1, 3], 5) == [1, 1, 1, 3, 1]


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.nan, "nan"),
        ([[1, np.nan], [2, 3]], "1 of 4 is nan, at [0, 1]"),
        ([np.inf, -np.inf, 0], "2 of 3 (1 inf, 1 -inf), at [0], [1]"),
        ([np.inf, np.inf], "2 of 2 are inf"),
    ],
)
def test_entries_in_words(array, text):
    assert str(Entries.of(np.array(array, "float32"))) == text


def test_an_extent_in_words():
    extent = Extent.of("input", np.array([[1.0, np.nan], [3.0, -1.0]]))
    assert str(extent) == "input (2, 2): from -1 to 3, mean 1, 1 not finite"
    assert (extent.low, extent.high, extent.bad) == (-1, 3, 1)
