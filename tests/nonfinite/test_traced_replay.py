"""A step that failed is run again as a graph: the operation, its line, no effects."""

import inspect
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_gradwatch as kgw
from tests.support.nonfinite_fits import fitted
from tests.support.plants import AT, BAD, BATCH, STEP


class Does(layers.Layer):
    """Computes what it is given."""

    def __init__(self, function, **options):
        super().__init__(**options)
        self.function = function

    def call(self, x):
        return self.function(x)


def located(layer, data, jit_compile=False):
    model = keras.Sequential([keras.Input((3,)), layer, layers.Dense(1)])
    sgd = keras.optimizers.SGD(1e-6)
    model.compile(sgd, "mse", jit_compile=jit_compile)
    check = kgw.NonFiniteLocator(verbose=0)
    with pytest.warns(kgw.NonFiniteWarning):
        fitted(model, data, check)
    return check.finding


def line_in(function):
    """The last line of a function."""
    lines, first = inspect.getsourcelines(function)
    return first + len(lines) - 1


def log(x):
    x = x + 0.0
    return tf.math.log(x)


compiled = tf.function(log)


def of_each(x):
    return tf.map_fn(log, x)


def in_a_branch(x):
    return tf.cond(tf.reduce_sum(x) > -1e3, lambda: log(x), lambda: x)


def in_a_function(x):
    return compiled(x)


LONG = pytest.mark.long


@pytest.mark.parametrize(
    "inside",
    [
        in_a_branch,
        *(pytest.param(f, marks=LONG) for f in (log, of_each, in_a_function)),
    ],
)
def test_the_operation_and_its_line_are_named(inside, bad_data):
    finding = located(Does(inside, name="does"), bad_data)
    assert (finding.kind, finding.operation) == ("forward", "Log"), str(finding)
    assert finding.place.endswith("does")
    assert finding.examples == (AT,)
    assert (finding.line.function, finding.line.number) == ("log", line_in(log))
    assert f"Log, {finding.line}." in finding.headline


class Weighted(layers.Layer):
    """A weight times something whose gradient is not finite."""

    def __init__(self, function):
        super().__init__(name="weighted")
        self.function = function

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return self.function(self.scale * x)


def length(x):
    return tf.sqrt(tf.reduce_sum(x**2, axis=-1, keepdims=True))


def length_of_each(x):
    return tf.map_fn(length, x)


@tf.custom_gradient
def by_hand(x):
    def gradient(upstream):
        return upstream / tf.reduce_sum(x**2, axis=-1, keepdims=True)

    return x + 0.0, gradient


@pytest.mark.parametrize(
    ("function", "operation", "name"),
    [
        (by_hand, "RealDiv", "gradient"),
        pytest.param(length, "gradient of Sqrt", "length", marks=LONG),
        pytest.param(length_of_each, "gradient of Sqrt", "length", marks=LONG),
    ],
)
def test_so_it_is_in_the_backward_pass(function, operation, name, data):
    data[0][BAD] = 0.0
    finding = located(Weighted(function), data)
    assert (finding.kind, finding.operation) == ("backward", operation), str(finding)
    assert finding.place.endswith("weighted")
    assert finding.line.function == name
    assert finding.examples == (AT,)


@pytest.mark.long
def test_a_round_of_a_loop_is_named(data):
    class Cell(layers.SimpleRNNCell):
        def call(self, sequence, states, training=False):
            return super().call(ops.log(sequence), states, training=training)

    x, y = data
    x = np.repeat(x[:, :, None], 2, axis=-1)
    x[BAD, 2, 1] = -1.0
    model = keras.Sequential(
        [keras.Input((3, 2)), layers.RNN(Cell(2, name="cell")), layers.Dense(1)]
    )
    model.compile("sgd", "mse", jit_compile=False)
    check = kgw.NonFiniteLocator(verbose=0)
    with pytest.warns(kgw.NonFiniteWarning, match=r"\(Cell\) \(call 3\)"):
        fitted(model, (x, y), check)
    assert check.finding.operation == "Log"
    assert check.finding.inputs[0].low == -1.0


def test_what_the_step_makes_of_its_gradients_has_a_line(data):
    class Unit(keras.Sequential):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = ops.mean((self(x, training=True) - y) ** 2)
            own = self.trainable_variables
            (gradient,) = tape.gradient(loss, own)
            self.optimizer.apply([gradient / tf.norm(gradient)], own)
            return {"loss": loss}

    data[0][STEP * BATCH : (STEP + 1) * BATCH] = 0.0
    model = Unit([keras.Input((3,)), layers.Dense(1, use_bias=False)])
    model.compile("sgd", jit_compile=False)
    check = kgw.NonFiniteLocator(verbose=0)
    with pytest.warns(kgw.NonFiniteWarning):
        fitted(model, data, check)
    assert (check.finding.kind, check.finding.operation) == ("step", "RealDiv")
    assert check.finding.line.function == "train_step"


