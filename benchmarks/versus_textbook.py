"""False alarms and misses: this check beside other ways to check gradients.

    python benchmarks/versus_textbook.py [--seeds N]

Over the models of `tests/support/faults`: each with a mistake in its gradient, and each
without. An alarm on a healthy model is a false alarm; a wrong model without an
alarm is a miss. The other ways are

- the textbook recipe in float32, and in float64: five entries of each variable,
  step 1e-4, alarm where |a - n| / (|a| + |n|) is above 1e-3;
- `tf.test.compute_gradient` with its default step, all entries, the same ratio
  over each variable.
"""

import argparse
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

import keras
import numpy as np
import tensorflow as tf

import keras_gradwatch as kgw
from keras_gradwatch.check.evaluation.evaluator import Evaluator
from keras_gradwatch.check.numerics.directions import Direction
from keras_gradwatch.framework import batch as batches
from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.replica.replica import Replica
from keras_gradwatch.replica.steps import Steps
from tests.support.faults.library import FAULTS

SAMPLES, STEP, THRESHOLD = 5, 1e-4, 1e-3


def ours(model: Any, data: Any, rng: np.random.Generator) -> Any:
    return kgw.check_gradients(model, *data).verdict == "FAIL"


def textbook_in_float32(model: Any, data: Any, rng: np.random.Generator) -> Any:
    """Sets the weights of the model itself, and calls it eagerly."""
    batch = batches.from_arrays(*data)
    weights = model.trainable_variables

    def loss() -> Any:
        return internals.training_loss(model, batch)

    with tf.GradientTape() as tape:
        value = loss()
    found = tape.gradient(value, weights)
    for weight, gradient in zip(weights, found, strict=True):
        analytic = np.zeros(weight.shape) if gradient is None else dense(gradient)
        start = weight.numpy()
        for entry in drawn(analytic.size, rng):
            pair = []
            for sign in (1, -1):
                moved = start.copy()
                moved.flat[entry] += sign * STEP
                weight.assign(moved)
                pair.append(float(loss()))
            weight.assign(start)
            if ratio(analytic.flat[entry], (pair[0] - pair[1]) / (2 * STEP)):
                return True
    return False


def textbook_in_float64(model: Any, data: Any, rng: np.random.Generator) -> Any:
    """The same on our float64 replica: one step, no error bars."""
    batch = batches.from_arrays(*data)
    (objective,) = Steps(model).objectives("bypass", batch)
    replica = Replica(model, "bypass", objective)
    evaluator, states = Evaluator(replica), replica.states()
    values = [tf.cast(v, tf.float64) for v in replica.values()]
    _, gradients = evaluator.gradient(values, states, batch)
    entries = [
        Direction(k, entry=int(e))
        for k, v in enumerate(values)
        for e in drawn(int(tf.size(v)), rng)
    ]
    perturbations = [(d, s * STEP) for d in entries for s in (1, -1)]
    losses = evaluator.losses(values, states, batch, perturbations).reshape(-1, 2)
    for direction, (plus, minus) in zip(entries, losses, strict=True):
        gradient = gradients[direction.variable]
        analytic = 0.0 if gradient is None else direction.slope(gradient.ravel())
        if ratio(analytic, (plus - minus) / (2 * STEP)):
            return True
    return False


def tf_test(model: Any, data: Any, rng: np.random.Generator) -> Any:
    """TensorFlow's own checker, on the loss as a function of all weights."""
    batch = batches.from_arrays(*data)
    variables = model.trainable_variables

    def loss(*values: Any) -> Any:
        pairs = list(zip(variables, values, strict=True))
        with keras.StatelessScope(pairs, collect_losses=True):
            return internals.training_loss(model, batch)

    start = [tf.convert_to_tensor(v) for v in variables]
    theirs, numerical = tf.test.compute_gradient(loss, start)
    return any(ratio(a, n) for a, n in zip(theirs, numerical, strict=True))


def dense(gradient: Any) -> Any:
    return tf.convert_to_tensor(gradient).numpy()


def drawn(size: int, rng: np.random.Generator) -> Any:
    return rng.choice(size, min(size, SAMPLES), replace=False)


def ratio(analytic: Any, numerical: Any) -> Any:
    scale = np.linalg.norm(analytic) + np.linalg.norm(numerical)
    if not np.isfinite(scale):
        return True
    return scale > 0 and np.linalg.norm(analytic - numerical) / scale > THRESHOLD


WAYS = {
    "keras_gradwatch": ours,
    "textbook, float32": textbook_in_float32,
    "textbook, float64": textbook_in_float64,
    "tf.test.compute_gradient": tf_test,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    seeds = range(parser.parse_args().seeds)
    warnings.simplefilter("ignore")
    counts = {way: {"false": 0, "missed": 0, "broke": 0, "time": 0.0} for way in WAYS}
    for seed in seeds:
        for fault in FAULTS.values():
            for wrong in (False, True):
                for name, way in WAYS.items():
                    keras.utils.clear_session(free_memory=False)
                    keras.utils.set_random_seed(seed)
                    model, *data = fault.build(wrong, np.random.default_rng(seed))
                    started = time.perf_counter()
                    try:
                        alarm = way(model, data, np.random.default_rng(seed))
                    except Exception:  # the other ways can't take every model
                        alarm = None
                    count = counts[name]
                    count["time"] += time.perf_counter() - started
                    count["broke"] += alarm is None
                    count["missed"] += wrong and alarm is False
                    count["false"] += not wrong and alarm is True
    models = len(FAULTS) * len(seeds)
    print(f"{models} wrong models, and {models} healthy ones")
    print(f"{'':<26} {'false alarms':>12} {'misses':>7} {'broke':>6} {'time':>7}")
    whole = counts["keras_gradwatch"]["time"]
    for name, c in counts.items():
        print(
            f"{name:<26} {c['false']:>12} {c['missed']:>7} {c['broke']:>6} "
            f"{c['time'] / whole:>6.2f}x"
        )


if __name__ == "__main__":
    main()
