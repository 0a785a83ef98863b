"""Where a wrong gradient comes from: between which layers to look."""

from __future__ import annotations

from collections.abc import Sequence

from keras_gradwatch.findings.variable import VariableReport
from keras_gradwatch.findings.verdicts import FAIL, PASS

_SHOWN = 4
_LOOK = "Look first at "
# What may follow the names in that sentence.
_ENDS = (": only its own weights", ". The mistake lies in", ". No layer after ")


def where_to_look(
    stages: Sequence, variables: Sequence[VariableReport], has_loss: bool = True
) -> str:
    """One sentence that bounds the culprit, empty if nothing failed.

    A backward pass runs from the loss to the input. A mistake in one layer
    spoils the gradients of that layer and of those before it; the nearest layer
    after it whose gradients are right therefore bounds it.

    Args:
        stages: The layers in the order of the forward pass, each with `name`,
            `kind`, `is_own` and `paths`. One without a `kind` is no layer, but
            what the first layer is handed.
        variables: The reports of all variables.
        has_loss: Whether a loss follows the last layer.
    """
    verdicts = {v.path: v.verdict for v in variables}

    def has(stage, verdict):
        return any(verdicts.get(path) == verdict for path in stage.paths)

    wrong = [i for i, stage in enumerate(stages) if has(stage, FAIL)]
    if not wrong:
        return ""
    last, named = wrong[-1], stages[wrong[-1]]
    right = [i for i in range(last + 1, len(stages)) if has(stages[i], PASS)]
    before = [i for i in range(last) if has(stages[i], PASS)]
    if len(wrong) == 1 and before and not any(has(stages[i], FAIL) for i in before):
        return (
            f"{_LOOK}{_name(named)}: only its own weights are wrong, and what "
            "lies before it is right, so its gradient for its weights is to blame."
        )
    end = right[0] if right else len(stages)
    between = [stage for stage in stages[last : end + 1] if stage.kind]
    own = [stage for stage in between if stage.is_own]
    look = f"{_LOOK}{_names(own or between)}."
    if not right and not has_loss:
        return look
    if not right:
        return (
            f"{look} No layer after {named.name!r} is known to be right, so the loss "
            "may be to blame as well."
        )
    return (
        f"{look} The mistake lies in the backward pass between {named.name!r}, whose "
        f"gradient is wrong, and {stages[end].name!r}, whose gradient is right."
    )


def pointed_at(note: str) -> str:
    """The layers that a sentence of `where_to_look` names, empty for other notes.

    Args:
        note: One of the notes of a report.
    """
    if not note.startswith(_LOOK):
        return ""
    # The last one: what a layer is called may look like the rest of the sentence.
    end = max(note.rfind(end) for end in _ENDS)
    return note[len(_LOOK) : end if end > 0 else None]


def straight_through(stages: Sequence, path: str) -> str:
    """Why the gradient of a variable is not meant to agree, empty if it is.

    Quantised layers of Keras round, and pass the gradient on as if they did not.

    Args:
        stages: The layers in the order of the forward pass.
        path: Path of the variable.
    """
    names = [stage.name for stage in stages if path in stage.paths]
    after = next((i for i, s in enumerate(stages) if path in s.paths), len(stages))
    rounding = [
        s.name for s in stages[after:] if s.is_quantized and s.name not in names
    ]
    if not rounding:
        return ""
    return (
        f"Layer {rounding[0]!r} after it is quantised: it rounds, and passes the "
        "gradient straight through, so differences can't tell whether it is right."
    )


def _names(stages):
    shown = [_name(stage) for stage in stages[:_SHOWN]]
    if len(stages) > _SHOWN:
        shown.append(f"{len(stages) - _SHOWN} more up to {_name(stages[-1])}")
    if len(shown) == 1:
        return shown[0]
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def _name(stage):
    return f"{stage.name!r} ({stage.kind})"
