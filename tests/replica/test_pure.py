"""A check does nothing but look: no print, no counter, no entry in a table."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw
from tests.support.models import half
from tests.support.small_models import between


@pytest.fixture
def data(rng):
    return rng.normal(size=(6, 4)), rng.normal(size=(6, 2))


class Counter(layers.Layer):
    """Counts its calls in a raw variable, and grows with them."""

    def __init__(self):
        super().__init__()
        self.calls = tf.Variable(0.0, trainable=False)

    def call(self, x):
        self.calls.assign_add(1.0)
        return x * tf.cast(tf.identity(self.calls), x.dtype)


def test_a_counter_that_the_loss_depends_on_is_read_as_it_would_be(data):
    layer = Counter()
    model = between(layer)
    layer.calls.assign(2.0)
    x, y = data
    report = kgw.check_gradients(model, x, y)
    assert {v.verdict for v in report.variables} == {"PASS"}, str(report)
    assert float(layer.calls) == 2.0
    assert report.loss == pytest.approx(model.train_on_batch(x, y), rel=1e-6)


def test_a_wrong_gradient_beside_a_counter_is_found(data):
    model = between(Counter(), layers.Lambda(half))
    report = kgw.check_gradients(model, *data)
    first = {v.path for v in model.layers[0].trainable_variables}
    assert {v.path for v in report.failures} == first, str(report)


class Busy(layers.Layer):
    """Prints, asserts, counts in a table, looks for what is not finite."""

    def __init__(self):
        super().__init__()
        self.table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.int64, 0)

    def call(self, x):
        tf.print("called")
        tf.debugging.assert_all_finite(x, "not finite")
        tf.debugging.assert_less(x, 1e6)
        key = tf.constant([1], tf.int64)
        self.table.insert(key, self.table.lookup(key) + 1)
        return tf.debugging.check_numerics(x, "not finite") * 2


def test_prints_assertions_and_tables(data, capfd):
    layer = Busy()
    model = between(layer)
    model.train_on_batch(*data)
    key = tf.constant([1], tf.int64)
    before = int(layer.table.lookup(key)[0])
    capfd.readouterr()
    report = kgw.check_gradients(model, *data)
    assert report.verdict == "PASS", str(report)
    assert "called" not in "".join(capfd.readouterr())
    assert int(layer.table.lookup(key)[0]) == before


def test_all_three_callbacks_leave_no_trace(data, capfd):
    layer, other = Busy(), Busy()
    x, y = (np.repeat(part, 4, axis=0) for part in data)

    def trained(layer, callbacks):
        keras.utils.set_random_seed(1)
        model = between(layer)
        capfd.readouterr()
        model.fit(x, y, batch_size=6, epochs=2, verbose=0, callbacks=callbacks)
        lines = "".join(capfd.readouterr()).count("called")
        key = tf.constant([1], tf.int64)
        return lines, int(layer.table.lookup(key)[0]), model.get_weights()

    often = {"warmup_steps": 0, "verbose": 0}
    plain = trained(layer, [])
    watched = trained(
        other,
        [
            kgw.GradientCheck(check_freq=1, **often),
            kgw.GradientStats(check_freq=1, verbose=0),
            kgw.NonFiniteLocator(),
        ],
    )
    assert watched[:2] == plain[:2]
    for one, two in zip(watched[2], plain[2], strict=True):
        np.testing.assert_array_equal(one, two)


# What is written and read again in the same step: followed, or refused; never wrong.


class Counting(layers.Layer):
    """Keeps a count in a raw variable, and hands it to a function of its own."""

    def __init__(self, function, start=1.0):
        super().__init__()
        self.calls = tf.Variable(start, trainable=False)
        self.function = function

    def call(self, x):
        return self.function(self.calls, x)


def _count_and_read(calls, x):
    calls.assign_add(1.0)
    return x * calls


def _loop(body, x):
    return tf.while_loop(lambda i, y: i < 2, lambda i, y: (i + 1, body(y)), (0, x))[1]


def _read_in_a_loop_that_counts(calls, x):
    return _loop(lambda y: _count_and_read(calls, y), x)


def _read_before_it_is_counted_in_a_loop(calls, x):
    def body(y):
        y = y * calls
        calls.assign_add(1.0)
        return y

    return _loop(body, x)


def _read_after_a_loop_that_counts(calls, x):
    def body(y):
        calls.assign_add(1.0)
        return tf.sin(y)

    return _loop(body, x) * calls


def _read_in_a_loop_after_it_is_counted(calls, x):
    calls.assign_add(1.0)
    return _loop(lambda y: tf.sin(y) * calls, x)


def _read_after_a_branch_that_counts(calls, x):
    def counted():
        calls.assign_add(1.0)
        return tf.sin(x)

    return tf.cond(tf.reduce_sum(x) > -1e9, counted, lambda: x) * calls


def _read_in_a_branch_that_counts(calls, x):
    return tf.cond(
        tf.reduce_sum(x) > -1e9, lambda: _count_and_read(calls, x), lambda: x
    )


def _read_after_a_function_that_counts(calls, x):
    @tf.function(autograph=False)
    def count():
        calls.assign_add(1.0)

    count()
    return x * calls


def _read_in_a_function_that_counts(calls, x):
    return tf.function(_count_and_read, autograph=False)(calls, x)


def _read_in_a_function_after_it_is_counted(calls, x):
    calls.assign_add(1.0)
    return tf.function(lambda y: y * calls, autograph=False)(x)


def _read_in_a_function_in_a_loop_that_counts(calls, x):
    count = tf.function(lambda: calls.assign_add(1.0), autograph=False)
    read = tf.function(lambda y: y * calls, autograph=False)

    def body(y):
        count()
        return read(y)

    return _loop(body, x)


def _set_and_counted_and_read_twice(calls, x):
    calls.assign(3.0)
    x = x * calls
    calls.assign_sub(1.0)
    return tf.sin(x) * calls


def _a_step_of_another_kind_and_read(calls, x):
    tf.raw_ops.ResourceApplyGradientDescent(var=calls.handle, alpha=0.5, delta=1.0)
    return x * calls


def _counted_up_to_and_read(calls, x):
    count = tf.raw_ops.ResourceCountUpTo(resource=calls.handle, limit=9, T=tf.int32)
    with tf.control_dependencies([count]):
        return x * tf.cast(calls.read_value(), x.dtype)


def _a_row_written_and_read(calls, x):
    calls.scatter_nd_add([[1]], [1.0])
    return x * calls[1]


def _a_slice_written_and_read(calls, x):
    calls[1:].assign([3.0])
    return x * calls[1]


def _a_row_written_and_gathered(calls, x):
    calls.scatter_update(tf.IndexedSlices([4.0], [1]))
    return x * tf.gather(calls, 1)


def _set_and_gathered(calls, x):
    calls.assign(2 * calls)
    return x * tf.gather(calls, 1) + tf.gather_nd(calls, [0])


def _read_in_a_function_whose_function_counts(calls, x):
    count = tf.function(lambda: calls.assign_add(1.0), autograph=False)

    def outer(y):
        count()
        return y * calls

    return tf.function(outer, autograph=False)(x)


def _read_after_a_function_with_a_loop_that_counts(calls, x):
    def body(y):
        calls.assign_add(1.0)
        return tf.sin(y)

    return tf.function(lambda y: _loop(body, y), autograph=False)(x) * calls


def _read_after_rows_that_count(calls, x):
    def of_row(row):
        calls.assign_add(1.0)
        return tf.sin(row)

    return tf.map_fn(of_row, x) * calls


def _read_in_a_branch_in_a_loop_that_counts(calls, x):
    def body(y):
        calls.assign_add(1.0)
        return tf.cond(tf.reduce_sum(y) > -1e9, lambda: tf.sin(y) * calls, lambda: y)

    return _loop(body, x)


def _read_by_a_condition_of_a_loop_that_counts(calls, x):
    def body(y):
        calls.assign_add(1.0)
        return 2 * y

    return tf.while_loop(lambda y: calls < 4, lambda y: (body(y),), (x,))[0]


def _read_after_a_gradient_that_counts(calls, x):
    @tf.custom_gradient
    def counting(x):
        def grad(dy):
            calls.assign_add(1.0)
            return dy * tf.cos(x)

        return tf.sin(x), grad

    return counting(x) * calls


COUNTS = {
    function.__name__.strip("_"): function
    for function in (
        _count_and_read,
        _read_in_a_loop_that_counts,
        _read_before_it_is_counted_in_a_loop,
        _read_after_a_loop_that_counts,
        _read_in_a_loop_after_it_is_counted,
        _read_after_a_branch_that_counts,
        _read_in_a_branch_that_counts,
        _read_after_a_function_that_counts,
        _read_in_a_function_that_counts,
        _read_in_a_function_after_it_is_counted,
        _read_in_a_function_in_a_loop_that_counts,
        _set_and_counted_and_read_twice,
        _a_step_of_another_kind_and_read,
        _counted_up_to_and_read,
        _a_row_written_and_read,
        _a_slice_written_and_read,
        _a_row_written_and_gathered,
        _set_and_gathered,
        _read_in_a_function_whose_function_counts,
        _read_after_a_function_with_a_loop_that_counts,
        _read_after_rows_that_count,
        _read_in_a_branch_in_a_loop_that_counts,
        _read_by_a_condition_of_a_loop_that_counts,
        _read_after_a_gradient_that_counts,
    )
}
STARTS = {
    "counted_up_to_and_read": 1,
    "a_row_written_and_read": [1.0, 2.0],
    "a_slice_written_and_read": [1.0, 2.0],
    "a_row_written_and_gathered": [1.0, 2.0],
    "set_and_gathered": [1.0, 2.0],
}


@pytest.mark.parametrize("name", COUNTS)
def test_a_count_that_is_read_again_is_right_or_refused(name, data):
    layer = Counting(COUNTS[name], STARTS.get(name, 1.0))
    model = between(layer)
    before = layer.calls.numpy()
    report = kgw.check_gradients(model, *data)
    np.testing.assert_array_equal(layer.calls, before)
    if report.verdict == "PASS":
        own = model.train_on_batch(*data)
        assert report.loss == pytest.approx(own, rel=1e-6), "silently wrong"
    else:
        assert report.verdict == "INCONCLUSIVE", str(report)
        assert "reads what was written before in the same step" in str(report)


FOLLOWED = [
    "count_and_read",
    "set_and_counted_and_read_twice",
]


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_count_in_the_open_is_followed(name, data):
    layer = Counting(COUNTS[name], STARTS.get(name, 1.0))
    report = kgw.check_gradients(between(layer), *data)
    assert {v.verdict for v in report.variables} == {"PASS"}, str(report)
    assert report.dtype == "float64"


def _called_twice(calls, x):
    @tf.function(autograph=False)
    def counted(x):
        calls.assign_add(1.0)
        return tf.sin(x)

    return counted(counted(x))


def _looped_twice(calls, x):
    def body(y):
        calls.assign_add(1.0)
        return tf.sin(y)

    return _loop(body, _loop(body, x))


def _branched_in_a_loop(calls, x):
    def body(y):
        def counted():
            calls.assign_add(1.0)
            return tf.sin(y)

        return tf.cond(tf.reduce_sum(y) > -1e9, counted, lambda: y)

    return _loop(body, x)


def _asked_whether_it_is_there(calls, x):
    return tf.cond(calls.is_initialized(), lambda: x * calls, lambda: x)


@pytest.mark.parametrize(
    "function",
    [_called_twice, _looped_twice, _branched_in_a_loop, _asked_whether_it_is_there],
)
def test_a_count_that_is_not_read_is_no_reason_to_refuse(function, data):
    model = between(Counting(function))
    report = kgw.check_gradients(model, *data)
    assert {v.verdict for v in report.variables} == {"PASS"}, str(report)
    assert report.loss == pytest.approx(model.train_on_batch(*data), rel=1e-6)


def _inserted(table, key, x):
    table.insert(key, [2.0])
    return tf.sin(x)


def _inserted_in_a_loop(table, key, x):
    return _loop(lambda y: _inserted(table, key, y), x)


def _inserted_in_a_function(table, key, x):
    return tf.function(lambda y: _inserted(table, key, y), autograph=False)(x)


@pytest.mark.parametrize("insert", [_inserted_in_a_loop, _inserted_in_a_function])
def test_what_was_inserted_out_of_sight_is_refused(insert, data):
    table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.float32, 0.5)

    def remembering(x):
        key = tf.constant([1], tf.int64)
        x = insert(table, key, x)
        return x * tf.reshape(table.lookup(key), [1, 1])

    report = kgw.check_gradients(between(layers.Lambda(remembering)), *data)
    assert report.verdict == "INCONCLUSIVE", str(report)
    assert "reads what was written before in the same step" in str(report)
    assert int(table.size()) == 0


class Remembering(layers.Layer):
    """Looks up what it has put into a table just before."""

    def __init__(self, before):
        super().__init__()
        self.table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.float32, 0.5)
        self.before = before

    def call(self, x):
        key = tf.constant([1], tf.int64)
        if self.before:
            self.table.insert(key, [2.0])
        x = x * tf.reshape(self.table.lookup(key), [1, 1])
        if not self.before:
            self.table.insert(key, [2.0])
        return x


def test_what_is_looked_up_after_it_was_inserted_is_refused(data):
    layer = Remembering(before=True)
    report = kgw.check_gradients(between(layer), *data)
    assert report.verdict == "INCONCLUSIVE", str(report)
    assert "reads what was written before in the same step" in str(report)
    assert int(layer.table.size()) == 0


def test_what_is_looked_up_before_it_is_inserted_is_right(data):
    layer = Remembering(before=False)
    model = between(layer)
    report = kgw.check_gradients(model, *data)
    assert {v.verdict for v in report.variables} == {"PASS"}, str(report)
    assert int(layer.table.size()) == 0
    assert report.loss == pytest.approx(model.train_on_batch(*data), rel=1e-6)


# Python in the graph.


def _doubled(x):
    y = tf.py_function(lambda x: 2 * x, [x], x.dtype)
    return tf.ensure_shape(y, x.shape)


def _doubled_by_numpy(x):
    y = tf.numpy_function(lambda x: 2 * x, [x], x.dtype)
    return x + tf.stop_gradient(tf.ensure_shape(y, x.shape))


@pytest.mark.parametrize("function", [_doubled, _doubled_by_numpy])
def test_python_that_the_loss_needs_is_refused(function, data):
    report = kgw.check_gradients(between(layers.Lambda(function)), *data)
    assert report.verdict == "INCONCLUSIVE", str(report)
    assert "runs Python code inside the graph" in str(report)
    assert "'lambda'" in str(report)


def test_python_that_the_loss_does_not_need_is_not_run(data):
    seen = []

    def watched(x):
        tf.py_function(lambda x: seen.append(1), [x], [])
        return tf.sin(x)

    model = between(layers.Lambda(watched))
    model.train_on_batch(*data)
    before = len(seen)
    assert before > 0
    report = kgw.check_gradients(model, *data)
    assert {v.verdict for v in report.variables} == {"PASS"}, str(report)
    assert len(seen) == before


# What only looks.


class Strict(layers.Layer):
    """Wants its weights to be just what they are now."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        tf.debugging.assert_equal(tf.convert_to_tensor(self.scale), tf.ones([4]))
        with tf.control_dependencies([tf.debugging.assert_less(self.scale, 1.5)]):
            return tf.sin(x * self.scale)


