"""What a mistake in a gradient looks like, where that is known."""

from __future__ import annotations

from dataclasses import dataclass

ZERO = "zero"
SIGN = "sign"
SCALED = "scaled"
TRANSPOSED = "transposed"
REVERSED = "reversed"
ENTRY = "entry"
SLICE = "slice"
# Of a backward pass by itself: what it is handed has no say; it returns what was
# broadcast, not the sum.
UNSCALED = "unscaled"
UNSUMMED = "unsummed"
# The same, beside its forward pass: one term of the derivative has a wrong factor, zero
# if it is left out; the derivative of one operation inside is left out.
TERM = "term"
INNER = "inner"


@dataclass(frozen=True)
class Pattern:
    """The shape of a mistake.

    Args:
        kind: One of the constants of this module.
        factor: Of `SCALED`: the analytic gradient over the numerical one. Of `TERM`:
            the same of the term.
        axis: Of `REVERSED` and `SLICE`.
        index: Of `ENTRY`, a tuple; of `SLICE`, the position along the axis.
        operation: Of `TERM` and `INNER`: the type of the operation by way of which
            the term comes, or whose derivative is left out.
        line: File and line of that operation; empty if not known.
    """

    kind: str
    factor: float | None = None
    axis: int | None = None
    index: tuple[int, ...] | int | None = None
    operation: str = ""
    line: str = ""
