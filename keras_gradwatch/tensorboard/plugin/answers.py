"""What the tab is told, as plain data for JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from keras_gradwatch.findings import sentences
from keras_gradwatch.findings.headline import trainings
from keras_gradwatch.findings.joining import renamed
from keras_gradwatch.findings.notes import SEVERE, Look
from keras_gradwatch.findings.place import Line
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.findings.states import NOTHING, WARNING, WRONG
from keras_gradwatch.findings.story import Finding, findings
from keras_gradwatch.findings.text import plain
from keras_gradwatch.findings.variable import VariableReport
from keras_gradwatch.tensorboard.plugin import rows
from keras_gradwatch.tensorboard.plugin.runs import Check, Noticed, RunSummary
from keras_gradwatch.tensorboard.plugin.timeline import timeline

# Characters of a line of code: names of functions may be of any length.
_LINE_ROOM = 120
_CORRECTED = (
    "Correct it; `kgw.check_layer` and `kgw.check_function` tell at once whether it is "
    "right. If it is meant, declare it: `GradientCheck(expected=[...])`."
)


def run(name: str, found: RunSummary) -> dict[str, Any]:
    """A run in the list of runs: its state, and its worst finding.

    Args:
        name: Name of the run.
        found: What was read of it.
    """
    told = story(found)
    return {
        "run": name,
        "state": told[0].state if told else NOTHING,
        "title": told[0].title if told else "No check can be read",
        "since": told[0].since if told else None,
        "step": max((one.step for one in told), default=None),
        "checks": len(found.checks),
        "alerts": len(found.alerts),
        "damaged": found.damaged,
        "broken": found.broken,
    }


def story(found: RunSummary) -> list[Finding]:
    """All findings of a run, the worst first.

    Args:
        found: What was read of it.
    """
    digests = [check.digest for check in found.checks]
    start = len(digests) - len(trainings(digests)[-1]) if digests else 0
    fit = found.checks[start].fit if digests else ""
    # Those of a training before are history.
    newest = [
        (k, one.alert)
        for k, one in enumerate(found.alerts)
        if not start or one.fit > fit or (one.fit == fit and one.before >= start)
    ]
    return findings(renamed(digests), newest)


def told_by(told: list[Finding], found: RunSummary) -> Check | None:
    """The check whose notes say more about the worst finding, None if there is none.

    Args:
        told: What `story` returned.
        found: What was read of the run.
    """
    if not told or told[0].check is None:
        return None
    return found.checks[told[0].check]


def grid(
    found: RunSummary, told: list[Finding], report: GradientReport | None
) -> dict[str, Any]:
    """All of a run but its whole reports.

    Args:
        found: What was read of it.
        told: What `story` returned.
        report: The whole report of the check that `told_by` returned.
    """
    digests = [check.digest for check in found.checks]
    starts, start = [], 0
    for training in trainings(digests):
        starts.append(start)
        start += len(training)
    variables = rows.variables(digests)
    steps = [check.step for check in digests]
    return _jsonable(
        {
            "findings": [
                _finding(one, found, report if one is told[0] else None) for one in told
            ],
            "checks": [check.key for check in found.checks],
            "steps": steps,
            "epochs": [check.epoch for check in digests],
            "walls": [check.wall for check in found.checks],
            "verdicts": "".join(rows.letter(check.verdict) for check in digests),
            "warned": [k for k, check in enumerate(digests) if check.warning],
            "trainings": starts,
            "alerts": [_alert(one, steps, starts) for one in found.alerts],
            "variables": variables,
            "blamed": rows.blamed(digests, variables),
            "timeline": timeline(found),
            "damaged": found.damaged,
            "broken": found.broken,
        }
    )


def _finding(
    told: Finding, found: RunSummary, report: GradientReport | None
) -> dict[str, Any]:
    check = None if told.check is None else found.checks[told.check]
    variable = None
    if check is not None and told.state == WRONG and told.labels:
        variable = _key_of(found, check, told.labels[0])
    return {
        "state": told.state,
        "title": told.title,
        "text": told.text,
        "advice": [] if report is None else _advice(told, report),
        "step": told.step,
        "since": told.since,
        "lines": [_line(line) for line in told.lines],
        "labels": told.labels[:1],
        "check": check and check.key,
        "variable": variable,
        "alerts": told.alerts,
    }


def _advice(told: Finding, report: GradientReport) -> list[str]:
    if told.state == WRONG:
        looks = [note for note in report.remarks if isinstance(note, Look)]
        return [*filter(None, map(sentences.why_there, looks)), _CORRECTED]
    if told.state == WARNING:
        severe = [note for note in report.remarks if note.severity == SEVERE]
        words = dict.fromkeys(sentences.note(n, report.subject) for n in severe)
        return [text for text in words if text != told.text]
    return []


def _line(line: Line) -> dict[str, Any]:
    words = plain(str(line), _LINE_ROOM)
    return {"words": words, "file": f"{line.file}:{line.number}"}


def _key_of(found: RunSummary, check: Check, label: str) -> str | None:
    keys = (key for key, row, _ in _keyed(found, check) if row == label)
    return next(keys, None)


def _keyed(found, check):
    names = names_of(found, check)
    return rows.keyed(check.digest.variables, names)


def names_of(found: RunSummary, check: Check) -> Mapping[str, str]:
    """The names that variables of one check have in the grid, where they differ.

    Args:
        found: What was read of the run.
        check: A check of it.
    """
    digests = [one.digest for one in found.checks]
    return rows.joined(digests)[found.checks.index(check)]


def _alert(one: Noticed, steps: list[int], starts: list[int]) -> dict[str, Any]:
    """An alert, and the column of the check that it stands beside."""
    before, found = one.before, one.alert
    # Of the training of the last check before it, the first that was due no earlier.
    start = max((s for s in starts if s < before), default=0)
    end = min((s for s in starts if s > start), default=len(steps))
    column = next((k for k in range(start, end) if steps[k] >= found.step), end - 1)
    return {
        "kind": found.kind,
        "title": found.title,
        "step": found.step,
        "since": found.since,
        "epoch": found.epoch,
        "wall": one.wall,
        "where": found.where,
        "message": found.message,
        "column": column,
    }


def check(found: RunSummary, asked: Check, report: GradientReport) -> dict[str, Any]:
    """One check as a whole.

    Args:
        found: What was read of the run.
        asked: The check.
        report: Its whole report.
    """
    names = names_of(found, asked)
    severities: dict[str, list[str]] = {}
    looks = [note for note in report.remarks if isinstance(note, Look)]
    for note in report.remarks:
        if note in looks:
            continue
        words = sentences.note(note, report.subject)
        severities.setdefault(note.severity, []).append(words)
    return _jsonable(
        {
            "check": asked.key,
            "headline": _without_verdict(report),
            "verdict": report.verdict,
            "warning": report.warning,
            "looks": [sentences.note(note, report.subject) for note in looks],
            "notes": {k: list(dict.fromkeys(v)) for k, v in severities.items()},
            "lines": [_line(p.line) for p in report.places if p.line is not None],
            "step": report.step,
            "epoch": asked.digest.epoch,
            "wall": asked.wall,
            "loss": report.loss,
            "examples": report.examples,
            "seconds": report.seconds,
            "evaluations": report.evaluations,
            "dtype": report.dtype,
            "training_dtype": report.training_dtype,
            "tolerance": report.tolerance,
            "seed": report.seed,
            "switched_off": report.switched_off,
            "drawn_once": report.drawn_once,
            "variables": [
                _in_short(key, one)
                for key, _, one in rows.keyed(report.variables, names)
            ],
        }
    )


def _without_verdict(report: GradientReport) -> str:
    """The headline, but for what a badge and a title say beside it."""
    # Before the verdict stands the warning, which the notes have as well.
    _, _, rest = report.headline.partition(f"{report.verdict}. ")
    return rest or report.headline


def _in_short(key: str, found: VariableReport) -> dict[str, Any]:
    return {
        "key": key,
        "label": found.label,
        "shape": found.shape,
        "verdict": found.verdict,
        "reason": found.reason,
        "applied": found.applied,
        "relative_error": found.relative_error,
        "error_bar": found.error_bar,
        "coverage": found.coverage,
        "training_error": found.training_error,
        "entries": len(found.coordinates),
        "directions": len(found.directions),
    }


def variable(
    found: RunSummary, asked: Check, report: GradientReport, key: str
) -> dict[str, Any] | None:
    """One variable in one check, with all figures; None if it is not there.

    Args:
        found: What was read of the run.
        asked: The check.
        report: Its whole report.
        key: Key of the variable, as `grid` gave it.
    """
    keys = rows.keyed(report.variables, names_of(found, asked))
    one = next((one for k, _, one in keys if k == key), None)
    if one is None:
        return None
    return _jsonable(
        {
            **dataclasses.asdict(one),
            "check": asked.key,
            "label": one.label,
            "reason": one.reason,
            "applied": one.applied,
            "step": report.step,
            "epoch": asked.digest.epoch,
            "wall": asked.wall,
            "tolerance": report.tolerance,
            "dtype": report.dtype,
            "training_dtype": report.training_dtype,
            "notes": report.notes,
            "loss": report.loss,
            "examples": report.examples,
        }
    )


def _jsonable(value: Any) -> Any:
    """NaN and infinity as words: JSON has none, and JavaScript's parser refuses."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    if isinstance(value, dict):
        return {k: _jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(v) for v in value]
    return value
