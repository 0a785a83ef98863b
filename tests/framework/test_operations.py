"""What TensorFlow knows of its operations, by its private modules.

When a new TensorFlow breaks one of these, the failing test names it; they are used only
in `keras_gradwatch/framework/operations.py`.
"""

import pytest
import tensorflow as tf

from keras_gradwatch.framework import operations
from keras_gradwatch.framework.patches import replaced

pytestmark = pytest.mark.basic


def typed(**types):
    node = tf.compat.v1.NodeDef()
    for name, dtype in types.items():
        node.attr[name].type = tf.as_dtype(dtype).as_datatype_enum
    return node.attr


def test_definition_of_an_operation():
    found = operations.definition("MatMul")
    assert [argument.name for argument in found.input_arg] == ["a", "b"]
    assert [argument.type_attr for argument in found.output_arg] == ["T"]
    defaults = {a.name: a.default_value.b for a in found.attr if a.type == "bool"}
    assert defaults["transpose_a"] is False
    assert not found.is_stateful


def test_what_has_an_effect_or_a_type_of_its_own_says_so():
    assert operations.definition("RandomUniform").is_stateful
    (output,) = operations.definition("ResizeBilinear").output_arg
    assert (output.type, output.type_attr) == (tf.float32.as_datatype_enum, "")


def test_no_definition_of_what_is_not_there():
    assert operations.definition("NoSuchOperation") is None


@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128", "int32"])
def test_what_has_a_kernel(dtype):
    assert operations.has_kernel("MatMul", typed(T=dtype))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("MatMul", "string"),
        ("MaxPool3D", "float64"),
        ("AvgPool3D", "float64"),
        ("MaxPool3DGrad", "float64"),
        ("LRN", "float64"),
    ],
)
def test_what_has_none(name, dtype):
    types = {"TInput": dtype} if name == "MaxPool3DGrad" else {}
    assert not operations.has_kernel(name, typed(T=dtype, **types))


def test_what_has_a_kernel_in_float32_alone():
    assert operations.has_kernel("MaxPool3D", typed(T="float32"))
    assert operations.has_kernel("LRN", typed(T="float32"))


def test_a_kernel_for_all_types():
    assert operations.has_kernel("FFT", typed(Tcomplex="complex128"))
    assert operations.has_kernel("Identity", typed(T="float64"))


@pytest.mark.parametrize("name", ["If", "While", "PartitionedCall", "StatelessWhile"])
def test_loops_branches_and_calls_run_with_all_types(name):
    assert operations.has_kernel(name, typed())


def test_lists_of_types():
    node = tf.compat.v1.NodeDef()
    node.attr["Toutput_types"].list.type.append(tf.float64.as_datatype_enum)
    assert operations.has_kernel("TensorDataset", node.attr)


def test_no_kernel_on_a_device_of_another_kind():
    assert not operations.has_kernel("MatMul", typed(T="float64"), "NO_SUCH_DEVICE")


def test_eager_draws_apart():
    tf.random.set_seed(5)
    with operations.other_eager_draws():
        apart = tf.random.normal([2]).numpy()
    drawn = tf.random.normal([2]).numpy()
    tf.random.set_seed(5)
    assert (tf.random.normal([2]).numpy() == drawn).all()
    assert (apart != drawn).any()


def test_running_at_once_within_a_graph():
    with tf.Graph().as_default():
        assert not tf.executing_eagerly()
        with operations.eager_mode():
            assert float(tf.constant(2.0) + 1.0) == 3.0


def test_the_backward_pass_of_an_operation():
    @tf.custom_gradient
    def half(x):
        return tf.identity(x), lambda upstream: 0.5 * upstream

    with tf.Graph().as_default():
        x = tf.constant([1.0, 2.0])
        (by_hand,) = (
            op for op in [half(x).op, half(x).op.inputs[0].op] if op.type == "IdentityN"
        )
        backward = operations.backward_of(by_hand)
        _, found = backward(by_hand, *[tf.ones_like(t) for t in by_hand.outputs])
        with tf.compat.v1.Session() as session:
            assert session.run(found).tolist() == [0.5, 0.5]
        assert operations.backward_of(tf.stop_gradient(x).op) is None
        assert operations.backward_of(tf.bitwise.invert(tf.constant([1])).op) is None


