"""Mismatches that are meant, and the list of them, which must not rot."""

from __future__ import annotations

import pytest

from tests.support.faults import FAULTS
from tests.support.faults.checks import check

ROUNDING = FAULTS["straight-through rounding, not declared"]
REVERSAL = FAULTS["gradient reversal, not declared"]


def verdicts(report):
    return {v.path: v.verdict for v in report.variables}


@pytest.mark.parametrize("fault", [ROUNDING, REVERSAL], ids=["rounding", "reversal"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_declared_mismatch_is_expected(fault, seed):
    report = check(fault, True, seed, expected=("*below*",))
    assert verdicts(report) == {
        "below/kernel": "EXPECTED",
        "below/bias": "EXPECTED",
        "above/kernel": "PASS",
        "above/bias": "PASS",
    }
    assert report.verdict == "PASS"
    assert report.notes == ()


def test_only_what_the_pattern_matches_is_expected():
    report = check(REVERSAL, True, 0, expected=("below/kernel",))
    assert verdicts(report)["below/kernel"] == "EXPECTED"
    assert [v.path for v in report.failures] == ["below/bias"]
    assert report.verdict == "FAIL"


def test_expected_mismatches_alone_were_told():
    fault = FAULTS["squared error with the signs swapped"]
    report = check(fault, True, 0, expected=["*"])
    assert set(verdicts(report).values()) == {"EXPECTED"}
    start = "Gradient check at step 0:"
    assert report.verdict == "PASS"
    assert report.headline.startswith(f"{start} PASS. 4 EXPECTED of 4 variables")


def test_a_pattern_that_matches_nothing_is_reported():
    report = check(REVERSAL, True, 0, expected=("*below*", "*quantiser*"))
    assert len(report.notes) == 1
    assert "'*quantiser*'" in report.notes[0]
    assert "matches no variable" in report.notes[0]
    assert report.notes[0] in str(report)


def test_a_pattern_that_is_no_longer_needed_is_reported():
    report = check(REVERSAL, False, 0, expected=("*below*",))
    assert set(verdicts(report).values()) == {"PASS"}
    assert len(report.notes) == 1
    assert "'*below*'" in report.notes[0]
    assert "it can go" in report.notes[0]


def test_a_pattern_is_still_needed_if_one_of_its_variables_mismatches():
    report = check(REVERSAL, True, 0, expected=("*/kernel", "*/bias"))
    assert report.notes == ()
    assert report.verdict == "PASS"


def test_an_expected_nan_is_expected():
    fault = FAULTS["NaN: where and pow"]
    report = check(fault, True, 0, expected=("*below*",))
    assert verdicts(report)["below/kernel"] == "EXPECTED"
