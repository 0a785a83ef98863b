"""What of a layer, a loss or a function is differentiated: a loss for each output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from keras_gradwatch.check.parts.outputs import Outputs
from keras_gradwatch.errors import InvalidArgumentError
from keras_gradwatch.framework import graphs


@dataclass(frozen=True)
class Wanted:
    """One loss of a harness: an output, or a loss that the thing adds.

    Args:
        path: What it is called, such as `"output/0"` or `"added loss"`.
        terms: Numbers of the terms whose sum it is.
        known: Ids of the variables that it may depend on; None if that can't be told.
    """

    path: str
    terms: tuple[int, ...]
    known: frozenset[int] | None = None

    def may_depend_on(self, variable: keras.Variable) -> bool:
        """Whether the variable may have to do with it."""
        return self.known is None or id(variable) in self.known


@dataclass(frozen=True)
class Seen:
    """What is known of a thing once it was called.

    Args:
        wanted: The losses.
        others: Path and kind of the outputs that can't be differentiated.
        shapes: Path and shape of the upstream gradient of each output; a scalar where
            the shape of the output is known to each call only.
    """

    wanted: tuple[Wanted, ...]
    others: tuple[tuple[str, str], ...]
    shapes: tuple[tuple[str, tuple[int, ...]], ...]


def seen_of(
    found: Outputs,
    added: Sequence[tf.Tensor],
    present: Sequence[tuple[keras.Variable, tf.Variable]],
) -> Seen:
    """What can be asked for.

    Args:
        found: What a call returned.
        added: The losses that it added.
        present: Each variable, and what TensorFlow has for it.

    Raises:
        InvalidArgumentError: If there is nothing to differentiate.
    """
    outputs = [
        Wanted(output.path, (k,), _known(output.tensor, present))
        for k, output in enumerate(found.floats)
    ]
    losses = [
        Wanted("added loss", (len(outputs) + k,), _known(loss, present))
        for k, loss in enumerate(added)
    ]
    if not outputs and not losses:
        kinds = ", ".join(dict.fromkeys(kind for _, kind in found.others)) or "none"
        raise InvalidArgumentError(
            "There is nothing to differentiate: no output holds floats. "
            f"Received outputs of dtype: {kinds}"
        )
    shapes = tuple(
        (
            output.path.replace("output", "upstream", 1),
            tuple(output.tensor.shape)
            if output.tensor.shape.is_fully_defined()
            else (),
        )
        for output in found.floats
    )
    return Seen((*outputs, *_grouped(losses)), found.others, shapes)


def _known(
    tensor: tf.Tensor, present: Sequence[tuple[keras.Variable, tf.Variable]]
) -> frozenset[int] | None:
    """Ids of the variables that a tensor may depend on; None if that can't be told."""
    if tf.executing_eagerly():
        return None
    reached = graphs.captured_by(tensor)
    return frozenset(
        id(variable) for variable, raw in present if id(raw.handle) in reached
    )


def _grouped(losses: list[Wanted]) -> list[Wanted]:
    """Losses that share no variable together: then none can hide another.

    So are regularisers, of which each has a weight of its own.
    """
    groups: list[Wanted] = []
    for loss in losses:
        for k, group in enumerate(groups):
            if group.known is None or loss.known is None or group.known & loss.known:
                continue
            terms, known = (*group.terms, *loss.terms), group.known | loss.known
            groups[k] = Wanted(group.path, terms, known)
            break
        else:
            groups.append(loss)
    if len(groups) < 2:
        return groups
    return [
        Wanted(f"{group.path}/{k}", group.terms, group.known)
        for k, group in enumerate(groups)
    ]
