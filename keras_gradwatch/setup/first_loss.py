"""How does the loss at the present weights compare with that of a guess?"""

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
from keras_gradwatch.setup.case import Case


def first_loss(case: Case) -> Iterator[Observation]:
    """What is to be seen of the first loss.

    Args:
        case: The case.
    """
    loss, guess = case.first_data_loss, case.guess
    if case.trained[0] is not None and not np.isfinite(case.trained[0][0]):
        yield wrong("loss_not_finite", (), case.trained[0][0])
    elif loss is None:
        yield not_told("no_first_loss", (_why(case),))
    elif loss == 0 and case.y is not None:
        yield look("zero_loss")
    elif guess is None:
        kind = right if case.y is None else not_told
        yield kind("no_guess", (), loss)
    elif case.starts_far_off:
        yield look("starts_far_off", (), loss, guess.informed, guess.of_nothing)
    elif guess.uniform is not None:
        yield right("first_loss_of_classes", (), loss, guess.informed, guess.uniform)
    else:
        yield right("first_loss", (), loss, guess.informed)


def _why(case):
    if case.trained[0] is not None and not case.is_default:
        return "the model has a `train_step` of its own"
    return case.why or "the outputs have no loss"
