"""The verdicts, the worst first."""

from __future__ import annotations

PASS = "PASS"
FAIL = "FAIL"
INCONCLUSIVE = "INCONCLUSIVE"
UNUSED = "UNUSED"
EXPECTED = "EXPECTED"
VERDICTS = (FAIL, EXPECTED, INCONCLUSIVE, UNUSED, PASS)
