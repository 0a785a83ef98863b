"""Keras' own layer tests as an oracle: each configuration that they try is checked.

    python benchmarks/keras_suite.py [--every N] [--start K] [part of a module ...]

The wheel of Keras brings its tests along. Those that call `run_layer_test` are run with
another one in its place: it makes the layer and its inputs in the same way, and hands
both to `check_layer`. What Keras asserts is not looked at. Printed is the count of each
verdict, what was refused, and each FAIL that is not one of TensorFlow's or Keras' own.
The exit code is 1 if there is such a FAIL, or a crash.
"""

import argparse
import collections
import dataclasses
import importlib
import inspect
import itertools
import os
import sys
import time
import unittest
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

import keras
from keras.src.testing import test_case

import keras_gradwatch as kgw

NAME = "run_layer_test"
# What should fail, by parts of the names of tests. The gradient of a warp is another
# warp, `hsv_to_rgb` has none: tests/zoo/test_wrong_in_tensorflow.py has the evidence.
OWN = (
    "aug_mix_test",
    "rand_augment_test",
    "random_color_jitter_test",
    "random_elastic_transform_test",
    "random_hue_test",
    "random_perspective_test",
    "random_rotation_test",
    "random_shear_test",
    "random_translation_test",
    "random_zoom_test",
    # `tf.sparse.concat` hands no gradient to the values.
    "merging_test.test_sparse_concat",
    # Scales and histories get their new values as gradients; upstreams saturate.
    "float8",
    # The gradient through both corrections is stopped.
    "test_renorm",
)


@dataclasses.dataclass(frozen=True)
class Came:
    """What came of one configuration.

    Args:
        test: Name of the test, and how often it came to a configuration before.
        layer: Class of the layer.
        verdict: Of the report; or `"refused"`, `"Keras raises"` or `"crash"`.
        words: The report, or the error.
    """

    test: str
    layer: str
    verdict: str
    words: str

    @property
    def is_wrong(self) -> bool:
        """Whether there should not be such a thing."""
        alarm = self.verdict == "FAIL" and not any(part in self.test for part in OWN)
        return alarm or self.verdict == "crash"


def tests(parts: list[str]) -> Iterator[unittest.TestCase]:
    """Keras' tests that try layers.

    Args:
        parts: Parts of the names of their modules; all if there are none.
    """
    root = Path(keras.__file__).parent / "src"
    for path in sorted(root.rglob("*_test.py")):
        name = ".".join(["keras", *path.relative_to(root.parent).with_suffix("").parts])
        if NAME not in path.read_text() or path.stem == "test_case_test":
            continue
        if parts and not any(part in name for part in parts):
            continue
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            print(f"left out: {name}: {error}")
            continue
        suites: Any = unittest.defaultTestLoader.loadTestsFromModule(module)
        for test in itertools.chain.from_iterable(suites):
            method = getattr(type(test), test._testMethodName)
            if NAME in inspect.getsource(inspect.unwrap(method)):
                yield test


def configurations(every: int, start: int, parts: list[str]) -> Iterator[Came]:
    """Checks the configurations, as many tests as asked for.

    Args:
        every: Only each so manieth configuration is checked.
        start: Number of the first one.
        parts: As for `tests`.
    """
    came: list[Came] = []
    numbers = itertools.count()

    def instead(test: Any, layer_cls: Any, init_kwargs: Any, **options: Any) -> None:
        if next(numbers) % every != start:
            return
        name = f"{type(test).__module__}.{test._testMethodName}"
        came.append(_came(name, layer_cls, init_kwargs or {}, options))

    with mock.patch.object(test_case.TestCase, NAME, instead):
        for test in tests(parts):
            test.run(unittest.TestResult())
            yield from came
            came.clear()


def _came(test, layer_cls, init, options):
    name = getattr(layer_cls, "__name__", str(layer_cls))
    try:
        layer = layer_cls(**init)
        args, kwargs = _inputs(options)
        layer_cls(**init)(*args, **kwargs)
    except Exception as error:  # as some tests expect
        return Came(test, name, "Keras raises", repr(error))
    try:
        report = kgw.check_layer(
            layer, *args, arguments=kwargs, samples=2, directions=1
        )
    except kgw.InvalidArgumentError as error:
        return Came(test, name, "refused", str(error))
    except Exception as error:
        return Came(test, name, "crash", f"{type(error).__name__}: {error}")
    return Came(test, name, report.verdict, str(report))


def _inputs(options):
    """What `run_layer_test` calls a layer with."""
    given, shape = options.get("input_data"), options.get("input_shape")
    if given is None and shape is not None:
        dtype = options.get("input_dtype")
        if dtype is None:
            dtype = keras.tree.map_shape_structure(lambda _: "float32", shape)
        given = test_case.create_eager_tensors(
            shape,
            dtype,
            options.get("input_sparse", False),
            options.get("input_ragged", False),
        )
    kwargs = options.get("call_kwargs") or {}
    if isinstance(given, dict):
        return (), {**given, **kwargs}
    return (given,), kwargs


def main(argv: list[str]) -> int:
    """Prints what came; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--verbose", action="store_true")
    asked = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    counts: collections.Counter[str] = collections.Counter()
    began, wrong = time.process_time(), 0
    for one in configurations(asked.every, asked.start, asked.parts):
        counts[one.verdict] += 1
        wrong += one.is_wrong
        if asked.verbose or one.is_wrong:
            print(f"{one.verdict}: {one.layer} in {one.test}\n{one.words}", flush=True)
    own = counts["FAIL"] - wrong + counts["crash"]
    print(
        f"Keras {keras.__version__}: {sum(counts.values())} configurations of its tests"
    )
    for verdict, count in counts.most_common():
        print(f"  {verdict}: {count}")
    print(f"  of the FAIL, {own} are their own; not as they should be: {wrong}")
    print(f"CPU seconds: {time.process_time() - began:.0f}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
