"""Every private name of Keras that this package uses, each with its reason.

`tests/framework/test_keras_internals.py` says what changed when a new Keras breaks one.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras.src import backend
from keras.src.backend.common import global_state

from keras_gradwatch.framework.dtypes import lowest
from keras_gradwatch.framework.patches import Patch

logger = logging.getLogger("keras_gradwatch")

# The rate of `MultiHeadAttention`; that of each other layer has a public name.
DROPOUT_OF_ATTENTION = "_dropout"


def all_layers(model: keras.Model) -> list:
    """The model and every layer in it, nested ones and RNN cells included."""
    layers = []
    for layer in model._flatten_layers():
        layers.append(layer)
        # A Sequential runs through a Functional that it does not list.
        functional = layer.__dict__.get("_functional")
        if functional is not None:
            layers.append(functional)
    return layers


def children(layer: keras.Layer) -> list:
    """The layers that a layer holds itself."""
    return list(layer._flatten_layers(recursive=False, include_self=False))


def loss_objects(model: keras.Model) -> list:
    """The losses that `compile()` made, and those that the model itself holds."""
    own = [v for v in model.__dict__.values() if isinstance(v, keras.Loss)]
    compiled = model._compile_loss
    if compiled is not None:
        own += [compiled, *(entry.loss for entry in compiled._flat_losses or ())]
    return list({id(loss): loss for loss in own}.values())


def hidden_metrics(model: keras.Model) -> list[Patch]:
    """Keeps `compute_metrics` from making the compiled metrics before `fit` does."""
    return [Patch(model, "_compile_metrics", None)]


def losses_are_built(model: keras.Model) -> bool:
    """Whether the losses of `compile()` know the structure of the data."""
    return model._compile_loss is None or model._compile_loss.built


def build_losses(model: keras.Model, batch: Any) -> None:
    """Lets Keras make the loss objects of `compile()`, as `fit()` would.

    For the default training step.

    They are made when the structure of the data is known. Variables that are
    born on the way get their values when the scope closes, outside the graph.
    """
    if not losses_are_built(model):
        present = [(v, v._value) for v in model.variables if v._value is not None]
        with keras.StatelessScope(state_mapping=present):
            trace(model, lambda: training_loss(model, batch))


def trace(model: keras.Model, function: Callable[[], Any]) -> None:
    """Runs the model's Python code once, with nothing computed if possible.

    A graph draws no random number. Only code that needs values, of a model that
    runs eagerly, is run with them.
    """
    try:
        tf.function(function, autograph=False).get_concrete_function()
    except Exception:  # the model's own code may need values
        if not model.run_eagerly:
            raise
        logger.debug("%s could not be traced.", model.name, exc_info=True)
        function()


def training_loss(model: keras.Model, batch: Any) -> tf.Tensor:
    """The loss that the default `train_step` differentiates."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    y_pred = predicted(model, x, True)
    return model._compute_loss(
        x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True
    )


def predicted(model: keras.Model, x: Any, training: bool) -> Any:
    """What a model makes of inputs, as its `train_step` and `test_step` call it."""
    return model(x, training=training) if model._call_has_training_arg else model(x)


def loss_of_outputs(model: keras.Model, batch: Any, y_pred: Any) -> Any:
    """The loss of given outputs, without what layers add where that can be told."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    if has_default_loss(model) and model._compile_loss is not None:
        return model._compile_loss(y, y_pred, sample_weight)
    return model._compute_loss(
        x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True
    )


def has_default_loss(model: keras.Model) -> bool:
    """Whether `compute_loss` is that of Keras: what was compiled, and what is added."""
    default = keras.Model.compute_loss
    return getattr(model.compute_loss, "__func__", None) is default


def compiled_losses(model: keras.Model) -> list[tuple[tuple, Any]]:
    """The loss objects of `compile()`, each with the path to its output."""
    compiled = model._compile_loss
    entries = () if compiled is None else compiled._flat_losses or ()
    return [(tuple(entry.path), entry.loss) for entry in entries]


def options_of(loss: Any) -> dict[str, Any]:
    """What the function that Keras has wrapped in a loss is called with."""
    return dict(getattr(loss, "_fn_kwargs", None) or {})


def frozen(layer: keras.Layer) -> Patch:
    """Makes a layer behave as one that is not trained."""
    return Patch(layer, "_trainable", False)


def mask_of(tensor: Any) -> Any:
    """The mask that Keras attached to a tensor, or None."""
    return getattr(tensor, "_keras_mask", None)


def give_mask(tensor: Any, mask: Any) -> None:
    """Attaches a mask, if there is one."""
    if mask is not None:
        tensor._keras_mask = mask


def has_default_train_step(model: keras.Model) -> bool:
    """Whether training differentiates what `training_loss` returns."""
    default = keras.Model.train_step
    return getattr(model.train_step, "__func__", None) is default


def schedule_of(optimizer: keras.Optimizer) -> Callable | None:
    """What gives the learning rate of each step, None if it is a number."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    rate = getattr(inner, "_learning_rate", None)
    kinds = keras.optimizers.schedules.LearningRateSchedule
    return rate if isinstance(rate, kinds) else None


