"""What a training step tells of itself: its losses, and what was noticed of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_gradwatch.framework.keras_internals import has_default_train_step


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
        return []


def in_words(bad: Sequence[Any], losses: Any) -> str:
    """What was noticed: losses, and variables, that are not finite."""
    parts = [f"{'the ' if n == 'loss' else ''}{n} is {v}" for n, v in losses.items()]
    if bad:
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        verb = "are" if len(bad) > 1 else "is"
        parts.append(f"{bad[0].path}{more} {verb} not finite after it")
    return ", ".join(parts)


def learning_rate(model: keras.Model) -> float | None:
    """Of the compiled optimizer, None if there is none."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return None
    return float(tf.convert_to_tensor(optimizer.learning_rate))
