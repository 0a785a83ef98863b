"""The state of a run: its worst finding."""

from __future__ import annotations

from keras_gradwatch.findings import verdicts

# The worst first: a wrong gradient, a NaN, an alert, what keeps weights from learning
# though their gradients are right, what could not be told; then what is right.
WRONG, NOT_FINITE, ALERT = verdicts.FAIL, "NaN", "ALERT"
WARNING, NOT_TOLD, RIGHT = "WARNING", verdicts.INCONCLUSIVE, verdicts.PASS
# Neither a check nor an alert can be read.
NOTHING = "NOTHING"
STATES = (WRONG, NOT_FINITE, ALERT, WARNING, NOT_TOLD, RIGHT, NOTHING)


def rank(state: str) -> int:
    """How good a state is, to sort by: the worst comes first."""
    return STATES.index(state)
