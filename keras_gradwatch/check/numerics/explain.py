"""A wrong gradient in one or two plain sentences."""

from __future__ import annotations

from keras_gradwatch.check.numerics.comparison import Item
from keras_gradwatch.findings import pattern as patterns
from keras_gradwatch.findings.pattern import Pattern


def explain(worst: Item, pattern: Pattern | None) -> str:
    """Says what is wrong, by how much and what it looks like.

    Args:
        worst: The mismatch with the largest deviation, an entry if there is one.
        pattern: What `find_pattern` found.
    """
    figures = (
        f"a slope of {worst.analytic + 0.0:.4g} where differences give "
        f"{worst.slope.numerical:.4g} +- {worst.slope.error_bar:.1g}."
    )
    if pattern is None:
        return f"The gradient gives {figures}"
    if pattern.kind == patterns.ENTRY:
        return f"Only entry {list(pattern.index)} is wrong: it has {figures}"
    if pattern.kind == patterns.SLICE:
        name = {0: "row", 1: "column"}.get(pattern.axis, "slice")
        return (
            f"Only {name} {pattern.index} (axis {pattern.axis}) is wrong. There the "
            f"gradient gives {figures}"
        )
    return {
        patterns.ZERO: "The gradient is zero everywhere, but the loss depends on it: "
        f"it gives {figures}",
        patterns.SIGN: f"The gradient has the wrong sign: it gives {figures}",
        patterns.SCALED: f"The gradient is {pattern.factor or 0:.4g} times what "
        "differences give.",
        patterns.TRANSPOSED: "The gradient is transposed: with its last two axes "
        "swapped it agrees with differences.",
        patterns.REVERSED: f"The gradient is reversed along axis {pattern.axis}: "
        "flipped back it agrees with differences.",
    }[pattern.kind]
