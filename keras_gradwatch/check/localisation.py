"""Localisation of a wrong gradient: between which layers to look."""

from __future__ import annotations

from collections.abc import Sequence

from keras_gradwatch.findings.notes import (
    Look,
    LookAtOwnWeights,
    LookAtThese,
    LookBetween,
    LookToTheLoss,
)
from keras_gradwatch.findings.place import Place
from keras_gradwatch.findings.variable import VariableReport
from keras_gradwatch.findings.verdicts import FAIL, PASS
from keras_gradwatch.replica.outline import Stage


def where_to_look(
    stages: Sequence[Stage],
    variables: Sequence[VariableReport],
    has_loss: bool = True,
) -> Look | None:
    """Bounds the mistake, None if nothing failed.

    A backward pass runs from the loss to the input. A mistake in one layer
    spoils the gradients of that layer and of those before it; the nearest layer
    after it whose gradients are right therefore bounds it.

    Args:
        stages: The layers in the order of the forward pass. One without a `kind` is
            no layer, but what the first layer is handed.
        variables: The reports of all variables.
        has_loss: Whether a loss follows the last layer.
    """
    verdicts = {v.path: v.verdict for v in variables}

    def has(stage, verdict):
        return any(verdicts.get(path) == verdict for path in stage.paths)

    wrong = [i for i, stage in enumerate(stages) if has(stage, FAIL)]
    if not wrong:
        return None
    last, named = wrong[-1], stages[wrong[-1]]
    right = [i for i in range(last + 1, len(stages)) if has(stages[i], PASS)]
    before = [i for i in range(last) if has(stages[i], PASS)]
    if len(wrong) == 1 and before and not any(has(stages[i], FAIL) for i in before):
        return LookAtOwnWeights((_place(named),))
    end = right[0] if right else len(stages)
    between = [stage for stage in stages[last : end + 1] if stage.kind]
    own = [stage for stage in between if stage.is_own]
    places = tuple(map(_place, own or between))
    if right:
        return LookBetween(places, wrong=named.name, right=stages[end].name)
    if has_loss:
        return LookToTheLoss(places, wrong=named.name)
    return LookAtThese(places)


def _place(stage):
    return Place(stage.name, stage.kind)
