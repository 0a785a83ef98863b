"""State that a model's Python code can reach is put back after it has run."""

import functools
import random
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_gradwatch.framework.reachable import same_reachable_state
from tests.support.marks import pairs

GENERATORS = {
    "numpy": (
        lambda: np.random.default_rng(3),
        lambda generator: generator.normal(),
    ),
    "numpy_of_old": (
        lambda: np.random.RandomState(3),
        lambda generator: generator.normal(),
    ),
    "python": (lambda: random.Random(3), lambda generator: generator.random()),
    "tensorflow": (
        lambda: tf.random.Generator.from_seed(3),
        lambda generator: float(generator.normal([])),
    ),
}
COUNT = 0
NOTES = {"calls": 0}
GENERATOR = np.random.default_rng(5)


class Root(keras.layers.Layer):
    """A layer with a function, and perhaps other things."""

    def __init__(self, function=None, **attributes):
        super().__init__()
        self.function = function
        for name, value in attributes.items():
            setattr(self, name, value)


class Plain:
    """An object of a class of one's own."""

    shared = 0
    listed = []  # noqa: RUF012

    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def count(self):
        self.calls = getattr(self, "calls", 0) + 1

    def count_for_all(self):
        type(self).shared += 1
        self.listed.append(1)


def run(root, *functions):
    with same_reachable_state([root]):
        for function in functions or (root.function,):
            function()


# Generators of random numbers, wherever they are held.


def in_a_closure(generator, draw):
    return Root(lambda: draw(generator))


def in_an_attribute(generator, draw):
    root = Root(generator=generator)
    root.__dict__["function"] = lambda: draw(root.generator)
    return root


def in_a_default_argument(generator, draw):
    def function(generator=generator):
        draw(generator)

    return Root(function)


def in_a_default_of_a_keyword(generator, draw):
    def function(*, generator=generator):
        draw(generator)

    return Root(function)


def in_a_partial(generator, draw):
    return Root(functools.partial(draw, generator))


def in_an_object(generator, draw):
    held = Plain(generator=generator)
    return Root(lambda: draw(held.generator), held=held)


def in_a_bound_method(generator, draw):
    held = Plain(generator=generator)
    held.draw = types.MethodType(lambda self: draw(self.generator), held)
    return Root(held.draw)


def deep_in_containers(generator, draw):
    held = [{"one": (1, [generator])}]
    return Root(lambda: draw(held[0]["one"][1][0]))


def in_an_attribute_of_the_class(generator, draw):
    class OfClass(Root):
        shared = generator

        def call(self):
            draw(self.shared)

    root = OfClass()
    root.__dict__["function"] = root.call
    return root


def in_a_function_in_a_function(generator, draw):
    def inner():
        return draw(generator)

    def outer():
        return inner()

    return Root(outer)


def in_a_wrapper(generator, draw):
    @tf.autograph.experimental.do_not_convert
    def function():
        return draw(generator)

    return Root(function)


HOLDERS = (
    in_a_closure,
    in_an_attribute,
    in_a_default_argument,
    in_a_default_of_a_keyword,
    in_a_partial,
    in_an_object,
    in_a_bound_method,
    deep_in_containers,
    in_an_attribute_of_the_class,
    in_a_function_in_a_function,
    in_a_wrapper,
)


@pytest.mark.parametrize(("kind", "holder"), pairs(GENERATORS, HOLDERS))
def test_a_generator_goes_on_as_if_nothing_had_been_drawn(holder, kind):
    make, draw = GENERATORS[kind]
    generator = make()
    run(holder(generator, draw))
    assert draw(generator) == draw(make())


def test_a_global_generator():
    before = GENERATOR.bit_generator.state
    run(Root(lambda: GENERATOR.normal()))
    assert GENERATOR.bit_generator.state == before


# Counters.


def test_a_variable_of_a_closure():
    count = 0

    def function():
        nonlocal count
        count += 1

    run(Root(function))
    assert count == 0


def test_a_global_variable():
    def function():
        global COUNT
        COUNT += 1

    run(Root(function))
    assert COUNT == 0


def test_a_global_dict():
    run(Root(lambda: NOTES.update(calls=NOTES["calls"] + 1)))
    assert NOTES == {"calls": 0}


