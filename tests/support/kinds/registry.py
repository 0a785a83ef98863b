"""Where the kinds of model are listed, and what they are made of.

`KINDS` maps a name to a function of a generator of random numbers that returns
`(model, x, y)`, compiled.
"""

import keras
from keras import layers

KINDS = {}


def kind(build):
    KINDS[build.__name__] = build
    return build


def numbers(rng, *shape):
    return rng.normal(size=shape).astype("float32")


def done(model, rng, x=None, outputs=2, loss="mse", **options):
    x = numbers(rng, 6, 4) if x is None else x
    model.compile("sgd", loss, jit_compile=False, **options)
    return model, x, numbers(rng, 6, outputs)


def stack(*middle, **options):
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, "tanh"), *middle, layers.Dense(2)],
        **options,
    )


def train(model, x, y):
    # The second factor of LoRA begins at zero: after a step both have a gradient.
    for _ in range(2):
        model.train_on_batch(x, y)
    return model, x, y


# Weights that the loss does not depend on, or whose gradient is truly zero.
WITHOUT_INFLUENCE = {"frozen_layers": ("dense_1/bias",)}

# Fixed arithmetic, by storage: no float64.
LOW_PRECISION = {"int8_with_lora"}
