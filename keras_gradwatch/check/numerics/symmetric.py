"""Functions of symmetric matrices, whose gradient is symmetric by convention.

A Cholesky factor is computed from one triangle of its matrix; the other may hold
anything. Of the two entries of a pair one then has all of the slope and the other
none, while the tape gives each of them half: the gradient for changes that keep the
matrix symmetric. Along such changes the two agree, whatever else reads the matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from keras_gradwatch.check.numerics.comparator import Comparator
from keras_gradwatch.check.numerics.comparison import SlopeComparison
from keras_gradwatch.check.numerics.directions import Direction, draw_signs
from keras_gradwatch.check.numerics.judgement import MATCH, MISMATCH
from keras_gradwatch.check.numerics.units import unit_of

# Whether a variable is symmetric, 1, or antisymmetric, -1, and a step that shows that
# it is right along such changes.
Even = tuple[int, float]

# How far a matrix that was symmetric may be from it by rounding, as a share of its
# largest entry: a hundred times that of float32, 1.2e-7.
_ROUNDED = 1e-5
# Steps within which a triangle must not matter, in units of the variable: a small one
# and one that changes the digits that any loss shows.
_STEPS = (1e-6, 1e-3)


def along_symmetric(
    comparator: Comparator,
    items: Sequence[SlopeComparison],
    variable: int,
    shape: Sequence[int],
    is_meant: Callable[[int], bool] = lambda variable: False,
) -> tuple[list[SlopeComparison], Even] | None:
    """Compares a variable along changes that keep it symmetric, if that is meant.

    It may be meant where the variable is symmetric, or, as the imaginary part of a
    Hermitian matrix, antisymmetric. It is where its gradient is so as well, and one of
    the triangles does not matter to the loss at all: a gradient that was made
    symmetric by mistake is one of a loss that reads both. Where both are read, the
    loss alone can't tell.

    Args:
        comparator: What compares.
        items: The comparisons of the variable, a mismatch among them.
        variable: Its position.
        shape: Its shape.
        is_meant: Whether, by what is known of the code, nothing but that convention
            parts the gradient of a variable from differences.

    Returns:
        A comparison for each that there was, and how to show it again; None if they
        are not to be replaced: something is off along these changes, too.
    """
    problem = comparator.problem
    gradient = problem.gradients[variable]
    parity = _parity(problem.values[variable], shape)
    if not parity or gradient is None:
        return None
    is_even = _is_even(gradient.reshape(shape), parity)
    is_halved = is_even and _reads_one_triangle(comparator, variable, shape)
    if not is_halved and not is_meant(variable):
        return None
    ways = [symmetric(i.direction, shape, parity) for i in items]
    found = comparator.at_all_steps([way for way in ways if way.signs.any()])
    right = [item for item in found if item.word == MATCH]
    if not right or any(item.word == MISMATCH for item in found):
        return None
    return found, (parity, right[0].slope.step)


def symmetric(direction: Direction, shape: Sequence[int], parity: int) -> Direction:
    """The direction that keeps a matrix symmetric, or antisymmetric with parity -1.

    Args:
        direction: A coordinate, of which it moves the mirrored entry as well, or a
            direction, of which it takes the lower triangle.
        shape: Shape of the variable.
        parity: 1 or -1.
    """
    signs = np.zeros(shape, np.int8)
    if direction.entry is not None:
        signs.flat[direction.entry] = 1
        lower = np.tril(signs) + parity * np.swapaxes(np.triu(signs, 1), -1, -2)
    else:
        lower = np.tril(direction.signs.reshape(shape))
    mirrored = parity * np.swapaxes(np.tril(lower, -1), -1, -2)
    if parity < 0:
        lower = np.tril(lower, -1)
    whole = (lower + mirrored).astype(np.int8)
    return Direction(direction.variable, signs=whole.ravel())


def _parity(values: np.ndarray, shape: Sequence[int]) -> int:
    """1 if a variable is symmetric, -1 if it is antisymmetric, else 0."""
    if len(shape) < 2 or shape[-1] != shape[-2] or shape[-1] < 2:
        return 0
    matrix = values.reshape(shape)
    return next((parity for parity in (1, -1) if _is_even(matrix, parity)), 0)


def _is_even(matrix: np.ndarray, parity: int) -> bool:
    apart = np.abs(matrix - parity * np.swapaxes(matrix, -1, -2))
    return bool(np.max(apart) <= _ROUNDED * np.max(np.abs(matrix)))  # not so of NaN


def _reads_one_triangle(
    comparator: Comparator, variable: int, shape: Sequence[int]
) -> bool:
    """Whether the loss stays the same when all of a strict triangle moves."""
    problem, noise = comparator.problem, comparator.noise[variable]
    ones = np.ones(shape, np.int8)
    for triangle in (np.triu(ones, 1), np.tril(ones, -1)):
        signs = draw_signs(problem.sizes[variable], comparator.rng) * triangle.ravel()
        direction = Direction(variable, signs=signs)
        unit = unit_of(problem, direction)
        losses = problem.losses([(direction, s * unit) for s in _STEPS])
        if np.all(np.abs(losses - problem.base) <= 2 * noise.at(problem.base)):
            return True
    return False
