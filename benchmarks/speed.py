"""What a check costs, in evaluations, in training steps and in a whole fit.

    python benchmarks/speed.py [--only TABLE ...] [--models NAME ...] [--rounds N]
        [--clock cpu]

Tables:
- evaluations: one perturbed loss, as a ratio to the floor (the plain loss in
  float64, compiled, called in a tight loop) and to the loop that one would write
  by hand (`get_weights`, `set_weights`, an eager call). Whole: all of the model for
  each. Spread: weights of all variables moved one by one, as in a check without a
  time budget; what comes before a weight is computed once, where that pays.
- checks: the screen alone, and a check with the time of 20 training steps, in
  training steps of the same model. As the callback does it, on a part of a batch,
  each time another; the screen also on all of it. And what comes before the first,
  as a ratio to the first step of `fit`: tracing and the first gradient, and all that
  is traced, the step in the precision of training included.
- ways: other ways to check the gradients of a small dense net, tracing included;
  those of PyTorch, if that is installed beside TensorFlow.
- fits: whole fits with and without the callback at its defaults; see `fits.py`.

`growth.py` beside this script tells how the price of a check grows.

Medians over rounds, in each of which everything runs once, in one process. Beside other
work, `--clock cpu` counts seconds of the processors.
"""

import argparse
import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import fits as whole_fits
import keras
import models
import numpy as np
import tensorflow as tf

import keras_gradwatch as kgw
from keras_gradwatch.check.budget import Budget
from keras_gradwatch.check.checker import GradientChecker
from keras_gradwatch.check.numerics.directions import Direction
from keras_gradwatch.check.numerics.history import History
from keras_gradwatch.check.problem import ReplicaProblem
from keras_gradwatch.check.settings import Settings
from keras_gradwatch.check.subject import WholeModel
from keras_gradwatch.check.subset import Subset
from keras_gradwatch.framework import batch as batches
from keras_gradwatch.replica.precision import DOUBLE, SINGLE

PERTURBATIONS = 8
# Perturbations of all variables one by one, at least; and as many of each variable tell
# what pays: two losses for each of 5 entries and 2 directions.
MANY = 64
CHECK = 14


# Seconds on the wall; or of the processors, beside other work.
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
clock = [CLOCKS["wall"]]


def timed(function: Callable[..., Any], *arguments: Any) -> Any:
    started = clock[0]()
    function(*arguments)
    return clock[0]() - started


