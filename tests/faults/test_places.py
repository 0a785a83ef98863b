"""A mistake is laid at its own door: the layer or the loss, and the line."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import keras_gradwatch as kgw
from keras_gradwatch.findings.notes import LookHere
from tests.support.faults import MISTAKES
from tests.support.faults.library import with_backward
from tests.support.faults.shapes import SHAPES, Shape

NAMED = {"own names": True, "default names": False}
# Where this is wrong may be none of the values of a model, or so few that its gradient
# is off by less than the tolerance.
QUIET = {"wrong in the tail", "exponential's gradient with a cap"}
FEW = ("scaled by 0.5", "RMS norm with a detached norm")


def places(shape, mistakes, is_named):
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    made = Shape([MISTAKES[m] for m in mistakes], np.random.default_rng(0), is_named)
    model, x, y = SHAPES[shape](made)
    report = kgw.check_gradients(model, x, y, samples=2, directions=2)
    if report.verdict == "PASS" and set(mistakes) <= QUIET:
        pytest.skip("Next to none of these values is where this is wrong.")
    assert report.verdict == "FAIL", str(report)
    (look,) = (note for note in report.remarks if isinstance(note, LookHere))
    return made, look.places


def is_line_of(place, mistake):
    """Whether a place is a line of the backward pass, or of what takes it."""
    own = [(mistake.backward.__code__.co_filename, lines(mistake.backward.__code__))]
    # A backward pass that makes nothing has no line of its own.
    takes = with_backward.__code__
    own.append((takes.co_filename, lines(takes)))
    return any(place.line.file == f and place.line.number in n for f, n in own)


def lines(code):
    inner = [c for c in code.co_consts if hasattr(c, "co_lines")]
    found = {line for *_, line in code.co_lines() if line is not None}
    return found.union(*map(lines, inner)) if inner else found


def assert_named(shape, mistakes, is_named):
    made, found = places(shape, mistakes, is_named)
    assert len(found) == len(mistakes), found
    for k, (place, name) in enumerate(zip(found, mistakes, strict=True)):
        assert is_line_of(place, MISTAKES[name]), place
        assert place.operation == "op"
        if shape == "in_loss":
            assert (place.name, place.kind) == ("own_loss", "loss")
        else:
            assert place.kind == "Op"
            assert place.name.split("/")[-1] == made.guilty[k].name
        if shape == "repeated":
            block = place.name.split("/")[0]
            assert block == "block_1", place


@pytest.mark.parametrize("shape", SHAPES)
def test_the_layer_and_the_line(shape):
    assert_named(shape, FEW[:1], is_named=False)


@pytest.mark.parametrize("shape", ["repeated", "in_loss"])
def test_with_names_of_their_own(shape):
    assert_named(shape, FEW[1:], is_named=True)


# In the long part each mistake in one shape with either names; the others are slow.
@pytest.mark.parametrize(
    ("name", "shape", "is_named"),
    [
        pytest.param(
            name,
            shape,
            NAMED[names],
            marks=pytest.mark.long
            if (i + j + k) % len(SHAPES) == 0
            else pytest.mark.slow,
            id=f"{name}-{shape}-{names}",
        )
        for i, name in enumerate(MISTAKES)
        for j, shape in enumerate(SHAPES)
        for k, names in enumerate(NAMED)
    ],
)
def test_every_mistake_everywhere(name, shape, is_named):
    assert_named(shape, (name,), is_named)


def test_two_mistakes_at_once():
    assert_named("plain", FEW, is_named=False)


@pytest.mark.long
@pytest.mark.parametrize(
    "names",
    [
        ("negated", "square without the factor 2", "centring not centred"),
        ("scaled by 1.003", "scaled by 2", "one example dropped"),
        ("averaged over the batch", "scaled by 1.003"),
    ],
    ids=lambda names: names[0],
)
def test_several_mistakes_at_once(names):
    assert_named("plain", names, is_named=True)
