"""What numbers a model gives: probabilities, shares of one, or any."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_gradwatch.framework import keras_internals as internals

# Kinds of outputs.
SIMPLEX, UNIT, SIGNED, POSITIVE, ANY = "simplex", "unit", "signed", "positive", "any"
# Kinds of losses.
CATEGORICAL, SPARSE, BINARY = "categorical", "sparse", "binary"
ELEMENTWISE, OTHER = "elementwise", "other"
# By the names of the functions, and so of the classes in snake case.
_LOSSES = {
    "categorical_crossentropy": CATEGORICAL,
    "categorical_focal_crossentropy": CATEGORICAL,
    "sparse_categorical_crossentropy": SPARSE,
    "binary_crossentropy": BINARY,
    "binary_focal_crossentropy": BINARY,
    "mean_squared_error": ELEMENTWISE,
    "mean_absolute_error": ELEMENTWISE,
    "mean_absolute_percentage_error": ELEMENTWISE,
    "mean_squared_logarithmic_error": ELEMENTWISE,
    "huber": ELEMENTWISE,
    "log_cosh": ELEMENTWISE,
}
# What others take, without an option that says so.
TAKEN = {"kl_divergence": SIMPLEX, "poisson": POSITIVE}
# Probabilities in half precision sum up to one as closely as this.
_SUM = 2e-2


def kind_of_outputs(values: np.ndarray, axis: int = -1) -> str:
    """What numbers an output gives, at several points.

    Args:
        values: The numbers.
        axis: Along which probabilities would sum up to one.
    """
    values = np.asarray(values, float)
    if not values.size or not np.all(np.isfinite(values)):
        return ANY
    low, high = values.min(), values.max()
    if low >= 0 and high <= 1 + 1e-6:
        sums = values.sum(axis=axis)
        if np.all(np.abs(sums - 1) < _SUM):
            return SIMPLEX
        return UNIT
    if low >= -1 - 1e-6 and high <= 1 + 1e-6:
        return SIGNED
    return POSITIVE if low >= 0 else ANY


def kind_of_loss(loss: Any) -> str:
    """Which kind a compiled loss is.

    Args:
        loss: A loss object.
    """
    return kind_of(name_of_loss(loss))


def kind_of(name: str) -> str:
    """Which kind a loss is, by the name of its function."""
    return _LOSSES.get(name, OTHER)


def name_of_loss(loss: Any) -> str:
    """The name of the function that a loss wraps, or of the loss."""
    function = getattr(loss, "fn", None)
    if type(loss).__module__.startswith("keras.") and function is not None:
        module = getattr(function, "__module__", "") or ""
        if module.startswith("keras."):
            return getattr(function, "__name__", "")
    return ""


def takes_logits(loss: Any) -> bool:
    """Whether a cross-entropy takes its inputs for logits."""
    return bool(internals.options_of(loss).get("from_logits", False))


def axis_of(loss: Any, rank: int) -> int:
    """Along which axis a loss has its classes, from the end; the last if not along one.

    Args:
        loss: A loss object.
        rank: How many axes its outputs have.
    """
    axis = internals.options_of(loss).get("axis", -1)
    return from_the_end(axis, rank) if isinstance(axis, int) else -1


def from_the_end(axis: int, rank: int) -> int:
    """An axis that is the same where another one comes before all."""
    return axis - rank if axis >= 0 else axis