def test_an_assertion_that_fails_at_a_moved_point_alone(data):
    report = kgw.check_gradients(between(Strict()), *data)
    assert {v.verdict for v in report.variables} == {"PASS"}, str(report)
    assert report.dtype == "float64"


class Summarised(layers.Layer):
    def call(self, x):
        tf.summary.scalar("mean", tf.reduce_mean(x), step=1)
        return tf.sin(x)


def test_no_summary_is_written(data, tmp_path):
    writer = tf.summary.create_file_writer(str(tmp_path))
    model = between(Summarised())
    with writer.as_default():
        model.train_on_batch(*data)
        writer.flush()
        before = _bytes(tmp_path)
        report = kgw.check_gradients(model, *data)
        writer.flush()
    writer.close()
    assert {v.verdict for v in report.variables} == {"PASS"}, str(report)
    assert before > 0
    assert _bytes(tmp_path) == before


def _bytes(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


# Python that counts or draws while it is traced.


def test_what_python_draws_and_counts_goes_on_as_before(data):
    generator, seen = np.random.default_rng(3), []

    def drawing(x):
        seen.append(1)
        return x * generator.uniform(1, 2, 4).astype("float32")

    model = between(layers.Lambda(drawing))
    state, count = generator.bit_generator.state, len(seen)
    report = kgw.check_gradients(model, *data)
    assert {v.verdict for v in report.variables} == {"PASS"}, str(report)
    assert generator.bit_generator.state == state
    assert len(seen) == count
    assert report.loss == pytest.approx(model.train_on_batch(*data), rel=1e-6)


# Models that run eagerly: their Python runs in every step.


class Eager(layers.Layer):
    """Counts in Python, draws of NumPy's, and maybe needs values."""

    def __init__(self, needs_values):
        super().__init__()
        self.calls, self.needs_values = 0, needs_values
        self.generator = np.random.default_rng(3)

    def call(self, x):
        self.calls += 1
        if self.needs_values and float(x[0, 0]) > 1e9:
            return x
        return x * self.calls * self.generator.uniform(1, 2, 4).astype("float32")

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


@pytest.mark.parametrize("needs_values", [False, True])
def test_the_python_of_a_model_that_runs_eagerly_goes_on_as_before(needs_values, data):
    layer = Eager(needs_values)
    model = between(layer)
    model.compile("sgd", "mse", run_eagerly=True)
    model.train_on_batch(*data)
    state, calls = layer.generator.bit_generator.state, layer.calls
    report = kgw.check_gradients(model, *data)
    assert {v.verdict for v in report.variables} == {"PASS"}, str(report)
    assert layer.calls == calls
    assert layer.generator.bit_generator.state == state
    assert report.loss == pytest.approx(model.train_on_batch(*data), rel=1e-6)


def _drawing(x):
    return x * tf.random.uniform([4])


def test_what_an_eager_model_draws_of_tensorflow_is_drawn_as_before(data):
    def drawn(checked):
        tf.random.set_seed(3)
        model = between(layers.Lambda(_drawing))
        model.compile("sgd", "mse", run_eagerly=True)
        model.train_on_batch(*data)
        if checked:
            report = kgw.check_gradients(model, *data)
            assert {v.verdict for v in report.variables} == {"PASS"}, str(report)
        return tf.random.normal([3]).numpy()

    np.testing.assert_array_equal(drawn(True), drawn(False))


class Annealed(keras.Sequential):
    """Weights its loss by a count of its own, before or after it counts."""

    steps = None
    first = False

    def train_step(self, data):
        x, y = data[:2]
        if self.first:
            self.steps.assign_add(1.0)
        with tf.GradientTape() as tape:
            seen = self(x, training=True)
            loss = tf.reduce_mean((seen - tf.cast(y, seen.dtype)) ** 2)
            loss *= 1 - tf.exp(-0.1 * self.steps)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        if not self.first:
            self.steps.assign_add(1.0)
        return {"loss": loss}


@pytest.mark.parametrize("first", [False, True])
def test_a_loss_that_is_annealed_by_a_count_of_steps(first, data):
    model = Annealed([keras.Input((4,)), layers.Dense(4, "tanh"), layers.Dense(2)])
    model.steps, model.first = tf.Variable(2.0, trainable=False), first
    model.compile("sgd", jit_compile=False)
    report = kgw.check_gradients(model, *data)
    assert {v.verdict for v in report.variables} == {"PASS"}, str(report)
    assert float(model.steps) == 2.0
    assert report.loss == pytest.approx(model.train_on_batch(*data), rel=1e-6)
