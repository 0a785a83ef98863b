"""The pytest plugin, as a project uses it that has this package installed."""

import re

import pytest

HEAD = """
import keras
import numpy as np
import pytest
import tensorflow as tf

@tf.custom_gradient
def halved(x):
    return tf.sin(x), lambda dy: 0.5 * dy * tf.cos(x)

def right(x):
    return tf.sin(x)

x = np.linspace(-1, 1, 12).reshape(3, 4)
"""


@pytest.fixture
def run(pytester):
    def run(code, *options, head=HEAD):
        pytester.makepyfile(test_it=head + code)
        return pytester.runpytest_inprocess(
            "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "ignore", *options
        )

    return run


@pytest.mark.basic
def test_right_and_wrong(run):
    done = run(
        """
def test_right(gradient_check):
    report = gradient_check.function(right, x)
    assert report.passed

def test_wrong(gradient_check):
    gradient_check.function(halved, x)
"""
    )
    done.assert_outcomes(passed=1, failed=1)
    # The user's own line, the table, and how to run it again.
    done.stdout.fnmatch_lines(
        [
            ">*gradient_check.function(halved, x)",
            "E*GradientMismatchError: Gradient check at step 0: FAIL.*",
            "E*verdict*variable*rel. error*",
            "E*FAIL*x *",
            "test_it.py:*: GradientMismatchError",
            "*gradient check*",
            "To run it again:",
            "pytest test_it.py::test_wrong --gradwatch-seed=0 --gradwatch-samples=5",
        ]
    )


def test_every_part(run):
    done = run(
        """
def test_all(gradient_check):
    gradient_check.layer(keras.layers.Dense(3), x)
    gradient_check.loss("mse", np.ones((3, 4)), x)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    gradient_check(model, x, np.ones((3, 2)))
"""
    )
    done.assert_outcomes(passed=1)


def test_a_setup(run):
    done = run(
        """
def model(loss):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", loss)
    return model

def test_right(setup_check):
    setup_check(model("mse"), x, x[:, :1])

def test_wrong(setup_check):
    setup_check(model("mse"), x, x[:, :1] + 1000)
"""
    )
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["E*SetupError: Set-up: INCONCLUSIVE. Worth a look*"])


def test_marker_and_options(run):
    code = """
@pytest.mark.gradient_check(seed=7, samples=2, tolerance=0.05)
class TestMarked:
    def test_both(self, gradient_check):
        report = gradient_check.function(right, x)
        print(f"seed {report.seed} tolerance {report.tolerance}")
        assert len(report.variables[0].coordinates) == SAMPLES

    @pytest.mark.gradient_check(tolerance=0.02)
    def test_nearer(self, gradient_check):
        print(f"nearer {gradient_check.function(right, x).tolerance}")

    def test_call(self, gradient_check):
        print(f"call {gradient_check.function(right, x, seed=9).seed}")
"""
    done = run(code, "-s", head=HEAD + "SAMPLES = 2\n")
    done.assert_outcomes(passed=3)
    done.stdout.fnmatch_lines(["*seed 7 tolerance 0.05*", "*nearer 0.02*", "*call 9*"])
    options = ["--gradwatch-seed=11", "--gradwatch-samples=4"]
    done = run(code, "-s", *options, head=HEAD + "SAMPLES = 4\n")
    done.assert_outcomes(passed=3)
    done.stdout.fnmatch_lines(["*seed 11 tolerance 0.05*", "*call 9*"])


def test_a_random_seed_is_told(run):
    code = """
@pytest.mark.parametrize("n", [1, 2])
def test_wrong(gradient_check, n):
    gradient_check.function(halved, x)
"""
    lines = "\n".join(run(code, "--gradwatch-seed=random").outlines)
    seeds = re.findall(r"'test_it.py::test_wrong\[\d\]' --gradwatch-seed=(\d+)", lines)
    assert len(seeds) == 2
    assert len(set(seeds)) == 1


def test_no_word_where_no_gradient_was_checked(run):
    done = run("def test_other(gradient_check):\n    assert False\n", head="")
    done.assert_outcomes(failed=1)
    done.stdout.no_fnmatch_line("*To run it again*")


@pytest.mark.parametrize("bad", ["-1", "often"])
def test_bad_options(run, bad):
    done = run("def test_it():\n    pass\n", f"--gradwatch-seed={bad}", head="")
    assert done.ret != 0
    assert "invalid _seed value" in "\n".join(done.errlines)


def test_bad_marker(run):
    done = run(
        """
@pytest.mark.gradient_check(1e-4)
def test_it(gradient_check):
    pass
"""
    )
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*takes keyword arguments only*Received: (0.0001,)*"])
