"""What the checks of one training say together, in one sentence."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from keras_gradwatch.findings.digest import Digest, VariableDigest
from keras_gradwatch.findings.text import counted, plain
from keras_gradwatch.findings.verdicts import FAIL, INCONCLUSIVE, PASS, VERDICTS

# Characters of a name: the sentence is to be taken in at a glance.
_ROOM = 70


@dataclass(frozen=True)
class Headline:
    """The finding of one run.

    Args:
        verdict: Verdict of the newest check; FAIL also where an earlier check of
            the same training failed.
        sentence: What is wrong, since when and by how much, or how much is right.
    """

    verdict: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.verdict}: {self.sentence}"


class _WithStep(Protocol):
    """A report, or the digest of one."""

    @property
    def step(self) -> int: ...


_Check = TypeVar("_Check", bound=_WithStep)


def trainings(checks: Sequence[_Check]) -> list[Sequence[_Check]]:
    """Cuts the checks of a run where a new training began.

    Several trainings may write to one directory, one after the other; the number
    of optimizer iterations then falls back.

    Args:
        checks: The checks in the order of writing, as reports or as digests.
    """
    cuts = [i for i in range(1, len(checks)) if checks[i].step <= checks[i - 1].step]
    bounds = [0, *cuts, len(checks)]
    return [checks[a:b] for a, b in itertools.pairwise(bounds) if a < b]


def headline(digests: Sequence[Digest]) -> Headline:
    """One sentence on the newest training of a run.

    Args:
        digests: All checks of the run in the order of writing, one at least.
    """
    checks = trainings(digests)[-1]
    found = _of_verdicts(checks)
    warned = [check for check in checks if check.warning]
    if not warned:
        return found
    when = "" if warned[-1] is checks[-1] else f"Step {warned[-1].step}: "
    warning = plain(warned[-1].warning, 4 * _ROOM)
    return Headline(found.verdict, f"{when}{warning} {found.sentence}")


def _of_verdicts(checks: Sequence[Digest]) -> Headline:
    newest = checks[-1]
    if newest.verdict == FAIL:
        return Headline(FAIL, _what_is_wrong(checks))
    failed = [c for c in checks if c.verdict == FAIL]
    if failed:
        until = checks[: checks.index(failed[-1]) + 1]
        return Headline(
            FAIL,
            f"{len(failed)} of {_checks(checks)} failed, the last at step "
            f"{failed[-1].step}; step {newest.step} is {newest.verdict}. There: "
            f"{_what_is_wrong(until)}",
        )
    if newest.verdict == INCONCLUSIVE:
        return Headline(INCONCLUSIVE, f"At step {newest.step}. {plain(newest.reason)}")
    return Headline(PASS, _what_is_right(checks))


def _what_is_wrong(checks: Sequence[Digest]) -> str:
    newest = checks[-1]
    wrong = [v for v in newest.variables if v.verdict == FAIL]
    if not wrong:
        return f"at step {newest.step}. {plain(newest.reason)}"
    first = since(checks, {v.label for v in wrong})
    finding = f"wrong since step {first}, {by_how_much(newest, wrong)}"
    look = f"Look at {plain(newest.look_at, 2 * _ROOM)}" if newest.look_at else ""
    if len(wrong) == 1:
        finding = f"{plain(wrong[0].label, _ROOM)}, {finding}"
        return f"{finding}. {look}" if look else finding
    finding = f"{len(wrong)} of {len(newest.variables)} gradients {finding}"
    # Without it, the last of them: it is the closest to the mistake.
    return f"{look or plain(wrong[-1].label, _ROOM) + ' and others'}: {finding}"


def since(checks: Sequence[Digest], labels: set[str]) -> int:
    """First step of the unbroken row of failures of any of these variables.

    A check that did not get round to a variable says nothing about it.

    Args:
        checks: Checks of one training, of which the last failed.
        labels: Labels of variables that are wrong in it.
    """
    first, open_labels = checks[-1].step, set(labels)
    for check in reversed(checks):
        verdicts = {v.label: v.verdict for v in check.variables}
        if any(verdicts.get(label) == FAIL for label in open_labels):
            first = check.step
        open_labels -= {label for label in labels if verdicts.get(label) == PASS}
    return first


def by_how_much(newest: Digest, wrong: Sequence[VariableDigest]) -> str:
    """How gradients are wrong, or how large the relative error is.

    Args:
        newest: The check.
        wrong: Variables that are wrong in it.
    """
    manners = {v.manner: v.how for v in wrong}
    if len(manners) == 1 and None not in manners:
        return wrong[0].how
    errors = [v.relative_error for v in wrong if v.relative_error is not None]
    if not errors:
        known = sorted(filter(None, manners.values()))
        return " or ".join(known) or "by an unknown amount"
    worst = max(errors)
    up_to = "up to " if len(wrong) > 1 else ""
    times = float(f"{worst / newest.tolerance:.2g}")
    return f"relative error {up_to}{worst:.2g} ({times:,.0f} times the tolerance)"


def beside_right(check: Digest) -> list[str]:
    """How many variables have which other verdict than PASS, as "2 ZERO"."""
    counts = {
        verdict: sum(v.verdict == verdict for v in check.variables)
        for verdict in VERDICTS
        if verdict != PASS
    }
    return [f"{count} {verdict}" for verdict, count in counts.items() if count]


def _what_is_right(checks: Sequence[Digest]) -> str:
    newest = checks[-1]
    right = sum(v.verdict == PASS for v in newest.variables)
    others = beside_right(newest)
    passed = sum(c.verdict == PASS for c in checks)
    tally = "" if passed == len(checks) else f" {passed} of"
    rest = f" ({', '.join(others)})" if others else ""
    return (
        f"{right} of {len(newest.variables)} gradients right at step "
        f"{newest.step}{rest};{tally or ' all'} {_checks(checks)} passed"
    )


def _checks(checks: Sequence[Digest]) -> str:
    return counted(len(checks), "check")
