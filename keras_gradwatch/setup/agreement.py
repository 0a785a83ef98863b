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
    SIMPLEX,
    SPARSE,
    UNIT,
    axis_of,
    kind_of_loss,
    kind_of_outputs,
    name_of_loss,
    takes_logits,
)


def agreement(case: Case) -> Iterator[Observation]:
    """What is to be seen of the outputs and the loss.

    Args:
        case: The case.
    """
    forward, error = case.in_training
    if case.refusal:
        yield not_told("own_step", (case.refusal,))
    elif case.trained[0] is None and not case.several:
        if "UncheckableError" in case.trained[1]:
            yield not_told("own_step", (case.trained[1],))
            return
        kind = "model_raises" if forward is None else "loss_raises"
        yield wrong(kind, (error or case.trained[1],))
        return
    elif case.trained[0] and not np.isfinite(case.trained[0][0]):
        yield wrong("loss_not_finite", (), case.trained[0][0])
    if not case.is_default:
        yield not_told("own_loss", ("`train_step`",))
    elif not internals.has_default_loss(case.model):
        yield not_told("own_loss", ("`compute_loss`",))
        return
    elif not case.losses:
        # Nothing was compiled: the loss is what layers add.
        observed = right if case.y is None else not_told
        yield observed("no_compiled_loss")
    for loss, target, outputs, far in case.losses:
        yield from _of_loss(loss, arr(target), outputs, far)


def _of_loss(loss, y, outputs, far):
    kind = kind_of_loss(loss)
    name = name_of_loss(loss) or loss.name
    if kind not in (CATEGORICAL, SPARSE, BINARY):
        yield right("any_outputs", (name,))
        return
    gives = kind_of_outputs(far, axis_of(loss))
    low, high = far.min(), far.max()
    if kind != BINARY and outputs.shape[axis_of(loss)] == 1:
        yield wrong("one_class", (name,))
    elif gives == SIMPLEX and outputs.shape[-1] == 1:
        yield wrong("softmax_of_one", (name,))
    elif takes_logits(loss) and gives in (SIMPLEX, UNIT):
        what = "softmax" if gives == SIMPLEX else "sigmoid"
        yield wrong("squashed_twice", (name, what), low, high)
    elif not takes_logits(loss) and gives not in (SIMPLEX, UNIT):
        yield wrong("logits_as_probabilities", (name,), low, high)
    elif kind == BINARY and gives == SIMPLEX and not _is_one_hot(y):
        yield wrong("softmax_of_many_labels", (name,))
    elif kind != BINARY and not takes_logits(loss) and gives == UNIT:
        yield look("sigmoids_of_classes", (name,), *_sums(far, axis_of(loss)))
    else:
        what = "logits" if takes_logits(loss) else "probabilities"
        yield right("outputs_agree", (name, what), low, high)


def _is_one_hot(y):
    return y.ndim < 2 or bool(np.all(np.abs(y.sum(axis=-1) - 1) < 1e-2))


def _sums(far, axis):
    sums = far.sum(axis=axis)
    return sums.min(), sums.max()
