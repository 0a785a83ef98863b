"""On the console: what the callbacks found that wrote below a log directory.

    gradwatch LOGDIR [--json] [--fail-on KIND,KIND,...]

The exit code is 1 if a gradient is wrong, or if an event is damaged; 3 if none is
wrong, but something keeps weights from learning: an alert was given, or a check warns
of what becomes of its gradients; else 2 if not all is known: no report was found, or
one in which something was not told. With `--fail-on`, only the kinds of findings that
it names count. 4 is no finding: the command is wrong, its directory can't be read, or
what was found could not be printed.
"""

from __future__ import annotations

import argparse
import gc
import io
import itertools
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from keras_gradwatch.errors import GradwatchError
from keras_gradwatch.findings.digest import Digest
from keras_gradwatch.findings.headline import Headline, headline, trainings
from keras_gradwatch.findings.joining import renamed
from keras_gradwatch.findings.states import ALERT, NOT_FINITE, NOT_TOLD, WARNING
from keras_gradwatch.findings.states import WRONG as WRONG_GRADIENT
from keras_gradwatch.findings.story import Finding, findings
from keras_gradwatch.findings.text import plain
from keras_gradwatch.findings.verdicts import FAIL, PASS
from keras_gradwatch.tensorboard.reader import Run, read_runs

RIGHT, WRONG, UNKNOWN, ALARMED, UNUSABLE = 0, 1, 2, 3, 4
# What may count, and the exit code of each, the worst first.
CODES = {
    "fail": WRONG,
    "damaged": WRONG,
    "alert": ALARMED,
    "severe": ALARMED,
    "unknown": UNKNOWN,
}
# What is which kind, by its state.
_KINDS = {
    WRONG_GRADIENT: "fail",
    NOT_FINITE: "alert",
    ALERT: "alert",
    WARNING: "severe",
    NOT_TOLD: "unknown",
}
_JSON_HELP = (
    "for machines: of each run the findings, alerts, the verdict of each check, and "
    "the whole of the last report"
)
_FAIL_ON_HELP = (
    "what makes the exit code other than 0, some of %(default)s (all of them if this "
    "is left out); without any check or alert below LOGDIR it never is 0"
)


@dataclass(frozen=True)
class _Found:
    """What there is to say of a run.

    Args:
        run: The run.
        digests: Its checks, with the names that their variables have in the newest.
        story: All findings of its newest training, the worst first.
        line: Its headline, None if there is no check.
    """

    run: Run
    digests: Sequence[Digest]
    story: Sequence[Finding]
    line: Headline | None


def _found(run: Run) -> _Found:
    digests = renamed(run.digests)
    story = findings(digests, run.newest_alerts)
    return _Found(run, digests, story, headline(digests) if digests else None)


