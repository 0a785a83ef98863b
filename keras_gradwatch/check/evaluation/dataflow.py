"""What of a traced loss depends on which weights: the rest can be kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_gradwatch.framework.graphs import behind, is_quiet

# What the price of an op is made of, in entries read or written: its call, and a
# multiplication within a product of matrices. Rough: they only choose where to cut.
# Measured in float64 on a busy machine of two cores, a call took about 2 us, an entry
# of a large array 0.4 ns, a multiplication 0.1 to 0.4 ns.
_CALL = 2000
_MULTIPLY = 0.25


class Dataflow:
    """A traced loss, as operations and the weights that each depends on.

    An operation whose inputs don't depend on a weight gives the same, wherever
    that weight is moved to: whatever the model is, and whatever its layers share.

    Args:
        function: A concrete function whose first inputs are the weights and whose
            output is the loss. It must stay alive as long as this does.
        count: How many weights there are.
    """

    def __init__(self, function, count: int):
        self._function = function
        graph = function.graph
        self._inputs, self._target = list(graph.inputs), function.outputs[0]
        self.weights = self._inputs[:count]
        self._captures = list(graph.captures)
        needed = {op.name for op in behind([self._target.op])}
        self._ops = [op for op in graph.get_operations() if op.name in needed]
        self._prices = np.array([_price(op) for op in self._ops])
        self._masks = self._depend()
        self._definition = graph.as_graph_def()
        self._nodes = {node.name: node for node in self._definition.node}

    @property
    def can_be_cut(self) -> bool:
        """Whether each operation gives the same for the same inputs, always."""
        return is_quiet(self._function.graph)

    def prices(self) -> tuple[list[int], np.ndarray]:
        """What losses cost in which only some neighbours among the weights move.

        Returns:
            A tuple `(order, prices)`: the weights by their first use, and an array
            of shape `(count, count + 1)` whose entry `(i, j)` is the share of the
            loss that depends on any of `order[i:j]`.
        """
        first: dict[str, int] = {}
        for at, op in enumerate(self._ops):
            for tensor in op.inputs:
                first.setdefault(tensor.name, at)
        count, last = len(self.weights), len(self._ops)
        order = sorted(
            range(count), key=lambda k: first.get(self.weights[k].name, last)
        )
        depends = np.array(
            [[mask >> k & 1 for k in order] for mask in self._masks], dtype=bool
        ).reshape(len(self._ops), count)
        prices = np.zeros((count, count + 1))
        following = np.full(len(self._ops), count)  # the next weight it depends on
        for i in reversed(range(count)):
            following = np.where(depends[:, i], i, following)
            within = np.bincount(following, weights=self._prices, minlength=count + 1)
            prices[i, 1:] = np.cumsum(within)[:count]
        return order, prices / max(self._prices.sum(), 1.0)

    def cut(self, moving: Sequence[int]) -> Cut:
        """The loss in two parts, of which one does not depend on some weights.

        Args:
            moving: Numbers of those weights.
        """
        mask = sum(1 << k for k in moving)
        fixed = {t.op.name for t in self._inputs}
        concerned = np.array([own & mask != 0 for own in self._masks])
        share = self._prices[concerned].sum() / max(self._prices.sum(), 1.0)
        after = [self._ops[i] for i in np.flatnonzero(concerned)]
        after = [op for op in after if op.name not in fixed]
        names = {op.name for op in after}
        moved = {self.weights[k].name for k in moving}
        border = {
            t.name: t
            for op in after
            for t in op.inputs
            if t.op.name not in names and t.name not in moved
        }
        if self._target.op.name not in names:  # it depends on none of them
            border[self._target.name] = self._target
        before = {op.name for op in behind(t.op for t in border.values())} - fixed
        return Cut(
            before=self._part(before),
            after=self._part(names),
            kept=[t for t in border.values() if t.op.name in before],
            given=[t for t in border.values() if t.op.name in fixed],
            moved=[self.weights[k] for k in moving],
            target=self._target,
            share=float(share),
        )

    def named(self, arguments: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        """Tensors by the names of the inputs of the loss that they are for.

        Args:
            arguments: What the function takes.
        """
        outside = [tf.identity(t) for t, _ in self._captures]
        return {
            inside.name: tensor
            for inside, tensor in zip(self._inputs, [*arguments, *outside], strict=True)
        }

    def _depend(self):
        """For each operation, the weights it depends on: bits of a number."""
        known = {t.op.name: 1 << k for k, t in enumerate(self.weights)}
        masks = []
        for op in self._ops:  # in the order in which they were made
            mask = known.get(op.name, 0)
            for tensor in op.inputs:
                mask |= known.get(tensor.op.name, 0)
            known[op.name] = mask
            masks.append(mask)
        return masks

    def _part(self, names):
        part = tf.compat.v1.GraphDef()
        part.versions.CopyFrom(self._definition.versions)
        part.library.CopyFrom(self._definition.library)
        for op in self._ops:
            if op.name in names:
                node = part.node.add()
                node.CopyFrom(self._nodes[op.name])
                # Control inputs order effects, and there are none.
                inputs = [name for name in node.input if not name.startswith("^")]
                del node.input[:]
                node.input.extend(inputs)
        return part


class Cut:
    """A loss in two parts: before anything moves, and after.

    Args:
        before: The first part, a `GraphDef`.
        after: The second.
        kept: What the second part takes from the first.
        given: What it takes from the inputs of the loss.
        moved: The weights that move.
        target: The loss.
        share: About how much of the loss the second part is.
    """

    def __init__(self, before, after, kept, given, moved, target, share):
        self._before, self._after = before, after
        self._kept, self._given, self._moved = kept, given, moved
        self._target, self.share = target, share

    @property
    def bytes(self) -> int:
        """What must be kept of the first part."""
        return sum(_size(t) * t.dtype.size for t in self._kept)

    def start(self, named: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Computes the first part, in the graph that is being traced.

        Args:
            named: What `Dataflow.named` returned.
        """
        names = [t.name for t in self._kept]
        kept = _imported(self._before, named, names) if names else []
        given = {t.name: named[t.name] for t in self._given}
        return dict(zip(names, kept, strict=True)) | given

    def finish(self, started: Any, moved: Any) -> tf.Tensor:
        """Computes the loss.

        Args:
            started: What `start` returned.
            moved: The weights that move, moved.
        """
        if not self._after.node:  # the loss depends on none of them
            return tf.identity(started[self._target.name])
        # What comes from outside of a loop has to be brought in first.
        here = {name: tf.identity(t) for name, t in started.items()}
        here |= {w.name: t for w, t in zip(self._moved, moved, strict=True)}
        return _imported(self._after, here, [self._target.name])[0]


