"""On the console: what the callbacks found that wrote below a log directory.

    python -m keras_gradwatch LOGDIR [--json]

The exit code is 1 if a gradient is wrong, 2 if nothing is known: no report was
found, or none that could compare anything.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from keras_gradwatch.errors import GradwatchError
from keras_gradwatch.findings.digest import digest
from keras_gradwatch.findings.headline import Headline, headline, trainings
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.findings.text import plain
from keras_gradwatch.findings.verdicts import FAIL, PASS
from keras_gradwatch.tensorboard.reader import Run, read_runs

RIGHT, WRONG, UNKNOWN = 0, 1, 2
_JSON_HELP = (
    "for machines: of each run the headline, alerts, the verdict of each check, and "
    "the whole of the last report"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the last report and the history of each run; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m keras_gradwatch",
        description="What the gradient checks below a log directory found.",
        epilog="Exit code: 0 right, 1 a gradient is wrong, 2 nothing is known.",
    )
    parser.add_argument("logdir", help="log_dir of the callback, or one above it")
    parser.add_argument("--json", action="store_true", help=_JSON_HELP)
    chosen = parser.parse_args(arguments)
    # A name may hold what the console can't show.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        runs = read_runs(chosen.logdir)
    except GradwatchError as error:
        parser.error(str(error))
    found = [
        (run, headline([digest(r) for r in run.reports]) if run.reports else None)
        for run in runs
        if run.reports or run.alerts
    ]
    if chosen.json:
        print(json.dumps({"runs": [_data(run, line) for run, line in found]}, indent=2))
    else:
        for run, line in found:
            print("\n".join(_lines(run, line)), end="\n\n")
    lost = sum(run.damaged for run in runs)
    if lost:
        print(f"{lost} damaged event(s) left out.", file=sys.stderr)
    if not found:
        print(f"No gradient check below {chosen.logdir!r}.", file=sys.stderr)
    verdicts = {line.verdict for _, line in found if line}
    if FAIL in verdicts:
        return WRONG
    return RIGHT if verdicts == {PASS} else UNKNOWN


def _lines(run: Run, line: Headline | None) -> Iterator[str]:
    yield f"== {plain(run.name)}"
    for alert in run.alerts:
        yield f"ALERT {plain(str(alert))}"
    if not line:
        return
    yield str(line)
    yield "History:"
    for training in trainings(run.reports):
        yield f"  {_history(training)}"
    yield ""
    yield str(run.reports[-1])


def _history(reports: Sequence[GradientReport]) -> str:
    """Verdicts with their steps, equal ones that follow each other as one."""
    pieces = []
    for verdict, group in itertools.groupby(reports, key=lambda r: r.verdict):
        steps = [r.step for r in group]
        if len(steps) == 1:
            pieces.append(f"step {steps[0]} {verdict}")
        else:
            pieces.append(
                f"steps {steps[0]} to {steps[-1]} {verdict} ({len(steps)} checks)"
            )
    return ", ".join(pieces)


def _data(run: Run, line: Headline | None) -> dict[str, Any]:
    return {
        "run": run.name,
        "verdict": line.verdict if line else None,
        "headline": line.sentence if line else None,
        "alerts": [json.loads(alert.to_json()) for alert in run.alerts],
        "damaged": run.damaged,
        "history": [{"step": r.step, "verdict": r.verdict} for r in run.reports],
        "last": json.loads(run.reports[-1].to_json()) if run.reports else None,
    }


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        # The end of a pipe, as of `| head`, is no error.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
