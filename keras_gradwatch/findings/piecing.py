"""What alerts, reports and readings tell an incident."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from keras_gradwatch.findings.alert import Alert
from keras_gradwatch.findings.clues import Checked, Idle, Moved, Norms, Seen
from keras_gradwatch.findings.notes import TrainingUnseen, Underflow
from keras_gradwatch.findings.reading import GradientReading, norm
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.findings.verdicts import BLOCKED, INCONCLUSIVE

# Share of all of the gradient's norm that a layer must have: what is only round-off, as
# in a bias before a normalisation, may grow a hundredfold and mean nothing.
_MATTERS = 0.01
# Verdicts that keep a report from being PASS though no gradient is wrong.
_UNTOLD = (BLOCKED, INCONCLUSIVE)


def seen(alert: Alert) -> Seen:
    """What an alert tells."""
    figures = alert.value, alert.before
    return Seen(alert.kind, alert.where, alert.step, alert.since, *figures)


def checked(report: GradientReport) -> Checked:
    """What a report tells."""
    underflow = [note for note in report.remarks if isinstance(note, Underflow)]
    is_seen = report.training_dtype and not any(
        isinstance(note, TrainingUnseen) for note in report.remarks
    )
    return Checked(
        step=report.step,
        verdict=report.verdict,
        variables=len(report.variables),
        wrong=tuple(v.label for v in report.failures),
        untold=tuple(v.label for v in report.variables if v.verdict in _UNTOLD),
        places=report.places,
        severe=tuple(note for note in report.severe if note not in underflow),
        underflow=max((n.share for n in underflow), default=0.0 if is_seen else None),
        underflows=underflow[0].labels if underflow else (),
    )


def norms(
    now: GradientReading,
    before: GradientReading | None,
    idle: Iterable[tuple[str, float]] = (),
) -> Norms:
    """What two readings tell.

    Args:
        now: The later reading.
        before: The earlier one, None if there is none.
        idle: Layers without a gradient, each with the share of its units.
    """
    grown = fallen = None
    if before is not None:
        grown, fallen = _moved(_by_layer(now), _by_layer(before))
    return Norms(
        step=now.step,
        before=None if before is None else before.step,
        total=now.global_norm,
        total_before=None if before is None else before.global_norm,
        grown=grown,
        fallen=fallen,
        nonfinite=tuple(v.label for v in now.variables if v.nonfinite),
        idle=tuple(Idle(*one) for one in idle),
    )


def _by_layer(reading: GradientReading) -> dict[str, float]:
    layers: dict[str, list[float]] = {}
    for v in reading.variables:
        place = v.layer or v.path
        name = f"{place} ({v.target})" if v.target else place
        layers.setdefault(name, []).append(v.norm)
    sizes = {name: norm(held) for name, held in layers.items()}
    return {name: size for name, size in sizes.items() if math.isfinite(size)}


def _moved(
    now: Mapping[str, float], before: Mapping[str, float]
) -> tuple[Moved | None, Moved | None]:
    """The layer that grew most, and the one that fell most."""
    both = [Moved(name, before[name], now[name]) for name in now if name in before]
    large = _MATTERS * norm(one.now for one in both)
    was_large = _MATTERS * norm(one.before for one in both)
    grown = [m for m in both if m.now >= large and m.now > m.before]
    fallen = [m for m in both if m.before >= was_large and m.now < m.before]
    return (
        max(grown, key=lambda m: m.fold, default=None),
        min(fallen, key=lambda m: m.fold, default=None),
    )
