"""`check_function` beside `tf.test.compute_gradient`: verdicts and time.

    python benchmarks/functions.py [--every N] [--quiet]

Over the functions of `tests/support/functions`: each as it is, and three times with a
mistake in the gradient for its first argument: off by 1 %, doubled, one entry zero.
Both get the same float64 arguments; an alarm of `tf.test.compute_gradient` (default
step, all entries) is a ratio |a - n| / (|a| + |n|) above 1e-3, over each argument.
Times are CPU seconds.
"""

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import tensorflow as tf

import keras_gradwatch as kgw
from tests.support.functions import FUNCTIONS
from tests.support.functions.arguments import normal
from tests.support.functions.wrong import FLAT, NO_GRADIENT, WRONG

THRESHOLD = 1e-3


def _one_zero(dy: Any) -> Any:
    """The largest: another may be zero by right."""
    flat = tf.reshape(dy, [-1])
    largest = tf.one_hot(tf.argmax(tf.abs(flat)), tf.size(flat), dtype=flat.dtype)
    return tf.reshape(flat * (1 - largest), tf.shape(dy))


TWINS = {
    "as it is": None,
    "off by 1 %": lambda dy: 1.01 * dy if dy.dtype.is_floating else dy * (1.01 + 0j),
    "doubled": lambda dy: dy + dy,
    "one entry zero": _one_zero,
}
# What takes many entries, to see how the time grows.
LARGE = {
    "tf.nn.softmax, (32, 32)": (tf.nn.softmax, [normal(32, 32)]),
    "tf.matmul, (32, 32)": (tf.matmul, [normal(32, 32), normal(32, 32)]),
    "tf.linalg.inv, (32, 32)": (
        tf.linalg.inv,
        [lambda rng: rng.normal(size=(32, 32)) + 20 * np.eye(32)],
    ),
    "tf.nn.conv2d, (2, 12, 12, 4)": (
        lambda x, w: tf.nn.conv2d(x, w, 1, "SAME"),
        [normal(2, 12, 12, 4), normal(3, 3, 4, 4)],
    ),
}


def is_number(value: Any) -> Any:
    return np.asarray(value).dtype.kind in "fc"


def spoilt(function: Callable[..., Any], arguments: Any, change: Any) -> Any:
    """The function, with another gradient for its first argument of numbers."""
    if change is None:
        return function
    first = next(k for k, a in enumerate(arguments) if is_number(a))
    op = tf.custom_gradient(lambda x: (tf.identity(x), change))

    def twin(*args: Any) -> Any:
        values = list(args)
        values[first] = op(tf.convert_to_tensor(values[first]))
        return function(*values)

    return twin


def ours(function: Callable[..., Any], arguments: Any) -> Any:
    return kgw.check_function(function, *arguments).verdict


def theirs(function: Callable[..., Any], arguments: Any) -> Any:
    numbers = [k for k, a in enumerate(arguments) if is_number(a)]

    def of_numbers(*values: Any) -> Any:
        args = list(arguments)
        for k, value in zip(numbers, values, strict=True):
            args[k] = value
        return one_vector(function(*args))

    start = [tf.constant(arguments[k]) for k in numbers]
    pairs = zip(*tf.test.compute_gradient(of_numbers, start), strict=True)
    return "FAIL" if any(ratio(a, n) for a, n in pairs) else "PASS"


def one_vector(outputs: Any) -> Any:
    parts = []
    for y in map(tf.convert_to_tensor, tf.nest.flatten(outputs)):
        if y.dtype.is_complex:
            parts += [tf.math.real(y), tf.math.imag(y)]
        elif y.dtype.is_floating:
            parts.append(y)
    return tf.concat([tf.reshape(part, [-1]) for part in parts], 0)


def ratio(analytic: Any, numerical: Any) -> Any:
    scale = np.linalg.norm(analytic) + np.linalg.norm(numerical)
    if not np.isfinite(scale):
        return True
    return scale > 0 and np.linalg.norm(analytic - numerical) / scale > THRESHOLD


def timed(way: Any, *args: Any) -> Any:
    started = time.process_time()
    try:
        verdict = way(*args)
    except Exception as error:  # not every function can be taken
        verdict = type(error).__name__
    return verdict, time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="take each N-th function")
    parser.add_argument("--quiet", action="store_true", help="the totals only")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    known = {n: f for n, f in FUNCTIONS.items() if n not in FLAT | NO_GRADIENT}
    chosen = dict(list(known.items())[:: options.every])
    ways = {"keras_gradwatch": ours, "tf.test.compute_gradient": theirs}
    counts = {w: {"false": 0, "missed": 0, "broke": 0, "time": 0.0} for w in ways}
    ours(tf.sin, [np.ones(3)])  # what the first call of all costs is not counted
    print(f"{'':<44} {'':<14} {'keras_gradwatch':>22} {'tf.test':>22}")
    for name, (function, makers) in chosen.items():
        for twin, change in TWINS.items():
            rng = np.random.default_rng(0)
            arguments = [make(rng) for make in makers]
            changed = spoilt(function, arguments, change)
            row = []
            for way, check in ways.items():
                verdict, seconds = timed(check, changed, arguments)
                count = counts[way]
                count["time"] += seconds
                count["broke"] += verdict not in ("PASS", "FAIL")
                count["missed"] += change is not None and verdict == "PASS"
                count["false"] += change is None and verdict == "FAIL"
                row.append(f"{verdict:>14} {seconds:6.2f}s")
            if not options.quiet:
                print(f"{name[:44]:<44} {twin:<14} {row[0]} {row[1]}", flush=True)
    for name, (function, makers) in {**WRONG, **LARGE}.items():
        rng = np.random.default_rng(0)
        arguments = [make(rng) for make in makers]
        found = [timed(check, function, arguments) for check in ways.values()]
        row = [f"{verdict:>14} {seconds:6.2f}s" for verdict, seconds in found]
        kind = "wrong itself" if name in WRONG else "large"
        print(f"{name[:44]:<44} {kind:<14} {row[0]} {row[1]}", flush=True)
    print(f"{len(chosen)} functions, {len(TWINS) - 1} mistakes in each")
    print(f"{'':<26} {'false alarms':>12} {'misses':>7} {'no answer':>10} {'time':>8}")
    for name, c in counts.items():
        print(
            f"{name:<26} {c['false']:>12} {c['missed']:>7} {c['broke']:>10} "
            f"{c['time']:>7.0f}s"
        )


if __name__ == "__main__":
    main()
