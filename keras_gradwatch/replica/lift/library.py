"""What a body asks of the rest of its graph, and what it tells of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from keras_gradwatch.replica.lift.widening import Widening


@dataclass(frozen=True)
class Effect:
    """Something that happens when a graph runs, and that its result needs.

    Args:
        op: Type of the operation.
        node: Its name, with the function that it stands in.
        is_stale: Whether it reads what was written before in the same graph, and that
            can't be followed.
        at: Name of the node of the graph that does it, by what it calls perhaps.
    """

    op: str
    node: str
    is_stale: bool = False
    at: str = ""


@dataclass(frozen=True)
class Function:
    """A function that lifted nodes can call.

    Args:
        definition: The `FunctionDef`.
        returns: Whether each of its results stands for the handle of a variable;
            empty if none does.
        effects: What it still does.
        reads: Whether it reads a variable, a table or the like.
        draws: Whether it draws at random: it then takes one argument more, the last,
            which says which draws come.
    """

    definition: Any
    returns: tuple[bool, ...] = ()
    effects: tuple[Effect, ...] = ()
    reads: bool = False
    draws: bool = False

    @property
    def name(self) -> str:
        """Its name."""
        return self.definition.signature.name


class Functions(Protocol):
    """What bodies ask of the graph that they are part of.

    Attributes:
        library: The old functions by their names.
        drawing: Names of those of them that draw at random.
        widening: What becomes of types.
        device: For whose kernels it is lifted.
        kept: Operations that stay in their own precision for want of a kernel.
        rounded: Names of constants that were rounded to half precision.
    """

    library: Mapping[str, Any]
    drawing: set[str]
    widening: Widening
    device: str
    kept: set[str]
    rounded: set[str]

    def lifted(self, name: str, values: Sequence[bool], in_loop: bool) -> Function:
        """An old function, lifted.

        Args:
            name: Its name.
            values: For each of its arguments, whether that is the handle of a
                variable whose value is given.
            in_loop: Whether it is run again and again.
        """

    def numbered(self, function: Function, again: bool) -> Function:
        """The same function, handed the number of its draws even if it does not draw.

        Args:
            function: A lifted function.
            again: Whether it is the body of a loop: it then returns the number of the
                next round, too.
        """

    def added(self, function: Any) -> Function:
        """A concrete function of ours, to be called."""


def all_return(called: Sequence[Function]) -> list[bool]:
    """Which results are values: of functions one of which is run."""
    return [all(flags) for flags in zip(*(f.returns for f in called), strict=False)]
