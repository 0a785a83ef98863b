"""The short form of a report, and the words for how a gradient is wrong."""

import math

import pytest

from keras_gradwatch.findings import sentences
from keras_gradwatch.findings.causes import MissingGradient, NonFiniteGradient
from keras_gradwatch.findings.digest import Digest, digest, manner_of, margin
from keras_gradwatch.findings.notes import LookToTheLoss, Said
from keras_gradwatch.findings.place import Place
from tests.support.reports import comparison, report, variable


def wrong(*pairs, **changes):
    """A failing variable with these analytic and numerical slopes."""
    compared = [comparison(analytic=a, numerical=n, word="mismatch") for a, n in pairs]
    found = {"verdict": "FAIL", "coordinates": tuple(compared), "directions": ()}
    return variable(**{**found, **changes})


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([(1, 2), (-3, -6)], "too small by a factor of 2"),
        ([(2, 1), (6.001, 3)], "too large by a factor of 2"),
        ([(1, -1), (-3, 3)], "of the wrong sign"),
        ([(-2, 1), (6, -3)], "of the wrong sign and too large by a factor of 2"),
        ([(0.0, 1), (0.0, 3)], "zero"),
        ([(1, 2), (3, 4)], ""),
        ([(1, 2)], ""),
        ([(1, None), (math.nan, 2)], ""),
    ],
)
def test_how_it_is_wrong(pairs, words):
    assert sentences.manner(manner_of(wrong(*pairs))) == words


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (NonFiniteGradient(count=3, size=9, first=(0, 2)), "not finite"),
        (MissingGradient(), "missing"),
    ],
)
def test_how_it_is_wrong_as_a_whole(cause, words):
    assert sentences.manner(manner_of(wrong((0.0, 1), cause=cause))) == words


def test_json_keeps_a_digest():
    found = digest(
        report(
            variable(path="a/\u5c42\ud800", relative_error=math.nan),
            wrong((1, 2), (2, 4), path="b", target="critic", relative_error=0.3333),
            verdict="FAIL",
            remarks=(Said("Other."), LookToTheLoss((Place("b", "Dense"),), wrong="b")),
        )
    )
    assert Digest.from_json(found.to_json()) == found
    assert found.look_at == "'b' (Dense)"
    assert found.variables[0].relative_error is None
    assert found.variables[1].relative_error == 0.33
    assert found.variables[1].label == "b (critic)"
    assert found.variables[1].how == "too small by a factor of 2"


@pytest.mark.parametrize("text", ["{}", "[]", "[99]", '"x"', "null"])
def test_foreign_json_is_refused(text):
    with pytest.raises(ValueError, match="Received"):
        Digest.from_json(text)


@pytest.mark.parametrize(
    "text",
    [
        '[1, "7", "PASS", "", 0.001, "", []]',
        '[1, 7, "MAYBE", "", 0.001, "", []]',
        '[1, 7, "PASS", null, 0.001, "", []]',
        '[1, 7, "PASS", "", 0, "", []]',
        '[1, 7, "PASS", "", NaN, "", []]',
        '[1, 7, "PASS", "", 0.001, "", [["a", "", "PASS", "x", ""]]]',
        '[2, 7, "PASS", "", 0.001, [["a", 1]], []]',
        '[2, 7, "PASS", "", 0.001, [], [["a", "", "FAIL", 0.1, ["odd", null]]]]',
        '[2, 7, "PASS", "", 0.001, [], [["a", "", "FAIL", 0.1, ["factor", null]]]]',
    ],
)
def test_what_makes_no_sense_is_refused(text):
    with pytest.raises(ValueError, match="Received"):
        Digest.from_json(text)


def test_a_digest_of_format_1_is_read():
    found = Digest.from_json(
        '[1, 7, "FAIL", "", 0.001, "\'b\' (Dense)", [["b", "", "FAIL", 0.3, "zero"]]]'
    )
    assert found.look_at == "'b' (Dense)"
    assert found.variables[0].how == "zero"


def test_a_digest_of_format_2_is_read():
    row = '["a", "", "UNUSED", null, null]'
    found = Digest.from_json(f'[2, 7, "PASS", "", 0.001, [["b", "Dense"]], [{row}]]')
    assert found.look_at == "'b' (Dense)"
    assert [v.verdict for v in found.variables] == ["UNUSED"]


def test_the_margin_is_above_zero_exactly_where_a_check_fails():
    def of(*variables):
        return margin(report(*variables, tolerance=1e-3))

    assert of(variable(relative_error=1e-5)) == pytest.approx(-2)
    assert of(variable(relative_error=0.0)) == -6
    # A kink may raise the relative error of what is right.
    assert of(variable(relative_error=0.5)) == 0
    failing = variable(verdict="FAIL", relative_error=0.1)
    assert of(variable(), failing) == pytest.approx(2)
    for error in (None, math.nan):
        lost = variable(verdict="FAIL", relative_error=error)
        assert of(variable(), lost) == pytest.approx(3)
    assert of(variable(verdict="FAIL", relative_error=1e-9)) > 0
    assert of(variable(verdict="INCONCLUSIVE")) is None
    assert of() is None
