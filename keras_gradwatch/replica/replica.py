"""The independent copy of a model on which a check works."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from keras_gradwatch.errors import InvalidArgumentError, UncheckableError
from keras_gradwatch.replica import keras_internals as internals
from keras_gradwatch.replica import precision, randomness
from keras_gradwatch.replica.isolation import untouched
from keras_gradwatch.replica.patches import applied


@dataclass(frozen=True)
class Weight:
    """A trainable variable of the live model, as the replica knows it."""

    path: str
    shape: tuple[int, ...]
    regularized: bool


class Replica:
    """A float64 copy of a model's weights, and its loss as a function of them.

    The model is not cloned: its own code is replayed with other values in the
    place of its variables (`keras.StatelessScope`), with its precision raised
    and its random knobs turned off while the code runs. Writes go nowhere.

    Args:
        model: The live model: built, compiled, with trainable weights.
        batch: A batch `(x, y, sample_weight)` that shows the structure of data.
        dropout: `"bypass"` switches dropout and noise off. `"freeze"` leaves
            them on; the seeds are states, so every evaluation draws the same.

    Attributes:
        weights: A `Weight` for each trainable variable, in model order.
        values: The float64 `tf.Variable`s that the gradient is taken for.
        kept: Ids of layers and losses that compute in their own precision.
        inlined: Whether functions that the user decorated with `tf.function`
            are replayed as plain Python.
    """

    def __init__(self, model, batch, dropout="bypass"):
        _assert_ready(model)
        self.model = model
        self.dropout = dropout
        self.kept: set[int] = set()
        self.inlined = False
        try:
            with untouched(model, losses=False):
                internals.build_losses(model, batch)
        except Exception as error:
            raise unreplayable(error) from error
        self._trainable = list(model.trainable_variables)
        self._states = _states_of(model, self._trainable)
        paths = _unique([v.path for v in self._trainable])
        self.weights = tuple(
            Weight(path, tuple(v.shape), v.regularizer is not None)
            for path, v in zip(paths, self._trainable, strict=True)
        )
        self.values = [
            tf.Variable(tf.zeros(v.shape, tf.float64), trainable=True)
            for v in self._trainable
        ]

    @property
    def layers(self) -> list:
        """Every layer of the model, the model itself first."""
        return internals.all_layers(self.model)

    def paths_by_layer(self) -> dict[int, tuple[str, ...]]:
        """Paths of the weights that each layer itself holds, by the layer's id."""
        owner = {
            id(v): id(layer) for layer in self.layers for v in layer.trainable_variables
        }
        paths: dict[int, tuple[str, ...]] = {}
        for weight, variable in zip(self.weights, self._trainable, strict=True):
            layer = owner.get(id(variable))
            paths[layer] = (*paths.get(layer, ()), weight.path)
        return paths

    def is_current(self) -> bool:
        """Whether the model still has the variables that were copied."""
        now = self.model.trainable_variables
        return len(now) == len(self._trainable) and all(
            a is b for a, b in zip(now, self._trainable, strict=True)
        )

    def copy_weights(self) -> list[tf.Tensor]:
        """Copies the live weights and returns the live states.

        Returns:
            The states, floats in float64, to be passed to `loss`.
        """
        for copy, live in zip(self.values, self._trainable, strict=True):
            copy.assign(tf.cast(_read(live), tf.float64))
        return [_as_state(_read(v)) for v in self._states]

    def loss(self, values, states, batch) -> tf.Tensor:
        """The training loss: a float64 scalar, a pure function of its arguments.

        Args:
            values: A tensor or `tf.Variable` for each of `weights`.
            states: What `copy_weights` returned.
            batch: Nested tensors `(x, y, sample_weight)`, floats in float64.

        Raises:
            UncheckableError: If the model assigns to a trainable weight.
        """
        patches = precision.double_precision(
            self.model, [*self._trainable, *self._states], self.kept
        )
        if self.dropout == "bypass":
            patches += randomness.bypassed(self.model)
        scope = keras.StatelessScope(collect_losses=True, initialize_variables=False)
        with (
            untouched(self.model),
            applied(patches),
            _inlined(self.inlined),
            _full_tracebacks(),
            scope,
        ):
            given = []
            for variable, value in zip(
                [*self._trainable, *self._states], [*values, *states], strict=True
            ):
                own = tf.as_dtype(internals.stored_dtype(variable))
                if value.dtype != own:
                    value = tf.cast(value, own)
                scope.add_update((variable, value))
                given.append(value)
            loss = internals.training_loss(self.model, *batch)
            self._assert_not_assigned(scope, given)
        return tf.reduce_sum(tf.cast(loss, tf.float64))

    def live_handles(self) -> set[int]:
        """Ids of the resource handles of the live weights and states."""
        raw = [internals.raw_value(v) for v in [*self._trainable, *self._states]]
        return {id(v.handle) for v in raw if hasattr(v, "handle")}

    def keep_native(self, thing) -> bool:
        """Lets a layer, with all in it, or a loss compute in its own precision.

        Returns:
            Whether that changes anything.
        """
        things = [thing]
        if isinstance(thing, keras.Layer):
            things = internals.all_layers(thing)
        if thing is self.model:  # which also adds its losses up
            things = [*things, *internals.compiled_losses(thing)]
        before = len(self.kept)
        self.kept.update(id(t) for t in things)
        return len(self.kept) > before

    def _assert_not_assigned(self, scope, given):
        changed = [
            weight.path
            for weight, variable, value in zip(
                self.weights, self._trainable, given, strict=False
            )
            if scope.get_current_value(variable) is not value
        ]
        if changed:
            raise UncheckableError(
                f"The forward pass assigns to the trainable weight {changed[0]}"
                f"{' and others' if len(changed) > 1 else ''}, as "
                "SpectralNormalization does: what is differentiated is then not "
                "the weight that the optimizer holds, and differences can't tell "
                "whether the gradient is right. Check a model without that layer, "
                "or compute the changed weight instead of assigning it."
            )


