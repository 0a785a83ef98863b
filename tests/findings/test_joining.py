"""Rows of a model that was built anew, with other names."""

import dataclasses

import pytest

from keras_gradwatch.findings.digest import digest
from keras_gradwatch.findings.joining import joined, renamed
from tests.support.reports import report, variable

FIRST, SECOND, LAST = (4, 8), (8, 8), (8, 2)


def check(*rows, step=1):
    """A check of variables, by pairs of a path and a shape."""
    return digest(
        report(*[variable(path=path, shape=shape) for path, shape in rows], step=step)
    )


def test_a_model_that_stays_keeps_its_names():
    same = check(("dense/kernel", FIRST), ("dense_1/kernel", LAST))
    assert joined([same, same, same]) == [{}, {}, {}]


def test_a_model_that_is_built_again_is_joined_in_its_order():
    before = check(("dense/kernel", FIRST), ("dense_1/kernel", SECOND))
    after = check(("dense_1/kernel", FIRST), ("dense_2/kernel", SECOND))
    # By their names alone, the second would be taken for the first.
    names = {"dense/kernel": "dense_1/kernel", "dense_1/kernel": "dense_2/kernel"}
    assert joined([before, before, after]) == [names, names, {}]


def test_checks_are_told_with_the_newest_names():
    before = check(("dense/kernel", FIRST))
    after = check(("dense_1/kernel", FIRST))
    told = renamed([before, after])
    assert [v.path for d in told for v in d.variables] == 2 * ["dense_1/kernel"]
    assert told[1] is after


@pytest.mark.parametrize("around", ["outer/net", "net_3", "outer/net_7"])
def test_a_model_in_another_is_joined_by_the_ends_of_its_paths(around):
    before = check(("net/a/kernel", FIRST), ("net/b/kernel", LAST))
    after = check((f"{around}/a/kernel", FIRST), (f"{around}/b/kernel", LAST))
    names, rest = joined([before, after])
    assert names == {f"net/{x}/kernel": f"{around}/{x}/kernel" for x in "ab"}
    assert rest == {}


def test_of_another_shape_is_another_variable():
    before = check(("dense/kernel", FIRST))
    after = check(("dense_1/kernel", SECOND))
    assert joined([before, after]) == [{}, {}]


def test_of_the_same_name_and_another_shape_is_another_variable_too():
    before = check(("dense/kernel", FIRST))
    after = check(("dense/kernel", SECOND))
    assert joined([before, after]) == [{"dense/kernel": "dense/kernel (4, 8)"}, {}]


def test_of_the_same_name_and_another_kind_is_another_variable():
    before = check(("dense/bias", (8,)), ("dense/kernel", FIRST))
    after = check(("dense_1/kernel", FIRST), ("norm/beta", (8,)))
    assert joined([before, after])[0] == {"dense/kernel": "dense_1/kernel"}


def test_a_layer_that_was_frozen_takes_no_row_of_others():
    whole = check(("a/kernel", FIRST), ("b/kernel", FIRST))
    part = check(("b/kernel", FIRST))
    assert joined([whole, part, whole]) == [{}, {}, {}]


def test_where_no_shapes_are_known_names_decide():
    before, after = (check((f"dense{n}/kernel", FIRST)) for n in ("", "_1"))
    assert joined([unshaped(before), after]) == [{"dense/kernel": "dense_1/kernel"}, {}]
    other = check(("other/kernel", FIRST))
    assert joined([unshaped(before), other]) == [{}, {}]


def test_checks_of_no_variable_are_joined_to_none():
    none, some = digest(report()), check(("dense/kernel", FIRST))
    assert joined([none]) == [{}]
    assert joined([some, none, some, none]) == 4 * [{}]


def unshaped(found):
    """As it was written before it had shapes."""
    rows = tuple(dataclasses.replace(v, shape=None) for v in found.variables)
    return dataclasses.replace(found, variables=rows)
