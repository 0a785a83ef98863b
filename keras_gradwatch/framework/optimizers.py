"""The optimizers of a model, and how far they have come."""

from __future__ import annotations

import keras
import tensorflow as tf


def optimizers(model: keras.Model) -> list[tuple[str, keras.optimizers.Optimizer]]:
    """The optimizers that a model holds, with the names of their attributes.

    Those in its lists and dicts too, as `"optimizers[0]"`.
    """
    found = []
    for name, value in model.__dict__.items():
        if isinstance(value, dict):
            held = [(f"{name}[{key!r}]", item) for key, item in value.items()]
        elif isinstance(value, list | tuple):
            held = [(f"{name}[{k}]", item) for k, item in enumerate(value)]
        else:
            held = [(name, value)]
        found += [(n, v) for n, v in held if isinstance(v, keras.optimizers.Optimizer)]
    return found


def scales_loss(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether an optimizer divides what it is handed by the scale of the loss."""
    is_wrapper = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    return is_wrapper or optimizer.loss_scale_factor is not None


def iterations(model: keras.Model) -> int:
    """Optimizer iterations done so far; of several optimizers, the most."""
    done = [
        # Through a tensor: on several devices it is a variable of many parts.
        int(tf.convert_to_tensor(optimizer.iterations))
        for _, optimizer in optimizers(model)
    ]
    return max(done, default=0)
