"""What the tab is told, as plain data for JSON."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math

from keras_gradwatch.findings.headline import headline, trainings
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.findings.verdicts import EXPECTED, FAIL, INCONCLUSIVE, PASS, UNUSED
from keras_gradwatch.tensorboard.plugin.runs import History

_ABSENT = " "
# A letter for each verdict, so that a long history stays small. static/words.js reads
# them back; tests/tensorboard/test_answers.py holds the two together.
LETTERS = {
    PASS: "P",
    FAIL: "F",
    INCONCLUSIVE: "I",
    UNUSED: "U",
    EXPECTED: "E",
}


def run(name: str, history: History) -> dict:
    """A run in the list of runs: its headline.

    Args:
        name: Name of the run.
        history: Its `History`.
    """
    digests = [check.digest for check in history.checks]
    verdict, sentence = "", "no check can be read"
    if digests:
        found = headline(digests)
        verdict, sentence = found.verdict, found.sentence
    elif history.alerts:
        _, newest = history.alerts[-1]
        sentence = f"{newest.title} since step {newest.since}"
    return {
        "run": name,
        "verdict": verdict,
        "sentence": sentence,
        "checks": len(digests),
        "alerts": len(history.alerts),
        "damaged": history.damaged,
    }


def grid(history: History) -> dict:
    """Variables by checks, and the alerts.

    Args:
        history: A `History`.
    """
    digests = [check.digest for check in history.checks]
    rows: dict[str, dict] = {}
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
        "checks": [check.key for check in history.checks],
        "steps": steps,
        "verdicts": "".join(_letter(check.verdict) for check in digests),
        "trainings": starts,
        "alerts": [_alert(one, steps, starts) for one in history.alerts],
        "variables": [{**row, "cells": "".join(row["cells"])} for row in rows.values()],
    }


def _alert(alert, steps, starts):
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


def variable(report: GradientReport, key: str) -> dict | None:
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


def _keyed(variables):
    """Variables with short keys: a path may be long, or there twice."""
    seen: dict[str, int] = {}
    for found in variables:
        label = found.label
        seen[label] = seen.get(label, 0) + 1
        yield _key(label, seen[label]), found


@functools.lru_cache(maxsize=10_000)
def _key(label, occurrence):
    text = f"{occurrence} {label}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:16]


def _letter(verdict):
    return LETTERS.get(verdict, "?")


def _jsonable(value):
    """NaN and infinity as words: JSON has none, and JavaScript's parser refuses."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    if isinstance(value, dict):
        return {k: _jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(v) for v in value]
    return value
