"""Which examples of a batch are to blame, and how that is known: data, no words.

`sentences` says it in English.
"""

from __future__ import annotations

from dataclasses import dataclass

# The batch has one.
ONLY = "only one"
# It is their data that is not finite.
IN_DATA = "in their data"
# Alone they fail, if it is one, and without them the batch does not.
THESE = "these"
# Alone they fail, and so do others.
AMONG_OTHERS = "among others"
# None in particular: each that was tried fails alone.
EACH = "each"
# None in particular: none fails alone.
TOGETHER = "together"
# The parts of the batch have no first axis in common.
UNTOLD = "untold"


@dataclass(frozen=True)
class Blame:
    """Examples that are to blame, and how that is known.

    Args:
        kind: One of the constants of this module.
        examples: Their indices, None if it is the batch as a whole, or is not known.
        size: How many examples the batch has, None if that is not known.
        tried: Of `EACH`: the indices of those that were tried.
    """

    kind: str
    examples: tuple[int, ...] | None = None
    size: int | None = None
    tried: tuple[int, ...] = ()
