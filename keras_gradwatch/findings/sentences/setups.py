"""What was seen of a set-up, as a sentence of evidence and one of what to do."""

from __future__ import annotations

from keras_gradwatch.findings.observation import RIGHT, Answer, Observation
from keras_gradwatch.findings.sentences.data_setups import IN_DATA
from keras_gradwatch.findings.sentences.model_setups import IN_MODEL
from keras_gradwatch.findings.text import listed

QUESTIONS = {
    "inputs": "Are the inputs of a sane scale, type and variety?",
    "targets": "Are the targets sane, and each compared with its own output?",
    "outputs": "Do outputs and loss agree?",
    "first_loss": "Does the loss begin where that of a guess is?",
    "examples": "Do outputs depend on their own example only?",
    "average": "Is the loss an average?",
    "weights": "Does each weight get a gradient, and does Keras know it?",
    "overfit": "Can a few examples be learned by heart?",
}

_SAID = {**IN_DATA, **IN_MODEL}
_HALVES = {
    "mean": ", and its halves have that loss on average",
    "between": ", and its halves weigh unequally, as with masks and batch statistics",
    "together": "; its halves have others, as where examples are compared",
}
_NAMES = 4


def evidence(found: Answer) -> str:
    """What was seen, a sentence each. What is right is said where nothing else is.

    Args:
        found: The answer.
    """
    return " ".join(dict.fromkeys(map(_said, _worth_saying(found))))


def remedy(found: Answer) -> str:
    """What to do, empty if nothing.

    Args:
        found: The answer.
    """
    told = [_SAID[o.kind][1] for o in _worth_saying(found)]
    return " ".join(dict.fromkeys(filter(None, told)))


def _worth_saying(found):
    if found.state == RIGHT:
        return found.observations
    return [o for o in found.observations if o.state != RIGHT]


def _said(found: Observation) -> str:
    kind = found.names[1] if len(found.names) == 2 else ""
    return _SAID[found.kind][0].format(
        f=found.figures,
        n=found.names,
        names=listed(found.names, _NAMES),
        halves=_HALVES.get("".join(found.names[:1]), ""),
        first=f", first in layer {found.names[0]!r} ({kind})" if kind else "",
    )
