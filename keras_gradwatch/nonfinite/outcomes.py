"""What became of a step that was not finite, in words."""

from __future__ import annotations

from collections.abc import Sequence

from keras_gradwatch.findings.text import listed
from keras_gradwatch.nonfinite import words
from keras_gradwatch.nonfinite.failure import Seen
from keras_gradwatch.nonfinite.lasting import Lasting

NOT_BY_BATCH = "without it, the weight would be what it is"
NOT_HELD_BEFORE = "what the step began with is not known"


def left_out(number: int, most: int) -> str:
    """What became of a step that was undone.

    Args:
        number: How many batches of the epoch were left out, with this one.
        most: How many may be.
    """
    return (
        "The step was undone and its batch left out: "
        f"{number} of at most {most} in this epoch"
    )


def left_out_too_many(most: int) -> str:
    """Why training ends though a step was undone."""
    return (
        f"The step was undone, and training ends: this epoch has more than {most} "
        f"such {'batch' if most == 1 else 'batches'}, which is `max_skips`"
    )


def all_left_out(number: int) -> str:
    """Why training ends where there is no batch to go on with."""
    which = "the only batch" if number == 1 else f"all {number} batches"
    return (
        f"Training ends: {which} of the epoch had to be left out, and there was "
        "nothing to train on."
    )


def not_left_out(why: str) -> str:
    """Why a step was not undone."""
    return f"The batch was not left out, and training ends: {why}"


def not_undone(error: Exception) -> str:
    """Why a step could not be undone."""
    return f"the step could not be undone ({type(error).__name__}: {error})"


def among_several_not_shown(step: int, what: Seen) -> str:
    """Steps that were not finite at once, and are one by one."""
    return (
        f"After the steps that Keras took at once from step {step} on "
        f"{words.seen(what)}. They were undone and taken again one by one, and all was "
        "finite: no batch was left out."
    )


def left_as_it_is(
    variables: Sequence[str], streams: Sequence[str], rest: Lasting | None
) -> str:
    """What can't be put back after a step.

    Args:
        variables: Paths of variables that were made in it.
        streams: Names of streams of random numbers that Python holds.
        rest: What its graph shows, None if there is none.

    Returns:
        A remark; empty if there is nothing.
    """
    parts = []
    if variables:
        parts.append(f"{listed(list(variables), shown=3)}, made in that step")
    if streams:
        parts.append(f"the {'streams' if len(streams) > 1 else 'stream'} of ")
        parts[-1] += f"{listed(list(streams))}, from which was drawn meanwhile"
    if rest is None:
        parts.append(
            "what else the code of the step did, which can't be followed as a graph"
        )
        rest = Lasting()
    if rest.draws:
        parts.append(f"the streams of {listed(list(rest.draws))} of TensorFlow")
    if rest.variables:
        parts.append(f"{listed(list(rest.variables), shown=3)}, which no layer holds")
    if rest.of_keras:
        parts.append(
            f"variables of Keras ({rest.of_keras}) that neither the model nor an "
            "optimizer or metric of it holds"
        )
    if rest.others:
        parts.append(f"tables and the like ({rest.others}) that it wrote")
    if rest.runs_python:
        parts.append("what Python code in the graph did")
    if not parts:
        return ""
    return f"Not put back: {'; '.join(parts)}."
