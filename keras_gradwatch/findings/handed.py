"""What a training step hands to its optimizer instead of a gradient."""

from __future__ import annotations

from dataclasses import dataclass

# The tape returned None, and the optimizer is handed something all the same.
UNRETURNED = "unreturned"
NOTHING = "nothing"
# Of a step of several losses: gradients of the others alone.
ONLY_OF_OTHER_LOSSES = "only of other losses"
ZEROS = "zeros"
# A multiple of the gradient itself.
MULTIPLE = "multiple"
# The gradient of another variable, or a multiple of it.
OF_ANOTHER = "of another"
# A multiple of the gradient, added to the gradient of another loss.
PART_OF_SUM = "part of a sum"
# Another value: of a gradient that is not finite, or of one that is.
INSTEAD_OF_NONFINITE = "instead of nonfinite"
ANOTHER_VALUE = "another value"
# Of a report of an earlier version.
IN_WORDS = "in words"


@dataclass(frozen=True)
class Handed:
    """What one variable's optimizer gets.

    Args:
        kind: One of the constants of this module.
        factor: Of `MULTIPLE`, `OF_ANOTHER` and `PART_OF_SUM`: how often the gradient
            is in it, three digits.
        path: Of `OF_ANOTHER`: path of the other variable.
        distance: Of `ANOTHER_VALUE`: how far it is away from the gradient, as a
            share of that one's norm. None where several values are spoken of.
        is_beside: Whether the gradient itself is handed on as well.
        text: Of `IN_WORDS`.
    """

    kind: str
    factor: float | None = None
    path: str = ""
    distance: float | None = None
    is_beside: bool = False
    text: str = ""
