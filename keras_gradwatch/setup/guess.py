"""The loss of who knows nothing of the inputs: class frequencies, or the mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_gradwatch.setup.attempts import arr
from keras_gradwatch.setup.kinds_of_outputs import (
    BINARY,
    CATEGORICAL,
    ELEMENTWISE,
    OTHER,
    SPARSE,
    axis_of,
    kind_of_loss,
    takes_logits,
)

_TINY = 1e-6


@dataclass(frozen=True)
class Guess:
    """Losses of who knows nothing of the inputs.

    Args:
        informed: Of who knows the frequencies or the mean of the targets.
        uniform: Of who gives each class the same probability; None without classes.
        is_known: Whether the loss is one of those whose guess is known, not tried out.
        perfect: Of who knows the targets: more than 0 where these are uncertain.
    """

    informed: float
    uniform: float | None
    is_known: bool
    perfect: float = 0.0

    @property
    def of_nothing(self) -> float:
        """Of who does not even know how often each class is."""
        return max(self.informed, self.uniform or self.informed)


def guess_of(
    losses: Sequence[Any],
    targets: Sequence[Any],
    outputs: Sequence[tf.Tensor],
    value: Callable[[list[tf.Tensor]], float | None],
) -> Guess | None:
    """The loss of a guess, by the compiled loss itself.

    Args:
        losses: For each output.
        targets: For each output.
        outputs: As the model gives them.
        value: The loss of other outputs.

    Returns:
        None if no guess can be made for this loss.
    """
    if not len(losses) == len(outputs) == len(targets):
        return None
    wanted = list(zip(losses, targets, outputs, strict=True))
    made = [list(_guesses(loss, y, p)) for loss, y, p in wanted]
    if not all(made):
        return None

    def of(guesses):
        pairs = zip(guesses, outputs, strict=True)
        return value([tf.cast(np.broadcast_to(g, t.shape), t.dtype) for g, t in pairs])

    most = max(map(len, made))
    tries = [of([one[min(k, len(one) - 1)] for one in made]) for k in range(most)]
    tries = [found for found in tries if found is not None and np.isfinite(found)]
    if not tries:
        return None
    kinds = {kind_of_loss(loss) for loss in losses}
    uniform = None
    if kinds <= {CATEGORICAL, SPARSE, BINARY}:
        uniform = of([_even(p, loss) for loss, _, p in wanted])
    if OTHER in kinds:
        return Guess(min(tries), uniform, False)
    perfect = of([_perfect(p, y, loss) for loss, y, p in wanted])
    return Guess(min(tries), uniform, True, min(perfect or 0.0, min(tries)))


def _guesses(loss, y, p) -> Iterator[np.ndarray]:
    """Outputs of a guess, one number for each class or feature."""
    kind, given = kind_of_loss(loss), arr(y)
    if given.dtype.kind not in "fiub":
        return
    shape = tuple(p.shape)
    if kind in (CATEGORICAL, SPARSE) and axis_of(loss, len(shape)) != -1:
        return
    if kind == SPARSE:
        count = shape[-1]
        labels = given[(given >= 0) & (given < count)].astype(int).ravel()
        if labels.size:
            shares = np.bincount(labels, minlength=count) / labels.size
            yield _as_outputs(shares, loss)
        return
    given = given.astype(float)
    if given.ndim == len(shape) - 1 and shape[-1] == 1:
        given = given[..., None]
    if given.ndim == len(shape) + 1 and given.shape[-1] == 1:
        given = given[..., 0]
    if given.shape != shape:
        return
    mean = given.mean(axis=tuple(range(max(given.ndim - 1, 1))))
    if kind in (CATEGORICAL, BINARY):
        yield _as_outputs(mean, loss, kind == BINARY)
        return
    yield mean
    if kind == ELEMENTWISE or not (given.min() >= 0 and given.max() <= 1):
        return
    for is_binary in (False, True):  # a loss of the user's own may take logits
        yield _as_logits(mean, is_binary)


def _perfect(p, y, loss):
    """Outputs of who knows the targets."""
    given, kind = arr(y), kind_of_loss(loss)
    if kind == SPARSE:
        given = given[..., 0] if given.ndim == len(p.shape) else given
        given = np.eye(p.shape[-1])[given.astype(int).clip(0, p.shape[-1] - 1)]
    given = given.astype(float).reshape(tuple(p.shape))
    if kind == ELEMENTWISE:
        return given
    # Where no class is meant, shares of nothing are not a number.
    return _as_outputs(np.maximum(given, _TINY), loss, kind == BINARY)


def _as_outputs(shares, loss, is_binary=False):
    """Probabilities, as logits where the loss takes those."""
    return _as_logits(shares, is_binary) if takes_logits(loss) else shares


def _as_logits(shares, is_binary):
    shares = np.clip(shares, _TINY, 1 - _TINY)
    return np.log(shares) - (np.log(1 - shares) if is_binary else 0)


def _even(p, loss):
    if takes_logits(loss):
        return np.zeros(p.shape)
    share = 0.5 if kind_of_loss(loss) == BINARY else 1 / p.shape[-1]
    return np.full(p.shape, share)
