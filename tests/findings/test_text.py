"""Names that users chose, made fit to be printed."""

import pytest

from keras_gradwatch.findings.text import and_others, first_of, listed, plain, some_of


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("dense/kernel", "dense/kernel"),
        ("a \n b\r\n\tc", "a b c"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\u202eevil", "\\u202eevil"),
        ("\ud800", "\\ud800"),
        ("\u5c42/\u0637\u0628\u0642\u0629", "\u5c42/\u0637\u0628\u0642\u0629"),
    ],
)
def test_one_visible_line(text, line):
    assert plain(text) == line


def test_what_is_too_long_keeps_both_ends():
    found = plain("network/" + "x" * 10_000 + "/kernel", 30)
    assert len(found) == 30
    assert found.startswith("network/x")
    assert found.endswith("x/kernel")
    assert plain("x" * 30, 30) == "x" * 30


NAMES = ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("join", "of_one", "of_two", "of_four"),
    [
        (lambda names: listed(names, 2), "a", "a and b", "a, b and 2 more"),
        (lambda names: some_of(names, 2), "a", "a, b", "a, b, ..."),
        (lambda names: and_others(names, 2), "a", "a, b", "a, b and others"),
        (first_of, "a", "a (and 1 more)", "a (and 3 more)"),
    ],
    ids=["listed", "some_of", "and_others", "first_of"],
)
def test_lists(join, of_one, of_two, of_four):
    assert [join(NAMES[:n]) for n in (1, 2, 4)] == [of_one, of_two, of_four]
