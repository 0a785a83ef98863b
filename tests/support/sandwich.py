"""Healthy models around one layer, loss or activation, and the check of them."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import keras_gradwatch as kgw

SEEDS = (
    0,
    pytest.param(1, marks=pytest.mark.slow),
    pytest.param(2, marks=pytest.mark.long),
)
BATCH = 4
# Shapes of one example, by what a layer works on.
SHAPES = {
    "vector": (4,),
    "sequence": (4, 3),
    "image": (4, 4, 3),
    "volume": (4, 4, 4, 2),
}


def check(model, x, y, record_property, *, proven=True, without=(), steps=3):
    """Asserts that a healthy model never fails, untrained and after some steps.

    Args:
        model: A compiled model.
        x: One batch of inputs.
        y: Its targets.
        record_property: The fixture of pytest; the terminal summary counts
            what is recorded.
        proven: Whether each weight must come out PASS.
        without: Ends of the paths of weights whose gradient is truly zero.
        steps: Training steps between the two checks.
    """
    for trained in (False, True):
        if trained:
            for _ in range(steps):
                model.train_on_batch(x, y)
        report = kgw.check_gradients(model, x, y, samples=3, directions=1)
        record_property("zoo", [report.verdict, report.dtype])
        assert report.verdict != "FAIL", f"trained={trained}\n{report}"
        if proven and report.dtype == "float64":
            left = [
                v.path
                for v in report.variables
                if v.verdict != "PASS" and not v.path.endswith(tuple(without))
            ]
            assert not left, f"trained={trained}, not proven: {left}\n{report}"


def numbers(shape, seed):
    """Standard normal numbers, float32."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def integers(shape, seed, high=5):
    """Integers from 0 to below `high`, int32."""
    return np.random.default_rng(seed).integers(0, high, shape).astype("int32")


def compiled(model, loss="mse"):
    """Compiles a model to learn fast, and for the plain graph."""
    model.compile(keras.optimizers.SGD(0.02), loss, jit_compile=False)
    return model


def ended(inputs, tensor):
    """A model with a dense layer behind `tensor`, compiled, with targets."""
    if not keras.backend.is_float_dtype(tensor.dtype):
        tensor = keras.ops.cast(tensor, "float32")
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(tensor))
    return compiled(keras.Model(inputs, outputs))