def attributes(operation):
    return dict(operation.node_def.attr)


def test_running_an_operation_at_once():
    with tf.Graph().as_default():
        x = tf.compat.v1.placeholder(tf.float32, [2, 3])
        total = tf.reduce_sum(x, axis=1, keepdims=True).op
        parts = tf.split(x, 3, axis=1)[0].op
    value = tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    given = operations.python_attributes("Sum", attributes(total))
    (found,) = operations.run("Sum", [value, tf.constant(1)], given, 1)
    assert found.numpy().tolist() == [[6.0], [15.0]]
    given = operations.python_attributes("Split", attributes(parts))
    found = operations.run("Split", [tf.constant(1), value], given, 3)
    assert [part.numpy().tolist() for part in found][2] == [[3.0], [6.0]]


def test_attributes_of_all_types():
    with tf.Graph().as_default():
        x = tf.compat.v1.placeholder(tf.float32, [1, 8, 8, 1])
        conv = tf.nn.conv2d(x, tf.ones([2, 2, 1, 1]), [1, 2, 2, 1], "SAME").op
        reserved = tf.raw_ops.TensorListReserve(
            element_shape=[2], num_elements=3, element_dtype=tf.float32
        ).op
        queue = tf.raw_ops.FIFOQueueV2(component_types=[tf.int32], shapes=[[2, 3]]).op
    found = operations.python_attributes("Conv2D", attributes(conv))
    found = dict(zip(found[::2], found[1::2], strict=True))
    assert (found["strides"], found["padding"]) == ([1, 2, 2, 1], b"SAME")
    assert found["T"] == tf.float32.as_datatype_enum
    found = operations.python_attributes("TensorListReserve", attributes(reserved))
    (handle,) = operations.run(
        "TensorListReserve", [tf.constant([2]), tf.constant(3)], found, 1
    )
    assert handle.dtype == tf.variant
    found = operations.python_attributes("FIFOQueueV2", attributes(queue))
    assert dict(zip(found[::2], found[1::2], strict=True))["shapes"] == [[2, 3]]


def test_whose_gradient_is_made_is_told():
    seen = []

    @tf.custom_gradient
    def by_hand(x):
        return tf.identity(x), lambda upstream: upstream * 2.0

    @tf.function(autograph=False)
    def gradient(x):
        def replaced_gradient():
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = tf.while_loop(
                    lambda k, y: k < 2, lambda k, y: (k + 1, tf.sin(y)), (0, x)
                )[1]
                y = by_hand(tf.exp(y))
            return tape.gradient(y, x)

        def note(graph, start, end, operation):
            made = graph.get_operations()[start:end]
            seen.append((operation.type, [op.type for op in made]))

        with replaced(operations.watched_gradients(note)):
            return replaced_gradient()

    gradient.get_concrete_function(tf.constant(1.0))
    made = dict(seen)
    order = [name for name in made if name in ("IdentityN", "Exp", "Sin")]
    assert order == ["IdentityN", "Exp", "Sin"]
    assert "Mul" in made["IdentityN"]
    assert "Cos" in made["Sin"]
    assert "StatelessWhile" in made["StatelessWhile"]


def test_the_graph_of_a_function():
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [])
        y = tf.cond(x > 0, lambda: tf.constant(1.0), lambda: 2 * x)
        node = y.op.inputs[0].op if y.op.type == "Identity" else y.op
        name = node.get_attr("else_branch").name
        inside = operations.graph_of_function(graph, name)
    assert "Mul" in {op.type for op in inside.get_operations()}


def test_the_global_generator_is_known_once_there_is_one():
    """`tensorflow.python.ops.stateful_random_ops.global_generator` holds it."""
    tf.random.set_global_generator(tf.random.Generator.from_seed(5))
    (state,) = operations.state_of_global_generator()
    before = state.numpy()
    tf.random.get_global_generator().uniform(())
    assert (state.numpy() != before).any()


def test_the_stream_of_eager_draws_is_seen_to_move():
    """`context.context()._rng` gives each of them its seed."""
    tf.random.set_seed(3)
    before = operations.eager_stream()
    assert before is not None
    assert operations.eager_stream() == before
    tf.random.uniform(())
    assert operations.eager_stream() != before
