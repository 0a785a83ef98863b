"""Why a replay can't be trusted, and which layer is behind it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import tensorflow as tf

from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.framework import graphs
from keras_gradwatch.replica import randomness, stairs
from keras_gradwatch.replica.lift.library import Effect
from keras_gradwatch.replica.lift.lifted import SCOPE, Lifted
from keras_gradwatch.replica.lift.trace import Trace
from keras_gradwatch.replica.places import Places, distinct_names
from keras_gradwatch.replica.replica import Replica

# Operations that run Python.
_PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


def assert_pure(replica: Replica, places: Places, effects: Iterable[Effect]) -> None:
    """Refuses what evaluates differently each time, or does something else besides.

    Args:
        replica: The `Replica` that was traced.
        places: Which layer made which operation.
        effects: What the graph still does.

    Raises:
        UncheckableError: Naming the layer and the remedy.
    """
    for effect in effects:
        so = "differences then say nothing about its gradient"
        raise _refusal(replica, places, effect, so)


def assert_harmless(
    replica: Replica, places: Places, effects: Iterable[Effect]
) -> None:
    """Refuses what would be done once more, or otherwise, if the step is run again.

    Draws may differ: nothing is compared.

    Args:
        replica: The `Replica` that was traced.
        places: Which layer made which operation.
        effects: What the graph still does.

    Raises:
        UncheckableError: Naming the layer and the remedy.
    """
    for effect in effects:
        if effect.is_stale or effect.op not in graphs.RANDOM:
            so = "the training step can't be run without that"
            raise _refusal(replica, places, effect, so)


def _refusal(replica, places, effect, so):
    what, remedy = _told(effect)
    line = places.line(effect.at)
    where = effect.node if line is None else f"{effect.node}; {line}"
    owner = _owner(replica, places, effect.at)
    return UncheckableError(f"{owner} {what} ({where}): {so}. {remedy}.")


def _told(effect):
    """What an operation does that it should not, and what to do about it."""
    if effect.is_stale:
        return (
            "reads what was written before in the same step",
            "Use the value that is written, or keep it in a variable of Keras, "
            "which the check can follow",
        )
    if effect.op in _PYTHON:
        return (
            "runs Python code inside the graph",
            "Write it with TensorFlow or keras.ops, or move it into the data pipeline",
        )
    if effect.op in graphs.COLLECTIVE:
        return (
            "waits for other workers, which do not run the check at the same pace",
            "Leave it to the training strategy to add up what its workers find",
        )
    if effect.op in graphs.RANDOM:
        return (
            "draws random numbers that differ from one evaluation to the next",
            "Draw them with `keras.random` and a `keras.random.SeedGenerator`, "
            "which the check can replay",
        )
    return (
        f"has an effect that its result needs ({effect.op})",
        "Keep it out of what is differentiated",
    )


def assert_not_live(replica: Replica, trace: Trace) -> None:
    """Refuses what reads its live weights where others stand for them.

    Raises:
        UncheckableError: Naming the remedy.
    """
    moved = {id(handles[0]) for handles in trace.handles if handles}
    live = {id(v.handle) for v in replica.live_weights if hasattr(v, "handle")}
    captured = {id(outside) for outside, _ in trace.graph.captures}
    if captured & (live - moved):
        raise UncheckableError(
            "The model's code reads its live weights past the replay, as a function "
            "does that was traced before. Remove `@tf.function` from `call` (Keras "
            "compiles the training step anyway)."
        )


def low_precision(
    replica: Replica, places: Places, graph: tf.Graph
) -> dict[str, list[str]]:
    """The layers that the loss goes through in less than float64.

    Args:
        replica: The `Replica`.
        places: Which layer made which operation of the graph that was lifted.
        graph: The lifted graph. Its first inputs are the weights, and its first output
            is the loss.

    Returns:
        A dict from the name of a dtype to the names of layers.
    """
    weights = graph.inputs[: len(replica.weights)]
    target = graph.outputs[0]
    found: dict[str, list[str]] = {}
    known = distinct_names(replica.model)
    for op_name, dtype in graphs.low_precision_nodes(graph, weights, target):
        layer = places.owner(op_name.removeprefix(f"{SCOPE}/"))
        name = known.get(id(layer), "the loss")
        names = found.setdefault(dtype, [])
        if name not in names:
            names.append(name)
    return found


def rounded(replica: Replica, lifted: Lifted) -> tuple[str, ...]:
    """The layers whose backward pass has constants in half precision."""
    known, places = distinct_names(replica.model), lifted.trace.places
    names = [known.get(id(places.owner(n)), "the loss") for n in sorted(lifted.rounded)]
    return tuple(dict.fromkeys(names))


def rounding(
    replica: Replica, lifted: Lifted, flat: Sequence, moved: Sequence
) -> tuple[str, str] | None:
    """The type of an operation that rounds though it is float64, and its layer.

    Args:
        replica: The `Replica`.
        lifted: Its lifted graphs.
        flat: Arguments of its loss.
        moved: The same with all weights moved, less far than a stair is wide.

    Returns:
        None if it can't be told.
    """
    found = stairs.rounding(lifted, flat, moved)
    if found is None:
        return None
    operation, name = found
    layer = lifted.trace.places.owner(name)
    return operation, distinct_names(replica.model).get(id(layer), "the loss")


def switched_off(replica: Replica) -> tuple[str, ...]:
    """The layers that draw while training, and do nothing in a replay."""
    return _drawing(replica) if replica.dropout == "bypass" else ()


def drawn_once(replica: Replica, lifted: Lifted | None) -> tuple[str, ...]:
    """The layers that draw in a replay, each time the same."""
    known = distinct_names(replica.model)
    own = () if replica.dropout == "bypass" else _drawing(replica)
    others: list[str] = []
    if lifted is not None:
        makers = map(lifted.trace.places.owner, lifted.drawing)
        others += [known.get(id(layer), "the loss") for layer in makers]
    return tuple(dict.fromkeys([*own, *others]))


def _drawing(replica):
    known = distinct_names(replica.model)
    return tuple(known.get(id(x), x.name) for x in randomness.drawing(replica.model))


def _owner(replica, places, name):
    layer = places.owner(name)
    if layer is None or layer is replica.model:
        return "The training loss"
    return f"Layer {distinct_names(replica.model).get(id(layer), layer.name)!r}"