def interleaved(rounds: int, pick: Any = statistics.median, /, **functions: Any) -> Any:
    """The median time of each function, or another pick, run in turn."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()  # warm up
    for _ in range(rounds):
        for name, function in functions.items():
            times[name].append(timed(function))
    return {name: pick(found) for name, found in times.items()}


class Case:
    """A model after a few steps, its batch, and the parts of a check."""

    def __init__(self, build: Callable[[], Any]):
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(0)
        self.model, self.x, self.y = build()
        self.first_step = timed(self.step)
        for _ in range(5):
            self.step()
        # One batch is soon learnt by heart: further steps leave the weights alone.
        self.model.optimizer.learning_rate = 0.0
        self.batch = batches.from_arrays(self.x, self.y)
        part = Subset(self.model, "bypass")
        subject = WholeModel(self.model, "bypass")
        self.checker = GradientChecker(subject, Settings(), part)
        self.whole = GradientChecker(subject, Settings())

    def step(self) -> None:
        # As `fit` takes it: a tensor in, and the loss read once in a while.
        self.model.train_on_batch(self.x, self.y)

    def another_batch(self) -> Any:
        """Of the same shapes. Where kinks are near differs from one to the next."""
        x = models.numbers(*self.x.shape)
        return batches.from_arrays(x, models.RNG.permutation(self.y))

    def check(self, seconds: Any = 0.0, batch: Any = None) -> Any:
        return self.checker.check(batch or self.batch, Budget(seconds)).report

    def check_whole(self, batch: Any = None) -> Any:
        return self.whole.check(batch or self.batch, Budget(0.0)).report

    def problem(self, part: Any = None) -> Any:
        """The first one traces, and computes the first gradient."""
        checker = self.whole if part is None else self.checker
        batch = self.batch if part is None else part
        (evaluator,) = checker._prepare(batch).evaluators
        return evaluator, ReplicaProblem(evaluator, batch, np.random.default_rng(0))

    def forget_noise(self) -> None:
        """Has the next check measure it again, as the first one did."""
        prepared = self.checker._prepared
        if prepared is None:
            raise RuntimeError("No check has run yet.")
        past = prepared.past
        past[:] = [History(seen.sizes) for seen in past]

    def by_hand(self, entries: Any) -> None:
        """The textbook loop: one loss for each entry, with one weight moved."""
        weights = self.model.get_weights()
        for variable, entry in entries:
            moved = [w.copy() for w in weights]
            moved[variable].flat[entry] += 1e-3
            self.model.set_weights(moved)
            float(self.model.loss(self.y, self.model(self.x, training=True)))
        self.model.set_weights(weights)

    @property
    def variables(self) -> Any:
        return len(self.model.trainable_variables)


def evaluations(names: Iterable[str], rounds: int) -> None:
    print("\nOne perturbed loss, as a ratio to the floor and to the loop by hand")
    print(
        f"{'model':<24}{'variables':>10}{'floor':>10}{'whole / floor':>15}"
        f"{'spread / floor':>16}{'spread / hand':>15}{'graphs':>8}"
    )
    for name in names:
        case = Case(models.MODELS[name])
        found, routes = one_evaluation(case, rounds)
        print(
            f"{name:<24}{case.variables:>10}{1e3 * found['floor']:>7.2f} ms"
            f"{found['whole'] / found['floor']:>15.2f}"
            f"{found['spread'] / found['floor']:>16.2f}"
            f"{found['spread'] / found['hand']:>15.2f}{routes:>8}",
            flush=True,
        )


def one_evaluation(case: Case, rounds: int) -> Any:
    case.check_whole()
    evaluator, problem = case.problem()
    replica, states, batch = evaluator.replica, problem._states, problem._batch

    def loss(states: Any, batch: Any) -> Any:
        values = list(map(tf.identity, weights))
        return replica.loss(values, values, states, batches.as_double(batch))

    # The model's own code in float64, as it would be compiled by hand.
    weights = [tf.Variable(value) for value in problem._values]
    plain = tf.function(loss, autograph=False)
    replica.precision = DOUBLE
    plain.get_concrete_function(states, batch)
    replica.precision = SINGLE
    rng = np.random.default_rng(0)
    sizes = problem.sizes
    times = max(1, -(-MANY // len(sizes)))
    spread = [
        (Direction(k, entry=int(rng.integers(size))), 1e-6)
        for k, size in enumerate(sizes)
        for _ in range(times)
    ]
    some = [spread[i] for i in rng.integers(0, len(spread), PERTURBATIONS)]
    listed = [id(v) for v in case.model.weights]
    trainable = case.model.trainable_variables
    by_hand = [(listed.index(id(trainable[d.variable])), d.entry) for d, _ in some]
    graphs = evaluator.graphs_for(states, batch)

    def floor() -> None:
        for _ in range(PERTURBATIONS):
            float(plain(states, batch))

    def whole() -> None:
        graphs.losses(problem._values, states, batch, some)

    # Once one loss has been timed, graphs for parts are made if they pay.
    for _ in range(2):
        problem.losses(spread[:PERTURBATIONS])
    evaluator.prepare(problem._values, states, batch, spread * -(-CHECK // times))
    found = interleaved(
        rounds,
        floor=floor,
        whole=whole,
        hand=lambda: case.by_hand(by_hand),
        spread=lambda: problem.losses(spread),
    )
    counts = {"spread": len(spread)}
    found = {name: t / counts.get(name, PERTURBATIONS) for name, t in found.items()}
    return found, len(graphs.shortcuts.routes)


def checks(names: Iterable[str], rounds: int) -> None:
    print("\nChecks, in training steps (tracing: in first steps of `fit`)")
    print(
        f"{'model':<24}{'variables':>10}{'step':>10}{'examples':>10}{'screen':>8}"
        f"{'losses':>7}{'proven':>8}{'check':>7}{'losses':>7}{'whole':>7}"
        f"{'gradient':>10}{'tracing':>9}"
    )
    for name in names:
        # A collection of garbage takes as long as tracing a small model.
        cases = [Case(models.MODELS[name])]
        while len(cases) < 3 and cases[0].first_step < 2:
            cases.append(Case(models.MODELS[name]))
        shares = [one_off(case) for case in cases]
        gradient, traced = map(statistics.median, zip(*shares, strict=True))
        case = cases[-1]
        found, losses, passed, counts = one_check(case, rounds)
        proven = passed / case.variables
        step = found["step"]
        examples = "{} of {}".format(*counts)
        print(
            f"{name:<24}{case.variables:>10}{1e3 * step:>7.1f} ms{examples:>10}"
            f"{found['screen'] / step:>8.1f}{losses['screen']:>7}{proven:>8.0%}"
            f"{found['check'] / step:>7.1f}{losses['check']:>7}"
            f"{found['whole'] / step:>7.1f}"
            f"{gradient:>10.2f}{traced:>9.2f}",
            flush=True,
        )


def one_off(case: Case) -> Any:
    """What the first gradient takes, and all that is done but once, in first steps."""
    part = Subset(case.model, "bypass").of(case.batch)
    gradient = timed(case.problem, part)
    first = timed(case.check)
    case.forget_noise()
    traced = gradient + first - timed(case.check)
    return gradient / case.first_step, traced / case.first_step


def one_check(case: Case, rounds: int) -> Any:
    seconds = 20 * statistics.median(timed(case.step) for _ in range(5))
    reports: dict[str, list[kgw.GradientReport]] = {"screen": [], "check": []}
    drawn = {
        what: itertools.cycle([case.another_batch() for _ in range(rounds)])
        for what in ("screen", "check", "whole")
    }

    def run(what: Any, budget: Any) -> None:
        reports[what].append(case.check(budget, next(drawn[what])))

    found = interleaved(
        rounds,
        step=case.step,
        screen=lambda: run("screen", 0.0),
        check=lambda: run("check", seconds),
        whole=lambda: case.check_whole(next(drawn["whole"])),
    )
    losses = {
        what: int(statistics.median(r.evaluations for r in all_))
        for what, all_ in reports.items()
    }
    passed = statistics.median(r.count("PASS") for r in reports["screen"])
    return found, losses, passed, reports["screen"][-1].examples


def ways(names: Iterable[str], rounds: int) -> None:
    """A dense net of 4 variables; everything that the first check needs."""
    print("\nOther ways, on a dense net of 20-16-10; seconds, tracing included")

    def build() -> Any:
        stack = [layer(16, activation="tanh"), layer(10)]
        model = keras.Sequential([keras.Input((20,)), *stack])
        return models.compiled(model, models.numbers(32, 20))

    layer = keras.layers.Dense
    model, x, y = build()
    model.train_on_batch(x, y)
    case = Case(lambda: (model, x, y))
    sizes = [int(np.prod(w.shape)) for w in model.get_weights()]
    entries = [(k, e) for k, size in enumerate(sizes) for e in range(size)]

    def all_by_hand() -> None:
        case.by_hand([entry for entry in entries for _ in range(2)])

    def seed_by_hand() -> None:
        case.by_hand([e for e in entries if e[1] < 5 for _ in range(2)])

    def tf_test() -> None:
        variables = model.trainable_variables

        def loss(*values: Any) -> Any:
            pairs = list(zip(variables, values, strict=True))
            with keras.StatelessScope(pairs):
                return model.loss(y, model(x, training=True))

        tf.test.compute_gradient(loss, [tf.convert_to_tensor(v) for v in variables])

    functions = {
        "check_gradients (first check, all comparisons)": lambda: kgw.check_gradients(
            model, x, y
        ),
        "screen alone, once traced": case.check,
        "by hand, 5 entries of each": seed_by_hand,
        "by hand, all entries": all_by_hand,
        "tf.test.compute_gradient": tf_test,
        **torch_ways(x, y),
    }
    found = interleaved(max(3, rounds // 2), **functions)
    for name, seconds in found.items():
        print(f"{name:<48}{seconds:>8.3f} s")


def torch_ways(x: Any, y: Any) -> Any:
    """PyTorch's own checker on the same net, where PyTorch is installed."""
    try:
        import torch
    except ImportError:
        print("(torch.autograd.gradcheck: PyTorch is not installed)")
        return {}
    inputs = torch.tensor(x, dtype=torch.float64)
    targets = torch.tensor(y)
    shapes = [(16, 20), (16,), (10, 16), (10,)]
    weights = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]

    def loss(a: Any, b: Any, c: Any, d: Any) -> Any:
        hidden = torch.tanh(torch.nn.functional.linear(inputs, a, b))
        scores = torch.nn.functional.linear(hidden, c, d)
        return torch.nn.functional.cross_entropy(scores, targets)

    return {
        f"torch gradcheck, fast_mode={fast}": lambda fast=fast: (
            torch.autograd.gradcheck(loss, weights, fast_mode=fast)
        )
        for fast in (False, True)
    }


def fits(names: Iterable[str], rounds: int) -> None:
    whole_fits.table()


TABLES = {f.__name__: f for f in (evaluations, checks, ways, fits)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--models", nargs="+", default=list(models.MODELS))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    arguments = parser.parse_args()
    clock[:] = [CLOCKS[arguments.clock]]
    for table in arguments.only:
        TABLES[table](arguments.models, arguments.rounds)


if __name__ == "__main__":
    main()
