"""A whole comparison of a NumPy problem, with time for so many losses."""

from __future__ import annotations

import math

import numpy as np

from keras_gradwatch.check.numerics.compare import compare
from keras_gradwatch.check.numerics.history import History
from keras_gradwatch.check.numerics.judgement import MISMATCH
from keras_gradwatch.check.numerics.plan import Plan


class Clock:
    """Time for so many losses in all."""

    def __init__(self, problem, pairs, extra=0):
        self.problem, self.left, self.extra = problem, pairs, extra
        self.usual = pairs
        self.suspected = False

    def pairs(self):
        return max(0, self.left - self.problem.evaluations / 2)

    def usual_pairs(self):
        return max(0, self.usual - self.problem.evaluations / 2)

    def suspect(self):
        self.suspected = True
        self.left, self.extra = self.left + self.extra, 0


def compared(problem, pairs=math.inf, past=None, seed=0, extra=0):
    problem.evaluations = 0
    past = past or History(problem.sizes)
    clock = Clock(problem, pairs, extra)
    shapes = [a.shape for a in problem.arrays]
    rng = np.random.default_rng(seed)
    return compare(problem, shapes, Plan(5, 2, 1e-3), past, clock, rng), past


def wrong(found):
    return {i.direction.variable for i in found.items if i.word == MISMATCH}


def alone(found):
    return {i.direction.variable for i in found.items if i.among == 1}
