"""Why a variable, or a whole check, has its verdict: data, no words.

`sentences` says each of them in English.
"""

from __future__ import annotations

from dataclasses import dataclass

from keras_gradwatch.findings.pattern import Pattern
from keras_gradwatch.findings.place import Place

# What is special about a point at which a gradient can't be compared.
AT_ZERO, AT_KINK, AT_JUMP = "zero", "kink", "jump"
# What takes the influence of a variable away again.
NORMALISATION, SOFTMAX = "normalisation", "softmax"


@dataclass(frozen=True)
class Cause:
    """Base class of all causes."""


# Of a FAIL.


@dataclass(frozen=True)
class Mismatch(Cause):
    """The gradient and differences are apart.

    Args:
        analytic: Slope that the gradient implies, where it is furthest off.
        numerical: Slope that differences give there.
        error_bar: How far `numerical` may be off.
        pattern: What the mistake looks like, if that is known.
        at: Where it shows a thousandth away only: what the point itself is, as in
            `RightNearby`.
    """

    analytic: float
    numerical: float
    error_bar: float
    pattern: Pattern | None = None
    at: str = ""


@dataclass(frozen=True)
class StillWrong(Cause):
    """An earlier check found it wrong, and this one does not show it right."""


@dataclass(frozen=True)
class NonFiniteGradient(Cause):
    """Entries of the gradient are NaN or infinite, while the loss is finite.

    Args:
        count: How many.
        size: Of how many.
        first: Index of the first of them.
    """

    count: int
    size: int
    first: tuple[int, ...]


@dataclass(frozen=True)
class MissingGradient(Cause):
    """The tape returned None, but the loss depends on the variable."""


@dataclass(frozen=True)
class Misshapen(Cause):
    """The gradient has another shape than the variable.

    Args:
        gradient: Shape of the gradient.
        variable: Shape of the variable.
    """

    gradient: tuple[int, ...]
    variable: tuple[int, ...]


@dataclass(frozen=True)
class NotLinear(Cause):
    """The backward pass is not linear in its upstream gradient.

    Args:
        factor: Under an upstream gradient of so many times the size.
        is_partial: Whether half of it was zero at a time, and both halves were added.
        analytic: Slope that it gives then, where it is furthest off.
        linear: The same number of times what it gives for the upstream itself.
    """

    factor: float
    is_partial: bool
    analytic: float
    linear: float


@dataclass(frozen=True)
class OverflowInTraining(Cause):
    """In the precision of training, entries of the gradient are not finite.

    Args:
        dtype: That precision.
        share: Share of the entries, from 0 to 1.
    """

    dtype: str
    share: float


# Of a PASS.


@dataclass(frozen=True)
class Partial(Cause):
    """Not all entries could be compared.

    Args:
        share: Share of those that were, from 0 to 1.
    """

    share: float


@dataclass(frozen=True)
class RightNearby(Cause):
    """At the point itself nothing shows; a thousandth away the gradient is right.

    Also of ZERO, where the gradient and all differences are zero at the point.

    Args:
        at: What the point is: `AT_ZERO`, `AT_KINK` or `AT_JUMP`.
        relative_error: Of what was compared a thousandth away.
    """

    at: str
    relative_error: float


# Of UNUSED.


@dataclass(frozen=True)
class NoInfluence(Cause):
    """No gradient, and the loss stays the same however far the variable is moved."""


# Of ZERO.


@dataclass(frozen=True)
class TrulyZero(Cause):
    """Gradient and differences are zero, in large steps and a thousandth away, too.

    Args:
        by: What takes its influence away again, `NORMALISATION` or `SOFTMAX`; empty
            if that is not known.
        place: The layer that does so, if that is known.
    """

    by: str = ""
    place: Place | None = None


@dataclass(frozen=True)
class CancelsOut(Cause):
    """Zero, as its terms cancel out; the loss changes if the variable is moved far."""


@dataclass(frozen=True)
class Piecewise(Cause):
    """Zero; what is differentiated is constant piece by piece, as that of a ReLU."""


# Of BLOCKED.


