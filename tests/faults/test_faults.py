"""Mistakes from life are found, and laid at the right door."""

from __future__ import annotations

import pytest

from tests.support.faults import FAULTS
from tests.support.faults.checks import check
from tests.support.marks import first, some

SEEDS = first([0, 1, 2], other=pytest.mark.slow)


def test_there_are_many_faults():
    assert len(FAULTS) >= 40


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_fails_upstream_and_nowhere_else(fault, seed):
    report = check(fault, True, seed)
    upstream = {v.path for v in report.variables if fault.is_upstream(v.path)}
    assert upstream
    assert {v.path for v in report.failures} == upstream, str(report)
    assert report.verdict == "FAIL"


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", some(FAULTS, 12))
def test_its_healthy_twin_does_not_fail(name, seed):
    fault = FAULTS[name]
    report = check(fault, False, seed)
    assert not report.failures, str(report)
    if fault.twin is not None:
        verdicts = [v.verdict for v in report.variables if fault.is_upstream(v.path)]
        assert set(verdicts) == {fault.twin}, str(report)