class Busy(layers.Layer):
    """Prints, counts and draws, in Python and in the graph, and takes a logarithm."""

    def __init__(self):
        super().__init__()
        self.calls = tf.Variable(0, trainable=False)
        self.rng = np.random.default_rng(0)
        self.python_calls = []

    def call(self, x):
        print("Python")
        tf.print("graph")
        self.python_calls.append(float(self.rng.uniform()))
        self.calls.assign_add(1)
        return tf.math.log(x)

    def left(self):
        return [int(self.calls), list(self.python_calls), self.rng.uniform()]


@pytest.mark.parametrize("run_eagerly", [False, True], ids=["graph", "eager"])
def test_nothing_is_done_again(run_eagerly, bad_data, capfd):
    """But that the step is traced: then Python runs once."""
    left, said = [], []
    for check in (None, kgw.NonFiniteLocator(verbose=0, on_failure="warn")):
        keras.utils.set_random_seed(0)
        layer = Busy()
        model = keras.Sequential([layer, layers.Dense(1)])
        model.build((None, 3))
        model.compile("sgd", "mse", run_eagerly=run_eagerly, jit_compile=False)
        capfd.readouterr()
        if check is None:
            fitted(model, bad_data)
        else:
            with pytest.warns(kgw.NonFiniteWarning):
                fitted(model, bad_data, check)
        said.append(capfd.readouterr())
        left.append(layer.left())
    assert check.finding.operation == "Log", str(check.finding)
    assert check.finding.examples == (AT,)
    assert left[1] == left[0]
    assert said[1].err.count("graph") == said[0].err.count("graph") > 0
    assert said[1].out.count("Python") == said[0].out.count("Python") + 1


def test_the_trace_of_the_other_callbacks_is_used(bad_data, capfd):
    said = []
    for others in ([], [kgw.NonFiniteLocator(verbose=0, on_failure="warn")]):
        model = keras.Sequential([Busy(), layers.Dense(1)])
        model.build((None, 3))
        model.compile("sgd", "mse", jit_compile=False)
        stats = kgw.GradientStats(warmup_steps=0, check_freq=1, verbose=0)
        capfd.readouterr()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted(model, bad_data, stats, *others)
        said.append(capfd.readouterr().out.count("Python"))
    assert others[0].finding.operation == "Log"
    assert said[1] == said[0]


class Chance(layers.Layer):
    """Draws from a generator of TensorFlow's, and now and then less than it should."""

    def __init__(self):
        super().__init__()
        self.generator = tf.random.Generator.from_seed(2)

    def call(self, x):
        drawn = self.generator.uniform(tf.shape(x))
        return x * tf.math.log(drawn - 0.05)


class Noise(layers.Layer):
    """The same with Keras' draws."""

    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(2)

    def call(self, x):
        drawn = keras.random.uniform(ops.shape(x), seed=self.seeds)
        return x * ops.log(drawn - 0.05)


@pytest.mark.parametrize("kind", [Chance, pytest.param(Noise, marks=LONG)])
def test_the_draws_are_those_of_the_step(kind, data):
    finding = located(kind(), data)
    assert finding.replayed, str(finding)
    assert finding.operation == "Log"


@pytest.mark.long
def test_so_they_are_where_xla_draws(data):
    finding = located(Noise(), data, jit_compile=True)
    assert (finding.replayed, finding.operation) == (True, "Log"), str(finding)


class NeedsValues(layers.Layer):
    """Can't be traced."""

    def call(self, x):
        if not isinstance(x, keras.KerasTensor) and self.built_by_now:
            x.numpy()
        return ops.log(x)


class InPython(layers.Layer):
    """Computes outside of TensorFlow."""

    def call(self, x):
        found = tf.numpy_function(np.log, [x], tf.float32)
        return tf.ensure_shape(found, x.shape)


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("kind", [NeedsValues, pytest.param(InPython, marks=LONG)])
def test_where_there_is_no_graph_it_runs_as_python(kind, bad_data):
    layer = kind(name="last")
    layer.built_by_now = False
    model = keras.Sequential([keras.Input((3,)), layer, layers.Dense(1)])
    layer.built_by_now = True
    model.compile("sgd", "mse", run_eagerly=True)
    check = kgw.NonFiniteLocator(verbose=0)
    with pytest.warns(kgw.NonFiniteWarning):
        fitted(model, bad_data, check)
    finding = check.finding
    assert (finding.kind, finding.examples) == ("forward", (AT,)), str(finding)
    assert finding.place.endswith("last")
    assert (finding.operation, finding.line) == ("", None)
