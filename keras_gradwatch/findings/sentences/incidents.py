"""An incident in one sentence: what rose, whether the gradient is right, its norm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from keras_gradwatch.findings import alert, clues, notes
from keras_gradwatch.findings.clues import Checked, Norms, Seen, Unknown
from keras_gradwatch.findings.sentences.phrases import handed_on, places
from keras_gradwatch.findings.text import counted, first_of, listed, share_of
from keras_gradwatch.findings.verdicts import FAIL, PASS

# From which factor on a rise is told as one, and a norm as grown; and from which share
# on as fallen: of small batches, norms may double or fall to a fifth by chance.
_FOLD, _FALL = 2.0, 0.1

# The most that can be read at a glance with all of its zeros.
_LEGIBLE = 1e9

# Names shown before the number of the others.
_NAMES = 2

_NO = {
    clues.CHECK: "no GradientCheck goes with this training",
    clues.READING: "no GradientStats goes with this training",
}
_WHY = {
    clues.WARMING_UP: "its warm-up is not over",
    clues.NO_TIME: "its share of the time is used up",
    clues.FAILED: "it could not be made",
    clues.ENDED: "training ended",
}


def about_incident(
    seen: Sequence[Seen],
    before: Checked | None,
    check: Checked | None,
    norms: Norms | None,
    unknown: Sequence[Unknown],
) -> str:
    """All that is known, in one sentence.

    Args:
        seen: What gave the alarm.
        before: The last check before it.
        check: The check that was made for it.
        norms: What became of the norms of gradients.
        unknown: What is not known, and why.
    """
    why = {one.what: _because(one) for one in unknown}
    parts = [
        " and ".join(map(_seen, seen)),
        _gradient(before, check, why.get(clues.CHECK, "")),
        *_norms(norms, why.get(clues.READING, "")),
        *_in_training(check),
    ]
    return "; ".join(parts) + "."


def _because(unknown: Unknown) -> str:
    if unknown.why == clues.ABSENT:
        return _NO[unknown.what]
    return _WHY.get(unknown.why, "")


def _seen(one: Seen) -> str:
    name = listed([repr(name) for name in one.where], _NAMES)
    since = f"step {one.since}"
    place = f" in {name}" if name else ""
    match one.kind:
        case alert.SPIKE:
            return f"{name} {_rose(one)} at {since}, and came back"
        case alert.DIVERGING:
            return f"{name} {_rose(one)} since {since}"
        case alert.STALLED:
            return f"the loss stays where it is since {since}, with no gradient{place}"
        case alert.OSCILLATING:
            return f"{name} goes up and down since {since}, and does not fall"
        case alert.FLAT:
            return f"{name} has not fallen since {since}"
        case alert.VANISHING:
            return f"gradients vanish{place} since {since}"
        case alert.EXPLODING:
            return f"gradients explode{place} since {since}"
        case alert.DEAD:
            return f"gradients are dead{place} since {since}"
        case alert.NONFINITE:
            return f"NaN or infinity arose{place} at {since}"
        case alert.SATURATED:
            return f"activations are saturated{place} since {since}"
        case alert.STILL:
            return f"weights do not move{place} since {since}"
        case alert.SCALE:
            return f"the scale is off{place} since {since}"
        case alert.RULE:
            return f"the rule {name} speaks since {since}"
    return f"{alert.title(one.kind).lower()}{place} since {since}"


def _rose(one: Seen) -> str:
    fold = one.fold
    if fold is not None and fold >= _FOLD:
        return f"rose {_times(fold)} to {one.value:.4g}"
    if one.value is not None and one.before is not None:
        return f"rose from {one.before:.4g} to {one.value:.4g}"
    return "rose"


def _gradient(before: Checked | None, now: Checked | None, why: str) -> str:
    if now is None and before is None:
        return f"whether the gradient is right is not known ({why})"
    if now is None:
        assert before is not None
        again = f", and was not checked again ({why})" if why else ""
        return f"the gradient was {_how(before)}{again}"
    if before is None:
        return f"the gradient is {_how(now)}, where it was first checked"
    if before.verdict == now.verdict == FAIL:
        return f"the gradient is {_how(now)}, as it was at step {before.step}"
    return f"the gradient was {_how(before)} and is {_how(now)}"


def _how(check: Checked) -> str:
    """How the gradient is, to follow "The gradient is"."""
    at, variables = f"at step {check.step}", counted(check.variables, "variable")
    if check.verdict == PASS:
        return f"right {at}"
    if check.verdict == FAIL:
        look = f", look at {places(check.places)}" if check.places else ""
        return f"wrong {at} ({len(check.wrong)} of {variables}{look})"
    told = check.variables - len(check.untold)
    if not told:
        return f"not known {at}"
    return f"right {at} as far as could be told ({told} of {variables})"


def _norms(found: Norms | None, why: str) -> Iterator[str]:
    if found is None:
        # Who has no `GradientStats` did not ask for norms.
        if why and why != _NO[clues.READING]:
            yield f"its norm was not read ({why})"
        return
    yield _norm(found)
    if found.idle:
        worst = found.idle[0]
        name = first_of([repr(worst.layer), *(one.layer for one in found.idle[1:])])
        share = "no unit" if worst.share == 1 else f"{1 - worst.share:.0%} of the units"
        yield f"{share} of {name} get{'s' * (worst.share == 1)} a gradient"


def _norm(found: Norms) -> str:
    if found.nonfinite:
        first = first_of([repr(found.nonfinite[0]), *found.nonfinite[1:]])
        return f"it is not finite in {first} at step {found.step}"
    if found.before is None:
        return f"its norm is {found.total:.2g}, read for the first time"
    grown, fallen = found.grown, found.fallen
    when = f"from step {found.before} to {found.step}"
    if grown is not None and grown.fold >= _FOLD:
        by = _times(grown.fold) if grown.before else f"from 0 to {grown.now:.2g}"
        return f"its norm grew {by} in {grown.layer!r} {when}"
    if fallen is not None and fallen.fold <= _FALL:
        to = f"to {fallen.fold:.1g} of itself" if fallen.now else "to zero"
        return f"its norm fell {to} in {fallen.layer!r} {when}"
    return f"its norm has doubled in no layer {when}"


def _in_training(check: Checked | None) -> Iterator[str]:
    if check is None:
        return
    if check.underflow:
        first = first_of([repr(check.underflows[0]), *check.underflows[1:]])
        yield f"{share_of(check.underflow)} of it underflows in {first}"
    elif check.underflow is not None:
        yield "nothing underflows"
    for note in check.severe[:1]:
        yield _handed(note)


def _handed(note: notes.Note) -> str:
    match note:
        case notes.HandedOn(labels, handed):
            return f"the optimizer of {first_of(labels)} gets {handed_on(handed)}"
        case notes.LossNotScaled(optimizer) | notes.ScaledInVain(optimizer):
            return f"the loss is not scaled as the optimizer {optimizer!r} expects"
        case notes.TrainingLossNotFinite(dtype):
            return f"the loss is not finite in {dtype}"
    return "the check warns of what becomes of it in training"


def _times(fold: float) -> str:
    """Such as `"40-fold"`; two digits, as more would change from batch to batch."""
    size = float(f"{fold:.2g}")
    if size > _LEGIBLE:
        return f"{size:.2g}-fold"
    return f"{size:,.0f}-fold" if size >= 10 else f"{size:.2g}-fold"
