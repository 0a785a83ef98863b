"""Every loss of keras.losses: what it is fed, and which ones there are."""

import inspect

import keras
import numpy as np

from tests.support.sandwich import BATCH, integers, numbers

losses = keras.losses

CLASSES = 3

# What a loss expects: the activation before it, and the kind of targets.
DEMANDS = {
    "BinaryCrossentropy": ("sigmoid", "bits"),
    "BinaryFocalCrossentropy": ("sigmoid", "bits"),
    "CategoricalCrossentropy": ("softmax", "one-hot"),
    "CategoricalFocalCrossentropy": ("softmax", "one-hot"),
    "CategoricalGeneralizedCrossEntropy": ("softmax", "integers"),
    "CategoricalHinge": ("linear", "one-hot"),
    "Circle": ("sequence", "integers"),
    "CosineSimilarity": ("linear", "numbers"),
    "CTC": ("sequence", "sequence"),
    "Dice": ("sigmoid", "bits"),
    "Hinge": ("linear", "signs"),
    "Huber": ("linear", "numbers"),
    "KLDivergence": ("softmax", "shares"),
    "LogCosh": ("linear", "numbers"),
    "MeanAbsoluteError": ("linear", "numbers"),
    "MeanAbsolutePercentageError": ("linear", "numbers"),
    "MeanSquaredError": ("linear", "numbers"),
    "MeanSquaredLogarithmicError": ("softplus", "shares"),
    "Poisson": ("softplus", "shares"),
    "SparseCategoricalCrossentropy": ("softmax", "integers"),
    "SquaredHinge": ("linear", "signs"),
    "Tversky": ("sigmoid", "bits"),
}

EXCLUDED = {"Loss": "a base class"}


def loss_names():
    return sorted(
        name
        for name, thing in vars(losses).items()
        if inspect.isclass(thing) and name not in EXCLUDED
    )


def loss_functions():
    return sorted(
        name
        for name, thing in vars(losses).items()
        if inspect.isfunction(thing) and name not in ("deserialize", "get", "serialize")
    )


def targets(kind, seed):
    labels = integers((BATCH,), seed, CLASSES)
    if kind == "integers":
        return labels
    if kind == "one-hot":
        return np.eye(CLASSES, dtype="float32")[labels]
    if kind == "sequence":
        return 1 + integers((BATCH, 2), seed, 3)
    values = numbers((BATCH, CLASSES), seed)
    if kind == "bits":
        return (values > 0).astype("float32")
    if kind == "signs":
        return np.sign(values)
    if kind == "shares":
        return np.exp(values) / np.sum(np.exp(values), axis=1, keepdims=True)
    return values
