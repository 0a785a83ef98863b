"""What the tab is told, as plain data for JSON."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from keras_gradwatch.findings.alert import Alert
from keras_gradwatch.findings.digest import VariableDigest
from keras_gradwatch.findings.headline import headline, trainings
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.findings.variable import VariableReport
from keras_gradwatch.findings.verdicts import (
    BLOCKED,
    EXPECTED,
    FAIL,
    INCONCLUSIVE,
    PASS,
    UNUSED,
    ZERO,
)
from keras_gradwatch.tensorboard.plugin.runs import RunSummary

_Named = TypeVar("_Named", VariableReport, VariableDigest)
# Of a variable that was not part of a check.
_ABSENT = " "
# A letter for each verdict, so that a long history stays small. static/words.js reads
# them back; tests/tensorboard/test_answers.py holds the two together.
LETTERS = {
    PASS: "P",
    FAIL: "F",
    INCONCLUSIVE: "I",
    UNUSED: "U",
    ZERO: "Z",
    BLOCKED: "B",
    EXPECTED: "E",
}


def run(name: str, found: RunSummary) -> dict[str, Any]:
    """A run in the list of runs: its headline.

    Args:
        name: Name of the run.
        found: What was read of it.
    """
    digests = [check.digest for check in found.checks]
    verdict, sentence = "", "no check can be read"
    if digests:
        line = headline(digests)
        verdict, sentence = line.verdict, line.sentence
    elif found.alerts:
        _, newest = found.alerts[-1]
        sentence = f"{newest.title} since step {newest.since}"
    return {
        "run": name,
        "verdict": verdict,
        "sentence": sentence,
        "checks": len(digests),
        "alerts": len(found.alerts),
        "damaged": found.damaged,
        "broken": found.broken,
    }


def grid(found: RunSummary) -> dict[str, Any]:
    """Variables by checks, and the alerts.

    Args:
        found: What was read of a run.
    """
    digests = [check.digest for check in found.checks]
    rows: dict[str, dict[str, Any]] = {}
    for column, check in enumerate(digests):
        for key, variable in _keyed(check.variables):
            if key not in rows:
                layer = variable.path.rpartition("/")[0]
                rows[key] = {
                    "key": key,
                    "label": variable.label,
                    "layer": layer,
                    "name": variable.label.removeprefix(f"{layer}/"),
                    "cells": [_ABSENT] * len(digests),
                }
            rows[key]["cells"][column] = _letter(variable.verdict)
    starts, start = [], 0
    for training in trainings(digests):
        starts.append(start)
        start += len(training)
    steps = [check.step for check in digests]
    return {
        "checks": [check.key for check in found.checks],
        "steps": steps,
        "verdicts": "".join(_letter(check.verdict) for check in digests),
        "trainings": starts,
        "alerts": [_alert(one, steps, starts) for one in found.alerts],
        "variables": [{**row, "cells": "".join(row["cells"])} for row in rows.values()],
    }


def _alert(
    alert: tuple[int, Alert], steps: list[int], starts: list[int]
) -> dict[str, Any]:
    """An alert, and the column of the check that it stands beside."""
    before, found = alert
    # Of the training of the last check before it, the first that was due no earlier.
    start = max((s for s in starts if s < before), default=0)
    end = min((s for s in starts if s > start), default=len(steps))
    column = next((k for k in range(start, end) if steps[k] >= found.step), end - 1)
    return {
        "kind": found.kind,
        "step": found.step,
        "since": found.since,
        "message": found.message,
        "column": column,
    }


def variable(report: GradientReport, key: str) -> dict[str, Any] | None:
    """One variable in one check, with all figures; None if it is not there.

    Args:
        report: The `GradientReport`.
        key: Key of the variable, as `grid` gave it.
    """
    found = dict(_keyed(report.variables)).get(key)
    if found is None:
        return None
    return _jsonable(
        {
            **dataclasses.asdict(found),
            "label": found.label,
            "reason": found.reason,
            "applied": found.applied,
            "step": report.step,
            "tolerance": report.tolerance,
            "dtype": report.dtype,
            "training_dtype": report.training_dtype,
            "notes": report.notes,
            "loss": report.loss,
            "examples": report.examples,
        }
    )


def _keyed(variables: Iterable[_Named]) -> Iterator[tuple[str, _Named]]:
    """Variables with short keys: a path may be long, or there twice."""
    seen: dict[str, int] = {}
    for found in variables:
        label = found.label
        seen[label] = seen.get(label, 0) + 1
        yield _key(label, seen[label]), found


# Each variable is asked for once a check: kept for models of 10,000 variables.
@functools.lru_cache(maxsize=10_000)
def _key(label: str, occurrence: int) -> str:
    text = f"{occurrence} {label}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:16]


def _letter(verdict: str) -> str:
    return LETTERS.get(verdict, "?")


def _jsonable(value: Any) -> Any:
    """NaN and infinity as words: JSON has none, and JavaScript's parser refuses."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    if isinstance(value, dict):
        return {k: _jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(v) for v in value]
    return value
