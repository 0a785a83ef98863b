"""Can a few examples be learned by heart?

With an Adam of our own, on the copy: whether the model can learn at all does not hang
on the learning rate of the first steps, which warm-up may hold at zero.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_gradwatch.findings.observation import (
    Observation,
    not_told,
    right,
    wrong,
)
from keras_gradwatch.setup.attempts import arr, attempt
from keras_gradwatch.setup.case import Case
from keras_gradwatch.setup.sampled import rows

# So few that they can be told apart by any model with as many weights, so many that
# their mean does not fit them.
_EXAMPLES = 8
# Learning rates to try, the usual first. The large ones are for targets in the
# thousands, that a small step would take days to.
_RATES = (1e-2, 1e-3, 1e-1, 1e-4, 3.0)
_STEPS = 200
# All of them together take as many seconds at most.
_SECONDS = 8.0
# Learned, if the loss is below this share of that of a guess; not learned above the
# second one, where it stands still.
_LEARNED, _NOTHING = 0.7, 0.9
# A guess that is as close as this to the best there is leaves nothing to learn.
_NEARLY = 0.01
# Without a guess: by which share of itself the loss must fall, or does not.
_FALLEN, _STAYED = 0.3, 0.01


@dataclass(frozen=True)
class _Run:
    """What some steps came to.

    Attributes:
        rate: Their learning rate.
        losses: The training loss before each, and at the end.
        data: The compiled loss at the end, None if there is none.
    """

    rate: float
    losses: list[float]
    data: float | None

    @property
    def is_still(self) -> bool:
        """Whether it has stopped falling."""
        if len(self.losses) < 8:
            return False
        last = self.losses[-(len(self.losses) // 4) :]
        before = np.mean(self.losses[: -len(last)])
        low = min(self.losses)
        return bool(np.mean(last) > low + 0.9 * (before - low)) or bool(
            abs(np.mean(last[: len(last) // 2]) - np.mean(last[len(last) // 2 :]))
            <= 0.01 * abs(np.mean(last))
        )


def overfit(case: Case) -> Iterator[Observation]:
    """What is to be seen of some steps on a few examples.

    Args:
        case: The case.
    """
    if case.trained[0] is None or not case.model.trainable_variables:
        kind = "several_losses" if case.several else "no_loss"
        why = case.why or "nothing is trained"
        yield not_told(kind, (why,), case.several)
        return
    if all(g is None for g in case.trained[0][1]):
        yield wrong("no_gradient_at_all")
        return
    small, forward = _small(case)
    guess = case.guess_on(small, forward)
    if guess is not None and guess.informed - guess.perfect <= _NEARLY * guess.informed:
        guess = None  # a constant fits them
    start = case.rehearsal.loss(small)[0]
    if not np.isfinite(start):
        yield not_told("no_loss", ("the loss is not finite",))
        return
    runs, is_learned = _tried(case, small, forward, guess)
    best = min(runs, key=lambda run: run.data if guess else run.losses[-1])
    count = case.count and min(_EXAMPLES, case.count)
    figures = (count or np.nan, len(best.losses) - 1, start, best.losses[-1])
    if is_learned:
        yield right("learned", (), *figures)
    elif not all(run.is_still for run in runs) or len(runs) < 2:
        yield not_told("still_falling", (), *figures)
    elif guess is not None and best.data > _between(guess, _NOTHING):
        yield wrong("learned_nothing", (), *figures[:2], best.data, guess.informed)
    elif guess is None and start - best.losses[-1] < _STAYED * abs(start):
        yield wrong("does_not_fall", (), *figures)
    else:
        yield not_told("learned_little", (), *figures)


def _between(guess, share):
    """A loss on the way from that of who knows the targets to that of a guess."""
    return guess.perfect + share * (guess.informed - guess.perfect)


def _small(case):
    """A few examples whose targets differ, and as few as there are weights for."""
    forward = case.in_training[0]
    if case.count is None:
        return case.part, forward
    parameters = sum(int(np.prod(v.shape)) for v in case.rehearsal.variables)
    outputs = 1
    if forward is not None:
        outputs = sum(
            int(np.prod(t.shape[1:])) for t in tf.nest.flatten(forward.outputs)
        )
    most = max(min(_EXAMPLES, case.count, parameters // max(outputs, 1)), 2)
    index = sorted(_diverse(case)[:most])
    small = rows(case.part, index)
    found, _ = attempt(lambda: case.rehearsal.forward(small, True))
    if found is None and forward is not None:  # it is one piece
        return case.part, forward
    return small, found


def _diverse(case):
    """Numbers of examples, those with targets that were not there before first."""
    flat = [t for t in tf.nest.flatten(case.y) if isinstance(t, tf.Tensor)]
    seen: set[bytes] = set()
    new: list[int] = []
    old: list[int] = []
    for k in range(case.count):
        key = b"".join(arr(t)[k].tobytes() for t in flat)
        (old if key in seen else new).append(k)
        seen.add(key)
    return [*new, *old]


def _tried(case, small, forward, guess):
    """Trains the copy with one learning rate after the other, until it has learned."""
    runs: list[_Run] = []
    step, slots = _adam(case.rehearsal, small)
    step(tf.constant(0.0), tf.constant(1.0))  # which compiles it
    end = time.perf_counter() + _SECONDS
    for rate in _RATES:
        for slot in slots:
            slot.assign(tf.zeros_like(slot))
        case.rehearsal.reset()
        losses: list[float] = []
        data = None
        for k in range(1, _STEPS + 1):
            losses.append(float(step(tf.constant(rate), tf.constant(float(k)))))
            if not np.isfinite(losses[-1]):
                break
            if k % 20 == 0 or time.perf_counter() > end:
                data = _data(case, small, forward)
                if _is_learned(losses, data, guess):
                    case.rehearsal.reset()
                    return [_Run(rate, losses, data)], True
                if time.perf_counter() > end:
                    break
        if np.all(np.isfinite(losses)):
            runs.append(_Run(rate, losses, data))
        if time.perf_counter() > end:
            break
    case.rehearsal.reset()
    return runs or [_Run(rate, losses, data)], False


def _data(case, small, forward):
    if forward is None or not case.is_default:
        return None
    return case.data_loss(small, case.rehearsal.forward(small, True))


def _is_learned(losses, data, guess):
    if guess is not None and data is not None:
        return data < _between(guess, _LEARNED)
    return losses[0] - losses[-1] > _FALLEN * abs(losses[0])


def _adam(run, batch):
    """One step of Adam on the copy, and its slots: flat, for all weights.

    The gradients come from a graph that was made ready before; only the update is new.
    """
    gradients, states, values = run.step(batch), run.states, run.values
    sizes = [int(np.prod(v.shape)) for v in values]
    slots = [tf.Variable(tf.zeros(sum(sizes))) for _ in range(2)]
    mean, square = slots

    @tf.function(autograph=False)
    def update(found, rate, number):
        rest = iter(found)
        flat = [
            tf.reshape(next(rest), [-1]) if there else tf.zeros(size)
            for there, size in zip(run.has_gradient, sizes, strict=True)
        ]
        gradient = tf.concat(flat, 0)
        mean.assign(0.9 * mean + 0.1 * gradient)
        square.assign(0.99 * square + 0.01 * tf.square(gradient))
        size = tf.sqrt(square / (1 - 0.99**number)) + 1e-12
        moves = tf.split(rate * mean / (1 - 0.9**number) / size, sizes)
        for value, move in zip(values, moves, strict=True):
            value.assign_sub(tf.cast(tf.reshape(move, value.shape), value.dtype))

    def step(rate, number):
        loss, found = gradients(states, batch)
        update(list(found), rate, number)
        return loss

    return step, slots