def _imported(part, named, wanted):
    used = {name for node in part.node for name in node.input}
    inputs = {_key(name): tensor for name, tensor in named.items()}
    inputs = {name: tensor for name, tensor in inputs.items() if name in used}
    return tf.graph_util.import_graph_def(
        part, input_map=inputs, return_elements=wanted, name="again"
    )


def _key(name):
    """The name of a tensor, as nodes give the names of their inputs."""
    return name.removesuffix(":0")


def _size(tensor):
    dimensions = tensor.shape.as_list() if tensor.shape.rank is not None else []
    return int(np.prod([d or 1 for d in dimensions], dtype=np.int64))


def _price(op):
    """About what an operation costs, by the sizes of what it reads and writes."""
    if op.type in ("Placeholder", "Const", "Identity", "Reshape"):
        return 0.0
    sizes = [_size(t) for t in op.inputs]
    out = sum(_size(t) for t in op.outputs)
    products = 0.0
    if op.type == "Conv2D":
        products = out * sizes[1] / max(1, op.inputs[1].shape[-1] or 1)
    elif op.type in ("MatMul", "BatchMatMulV2", "Einsum") and len(sizes) == 2:
        products = np.sqrt(float(sizes[0]) * sizes[1] * out)
    return float(_CALL + sum(sizes) + out + _MULTIPLY * products)
