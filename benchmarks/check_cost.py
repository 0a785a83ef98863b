"""What a check costs, as a ratio to the loop that one would write by hand.

    python benchmarks/check_cost.py [--rounds N]

By hand: for each entry, take all weights, change one number, set all weights,
call the model eagerly and compute the loss, twice. Both sides check the same
model on the same batch with the same number of loss evaluations, in turn, in
one process; the figures are medians over the rounds.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_gradwatch.arguments import Settings
from keras_gradwatch.checks import GradientChecker
from keras_gradwatch.replica import batch as batches

BATCH = 32


def dense():
    stack = [layers.Dense(128, activation="relu"), layers.Dense(10)]
    return keras.Sequential([keras.Input((784,)), *stack]), (784,)


def convolutional():
    stack = []
    for filters in (16, 32):
        stack += [
            layers.Conv2D(filters, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
        ]
    stack += [layers.Flatten(), layers.Dropout(0.3), layers.Dense(10)]
    return keras.Sequential([keras.Input((16, 16, 1)), *stack]), (16, 16, 1)


def recurrent():
    stack = [layers.LSTM(64, dropout=0.2), layers.Dense(10)]
    return keras.Sequential([keras.Input((50, 16)), *stack]), (50, 16)


def by_hand(model, loss, x, y, entries):
    """The textbook loop; returns the slopes, so that nothing is optimised away."""
    with tf.GradientTape() as tape:
        value = loss(y, model(x, training=True))
    tape.gradient(value, model.trainable_variables)
    weights = model.get_weights()
    slopes = []
    for variable, entry in entries:
        pair = []
        for step in (1e-3, -1e-3):
            moved = [w.copy() for w in weights]
            moved[variable].flat[entry] += step
            model.set_weights(moved)
            pair.append(float(loss(y, model(x, training=True))))
        slopes.append((pair[0] - pair[1]) / 2e-3)
    model.set_weights(weights)
    return slopes


def timed(function, *arguments):
    started = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - started, result


def measure(build, rounds):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    model, shape = build()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    x = rng.normal(size=(BATCH, *shape)).astype("float32")
    y = rng.integers(0, 10, BATCH)
    model.fit(x, y, epochs=5, batch_size=BATCH, verbose=0)
    batch = batches.from_arrays(x, y)

    checker = GradientChecker(model, Settings())
    first, report = timed(checker.check, batch)
    sizes = [int(np.prod(w.shape)) for w in model.get_weights()]
    entries = []
    while 2 * len(entries) < report.evaluations:
        variable = len(entries) % len(sizes)
        entries.append((variable, int(rng.integers(sizes[variable]))))
    by_hand(model, loss, x, y, entries[:2])  # warm up
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(timed(checker.check, batch)[0])
        theirs.append(timed(by_hand, model, loss, x, y, entries)[0])
    check, hand = statistics.median(ours), statistics.median(theirs)
    return report.evaluations, hand, check / hand, first / hand


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print("A check as a ratio to the hand-rolled loop with as many losses")
    print(f"{'model':<14} {'losses':>6} {'by hand':>9} {'check':>6} {'+ tracing':>9}")
    for build in (dense, convolutional, recurrent):
        losses, hand, check, first = measure(build, rounds)
        name = build.__name__
        print(f"{name:<14} {losses:>6} {hand:>7.2f} s {check:>6.2f} {first:>9.2f}")


if __name__ == "__main__":
    main()
