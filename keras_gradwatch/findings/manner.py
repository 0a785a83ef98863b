"""How the gradient of a variable is wrong, in short: for a row of a grid."""

from __future__ import annotations

from dataclasses import dataclass

NONFINITE = "nonfinite"
MISSING = "missing"
NONFINITE_IN_TRAINING = "nonfinite in training"
ZERO = "zero"
# The same multiple of what differences give, wherever it was compared.
FACTOR = "factor"
# Of a digest of an earlier version.
IN_WORDS = "in words"
KINDS = (NONFINITE, MISSING, NONFINITE_IN_TRAINING, ZERO, FACTOR, IN_WORDS)


@dataclass(frozen=True)
class Manner:
    """How a gradient is wrong.

    Args:
        kind: One of `KINDS`.
        factor: Of `FACTOR`: the gradient over what differences give.
        text: Of `IN_WORDS`.
    """

    kind: str
    factor: float | None = None
    text: str = ""

    def __post_init__(self):
        # It may come from a damaged file.
        if self.kind not in KINDS or not isinstance(self.text, str):
            raise ValueError(
                f"Expected how a gradient is wrong. Received: {self!r:.80}"
            )
        if (self.kind == FACTOR) != isinstance(self.factor, float):
            raise ValueError(
                f"Expected a factor with {FACTOR!r}. Received: {self!r:.80}"
            )
