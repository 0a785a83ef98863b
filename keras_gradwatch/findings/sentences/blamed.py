"""Which examples of a batch are to blame, as a sentence."""

from __future__ import annotations

from keras_gradwatch.findings import examples
from keras_gradwatch.findings.text import some_of

# Indices shown before dots: as many as fit on a line.
_SHOWN = 8


def blamed(found: examples.Blame) -> str:
    """Who is to blame, and how that is known, or why it is not.

    Args:
        found: The `Blame`.
    """
    rows, size = found.examples or (), found.size
    shown, is_one = some_of(rows, _SHOWN), len(rows) == 1
    match found.kind:
        case examples.ONLY:
            return "The batch has one example."
        case examples.IN_DATA if is_one:
            return f"Example {shown} of the batch of {size} has it."
        case examples.IN_DATA:
            return f"Examples {shown} of the batch of {size} have it."
        case examples.THESE if is_one:
            return (
                f"Example {shown} of the batch of {size} is to blame: alone it gives "
                "the same, and without it the batch does not."
            )
        case examples.THESE:
            return (
                f"Examples {shown} of the batch of {size} are to blame: without them "
                "the batch does not give it."
            )
        case examples.AMONG_OTHERS:
            return (
                f"Examples {shown} of the batch of {size}, and others, give the same "
                "alone."
            )
        case examples.EACH:
            tried = ", ".join(map(str, found.tried))
            return (
                "No single example is to blame: each that was tried alone "
                f"({tried} of {size}) gives the same."
            )
        case examples.TOGETHER:
            return (
                f"No example alone gives the same: the batch of {size} as a whole does."
            )
        case examples.UNTOLD:
            return (
                "Which example is to blame can't be told: the parts of the batch have "
                "no first axis in common."
            )
    raise ValueError(f"Expected a kind of `examples`. Received: {found!r}")
