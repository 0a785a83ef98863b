"""What ends a sentence or stands within one: places, manners, what is handed on."""

from __future__ import annotations

from collections.abc import Sequence

from keras_gradwatch.findings import handed
from keras_gradwatch.findings.manner import (
    FACTOR,
    IN_WORDS,
    MISSING,
    NONFINITE,
    NONFINITE_IN_TRAINING,
    ZERO,
    Manner,
)
from keras_gradwatch.findings.place import LOSS, Place
from keras_gradwatch.findings.text import listed

# Layers shown before the number of the others: as many as fit on a line.
_PLACES = 4


def places(found: Sequence[Place]) -> str:
    """The names of layers, such as `"'a' (Dense) and 'b' (Swish)"`, with their lines.

    Args:
        found: The layers, in the order of the forward pass.
    """
    shown = [spot(place) for place in found[:_PLACES]]
    if len(found) > _PLACES:
        shown.append(f"{len(found) - _PLACES} more up to {spot(found[-1])}")
    return listed(shown, len(shown)) if shown else ""


def spot(found: Place) -> str:
    """A place with its line, such as `"'a' (Swish), train.py:41, in swish"`.

    Args:
        found: The `Place`.
    """
    parts = []
    if found.kind == LOSS:
        parts.append(f"the loss {found.name!r}")
    elif found.name:
        parts.append(f"{found.name!r} ({found.kind})")
    line, operation = found.line, found.operation
    if line is not None:
        parts.append(str(line))
    if operation and (line is None or operation != line.function):
        parts.append(f"operation {operation}")
    return ", ".join(parts)


def manner(found: Manner | None) -> str:
    """How a gradient is wrong, to end the sentence "The gradient is ...".

    Args:
        found: The `Manner`; None if the relative error says all there is to say.
    """
    if found is None:
        return ""
    if found.kind == FACTOR:
        return _by_a_factor(found.factor or 0.0)
    return {
        NONFINITE: "not finite",
        MISSING: "missing",
        NONFINITE_IN_TRAINING: "not finite in the precision of training",
        ZERO: "zero",
        IN_WORDS: found.text,
    }[found.kind]


def _by_a_factor(factor):
    size, words = abs(factor), []
    if factor < 0:
        words.append("of the wrong sign")
    if size != 1:
        side = "large" if size > 1 else "small"
        words.append(f"too {side} by a factor of {max(size, 1 / size):.3g}")
    return " and ".join(words)


def handed_on(found: handed.Handed | None) -> str:
    """What an optimizer is handed instead of a gradient; empty if it is the gradient.

    Args:
        found: The `Handed`.
    """
    if found is None:
        return ""
    what = _what(found)
    return f"the gradient, and {what}" if found.is_beside else what


def _what(found):
    factor = found.factor
    match found.kind:
        case handed.UNRETURNED:
            return "a gradient that the tape did not return"
        case handed.NOTHING | handed.ZEROS:
            return found.kind
        case handed.ONLY_OF_OTHER_LOSSES:
            return "the gradient of another loss alone"
        case handed.MULTIPLE:
            return f"{factor:.3g} times the gradient"
        case handed.OF_ANOTHER:
            times = "" if factor is None else f"{factor:.3g} times "
            return f"{times}the gradient of {found.path}"
        case handed.PART_OF_SUM:
            return f"{factor:.3g} times the gradient, added to that of another loss"
        case handed.INSTEAD_OF_NONFINITE:
            return "another value: the gradient is not finite"
        case handed.ANOTHER_VALUE if found.distance is None:
            return "another value"
        case handed.ANOTHER_VALUE:
            away = f"{found.distance:.0%}"
            return f"another value, {away} of the gradient's norm away from it"
        case handed.IN_WORDS:
            return found.text
    raise ValueError(f"Expected a kind of `handed`. Received: {found!r}")