def has_weights(model) -> bool:
    """Whether the model is built: its weights exist."""
    return model.built and all(
        internals.raw_value(v) is not None for v in model.trainable_variables
    )


def unreplayable(error) -> UncheckableError:
    """What to raise where the model's code fails in the replay."""
    return UncheckableError(
        "The training loss of this model could not be replayed on this data. If "
        "`model.train_on_batch` accepts the data, the replay is to blame, else the "
        f"data does not fit the model. Received: {type(error).__name__}: {error}"
    )


def _assert_ready(model):
    if not isinstance(model, keras.Model):
        raise InvalidArgumentError(
            f"Argument `model` must be a keras.Model. Received: model={model!r} "
            f"of type {type(model).__name__}"
        )
    if not model.compiled:
        raise InvalidArgumentError(
            "The model must be compiled: the check differentiates the compiled "
            f"loss. Call `model.compile(...)` first. Received: model={model.name!r}"
        )
    if not has_weights(model):
        raise InvalidArgumentError(
            "The model must be built: it has no weights yet. Call it on a batch, "
            f"or `model.build(input_shape)`, first. Received: model={model.name!r}"
        )
    if not model.trainable_variables:
        raise InvalidArgumentError(
            "The model has no trainable weights: there is no gradient to check. "
            f"Received: model={model.name!r}, whose {len(model.layers)} layers "
            "hold none, or all are frozen (`trainable=False`)"
        )


def _states_of(model, trainable):
    """Variables that the model reads and the optimizer does not change."""
    seen = {id(v) for v in trainable}
    states = []
    hidden = [
        leaf
        for layer in internals.all_layers(model)
        for value in layer.__dict__.values()
        if isinstance(value, keras.Variable | list | tuple | dict)
        for leaf in tf.nest.flatten(_without_layers(value))
    ]
    for variable in [*model.variables, *hidden]:
        if isinstance(variable, keras.Variable) and id(variable) not in seen:
            seen.add(id(variable))
            if internals.raw_value(variable) is not None:
                states.append(variable)
    return states


def _without_layers(value):
    # Only what may hold untracked variables, such as the states of an RNN.
    if isinstance(value, dict):
        return [v for v in value.values() if isinstance(v, keras.Variable)]
    if isinstance(value, list | tuple):
        return [v for v in value if isinstance(v, keras.Variable | list | tuple)]
    return value


def _read(variable):
    raw = internals.raw_value(variable)
    return tf.convert_to_tensor(raw)


def _as_state(value):
    return tf.cast(value, tf.float64) if precision.is_float(value.dtype) else value


def _unique(paths):
    """Tells variables of the same path apart, as two tied models may have."""
    seen: dict[str, int] = {}
    names = []
    for path in paths:
        seen[path] = seen.get(path, 0) + 1
        names.append(path if seen[path] == 1 else f"{path}#{seen[path]}")
    return names


@contextlib.contextmanager
def _inlined(active):
    before = tf.config.functions_run_eagerly()
    if active:
        tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


@contextlib.contextmanager
def _full_tracebacks():
    """Keeps the frames that tell in which layer an error arose."""
    filtered = keras.config.is_traceback_filtering_enabled()
    keras.config.disable_traceback_filtering()
    try:
        yield
    finally:
        if filtered:
            keras.config.enable_traceback_filtering()


def scale_of(value: np.ndarray) -> float:
    """Typical size of the entries of a weight: the unit of its steps."""
    rms = float(np.sqrt(np.mean(np.square(value)))) if value.size else 0.0
    return max(rms, 1e-2) if rms and np.isfinite(rms) else 1.0
