"""Do outputs and loss agree: logits or probabilities, classes, shapes?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from keras_gradwatch.findings.observation import (
    Observation,
    look,
    not_told,
    right,
    wrong,
)
from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.setup.attempts import arr
from keras_gradwatch.setup.case import Case
from keras_gradwatch.setup.kinds_of_outputs import (
    BINARY,
    CATEGORICAL,
    POSITIVE,
    SIMPLEX,
    SPARSE,
    TAKEN,
    UNIT,
    axis_of,
    from_the_end,
    kind_of,
    kind_of_loss,
    kind_of_outputs,
    name_of_loss,
    takes_logits,
)

_ENTROPIES = (CATEGORICAL, SPARSE, BINARY)


def agreement(case: Case) -> Iterator[Observation]:
    """What is to be seen of the outputs and the loss.

    Args:
        case: The case.
    """
    forward, error = case.in_training
    if case.refusal:
        yield not_told("own_step", (case.refusal,))
    elif case.trained[0] is None and not case.several:
        if case.is_refused:
            yield not_told("own_step", (case.trained[1],))
            return
        kind = "model_raises" if forward is None else "loss_raises"
        yield wrong(kind, (error or case.trained[1],))
        return
    elif case.trained[0] and not np.isfinite(case.trained[0][0]):
        yield wrong("loss_not_finite", (), case.trained[0][0])
    if case.is_default and internals.has_default_loss(case.model):
        if not case.losses:
            # Nothing was compiled: the loss is what layers add.
            observed = right if case.y is None else not_told
            yield observed("no_compiled_loss")
        for loss, target, outputs, far in case.losses:
            name, axis = name_of_loss(loss), axis_of(loss, outputs.ndim)
            if name in TAKEN:
                yield from _taken(name, outputs, far, axis)
            elif kind_of_loss(loss) in _ENTROPIES:
                given = name, takes_logits(loss), axis
                yield from _of_loss(*given, arr(target), outputs, far)
        others = [
            loss.name
            for loss, *_ in case.losses
            if kind_of_loss(loss) not in _ENTROPIES and name_of_loss(loss) not in TAKEN
        ]
        if others:
            yield from _inside(case, right("any_outputs", others))
    else:
        own = "`compute_loss`" if case.is_default else "`train_step`"
        yield from _inside(case, not_told("own_loss", (own,)))


def _inside(case, otherwise):
    """The cross-entropies of Keras that are called in code of the user's own."""
    found = [] if case.trained[0] is None else case.entropies
    known = False
    for entropy, target, outputs, far in found:
        known = True
        axis = from_the_end(entropy.axis, outputs.ndim)
        given = entropy.name, entropy.takes_logits, axis
        yield from _of_loss(*given, target, outputs, far)
    if not known:
        yield otherwise


def _taken(name, outputs, far, axis):
    """What a loss takes that does not say so when it gets something else."""
    gives = kind_of_outputs(far, axis)
    low, high = min(far.min(), outputs.min()), max(far.max(), outputs.max())
    if TAKEN[name] == SIMPLEX and gives not in (SIMPLEX, UNIT):
        yield wrong("no_probabilities", (name,), low, high)
    elif TAKEN[name] == POSITIVE and low < 0:
        yield wrong("negative_rates", (name,), low, high)
    else:
        what = "probabilities" if TAKEN[name] == SIMPLEX else "positive numbers"
        yield right("outputs_agree", (name, what), low, high)


def _of_loss(name, is_of_logits, axis, y, outputs, far):
    kind = kind_of(name)
    gives = kind_of_outputs(far, axis)
    low, high = far.min(), far.max()
    if kind != BINARY and outputs.shape[axis] == 1:
        yield wrong("one_class", (name,))
    elif gives == SIMPLEX and outputs.shape[axis] == 1:
        yield wrong("softmax_of_one", (name,))
    elif is_of_logits and gives in (SIMPLEX, UNIT):
        what = "softmax" if gives == SIMPLEX else "sigmoid"
        yield wrong("squashed_twice", (name, what), low, high)
    elif not is_of_logits and gives not in (SIMPLEX, UNIT):
        if outputs.min() < 0 or outputs.max() > 1:
            low, high = outputs.min(), outputs.max()  # as they are, not moved
        yield wrong("logits_as_probabilities", (name,), low, high)
    elif kind == BINARY and gives == SIMPLEX and not _is_one_hot(y, axis):
        yield wrong("softmax_of_many_labels", (name,))
    elif kind != BINARY and not is_of_logits and gives == UNIT:
        yield look("sigmoids_of_classes", (name,), *_sums(far, axis))
    else:
        what = "logits" if is_of_logits else "probabilities"
        yield right("outputs_agree", (name, what), low, high)


def _is_one_hot(y, axis):
    return y.ndim < 2 or bool(np.all(np.abs(y.sum(axis=axis) - 1) < 1e-2))


def _sums(far, axis):
    sums = far.sum(axis=axis)
    return sums.min(), sums.max()
