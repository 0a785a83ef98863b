"""Running a lifted graph node by node, so that each result can be looked at.

With the kernels that the graph itself would run, through calls, branches and rounds of
loops. What a node has computed may be replaced before others take it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_gradwatch.replica.lift.rules import BRANCHES, LOOPS
from keras_gradwatch.replica.lift.runnable import Runnable, original
from keras_gradwatch.replica.lift.surgery import Part

# What only hands on what is known before: a weight, a constant.
_SOURCES = ("Const", "ReadVariableOp", "ResourceGather", "ResourceGatherNd")

# The rounds and calls that led to a node: each a node, and the number of the round.
Path = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Result:
    """What a node has just computed that is not finite, of what is finite.

    Args:
        node: Its name.
        function: Name of the function that it stands in; empty for the graph itself.
        path: The rounds and calls that led to it.
        number: Which of its outputs it is.
        value: The output.
        inputs: What the node took.
        refs: References to these.
        values: What is known in the same body, by references that `Walk` was to keep.
    """

    node: str
    function: str
    path: Path
    number: int
    value: tf.Tensor
    inputs: Sequence[tf.Tensor]
    refs: Sequence[str]
    values: Callable[[str], tf.Tensor | None]

    @property
    def key(self) -> tuple:
        """The same in each run of the same step."""
        return (self.path, self.function, self.node, self.number)


# Takes a `Result`, and returns what is to stand for its value.
See = Callable[[Result], tf.Tensor]


class Walk:
    """A lifted graph that is run node by node.

    Args:
        part: The graph.
        old: The graph from which it was lifted, a `GraphDef`: in its order.
        kept: References, as in the old graph, to what is asked for later.
    """

    def __init__(self, part: Part, old: Any, kept: Collection[str] = ()):
        self._runnable = Runnable(part, old, kept)

    def run(
        self, given: Mapping[str, Any], wanted: Sequence[str], see: See
    ) -> tuple[list[tf.Tensor], Callable[[str], tf.Tensor | None]]:
        """Runs what some tensors need.

        Args:
            given: A tensor for each input of the graph that is used.
            wanted: References, of those in `Part.outputs`.
            see: Is shown what is not finite, and was not made of what is not.

        Returns:
            Their values, and what gives those of `kept` that were computed.
        """
        body = self._runnable.graph(wanted)
        env = {(name, 0): tensor for name, tensor in given.items()}
        bad = set[tuple]()
        self._run(body, env, bad, (), see)

        return [env[key] for key in body.gives], lambda ref: env.get(body.key(ref))

    def _run(self, body, env, bad, path: Path, see: See) -> None:
        for step in body.steps:
            inputs = [env[key] for key in step.ins]
            is_spoilt = not bad.isdisjoint(step.ins)
            if step.run is None:
                outputs, spoilt = self._called(step, inputs, bad, path, see)
                bad.update(k for k, s in zip(step.outs, spoilt, strict=True) if s)
            else:
                outputs = list(step.run(inputs))
                if step.node.op not in _SOURCES:
                    self._look(
                        step, body, env, bad, inputs, outputs, is_spoilt, path, see
                    )
            env.update(zip(step.outs, outputs, strict=True))
            for key in step.last:
                env.pop(key, None)

    def _look(self, step, body, env, bad, inputs, outputs, is_spoilt, path, see):
        """Shows what is not finite; notes what was made of it."""
        for k, value in enumerate(outputs):
            if value.dtype == tf.variant:
                if is_spoilt:
                    bad.add(step.outs[k])
                continue
            if _is_finite(value):
                continue
            if not is_spoilt:
                value = outputs[k] = see(
                    Result(
                        node=step.node.node.name,
                        function=original(body.name),
                        path=path,
                        number=k,
                        value=value,
                        inputs=inputs,
                        refs=step.node.inputs,
                        values=lambda ref: env.get(body.key(ref)),
                    )
                )
                if _is_finite(value):
                    continue
            bad.add(step.outs[k])

    def _called(self, step, inputs, bad, path, see):
        """What a call, a branch or a loop gives, and what of that is spoilt."""
        node, name = step.node, step.node.node.name
        spoilt = [key in bad for key in step.ins]

        def call(function, values, flags, number=0):
            body = self._runnable.function(function)
            env = dict(zip(body.takes, values, strict=True))
            own = {k for k, f in zip(body.takes, flags, strict=True) if f}
            self._run(body, env, own, (*path, (name, number)), see)
            return [env[k] for k in body.gives], [k in own for k in body.gives]

        if node.op in LOOPS:
            number = 0
            asks, does = (node.attributes[k].func.name for k in ("cond", "body"))
            values, flags = inputs, spoilt
            while bool(call(asks, values, flags, number)[0][0]):
                values, flags = call(does, values, flags, number)
                number += 1
            count = len(step.outs)
            return values[:count], flags[:count]
        if node.op in BRANCHES:
            function = _branch(node, inputs[0])
            return call(function, inputs[1:], spoilt[1:])
        function = node.attributes["f"].func.name if "f" in node.attributes else node.op
        return call(function, inputs, spoilt)


def _branch(node, chosen):
    if node.op.endswith("If"):
        # As the kernel does: of what is no scalar, whether there is anything.
        holds = bool(chosen.numpy()) if not chosen.shape.rank else bool(np.size(chosen))
        return node.attributes["then_branch" if holds else "else_branch"].func.name
    branches = [one.name for one in node.attributes["branches"].list.func]
    number = int(chosen)
    return branches[number if 0 <= number < len(branches) else -1]


def _is_finite(value: Any) -> bool:
    """Whether all entries of a tensor are finite; all but numbers are."""
    if value.dtype.is_complex:
        return _is_finite(tf.math.real(value)) and _is_finite(tf.math.imag(value))
    if not value.dtype.is_floating:
        return True
    return bool(np.isfinite(np.asarray(value)).all())
