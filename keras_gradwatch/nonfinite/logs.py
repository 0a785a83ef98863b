"""What a training step tells of itself: its losses and its learning rate."""

from __future__ import annotations

import logging
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_gradwatch.framework.keras_internals import has_default_train_step

logger = logging.getLogger("keras_gradwatch")


def losses_of(model: keras.Model, logs: dict[str, Any] | None) -> dict[str, float]:
    """The losses that a step logs."""
    if not isinstance(logs, dict):
        return {}
    own = {k: v for k, v in logs.items() if k == "loss"}
    if not has_default_train_step(model):
        own |= {k: v for k, v in logs.items() if k.endswith("loss")}
    return {name: number for name, value in own.items() for number in _numbers(value)}


def _numbers(value):
    """The mean of a tensor of numbers; nothing of anything else."""
    try:
        return [float(np.mean(np.asarray(value, np.float64)))]
    except (TypeError, ValueError):
        logger.debug("What was logged as a loss is no number.", exc_info=True)
        return []


def learning_rate(model: keras.Model) -> float | None:
    """Of the compiled optimizer, None if there is none."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return None
    return float(tf.convert_to_tensor(optimizer.learning_rate))
