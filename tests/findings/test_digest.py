"""The short form of a report, and the words for how a gradient is wrong."""

import math

import pytest

from keras_gradwatch.findings.digest import Digest, digest, how_wrong, margin
from tests.findings.test_report import comparison, report, variable


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
    assert how_wrong(wrong(*pairs)) == words


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("3 of 9 entries of the gradient are NaN or infinite, the first", "not finite"),
        ("The tape returned no gradient (None), but the loss depends", "missing"),
    ],
)
def test_how_it_is_wrong_as_a_whole(reason, words):
    assert how_wrong(wrong((0.0, 1), reason=reason)) == words


def test_json_keeps_a_digest():
    found = digest(
        report(
            variable(path="a/\u5c42\ud800", relative_error=math.nan),
            wrong((1, 2), (2, 4), path="b", target="critic", relative_error=0.3333),
            verdict="FAIL",
            notes=("Other.", "Look first at 'b' (Dense). No layer after 'b' is known"),
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
    ],
)
def test_what_makes_no_sense_is_refused(text):
    with pytest.raises(ValueError, match="Received"):
        Digest.from_json(text)


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
