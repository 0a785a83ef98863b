"""On the console: what the callbacks found that wrote below a log directory.

    python -m keras_gradwatch LOGDIR [--json]

The exit code is 1 if a gradient is wrong, or if an event can't be read; 3 if none is
wrong, but something keeps weights from learning: an alert was given, or a check warns
of what becomes of its gradients; else 2 if not all is known: no report was found, or
one in which something was not told.
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
from keras_gradwatch.findings.digest import Digest
from keras_gradwatch.findings.headline import Headline, headline, trainings
from keras_gradwatch.findings.text import plain
from keras_gradwatch.findings.verdicts import FAIL, PASS
from keras_gradwatch.tensorboard.reader import Run, read_runs

RIGHT, WRONG, UNKNOWN, ALARMED = 0, 1, 2, 3
_JSON_HELP = (
    "for machines: of each run the headline, alerts, the verdict of each check, and "
    "the whole of the last report"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the last report and the history of each run; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m keras_gradwatch",
        description="What the gradient checks below a log directory found.",
        epilog="Exit code: 0 right, 1 a gradient is wrong or an event can't be read, "
        "2 not all is known, 3 an alert, or a warning of what becomes of gradients.",
    )
    parser.add_argument("logdir", help="log_dir of the callback, or one above it")
    parser.add_argument("--json", action="store_true", help=_JSON_HELP)
    chosen = parser.parse_args(arguments)
    # A name may hold what the console can't show.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        runs = read_runs(chosen.logdir, only_newest=True)
    except GradwatchError as error:
        parser.error(str(error))
    found = [
        (run, headline(run.digests) if run.checks else None)
        for run in runs
        if run.checks or run.alerts
    ]
    if chosen.json:
        print(json.dumps({"runs": [_data(run, line) for run, line in found]}, indent=2))
    else:
        for run, line in found:
            print("\n".join(_lines(run, line)), end="\n\n")
    lost = sum(run.damaged for run in runs)
    if lost:
        print(
            f"{lost} damaged event(s) left out: broken, cut off, or of a newer "
            "version.",
            file=sys.stderr,
        )
    if not found:
        print(f"No gradient check below {chosen.logdir!r}.", file=sys.stderr)
    verdicts = {line.verdict for _, line in found if line}
    if FAIL in verdicts or lost:
        return WRONG
    if any(map(_is_alarmed, runs)):
        return ALARMED
    return RIGHT if verdicts == {PASS} else UNKNOWN


def _is_alarmed(run: Run) -> bool:
    """Whether a run has an alert, or a warning in its newest training."""
    newest = trainings(run.digests)[-1] if run.checks else ()
    return bool(run.alerts) or any(check.warning for check in newest)


def _lines(run: Run, line: Headline | None) -> Iterator[str]:
    yield f"== {plain(run.name)}"
    for alert in run.alerts:
        yield f"ALERT {plain(str(alert))}"
    if not line:
        return
    yield str(line)
    yield "History:"
    for training in trainings(run.digests):
        yield f"  {_history(training)}"
    yield ""
    last = run.checks[-1].report()
    yield str(last) if last else "The whole of the last report can't be read."


def _history(checks: Sequence[Digest]) -> str:
    """Verdicts with their steps, equal ones that follow each other as one."""
    pieces = []
    for verdict, group in itertools.groupby(checks, key=lambda check: check.verdict):
        steps = [r.step for r in group]
        if len(steps) == 1:
            pieces.append(f"step {steps[0]} {verdict}")
        else:
            pieces.append(
                f"steps {steps[0]} to {steps[-1]} {verdict} ({len(steps)} checks)"
            )
    return ", ".join(pieces)


def _data(run: Run, line: Headline | None) -> dict[str, Any]:
    last = run.checks[-1].report() if run.checks else None
    return {
        "run": run.name,
        "verdict": line.verdict if line else None,
        "headline": line.sentence if line else None,
        "warning": run.digests[-1].warning if run.checks else "",
        "alerts": [json.loads(alert.to_json()) for alert in run.alerts],
        "damaged": run.damaged,
        "history": [{"step": d.step, "verdict": d.verdict} for d in run.digests],
        "last": json.loads(last.to_json()) if last else None,
    }


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        # The end of a pipe, as of `| head`, is no error.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
