"""A symptom in one reading, as an alarm weighs it."""

from __future__ import annotations

from dataclasses import dataclass

from keras_gradwatch.findings.alert import EXPLODING, SATURATED
from keras_gradwatch.findings.symptom import Symptom


@dataclass(frozen=True)
class Case:
    """A symptom in one reading, and how bad it is.

    Args:
        symptom: The `Symptom`.
        threshold: What its figure was held against.
        rank: The worst has the largest.
        at_once: Whether it can't wait for another reading.
    """

    symptom: Symptom
    threshold: float
    rank: float
    at_once: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What is told only once while it lasts: an explosion is one, wherever."""
        kind = self.symptom.kind
        return kind, "" if kind in (EXPLODING, SATURATED) else self.symptom.where
