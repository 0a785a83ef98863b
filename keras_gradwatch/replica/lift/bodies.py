"""The nodes of one graph, or of one function, lifted as they are asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

import tensorflow as tf

from keras_gradwatch.framework import operations
from keras_gradwatch.framework.graphs import QUIET
from keras_gradwatch.replica.lift import draws
from keras_gradwatch.replica.lift.fixed import FixedDraws
from keras_gradwatch.replica.lift.library import Effect, Functions, all_return
from keras_gradwatch.replica.lift.nodes import (
    Draft,
    Names,
    Node,
    Slot,
    described,
    named_in,
)
from keras_gradwatch.replica.lift.reads import read_off, written
from keras_gradwatch.replica.lift.rules import (
    BRANCHES,
    DROPPED,
    KEPT,
    LOOPS,
    PASSED_ON,
    TAKING,
    WITHOUT_EFFECT,
    can_run,
)
from keras_gradwatch.replica.lift.stand_ins import stand_in
from keras_gradwatch.replica.lift.widening import DOUBLE, mark, was_rounded
from keras_gradwatch.replica.lift.writes import ASSIGNS, READS, Writes, writes

_INT64 = tf.int64.as_datatype_enum


class Body:
    """Nodes of a graph or of a function, lifted as they are asked for.

    Args:
        functions: The `Functions` of the graph.
        nodes: The old nodes.
        names: How tensors are named.
        writes: Who writes what is read.
        values: Keys of what is the handle of a variable whose value is given.
        passed_on: Names of nodes that are to return their first input.
        scope: A name for the body.
        in_loop: Whether it is run again and again.

    Attributes:
        draft: The new nodes.
        effects: What they still do.
        reads: Whether they read a variable, a table or the like.
        assigned: Names of those that read what was assigned before.
    """

    def __init__(
        self,
        functions: Functions,
        nodes: Iterable[Any],
        names: Names,
        writes: Writes,
        values: Iterable[tuple[str, Any]],
        passed_on: Collection[str] = (),
        scope: str = "",
        in_loop: bool = False,
    ):
        self._functions, self._names, self._writes = functions, names, writes
        self._scope, self._in_loop = scope, in_loop
        self._old = {node.name: node for node in nodes}
        self._known: dict[str, Node] = {}
        self._refs: dict[tuple, str] = {}
        self._done: set[str] = set()
        self._values, self._passed_on = set(values), passed_on
        self.draft = Draft(names)
        self._draws = FixedDraws(self._old.values(), functions.drawing, self.draft)
        self.effects: list[Effect] = []
        self.reads = False
        self.assigned: list[str] = []

    @property
    def drawing(self) -> list[str]:
        """Names of the nodes that draw at random."""
        return self._draws.names

    def is_value(self, ref: str) -> bool:
        """Whether an old reference is a handle whose variable's value is given."""
        return self._names.key(ref) in self._values

    def lifted(self, ref: str) -> str:
        """The new reference for an old one; lifts all that is behind it."""
        waiting = [ref]
        while waiting:  # not by recursion: graphs are deep
            if self._is_done(waiting[-1]):
                waiting.pop()
                continue
            name, _ = self._names.key(waiting[-1])
            missing = [r for r in self._behind(name) if not self._is_done(r)]
            if missing:
                waiting += missing
                continue
            self._lift(name)
            self._done.add(name)
            waiting.pop()
        return self._new(ref)

    def _is_done(self, ref):
        name, output = self._names.key(ref)
        return output is None or name in self._done

    def _behind(self, name):
        """References to what must be lifted before a node."""
        node = self._node(name)
        writers = self._writes.before(node.node) or ()
        refs = [ref for writer in writers for ref in writer.input[:2]]
        if node.op == draws.GENERATOR:
            refs += self._asked_before(node) or ()
        return [*node.inputs, *refs]

    def _asked_before(self, node):
        """What was asked before of the generator that a node asks; None: who knows.

        In functions that is another thing in each call.
        """
        known = not self._scope and self._writes.before(node.node) == []
        return self._draws.earlier(node.node) if known else None

    def _node(self, name) -> Node:
        if name not in self._known:
            self._known[name] = described(self._old[name], self._functions.library)
        return self._known[name]

    def _new(self, ref):
        return self._refs.get(self._names.key(ref), ref)

    def _lift(self, name):
        node = self._node(name)
        given = [self._new(ref) for ref in node.inputs]
        passes = node.op in PASSED_ON or name in self._passed_on
        if passes or (node.op == "Identity" and self.is_value(node.inputs[0])):
            self._settle(node, [given[0]], [self.is_value(node.inputs[0])])
        elif self._reads_value(node):
            self._read(node, given)
        elif node.op == draws.GENERATOR:
            earlier = self._asked_before(node)
            earlier = None if earlier is None else list(map(self._new, earlier))
            self._settle(node, [self._draws.state(name, given[0], earlier)])
        elif draws.is_draw(node.op):
            have = self._types(node)
            self._put(*self._draws.draw(node, given, have), node)
        elif node.op in self._functions.library:
            values = [self.is_value(ref) for ref in node.inputs]
            function = self._functions.lifted(node.op, values, self._in_loop)
            if function.reads:
                self._note_stale(node)
            self._call(node, given, function)
        elif any(self._calls(value) for value in node.attributes.values()):
            self._control(node, given)
        else:
            self._plain(node, given)

    def _settle(self, node: Node, refs, values=()):
        """Notes what stands for the outputs of a node, and which are values."""
        for k, ref in enumerate(refs):
            key = self._names.key(self._names.ref(node.node.name, node.outs, k))
            self._refs[key] = ref
            if k < len(values) and values[k]:
                self._values.add(key)

    # Variables.

    def _reads_value(self, node):
        """Whether a node reads a variable whose value is known in the graph."""
        if node.op not in (*READS, "VariableShape"):
            return False
        return self.is_value(node.inputs[0]) or bool(self._writes.before(node.node))

    def _read(self, node, given):
        """Reads a variable off its value instead of its handle."""
        if node.op != "VariableShape":
            self._note_stale(node)
        value = self._present(node, given[0])
        self._settle(node, [read_off(self.draft, node, value, given[1:])])

    def _present(self, node, handle):
        """What a variable holds when a node reads it, as it was written last."""
        value = handle if self.is_value(node.inputs[0]) else None
        writers = self._writes.before(node.node) or ()
        if not writers:
            return value
        self.assigned.append(node.node.name)
        changes = [(ASSIGNS[w.op], self._new(w.input[1])) for w in writers]
        dtype = self._wide(node.attributes["dtype"].type)
        return written(self.draft, node, handle, value, changes, dtype)

    def _note_stale(self, node):
        """Notes that a node reads, and whether it would read what is no longer so."""
        self.reads = True
        if self._writes.before(node.node) is None:
            self._note(node, Effect(node.op, self._where(node), is_stale=True))

    # Operations.

    def _plain(self, node, given):
        """Any other operation: in double if that can be, else as it is."""
        functions, have = self._functions, self._types(node)
        if node.op in KEPT:
            self._note_stale(node)
            self._put(node, given, have, node)
            return
        if node.op == "Const" and was_rounded(node.attributes["value"]):
            functions.rounded.add(self._where(node))
        wider = Node(node.node, node.defined, self._widened(node))
        if functions.widening.is_active and not can_run(wider, node, functions.device):
            made = stand_in(node.op, node.attributes)
            if made is not None:
                self._call(node, given, functions.added(made))
                return
            functions.kept.add(node.op)
            wider = node
        self._put(wider, given, have, node)

    def _put(self, new, given, have, old):
        """Adds a node, with casts where types don't fit.

        Args:
            new: The `Node` as it is to be.
            given: References to its inputs.
            have: Their types.
            old: The `Node` for which it stands.
        """
        name = old.node.name
        self._write(new, given, have, name)
        if new.defined.is_stateful and new.op not in QUIET:
            self._note(old, Effect(new.op, self._where(old)))
        refs = []
        for k, ((_, _, was), (_, _, now)) in enumerate(
            zip(old.outs, new.outs, strict=True)
        ):
            ref, want = self._names.ref(name, new.outs, k), self._wide(was)
            refs.append(self.draft.cast(ref, now, want, f"{name}/out{k}"))
        self._settle(old, refs)

    def _write(self, new, given, have, name):
        refs = [
            self.draft.cast(ref, dtype, takes, f"{name}/in{k}")
            for k, (ref, dtype, (_, _, takes)) in enumerate(
                zip(given, have, new.ins, strict=True)
            )
        ]
        written = self.draft.open(name, new.op, refs)
        for attribute, value in new.attributes.items():
            if attribute not in DROPPED:
                written.attr[attribute].CopyFrom(value)

    # Calls, loops and branches.

    def _calls(self, value):
        return any(name in self._functions.library for name in named_in(value))

    def _control(self, node, given):
        """A call, a loop or a branch."""
        first, in_loop = int(node.op in BRANCHES), node.op in LOOPS
        takes, gives = ("T", "T") if in_loop else ("Tin", "Tout")
        values = [self.is_value(ref) for ref in node.inputs]
        types, attributes = self._types(node), self._widened(node)
        named = self._named(attributes)
        called = [
            self._functions.lifted(one.name, values[first:], in_loop or self._in_loop)
            for one in named
        ]
        returns = values if in_loop else all_return(called)
        mark(attributes, takes, values[first:])
        mark(attributes, gives, returns)
        if any(function.draws for function in called):
            number = self._draws.number(node.node.name)
            again = attributes["body"].func.name if in_loop else ""
            called = [
                self._functions.numbered(f, one.name == again)
                for f, one in zip(called, named, strict=True)
            ]
            if node.op not in TAKING:
                self._note(node, Effect(node.op, self._where(node)))
            else:
                given, types = [*given, number], [*types, _INT64]
                attributes[takes].list.type.append(_INT64)
                if in_loop and attributes["output_shapes"].list.shape:
                    attributes["output_shapes"].list.shape.add()
        for one, function in zip(named, called, strict=True):
            one.name = function.name
        if in_loop and writes(node.node, self._functions.library):
            # What asks whether to go on would read what the loop has written.
            asks = attributes["cond"].func.name
            if any(function.reads for function in called if function.name == asks):
                self.effects.append(Effect(node.op, self._where(node), is_stale=True))
        if any(function.reads for function in called):
            self._note_stale(node)
        effects = [effect for function in called for effect in function.effects]
        self._note(node, *effects)
        op = node.op if effects else WITHOUT_EFFECT.get(node.op, node.op)
        made = tf.compat.v1.NodeDef(name=node.node.name, op=op)
        new = Node(made, operations.definition(op), attributes)
        self._write(new, given, types, node.node.name)
        refs = [
            self._names.ref(node.node.name, new.outs, k) for k in range(len(node.outs))
        ]
        self._settle(node, refs, returns)

    def _named(self, attributes):
        """Where in some attributes functions are named."""
        return [
            one
            for value in attributes.values()
            if self._calls(value)
            for one in ([value.func] if value.func.name else value.list.func)
        ]

    def _call(self, node, given, function):
        """Calls a function in the place of an operation."""
        name = node.node.name
        returns = function.returns or (False,) * len(node.outs)
        op = "StatefulPartitionedCall" if function.effects else "PartitionedCall"
        self._note(node, *function.effects)
        types = self._types(node)
        if function.draws:
            given, types = [*given, self._draws.number(name)], [*types, _INT64]
        new = self.draft.open(name, op, given)
        new.attr["Tin"].list.type.extend(types)
        new.attr["Tout"].list.type.extend(
            DOUBLE if flag else self._wide(dtype)
            for flag, (_, _, dtype) in zip(returns, node.outs, strict=True)
        )
        new.attr["f"].func.name = function.name
        outs: list[Slot] = [("output", k, 0) for k in range(len(node.outs))]
        refs = [self._names.ref(name, outs, k) for k in range(len(outs))]
        self._settle(node, refs, returns)

    # Small things.

    def _widened(self, node):
        widen = self._functions.widening.attribute
        return {name: widen(value) for name, value in node.attributes.items()}

    def _wide(self, dtype):
        return self._functions.widening.dtype(dtype)

    def _types(self, node):
        """The types of the inputs of an old node as they are now."""
        return [
            DOUBLE if self.is_value(ref) else self._wide(dtype)
            for ref, (_, _, dtype) in zip(node.inputs, node.ins, strict=True)
        ]

    def _note(self, node, *effects):
        self.effects += [replace(effect, at=node.node.name) for effect in effects]

    def _where(self, node):
        return f"{self._scope}/{node.node.name}" if self._scope else node.node.name
