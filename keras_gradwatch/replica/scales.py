"""Loss scales that a training step applies by itself, without asking its optimizer."""

from __future__ import annotations

import keras
import tensorflow as tf

from keras_gradwatch.framework import graphs
from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.optimizers import scales_loss
from keras_gradwatch.replica.recorder import Recording


def scaled_by_hand(recording: Recording, graph: tf.Graph) -> set[int]:
    """Ids of the optimizers by whose scale a loss is multiplied.

    Args:
        recording: What a step did, traced.
        graph: The graph that it was traced in.
    """
    optimizers = {id(u.optimizer): u.optimizer for u in recording.updates}
    targets = [t for call in recording.calls for t in call.targets]
    # What is inside of a branch or a loop is of another graph.
    targets = [t for t in targets if t.graph is graph]
    return {
        key
        for key, optimizer in optimizers.items()
        if scales_loss(optimizer) and any(_is_scaled(t, optimizer) for t in targets)
    }


def _is_scaled(target: tf.Tensor, optimizer: keras.optimizers.Optimizer) -> bool:
    scale = getattr(optimizer, "dynamic_scale", None)
    if scale is not None:
        handle = getattr(internals.raw_value(scale), "handle", None)
        inside = [t for outside, t in target.graph.captures if outside is handle]
        return graphs.depends_on(target, inside)
    factor = optimizer.loss_scale_factor or getattr(optimizer, "initial_scale", 1.0)
    return graphs.is_multiplied(target, factor)