def tracked_by(optimizer: keras.Optimizer) -> list:
    """The variables that a built optimizer updates if it is told no others."""
    return optimizer._trainable_variables


def set_policy(layer: keras.Layer, policy: Any) -> Patch:
    """Gives a layer another dtype policy."""
    return Patch(layer, "_dtype_policy", policy)


def set_dtype(thing: Any, dtype: str) -> Patch:
    """Gives a variable, a symbolic tensor or a loss another dtype."""
    return Patch(thing, "_dtype", dtype)


def symbolic_inputs(layer: keras.Layer) -> list:
    """The symbolic inputs to whose dtype a Functional model casts its data."""
    return list(layer.__dict__.get("_inputs") or ())


def inner_policy(layer: keras.Layer) -> Any:
    """The policy of one layer, also where it comes from a `DTypePolicyMap`."""
    policy = layer._dtype_policy
    if isinstance(policy, keras.dtype_policies.DTypePolicyMap):
        policy = policy[layer.path]
    return policy


def lowest_compute_dtype(model: keras.Model) -> str:
    """The lowest float precision in which a layer of the model computes.

    What merely holds layers, or takes the data in, is left out.
    """
    layers = all_layers(model)
    owners = {id(v): layer for layer in layers for v in layer.variables}
    leaves = [
        layer
        for layer in layers
        if len(all_layers(layer)) == 1
        and not isinstance(layer, keras.layers.InputLayer)
    ]
    found = {inner_policy(layer).compute_dtype for layer in [*owners.values(), *leaves]}
    return lowest(found)


def raw_value(variable: Any) -> Any:
    """The `tf.Variable` behind a Keras variable, whatever scope is open."""
    return variable._value


def stored_dtype(variable: Any) -> str:
    """The dtype of a variable, whatever autocast scope is open."""
    return variable._dtype


@contextlib.contextmanager
def same_global_state() -> Iterator[None]:
    """Puts back what Keras keeps for the whole process: names, default seeds."""
    tracker = global_state.GLOBAL_STATE_TRACKER
    before = {
        name: (value, value.copy() if isinstance(value, dict | list) else None)
        for name, value in tracker.__dict__.items()
    }
    try:
        yield
    finally:
        for name in set(tracker.__dict__) - set(before):
            del tracker.__dict__[name]
        for name, (value, content) in before.items():
            if isinstance(value, dict):
                value.clear()
                value.update(content or {})
            elif isinstance(value, list):  # such as variables without a value yet
                value[:] = content or ()
            tracker.__dict__[name] = value


def set_path(variable: Any, path: str) -> None:
    """Gives a variable of our own a path to be known by."""
    variable._path = path


def build_by_call(
    layer: keras.Layer, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> None:
    """Makes a layer's weights by a call with symbolic tensors.

    As a functional model would, but that the layer keeps no node of a graph.
    """
    nodes = layer._inbound_nodes
    count = len(nodes)
    try:
        layer(*args, **kwargs)
    finally:
        del nodes[count:]


def backend_random() -> Any:
    """The module whose functions all draws of Keras go through, those of layers too."""
    return backend.random


def backend_nn() -> Any:
    """The module whose functions all cross-entropies of Keras go through."""
    return backend.nn


def global_seed_state() -> keras.Variable | None:
    """The state of the generator that draws without a seed; None if none did yet."""
    generator = global_state.get_global_attribute("global_seed_generator")
    return None if generator is None else generator.state


def take_mask(source: Any, target: Any) -> None:
    """Gives a tensor the mask that Keras attached to another; returns the tensor."""
    mask = getattr(source, "_keras_mask", None)
    if mask is not None:
        target._keras_mask = mask
    return target