@dataclass(frozen=True)
class Blocked(Cause):
    """No gradient gets through, but the loss changes if the variable is moved far.

    Args:
        operation: What stands between, such as `"Round"`; empty if not known.
        place: The layer that it belongs to; None for none, or if not known.
        line: File and line of it; empty if not known.
        is_missing: Whether the tape returned None, not zeros.
    """

    operation: str
    place: Place | None = None
    line: str = ""
    is_missing: bool = True


@dataclass(frozen=True)
class Dead(Cause):
    """The gradient is zero; the loss changes smoothly if the variable is moved far."""


# Of INCONCLUSIVE.


@dataclass(frozen=True)
class NotCompared(Cause):
    """There was no time for the variable in this check."""


@dataclass(frozen=True)
class Pending(Cause):
    """Something is off in a sweep over this and other variables.

    There was no time left to look at each of them alone.
    """


@dataclass(frozen=True)
class Untold(Cause):
    """The tape returned None, and differences can't tell whether that is right."""


@dataclass(frozen=True)
class ZeroSoFar(Cause):
    """Gradient and differences are zero; there was no time to look further away."""


@dataclass(frozen=True)
class AtKink(Cause):
    """The loss has a kink at the point."""


@dataclass(frozen=True)
class AtJump(Cause):
    """The loss is discontinuous at the point."""


@dataclass(frozen=True)
class TooNoisy(Cause):
    """The error bar of the differences is larger than the tolerance."""


@dataclass(frozen=True)
class NonFiniteNearby(Cause):
    """The loss is not finite nearby."""


@dataclass(frozen=True)
class TooSmall(Cause):
    """What agreed is too small to have shown an error."""


@dataclass(frozen=True)
class NothingCompared(Cause):
    """No comparison told anything."""


# Of EXPECTED.


@dataclass(frozen=True)
class Intended(Cause):
    """A library does something to the gradient on purpose.

    Args:
        key: What, a key of `intentions.INTENTIONS`.
        layer: Name of the layer that does it; empty if it is none.
        is_compared: Whether all the rest of the way was compared, and is right.
    """

    key: str
    layer: str
    is_compared: bool


# Of a whole check that is INCONCLUSIVE.


@dataclass(frozen=True)
class VariablesPending(Cause):
    """A sweep is off, and not all of its variables were looked at alone.

    Args:
        labels: Of those variables.
    """

    labels: tuple[str, ...]


@dataclass(frozen=True)
class NotAllTold(Cause):
    """Some of what was asked was not told; the rest is right.

    Args:
        blocked: Labels of the variables that are BLOCKED.
        untold: Labels of those that are INCONCLUSIVE.
        refused: Names of the losses that were not looked at; an empty one for a
            loss without a name.
        right: How many variables are right.
        count: How many there are.
    """

    blocked: tuple[str, ...]
    untold: tuple[str, ...]
    refused: tuple[str, ...]
    right: int
    count: int


@dataclass(frozen=True)
class NothingTold(Cause):
    """No variable was compared: its reason, and what was refused, say why."""


@dataclass(frozen=True)
class OnlyFirstOrder(Cause):
    """Of both derivatives, the second could not be compared.

    Args:
        open_rows: Positions of the variables that say why.
    """

    open_rows: tuple[int, ...]


# Of a report of an earlier version.


@dataclass(frozen=True)
class Told(Cause):
    """A reason in words.

    Args:
        text: One sentence or a few.
    """

    text: str


CAUSES = (
    Mismatch,
    StillWrong,
    NonFiniteGradient,
    MissingGradient,
    Misshapen,
    NotLinear,
    OverflowInTraining,
    Partial,
    RightNearby,
    NoInfluence,
    TrulyZero,
    CancelsOut,
    Piecewise,
    Blocked,
    Dead,
    NotCompared,
    Pending,
    Untold,
    ZeroSoFar,
    AtKink,
    AtJump,
    TooNoisy,
    NonFiniteNearby,
    TooSmall,
    NothingCompared,
    Intended,
    VariablesPending,
    NotAllTold,
    NothingTold,
    OnlyFirstOrder,
    Told,
)
