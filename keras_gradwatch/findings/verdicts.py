"""The verdicts, the worst first."""

from __future__ import annotations

PASS = "PASS"
FAIL = "FAIL"
INCONCLUSIVE = "INCONCLUSIVE"
UNUSED = "UNUSED"
ZERO = "ZERO"
BLOCKED = "BLOCKED"
EXPECTED = "EXPECTED"
VERDICTS = (FAIL, BLOCKED, INCONCLUSIVE, EXPECTED, UNUSED, ZERO, PASS)
# Of these alone a report may consist that is PASS: each of them was told.
CLEAN = (PASS, ZERO, UNUSED, EXPECTED)
