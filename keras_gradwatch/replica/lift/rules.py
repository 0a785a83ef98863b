"""What becomes of operations when a graph is lifted, by their names."""

from __future__ import annotations

from keras_gradwatch.framework import operations
from keras_gradwatch.replica.lift.nodes import Node
from keras_gradwatch.replica.lift.widening import is_narrow, types_in

# Operations that stay in their own precision, with casts around them: what is outside
# of the graph (variables, tables, Python), what reads bits, and draws, whose numbers
# depend on the precision that they are made in.
KEPT = {
    "ReadVariableOp",
    "ResourceGather",
    "ResourceGatherNd",
    "LookupTableFindV2",
    "LookupTableSizeV2",
    "LookupTableExportV2",
    "Bitcast",
    "PyFunc",
    "PyFuncStateless",
    "EagerPyFunc",
    "StatelessRandomUniform",
    "StatelessRandomNormal",
    "StatelessTruncatedNormal",
    "StatelessRandomUniformV2",
    "StatelessRandomNormalV2",
    "StatelessTruncatedNormalV2",
    "StatelessRandomGammaV2",
    "StatelessRandomGammaV3",
    "StatelessRandomBinomial",
    "StatelessRandomPoisson",
    "StatelessMultinomial",
    "StatelessParameterizedTruncatedNormal",
    "QuantizeAndDequantizeV4",
    "QuantizeAndDequantizeV4Grad",
    # Takes double, and computes in float32.
    "CTCLoss",
}
# Operations that return their first input.
PASSED_ON = {
    "CheckNumerics",
    "CheckNumericsV2",
    "DebugGradientIdentity",
    "DebugIdentity",
    "DebugIdentityV2",
    "PreventGradient",
    "Print",
}
WITHOUT_EFFECT = {
    "StatefulPartitionedCall": "PartitionedCall",
    "While": "StatelessWhile",
    "If": "StatelessIf",
    "Case": "StatelessCase",
}
LOOPS = ("While", "StatelessWhile")
# What a branch is chosen by comes before what it takes.
BRANCHES = ("If", "StatelessIf", "Case", "StatelessCase")
# What hands to functions as many arguments as it is given itself.
TAKING = {"PartitionedCall", "StatefulPartitionedCall", *LOOPS, *BRANCHES}
# Hints of the old graph: for placing, for gradients of whole functions, for shapes.
DROPPED = ("_class", "_gradient_op_type", "_output_shapes")


def can_run(new: Node, old: Node, device: str) -> bool:
    """Whether an operation takes the types that it is to have, and has a kernel.

    Args:
        new: The node as it is to be.
        old: The node as it was.
        device: For whose kernels, `"CPU"` or `"GPU"`.
    """
    if any(is_narrow(dtype) for _, _, dtype in (*new.ins, *new.outs)):
        return False  # it has one type there, whatever the others are
    if new.attributes == old.attributes:
        return True
    allowed = {a.name: set(a.allowed_values.list.type) for a in new.defined.attr}
    takes = all(
        not allowed.get(name) or allowed[name].issuperset(types_in(value))
        for name, value in new.attributes.items()
    )
    return takes and operations.has_kernel(new.op, new.attributes, device)
