"""Are the inputs of a sane scale, type and variety?"""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from keras_gradwatch.findings.observation import Observation, look, right, wrong
from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.graphs import depends_on
from keras_gradwatch.setup.attempts import arr, named_leaves
from keras_gradwatch.setup.case import Case

# Fewer examples say nothing of a feature that is always the same.
_SOME = 32
# Root mean square that the first layer of a network is not made for: its initialiser
# keeps the scale of what comes in. Standardised data has 1, pictures in [0, 1] 0.5, and
# those from which a mean was taken, as for VGG, 60.
_LARGE = 10.0
# Between the features of one table. Age and income are 500 apart.
_APART = 1e3
# What TensorFlow says of an id that an embedding has no row for.
_NO_ROW = "is not in [0, "
# A share of zeros from which on a feature is one that is rarely there.
_RARE = 0.9


def inputs(case: Case) -> Iterator[Observation]:
    """What is to be seen of the inputs.

    Args:
        case: The case.
    """
    x = keras.utils.unpack_x_y_sample_weight(case.many)[0]
    leaves = [(n, arr(v)) for n, v in named_leaves(x, "x") if _has_numbers(v)]
    for name, values in leaves:
        yield from _finite(name, values)
    alike = [name for name, values in leaves if _are_alike(values)]
    if leaves and len(alike) == len(leaves):
        yield wrong("same_inputs", alike, len(leaves[0][1]))
    else:
        for name, values in leaves:
            yield from _constant(name, values)
    yield from _in_layers(case)
    largest = max((_size(values) for _, values in leaves), default=0.0)
    yield right("inputs", (), len(leaves), largest)


def _has_numbers(leaf):
    return isinstance(leaf, tf.Tensor | tf.RaggedTensor) and (
        leaf.dtype.is_floating or leaf.dtype.is_integer
    )


def _finite(name, values):
    if values.dtype.kind == "f" and not np.all(np.isfinite(values)):
        bad = ~np.isfinite(values)
        yield wrong("nan_inputs", (name,), bad.sum(), bad.mean())


def _are_alike(values):
    return len(values) > 1 and bool(np.all(values == values[:1]))


def _constant(name, values):
    """Features that are always the same, in a table of numbers."""
    if values.ndim != 2 or len(values) < _SOME or values.dtype.kind != "f":
        return
    is_constant = np.all(values == values[:1], axis=0)
    if not is_constant.any() or is_constant.all():
        return
    # Zeros belong to data that is sparse: borders of pictures, rare words; and a column
    # of ones stands for a bias.
    is_rare = np.mean(values == 0, axis=0) > _RARE
    is_odd = is_constant & ~np.isin(values[0], (0.0, 1.0))
    if not np.any(is_rare & ~is_constant):
        is_odd |= is_constant & (values[0] == 0)
    if is_odd.any():
        yield look("constant_features", (name, _numbers(is_odd)), is_odd.sum())


def _numbers(flags):
    return ", ".join(map(str, np.flatnonzero(flags)[:5]))


def _size(values):
    values = values.astype(float)
    values = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0


def _in_layers(case):
    """What the first layers with weights get, after all preprocessing."""
    found, error = case.into_layers
    if found is None:
        if _NO_ROW in error:  # of a processor; an accelerator takes zeros instead
            yield wrong("no_row", (error,))
        return
    normalised = any("Norm" in type(x).__name__ for x in _layers(case))
    before: list = []
    calls, into = found
    for call, figures in zip(calls, into, strict=True):
        if not figures or not call.layer.weights:
            continue
        if isinstance(call.layer, keras.layers.Embedding):
            if _looks_up(call):
                yield from _ids(call.layer, arr(figures[0]))
        elif not _holds_layers(call.layer, calls):
            is_first = not any(depends_on(t, before) for t in call.inputs)
            if is_first and not normalised:
                yield from _scale(case, call.layer, arr(figures[0]))
        before += call.outputs


def _layers(case):
    return internals.all_layers(case.model)


def _holds_layers(layer, calls):
    inner = {id(x) for x in internals.children(layer)}
    return any(id(call.layer) in inner for call in calls)


def _looks_up(call):
    """Whether an embedding is asked for rows: it may serve as the last layer, too."""
    return call.outputs[0].shape.rank == call.inputs[0].shape.rank + 1


def _ids(layer, ids):
    if ids.dtype.kind == "f" and np.any(ids != np.round(ids)):
        yield wrong("fractions_as_ids", (layer.name,), ids.min(), ids.max())
    elif ids.size and (ids.min() < 0 or ids.max() >= layer.input_dim):
        figures = ids.min(), ids.max(), layer.input_dim
        yield wrong("ids_out_of_range", (layer.name,), *figures)


def _scale(case, layer, values):
    if values.dtype.kind != "f" or not np.all(np.isfinite(values)):
        return
    size = _size(values)
    is_picture = (
        values.ndim >= 4
        and 100 < values.max() <= 255
        and values.min() >= 0
        and np.all(values == np.round(values))
    )
    if is_picture:
        yield look("unscaled_pictures", (layer.name,), size, values.max())
    elif size > _LARGE and case.starts_far_off:
        yield look("large_inputs", (layer.name,), size, values.min(), values.max())
    elif values.ndim == 2 and len(values) > 1:
        spread = values.std(axis=0)
        spread = spread[spread > 0]
        if spread.size > 1 and spread.max() > max(_LARGE, _APART * spread.min()):
            figures = spread.min(), spread.max()
            yield look("uneven_features", (layer.name,), *figures)
