"""A failed step on disk: its batch, the weights before it, and the finding."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_gradwatch import files
from keras_gradwatch.errors import InvalidArgumentError

_README = """\
A training step after which something was not finite: see finding.json.

    import keras_gradwatch as kgw

    failure = kgw.load_failure({folder!r})
    model = build_model()  # built and compiled as in the training
    failure.restore(model)
    print(model.train_on_batch(*failure.batch))

batch.npz holds the batch, weights.npz the weights before the step.
"""


@dataclass(frozen=True)
class SavedFailure:
    """A failed training step, as `NonFiniteLocator` saved it.

    Attributes:
        batch: What the step was handed: a tuple `(x, y)` or
            `(x, y, sample_weight)` of arrays, and dicts and lists of them.
        weights: Arrays in the order of `model.weights`, before the step.
        states: The states of random generators of the model, before the step.
        finding: What `finding.json` says.
    """

    batch: object
    weights: list[np.ndarray]
    states: list[np.ndarray]
    finding: dict

    def restore(self, model: Any) -> None:
        """Gives a model the weights and states from before the step.

        Args:
            model: A built model with the same weights.

        Raises:
            InvalidArgumentError: If its weights are of other shapes.
        """
        expected = [tuple(w.shape) for w in model.weights]
        received = [w.shape for w in self.weights]
        if expected != received:
            raise InvalidArgumentError(
                "The saved weights must fit the model. Build the model as in the "
                f"training that was saved. Received: shapes {received} for a model "
                f"whose weights have {expected}"
            )
        model.set_weights(self.weights)
        for variable, value in zip(states_of(model), self.states, strict=False):
            variable.assign(value)


def save_failure(
    folder: str | os.PathLike[str],
    model: Any,
    batch: Any,
    value_of: Callable[[Any], Any],
    finding_json: str,
) -> str:
    """Writes a failed step.

    Args:
        folder: A directory; it is made, and numbered if it is there already.
        model: The model.
        batch: The batch, nested tensors.
        value_of: Returns the value of a Keras variable before the step.
        finding_json: The finding.

    Returns:
        The directory.
    """
    home = _new(os.fspath(folder))
    arrays: list[np.ndarray] = []
    structure = _pack(batch, arrays)
    _write(files.join(home, "batch.npz"), arrays)
    weights = [_array(value_of(v)) for v in model.weights]
    states = [_array(value_of(v)) for v in states_of(model)]
    _write(files.join(home, "weights.npz"), [*weights, *states])
    content = {
        "finding": json.loads(finding_json),
        "batch": structure,
        "weights": [v.path for v in model.weights],
        "states": [v.path for v in states_of(model)],
    }
    text = json.dumps(content, indent=1) + "\n"
    files.write(files.join(home, "finding.json"), text.encode())
    readme = _README.format(folder=home)
    files.write(files.join(home, "README.txt"), readme.encode())
    return home


def load_failure(folder: str | os.PathLike[str]) -> SavedFailure:
    """Reads a failed training step that `NonFiniteLocator` saved.

    Example:

    ```python
    failure = kgw.load_failure(check.finding.saved)
    failure.restore(model)
    model.train_on_batch(*failure.batch)  # gives the NaN again
    ```

    Args:
        folder: The directory of the step: `NonFinite.saved`.

    Returns:
        A `SavedFailure`.

    Raises:
        InvalidArgumentError: If there is none.
    """
    finding = files.join(folder, "finding.json")
    if not files.exists(finding):
        raise InvalidArgumentError(
            "Argument `folder` must be a directory that NonFiniteLocator saved, such "
            f"as `check.finding.saved`. Received: folder={os.fspath(folder)!r}"
        )
    content = json.loads(files.read(finding))
    weights = _read(files.join(folder, "weights.npz"))
    count = len(content["weights"])
    return SavedFailure(
        batch=_unpack(content["batch"], _read(files.join(folder, "batch.npz"))),
        weights=weights[:count],
        states=weights[count:],
        finding=content["finding"],
    )


def states_of(model: Any) -> list:
    """What a model keeps besides weights and metrics: states of generators."""
    known = {id(v) for v in [*model.weights, *model.metrics_variables]}
    return [v for v in model.variables if id(v) not in known]


def _new(folder):
    number, new = 1, folder
    while files.exists(new):
        number += 1
        new = f"{folder}_{number}"
    files.make_directory(new)
    return new


def _pack(value, arrays):
    """The structure of nested tensors as JSON; the arrays are appended."""
    if value is None:
        return None
    if isinstance(value, dict):
        return {"dict": {str(key): _pack(item, arrays) for key, item in value.items()}}
    if isinstance(value, tuple | list):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_pack(item, arrays) for item in value]}
    if hasattr(value, "nested_row_splits"):
        parts = [value.flat_values, *value.nested_row_splits]
        return {"ragged": [_pack(part, arrays) for part in parts]}
    if hasattr(value, "dense_shape"):
        parts = [value.indices, value.values, value.dense_shape]
        return {"sparse": [_pack(part, arrays) for part in parts]}
    arrays.append(_array(value))
    return len(arrays) - 1


def _unpack(value, arrays):
    if value is None:
        return None
    if isinstance(value, int):
        return arrays[value]
    ((kind, content),) = value.items()
    if kind == "dict":
        return {key: _unpack(item, arrays) for key, item in content.items()}
    items = [_unpack(item, arrays) for item in content]
    if kind in ("ragged", "sparse"):
        import tensorflow as tf

        if kind == "sparse":
            return tf.SparseTensor(*items)
        return tf.RaggedTensor.from_nested_row_splits(items[0], items[1:])
    return tuple(items) if kind == "tuple" else items


def _array(value):
    array = np.asarray(value)
    if array.dtype.kind == "V" or array.dtype.name == "bfloat16":  # unknown to NumPy
        return array.astype(np.float32)
    return array.astype(np.bytes_) if array.dtype == object else array


def _write(path, arrays):
    with files.created(path) as file:
        np.savez(file, **{f"{k:06d}": array for k, array in enumerate(arrays)})


def _read(path):
    source = io.BytesIO(files.read(path)) if files.is_address(path) else path
    with np.load(source) as content:
        return [content[name] for name in sorted(content.files)]
