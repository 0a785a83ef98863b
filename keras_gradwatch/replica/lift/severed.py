"""Tensors of a graph that are given instead of being computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def cut(definition: Any, tensors: Sequence[tf.Tensor]) -> list[str]:
    """Makes inputs of tensors: whatever reads them reads these.

    Args:
        definition: The `GraphDef`, which is changed.
        tensors: The tensors.

    Returns:
        The name of the input for each.
    """
    names = [f"cut_{k}" for k in range(len(tensors))]
    taken = {node.name for node in definition.node}
    while taken.intersection(names):
        names = [f"{name}_" for name in names]
    instead = {_ref(t.name): name for t, name in zip(tensors, names, strict=True)}
    for node in definition.node:
        for k, ref in enumerate(node.input):
            if ref in instead:
                node.input[k] = instead[ref]
    for t, name in zip(tensors, names, strict=True):
        node = definition.node.add(name=name, op="Placeholder")
        node.attr["dtype"].type = t.dtype.as_datatype_enum
    return names


def _ref(name):
    """How nodes refer to a tensor: the first output has no number."""
    return name.removesuffix(":0")
