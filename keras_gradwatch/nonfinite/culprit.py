"""Which of the places where something is not finite is to blame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras_gradwatch.nonfinite.marks import IN, Mark
from keras_gradwatch.nonfinite.run import Replay, Run, bad_data

# What is looked into: the loss, what the tapes return, what optimizers are handed.
IN_LOSS, IN_GRADIENT, IN_UPDATE = "loss", "gradient", "update"
# How many places are tried one by one.
_TRIED = 16


@dataclass(frozen=True)
class Culprit:
    """What is to blame for a symptom.

    Args:
        data: The key of the data, None if it is not the data.
        mark: The place, None if it is at no layer or loss.
        run: The run to read values from.
        is_alone: Whether it alone is enough.
    """

    data: tuple | None
    mark: Mark | None
    run: Run
    is_alone: bool = True


def find(replay: Replay, batch: Any, symptom: str) -> Culprit:
    """Finds the first place without which the step would be well.

    An infinity that does no harm, such as that of a mask, is not to blame. So in
    one run something finite is put wherever something is not; what is seen
    then arose where it is seen. Each of these places alone is let be after that: to
    blame is the first that is enough to make the step fail.

    Args:
        replay: The step.
        batch: What it failed on.
        symptom: What is not finite, `IN_LOSS`, `IN_GRADIENT` or `IN_UPDATE`.
    """
    backward = symptom != IN_LOSS

    def run(clean):
        return replay.run(batch, clean, with_gradients=backward)

    fails = failing(symptom)
    cleaned = run("all")
    data = list(bad_data(batch))
    marks = {m.key: m for m in cleaned.marks if backward or not m.is_backward}
    keys = [*data, *marks]
    if symptom == IN_GRADIENT and fails(
        cleaned
    ):  # it is in the gradient of a weight itself
        owner = owner_of(replay, first_in_backward(replay, cleaned)[0])
        of_owner = (m for m in marks.values() if m.visit and m.visit.thing is owner)
        mark = next((m for m in of_owner if m.is_backward and m.side == IN), None)
        return Culprit(None, mark, cleaned)
    if not keys or fails(cleaned):
        return Culprit(None, None, cleaned)
    for key in keys[:_TRIED]:
        tried = run(set(keys) - {key})
        if fails(tried):
            break
    else:
        key, tried = keys[0], cleaned
    alone = len(keys) == 1 or tried is not cleaned
    if key in marks:
        again = (m for m in tried.marks if m.key == key)
        return Culprit(None, next(again, marks[key]), tried, alone)
    return Culprit(key, None, tried, alone)


def failing(symptom: str) -> Callable[[Run], bool]:
    """What tells whether a run fails in the way that is looked into.

    Args:
        symptom: As for `find`.
    """
    if symptom == IN_LOSS:
        return lambda run: run.loss_fails
    if symptom == IN_GRADIENT:
        return lambda run: bool(run.bad_gradients())
    return lambda run: bool(run.bad_handed())


def first_in_backward(replay: Replay, run: Run) -> list:
    """Variables whose gradients are not finite, in the order of the backward pass."""
    order = {id(visit.thing): visit.order for visit in run.visits}
    bad = {id(v): (k, v) for k, v, _ in reversed(run.bad_gradients())}

    def when(item):
        number, variable = item
        return number, -order.get(id(owner_of(replay, variable)), -1)

    return [variable for _, variable in sorted(bad.values(), key=when)]


def owner_of(replay: Replay, variable: Any) -> Any:
    """The innermost layer that holds a variable, None if none does."""
    holds = [
        layer
        for layer in replay.layers
        if any(v is variable for v in layer.trainable_variables)
    ]
    return holds[-1] if holds else None
