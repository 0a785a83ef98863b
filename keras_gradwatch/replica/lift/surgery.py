"""Rewriting a graph so that all of it computes in float64, and nothing has an effect.

Kept is what the wanted tensors need by edges of data. Control edges only order
effects, and no effect is wanted: prints, assertions, counters, summaries, inserts into
tables go with them. Each float becomes a double, through the bodies of functions, loops
and branches. What can't (no kernel in double) keeps its type, with casts around it.
Variables whose values are given are replaced by these: a graph that reads them becomes
a function of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from keras_gradwatch.replica.lift import draws
from keras_gradwatch.replica.lift.bodies import Body
from keras_gradwatch.replica.lift.draws import NUMBER
from keras_gradwatch.replica.lift.library import Effect, Function
from keras_gradwatch.replica.lift.nodes import Draft, FunctionNames, GraphNames
from keras_gradwatch.replica.lift.widening import DOUBLE, Widening
from keras_gradwatch.replica.lift.writes import FunctionWrites, GraphWrites

_INT64 = tf.int64.as_datatype_enum
# Of lifted functions: TensorFlow knows functions by name, in the whole process.
_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Part:
    """A lifted graph.

    Args:
        definition: The `GraphDef`, without its inputs.
        outputs: Names of the wanted tensors in it.
        used: Names of the inputs that it needs.
        effects: What it still does.
        kept: Operations that stay in their own precision for want of a kernel.
        rounded: Names of constants that were rounded to half precision.
        drawing: Names of operations whose draws were fixed.
        assigned: Names of operations that read what was assigned before.
    """

    definition: Any
    outputs: list[str]
    used: set[str]
    effects: tuple[Effect, ...]
    kept: frozenset[str]
    rounded: frozenset[str]
    drawing: tuple[str, ...]
    assigned: tuple[str, ...]

    def imported(
        self, given: Mapping[str, Any], name: str, held: Mapping[str, Any] | None = None
    ) -> list[tf.Tensor]:
        """The wanted tensors, in the graph that is being traced.

        Args:
            given: A tensor for each of the inputs that are used, and maybe others.
            name: A name scope.
            held: Tensors to take in the place of some of `outputs`, by their names.
        """
        given = {key: value for key, value in given.items() if key in self.used}
        if NUMBER in self.used:
            given[NUMBER] = draws.number().read_value()
        given |= held or {}
        nodes = self.definition.node
        read = {ref.split(":")[0] for node in nodes for ref in node.input}
        computed = [ref for ref in self.outputs if ref not in given]
        found = iter(
            tf.graph_util.import_graph_def(
                self.definition,
                input_map={k: v for k, v in given.items() if k.split(":")[0] in read},
                return_elements=[ref if ":" in ref else f"{ref}:0" for ref in computed],
                name=name,
            )
        )
        return [given[ref] if ref in given else next(found) for ref in self.outputs]


def lifted(
    definition: Any,
    inputs: Collection[str],
    values: Set[str],
    wanted: Sequence[str],
    spans: Sequence[tuple[int, int]] | None = None,
    widen: bool = True,
    device: str = "CPU",
    passed_on: Collection[str] = (),
) -> Part:
    """The part of a graph behind some tensors, in float64 and without effects.

    Args:
        definition: The `GraphDef` of a traced function, in the order of the code.
        inputs: Names of the nodes that are its inputs.
        values: Those of them that are handles of variables whose values, in float64,
            take their places.
        wanted: Names of tensors.
        spans: Between which nodes these handles are other ones, called by `moved`;
            None: nowhere.
        widen: Whether to compute in float64; else in the types that there are.
        device: For whose kernels, `"CPU"` or `"GPU"`.
        passed_on: Names of nodes that are to return their first input.

    Raises:
        UncheckableError: If there is an operation that TensorFlow does not know.
    """
    library = {f.signature.name: f for f in definition.library.function}
    functions = _Library(library, Widening(widen), device)
    writes = GraphWrites(definition.node, library)
    nodes = list(definition.node)
    if spans is not None:
        nodes = _told_apart(nodes, values, spans)
        values, inputs = ({*names, *map(moved, values)} for names in (values, inputs))
    keys = [(name, 0) for name in values]
    body = Body(functions, nodes, GraphNames(), writes, keys, passed_on)
    outputs = [body.lifted(name) for name in wanted]
    result = tf.compat.v1.GraphDef()
    result.versions.CopyFrom(definition.versions)
    result.node.extend(n for n in body.draft.nodes if n.name not in inputs)
    result.library.function.extend(functions.made.values())
    read = {ref.split(":")[0] for node in result.node for ref in node.input}
    read |= {ref.split(":")[0] for ref in outputs}
    return Part(
        definition=result,
        outputs=outputs,
        used=read & {*inputs, NUMBER},
        effects=tuple(dict.fromkeys(body.effects)),
        kept=frozenset(functions.kept),
        rounded=frozenset(functions.rounded),
        drawing=tuple(body.drawing),
        assigned=tuple(body.assigned),
    )


def moved(handle: str) -> str:
    """The name of the handle that stands for another one within spans."""
    return f"{handle}/moved"


def _told_apart(nodes, handles, spans):
    """Nodes of which those within spans read other variables than the rest."""
    others = []
    for node in nodes:
        if node.name in handles:
            other = tf.compat.v1.NodeDef()
            other.CopyFrom(node)
            other.name = moved(node.name)
            others.append(other)
    for start, end in spans:
        for k in range(start, end):
            if not handles.isdisjoint(nodes[k].input):
                node = tf.compat.v1.NodeDef()
                node.CopyFrom(nodes[k])
                node.input[:] = [moved(x) if x in handles else x for x in node.input]
                nodes[k] = node
    return [*others, *nodes]


class _Library:
    """The functions of a graph, each lifted once for each use: a `Functions`."""

    def __init__(self, library, widening, device):
        self.library, self.widening, self.device = library, widening, device
        self.drawing = draws.drawing(library)
        self.kept: set[str] = set()
        self.rounded: set[str] = set()
        self.made: dict[str, Any] = {}
        self._lifted: dict[tuple, Function] = {}

    def lifted(self, name: str, values: Sequence[bool], in_loop: bool) -> Function:
        key = (name, tuple(values) if any(values) else (), in_loop)
        if key not in self._lifted:
            self._lifted[key] = self._made(*key)
        return self._lifted[key]

    def added(self, function: Any) -> Function:
        definition = function.function_def
        others = function.graph.as_graph_def().library.function
        for one in (*others, definition):
            self.made[one.signature.name] = one
        return Function(definition)

    def numbered(self, function: Function, again: bool) -> Function:
        if function.draws and not again:
            return function
        new = type(function.definition)()
        new.CopyFrom(function.definition)
        new.signature.name += "_in_rounds" if again else "_numbered"
        if not function.draws:
            new.signature.input_arg.add(name=NUMBER, type=_INT64)
        if again:
            draft, types = Draft(FunctionNames([])), {"T": _INT64}
            step = draft.constant(f"{NUMBER}/round", draws.ROUND)
            result = new.signature.output_arg.add(name=f"{NUMBER}_next", type=_INT64)
            new.ret[result.name] = draft.add(
                f"{NUMBER}/next", "AddV2", [NUMBER, step], types
            )
            new.node_def.extend(draft.nodes)
        self.made[new.signature.name] = new
        return replace(function, definition=new, draws=True)

    def _made(self, name, values, in_loop):
        old = self.library[name]
        takes = [argument.name for argument in old.signature.input_arg]
        own = {argument for argument, flag in zip(takes, values, strict=False) if flag}
        body = Body(
            self,
            old.node_def,
            FunctionNames(takes),
            FunctionWrites(old.node_def, self.library, in_loop),
            [(argument, None) for argument in own],
            scope=name,
            in_loop=in_loop,
        )
        returned = [old.ret[argument.name] for argument in old.signature.output_arg]
        refs = [body.lifted(ref) for ref in returned]
        returns = tuple(body.is_value(ref) for ref in returned)
        new = tf.compat.v1.GraphDef().library.function.add()
        new.signature.name = f"{name}_lifted_{next(_NUMBERS)}"
        new.signature.is_stateful = bool(body.effects)
        for argument in old.signature.input_arg:
            dtype = self.widening.dtype(argument.type)
            dtype = DOUBLE if argument.name in own else dtype
            new.signature.input_arg.add(name=argument.name, type=dtype)
        if body.drawing:
            new.signature.input_arg.add(name=NUMBER, type=_INT64)
        for argument, ref, flag in zip(
            old.signature.output_arg, refs, returns, strict=True
        ):
            dtype = DOUBLE if flag else self.widening.dtype(argument.type)
            new.signature.output_arg.add(name=argument.name, type=dtype)
            new.ret[argument.name] = ref
        new.node_def.extend(body.draft.nodes)
        for attribute, value in old.attr.items():
            if not attribute.endswith("function_name"):  # of its gradient
                new.attr[attribute].CopyFrom(value)
        self.made[new.signature.name] = new
        effects = tuple(dict.fromkeys(body.effects))
        returns = returns if any(returns) else ()
        return Function(new, returns, effects, body.reads, bool(body.drawing))
