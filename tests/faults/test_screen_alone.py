"""With no time for more than the screen: nothing wrong passes, nothing right fails."""

from __future__ import annotations

import pytest

from tests.support.faults import FAULTS
from tests.support.faults.checks import check
from tests.support.marks import some


@pytest.mark.long
@pytest.mark.parametrize("seed", [0])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found_or_pending_and_never_passed(fault, seed):
    report = check(fault, True, seed, time_budget=1e-9)
    upstream = {v.path for v in report.variables if fault.is_upstream(v.path)}
    passed = {v.path for v in report.variables if v.verdict == "PASS"}
    assert not passed & upstream, str(report)
    assert {v.path for v in report.failures} <= upstream, str(report)
    assert report.verdict != "PASS", str(report)


@pytest.mark.long
@pytest.mark.parametrize("seed", [0])
@pytest.mark.parametrize("name", some(FAULTS, 4, 1, other=pytest.mark.slow))
def test_its_healthy_twin_does_not_fail(name, seed):
    fault = FAULTS[name]
    report = check(fault, False, seed, time_budget=1e-9)
    assert not report.failures, str(report)
    if fault.twin == "PASS":
        assert report.verdict in ("PASS", "INCONCLUSIVE"), str(report)