class _Parser(argparse.ArgumentParser):
    """Ends with a code of its own: that of argparse means something else here."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(UNUSABLE, f"{self.prog}: error: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the last report and the history of each run; returns the exit code."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        runs = read_runs(chosen.logdir, only_newest=True)
    except GradwatchError as error:
        parser.error(str(error))
    found = [_found(run) for run in runs if run.checks or run.alerts]
    lost = sum(run.damaged for run in runs)
    kinds = _kinds(found, lost)
    code = next((CODES[kind] for kind in chosen.fail_on if kind in kinds), RIGHT)
    if not found and code == RIGHT:
        code = UNKNOWN
    try:
        _print(found, chosen.json)
    except OSError as error:  # a full disk
        _complain(f"What was found could not be printed. {error}")
        code = code or UNUSABLE
    if lost:
        _complain(
            f"{lost} damaged event(s) left out: broken, cut off, or of a newer version."
        )
    if not found:
        _complain(f"No gradient check below {chosen.logdir!r}.")
    return code


def _parser():
    # By whichever name it was called.
    called = os.path.basename(sys.argv[0])
    is_module = called == "__main__.py"
    parser = _Parser(
        prog="python -m keras_gradwatch" if is_module else called,
        description="What the gradient checks below a log directory found.",
        epilog="Exit code: 0 right, 1 a gradient is wrong or an event is damaged, "
        "2 not all is known, 3 an alert, or a warning of what becomes of gradients, "
        "4 a wrong command or directory.",
    )
    parser.add_argument("logdir", help="log_dir of the callback, or one above it")
    parser.add_argument("--json", action="store_true", help=_JSON_HELP)
    parser.add_argument(
        "--fail-on",
        type=_some_kinds,
        default=",".join(CODES),
        metavar="KIND,KIND,...",
        help=_FAIL_ON_HELP,
    )
    return parser


def _some_kinds(text: str) -> list[str]:
    """The kinds of findings in a list with commas, the worst first."""
    named = [name.strip() for name in text.split(",")]
    if not set(named) <= set(CODES):
        raise argparse.ArgumentTypeError(
            f"Expected some of {','.join(CODES)}. Received: {text!r}"
        )
    return [kind for kind in CODES if kind in named]


def _kinds(found: Sequence[_Found], lost: int) -> set[str]:
    """Which kinds of findings there are."""
    kinds = {"damaged"} if lost else set()
    for one in found:
        # Not what an earlier training into the same directory told: it may be mended.
        kinds |= {_KINDS[told.state] for told in one.story if told.state in _KINDS}
    return kinds if found else kinds | {"unknown"}


def _print(found: Sequence[_Found], as_json: bool) -> None:
    # A name may hold what the console can't show.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if as_json:
        print(json.dumps({"runs": [*map(_data, found)]}, indent=2))
    else:
        for one in found:
            print("\n".join(_lines(one)), end="\n\n")
    if sys.stdout is not None:
        sys.stdout.flush()


def _complain(text: str) -> None:
    try:
        print(text, file=sys.stderr)
    except OSError:
        return  # there is nobody to tell


def _lines(found: _Found) -> Iterator[str]:
    run = found.run
    yield f"== {plain(run.name)}"
    for told in found.story:
        yield from _told(told, run)
    newest = {position for position, _ in run.newest_alerts}
    for position, alert in enumerate(run.alerts):
        if position not in newest:
            yield f"Alert of an earlier training: {plain(str(alert))}"
    if not run.checks:
        return
    yield "History:"
    yield from _history(found.digests)
    yield ""
    last = run.checks[-1].report()
    if last is None:
        yield "The whole of the last report can't be read."
    elif last.details:
        yield f"Step {last.step}, in full:"
        yield last.details


def _told(told: Finding, run: Run) -> Iterator[str]:
    """A finding, in the words of the tab."""
    since = f"at step {told.step}"
    if told.since != told.step:
        since = f"since step {told.since}"
    yield f"{told.state} {since}: {plain(told.title)}"
    yield f"  {plain(told.text)}"
    for line in told.lines:
        yield f"  Look at {plain(str(line))}"
    first = None
    for position in told.alerts:
        alert = run.alerts[position]
        first = first or alert
        more = f" {plain(alert.message)}" if alert.message != first.message else ""
        yield f"  Told at step {alert.step}.{more}"


def _history(digests: Sequence[Digest]) -> Iterator[str]:
    """A line for each check, and one for those that say the same one after another."""
    newest = digests[-1]
    for training in trainings(digests):
        for _, group in itertools.groupby(training, key=_gist):
            checks = list(group)
            steps, times = f"step {checks[0].step}", ""
            if len(checks) > 1:
                steps = f"steps {checks[0].step} to {checks[-1].step}"
                times = f" ({len(checks)} checks)"
            found = headline(checks)
            is_plain = found.verdict == PASS and not checks[0].warning
            # Of the newest, the headline of the run has said it.
            is_told = is_plain or checks[-1] is newest
            yield f"  {steps} {found.verdict}{times}" + (
                "" if is_told else f": {found.sentence}"
            )


def _gist(check: Digest) -> tuple:
    """What is alike of checks that need no line each."""
    wrong = tuple(v.label for v in check.variables if v.verdict == FAIL)
    return check.verdict, wrong, check.warning, check.reason


def _data(found: _Found) -> dict[str, Any]:
    run, line = found.run, found.line
    last = run.checks[-1].report() if run.checks else None
    return {
        "run": run.name,
        "verdict": line.verdict if line else None,
        "headline": line.sentence if line else None,
        "findings": [
            {
                "state": told.state,
                "title": told.title,
                "text": told.text,
                "since": told.since,
                "step": told.step,
                "lines": [str(line) for line in told.lines],
            }
            for told in found.story
        ],
        "warning": run.digests[-1].warning if run.checks else "",
        "alerts": [json.loads(alert.to_json()) for alert in run.alerts],
        "damaged": run.damaged,
        "history": [
            {"step": d.step, "verdict": d.verdict, "warning": d.warning}
            for d in run.digests
        ],
        "last": json.loads(last.to_json()) if last else None,
    }


def run() -> NoReturn:
    """The command `gradwatch`."""
    if hasattr(signal, "SIGPIPE"):
        # The end of a pipe, as of `| head`, is no error.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    # It ends soon, and what it reads has no cycles: to look for some took a quarter of
    # the time of 2,000 checks of 300 variables.
    gc.disable()
    code = main()
    # To a console that is full, Python would try to write once more, and end with a
    # code of its own.
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    sys.exit(code)


if __name__ == "__main__":
    run()