def test_an_attribute_of_an_object_that_is_there_and_one_that_is_new():
    held = Plain(calls=2)
    other = Plain()
    run(Root(held=held, other=other), held.count, other.count)
    assert held.calls == 2
    assert not hasattr(other, "calls")


def test_an_attribute_that_code_takes_away():
    held = Plain(calls=2)
    run(Root(held=held), lambda: delattr(held, "calls"))
    assert held.calls == 2


def test_attributes_of_a_class():
    held = Plain()
    run(Root(held=held), held.count_for_all)
    assert Plain.shared == 0
    assert Plain.listed == []


def test_an_object_that_a_method_belongs_to():
    held = Plain(calls=2)
    run(Root(held.count))
    assert held.calls == 2


def test_an_object_that_can_be_called():
    class Counter:
        calls = 0

        def __call__(self):
            self.calls += 1

    counter = Counter()
    run(Root(counter))
    assert counter.calls == 0


def test_an_object_behind_a_property():
    held = Plain(calls=0)

    class WithProperty(Root):
        @property
        def counted(self):
            held.count()
            return 1

    root = WithProperty()
    run(root, lambda: root.counted)
    assert held.calls == 0


def test_an_object_behind_static_and_class_methods():
    one, two = Plain(calls=0), Plain(calls=0)

    class WithMethods(Root):
        @staticmethod
        def first():
            one.count()

        @classmethod
        def second(cls):
            two.count()

    root = WithMethods()
    run(root, root.first, root.second)
    assert (one.calls, two.calls) == (0, 0)


# Containers.


def test_lists_dicts_and_sets_keep_their_contents_and_their_order():
    inner = [1, 2]
    held = {"b": inner, "a": {3, 4}, "deep": [{"x": [1]}]}

    def function():
        inner.reverse()
        held["a"].add(5)
        held["deep"][0]["x"].append(2)
        held["new"] = 1
        del held["b"]

    run(Root(function))
    assert list(held) == ["b", "a", "deep"]
    assert held["b"] is inner
    assert held == {"b": [1, 2], "a": {3, 4}, "deep": [{"x": [1]}]}


def test_what_contains_itself():
    held = [1]
    held.append(held)
    run(Root(lambda: held.append(2)))
    assert len(held) == 2


def test_a_list_that_a_tuple_holds():
    held = [1]
    pair = (held, "x")
    run(Root(lambda: pair[0].clear()))
    assert held == [1]


# After an error, and in a graph.


def test_it_is_put_back_after_an_error():
    held = []

    def function():
        held.append(1)
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        run(Root(function))
    assert held == []


def test_it_is_put_back_in_a_function_that_is_traced():
    generator = tf.random.Generator.from_seed(3)
    root, held = Root(generator=generator), []
    root.__dict__["function"] = lambda: held.append(generator.normal([]))
    before = generator.state.numpy()

    @tf.function(autograph=False)
    def traced():
        run(root)
        return 0

    traced.get_concrete_function()
    np.testing.assert_array_equal(generator.state, before)
    assert held == []


# What is left alone.


def test_long_lists_and_dicts_are_data():
    rows, table = list(range(2000)), dict.fromkeys(range(2000))

    def function():
        rows.append(1)
        table["new"] = 1

    run(Root(function))
    assert len(rows) == len(table) == 2001


def test_arrays_are_data():
    array = np.zeros(3)
    run(Root(lambda: array.fill(1)))
    assert array.tolist() == [1, 1, 1]


def test_objects_and_modules_of_libraries_are_left_alone():
    metric = keras.metrics.Mean()
    scope = types.SimpleNamespace()

    def function():
        metric.note = 1
        np.gradwatch_note = scope

    try:
        run(Root(function, metric=metric))
        assert metric.note == 1
        assert np.gradwatch_note is scope
    finally:
        del np.gradwatch_note


def test_nothing_is_written_where_nothing_has_changed():
    class Watched(dict):
        written = 0

        def __setitem__(self, key, value):
            type(self).written += 1
            super().__setitem__(key, value)

        def clear(self):
            raise AssertionError

    held = Watched(a=1)
    run(Root(lambda: held["a"]))
    assert Watched.written == 0


def test_many_objects_end_in_time():
    chain = None
    for _ in range(30_000):
        chain = [chain]
    near = [1]
    run(Root(lambda: near.append(chain)))
    assert near == [1]
