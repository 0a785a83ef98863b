"""When gradients give the alarm: they vanish, explode or are dead, and stay so.

What a reading shows is a symptom. One that goes on for long enough becomes an alert.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from keras_gradwatch.arguments import is_count, is_number, refuse
from keras_gradwatch.findings import sentences
from keras_gradwatch.findings.alert import Alert
from keras_gradwatch.findings.reading import GradientReading, idle_share, norm
from keras_gradwatch.findings.symptom import (
    IdleUnits,
    LargeGradient,
    LargeUpdate,
    LostWeights,
    NoGradient,
    NonFiniteEntries,
    OvergrownEntries,
    SmallGradient,
    Symptom,
    UnderflowingGradient,
)
from keras_gradwatch.stats.depth import Scales
from keras_gradwatch.stats.movement import Movement
from keras_gradwatch.stats.own_rules import Rules
from keras_gradwatch.stats.saturation import saturated
from keras_gradwatch.stats.sighting import Case

# A step that moves the weights by more than their own size is no step: usual ones are
# about a thousandth of it (a rule of thumb of CS231n, not measured here).
_LARGEST_UPDATE = 1.0
# After one that is so many times larger there may be nothing left to read. Chosen, not
# measured.
_AT_ONCE = 10.0
# Gradients that grew so much before they overflowed have exploded; others met one bad
# batch. Chosen, not measured.
_GROWTH = 1e3
# Below that the size of a loss says nothing: one that is learnt to the last digit, or
# whose terms cancel, as in a policy gradient. Chosen, not measured: far below what
# losses begin with.
_SMALLEST_LOSS = 1e-2

# The smallest number that float16 holds with all its digits, 2^-14. Where no gradient
# of a layer gets that far, what is zero has underflowed; where some are larger, it may
# as well be dead.
_FLOAT16 = 2.0**-14


@dataclass(frozen=True)
class Thresholds:
    """When to give the alarm; the arguments of `GradientStats` say what each means.

    Raises:
        InvalidArgumentError: If one is wrong.
    """

    vanishing: float
    exploding: float
    dead: float
    patience: int
    saturated: float
    still: float
    scale: float

    def __post_init__(self):
        if not is_number(self.vanishing) or not 0 <= self.vanishing < 1:
            refuse("vanishing", "a number, 0 or more and below 1", self.vanishing)
        if self.exploding != math.inf and (
            not is_number(self.exploding) or self.exploding <= 0
        ):
            refuse("exploding", "a number above 0, or infinity", self.exploding)
        if not is_number(self.dead) or self.dead <= 0:
            refuse("dead", "a number above 0", self.dead)
        if not is_number(self.saturated) or self.saturated <= 0:
            refuse("saturated", "a number above 0", self.saturated)
        if not is_number(self.still) or not 0 <= self.still < 1:
            refuse("still", "a number, 0 or more and below 1", self.still)
        if self.scale != math.inf and (not is_number(self.scale) or self.scale <= 1):
            refuse("scale", "a number above 1, or infinity", self.scale)
        if not is_count(self.patience) or not self.patience:
            refuse("patience", "an integer, 1 or more", self.patience)


class Alarms:
    """Listens to readings, and speaks when the same is wrong in several of them.

    Args:
        thresholds: The `Thresholds`.
        rules: The `Rules` of the user's own.
    """

    def __init__(self, thresholds: Thresholds, rules: Rules | None = None):
        self._thresholds = thresholds
        self._rules = rules
        self._movement = Movement(thresholds.still)
        self._scales = Scales(thresholds.scale)
        # By key: since when, and in how many readings in a row.
        self._seen: dict[tuple[str, str], tuple[int, int]] = {}
        self._largest_loss: dict[str, float] = {}
        self._norms: dict[str, tuple[float, float]] = {}  # the first, and the last

    def hear(self, reading: GradientReading) -> list[Alert]:
        """Takes a reading in.

        Args:
            reading: The newest `GradientReading`.

        Returns:
            An `Alert` for each kind of thing that has now gone on for long enough.
        """
        cases = list(self._cases(reading))
        broken = self._rules.broken(reading) if self._rules else ()
        cases += [Case(symptom, math.nan, rank=0.0) for symptom in broken]
        before, self._seen = self._seen, {}
        ripe: dict[str, list[Case]] = {}
        for case in cases:
            since, count = before.get(case.key, (reading.step, 0))
            told = count >= self._thresholds.patience
            count = self._thresholds.patience if case.at_once else count + 1
            _, most = self._seen.get(case.key, (since, 0))
            self._seen[case.key] = since, max(count, most)
            if not told and count >= self._thresholds.patience:
                ripe.setdefault(case.symptom.kind, []).append(case)
        return [self._alert(reading.step, found) for found in ripe.values()]

    def _alert(self, step: int, cases: list[Case]) -> Alert:
        cases = sorted(cases, key=lambda case: -case.rank)
        symptoms = [case.symptom for case in cases]
        return Alert(
            kind=symptoms[0].kind,
            step=step,
            where=tuple(symptom.where for symptom in symptoms),
            message=sentences.alarm(symptoms),
            since=min(self._seen[case.key][0] for case in cases),
            value=None if math.isnan(symptoms[0].value) else symptoms[0].value,
            threshold=None if math.isnan(cases[0].threshold) else cases[0].threshold,
        )

    def _cases(self, reading: GradientReading) -> Iterator[Case]:
        for target, loss in reading.losses:
            variables = [v for v in reading.variables if v.target == target]
            broken = [v for v in variables if v.nonfinite]
            # Where the loss is scaled, a step that overflows is skipped.
            if reading.loss_scale == 1:
                yield from (self._nonfinite(v) for v in broken)
            if broken or not math.isfinite(loss) or not variables:
                continue
            size = norm(v.norm for v in variables)
            self._norms[target] = self._norms.get(target, (size, size))[0], size
            # As a hinge is where its margin is kept: there is nothing to learn.
            if loss == size == 0:
                continue
            layers: dict[str, list] = {}
            for v in variables:
                layers.setdefault(_place(v.layer or v.path, target), []).append(v)
            yield from self._dead(layers, reading.loss_scale)
            explodes = list(self._exploding(target, loss, layers))
            # Beside what explodes all else is small.
            yield from explodes or self._vanishing(layers, reading.loss_scale)
        yield from _too_large_an_update(reading)
        yield from saturated(reading, self._thresholds.saturated)
        yield from self._movement.cases(reading)
        yield from self._scales.cases(reading)

    def _vanishing(self, layers, scale):
        # Biases and scales alone say little: before a normalisation their true
        # gradient is zero.
        norms = {
            name: norm(v.norm for v in held)
            for name, held in layers.items()
            if any(len(v.shape) > 1 for v in held)
        }
        largest = max(norms, key=lambda name: norms[name], default="")
        limit = self._thresholds.vanishing
        for name, size in norms.items():
            share = size / norms[largest] if size else 1.0
            # What gets through to a layer gets through to all behind it. A branch that
            # is scaled down on purpose, as in ConvNeXt, keeps nothing from others.
            if share >= limit:
                return
            held = layers[name]
            underflows = _is_half(held) and _largest(held, scale) < _FLOAT16
            symptom = SmallGradient(name, share, largest, underflows)
            yield Case(symptom, limit, rank=-share)

    def _exploding(self, target, loss, layers):
        known = max(abs(loss), self._largest_loss.get(target, _SMALLEST_LOSS))
        self._largest_loss[target] = known
        effects = {
            name: norm(v.norm for v in held) * norm(v.weight_norm or 0 for v in held)
            for name, held in layers.items()
        }
        limit = self._thresholds.exploding
        effect = norm(effects.values()) / known
        if effect > limit:
            worst = max(effects, key=lambda name: effects[name])
            size = norm(v.norm for v in layers[worst])
            yield Case(LargeGradient(worst, effect, known, size), limit, rank=effect)

    def _nonfinite(self, variable):
        first, last = self._norms.get(variable.target, (0.0, 0.0))
        count = float(variable.nonfinite)
        symptom: Symptom = NonFiniteEntries(variable.label, count)
        if last > _GROWTH * first:
            symptom = OvergrownEntries(variable.label, count, first, last)
        return Case(symptom, threshold=0.0, rank=math.inf, at_once=True)

    def _dead(self, layers, scale):
        limit = self._thresholds.dead
        if limit > 1:
            return
        for name, held in layers.items():
            idle = idle_share(held)
            is_gone = all(not v.norm for v in held)
            if not is_gone and idle < limit:
                continue
            # Of a layer without any, those of the others tell.
            told = [v for row in layers.values() for v in row] if is_gone else held
            largest = _largest([v for v in told if _is_half([v])], scale)
            may_underflow = _is_half(held) and scale == 1
            symptom: Symptom = IdleUnits(name, idle, may_underflow)
            if _is_half(held) and largest < _FLOAT16:
                share = 1.0 if is_gone else idle
                symptom = UnderflowingGradient(name, share, largest, scale)
            elif is_gone:
                symptom = NoGradient(name, 1.0, may_underflow)
            # Without any is worse than any share of its units, 1 at most.
            yield Case(symptom, limit, rank=2.0 if is_gone else idle)


def _too_large_an_update(reading):
    moved = [v.update_norm for v in reading.variables if v.update_norm is not None]
    if not all(map(math.isfinite, moved)):
        if math.isfinite(reading.global_norm):
            lost = LostWeights("all weights", math.inf, reading.global_norm)
            yield Case(lost, _LARGEST_UPDATE, rank=math.inf, at_once=True)
        return
    ratio = reading.update_ratio
    # From weights that are all zero any step is infinitely large.
    if ratio is not None and _LARGEST_UPDATE < ratio < math.inf:
        worst = max(reading.variables, key=lambda v: v.update_norm or 0.0)
        where = _place(worst.layer or worst.path, worst.target)
        yield Case(
            LargeUpdate(where, ratio, worst.path),
            _LARGEST_UPDATE,
            rank=ratio,
            at_once=ratio > _AT_ONCE * _LARGEST_UPDATE,
        )


def _is_half(variables):
    """Whether a layer computes in float16, by its variables."""
    return any(v.dtype == "float16" for v in variables)


def _largest(variables, scale):
    """The largest entry of some gradients, as it is while the loss is scaled."""
    return scale * max((v.largest for v in variables), default=0.0)


def _place(layer, target):
    return f"{layer} ({target})" if target else layer
