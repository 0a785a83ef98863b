"""What a user calls: the check of a whole set-up, before training."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import keras_gradwatch.framework  # noqa: F401 - refuses another backend, before:

# isort: split
import keras

from keras_gradwatch.arguments import refuse
from keras_gradwatch.findings.observation import Answer, answer, not_told
from keras_gradwatch.findings.raised import sound
from keras_gradwatch.findings.setup_report import SetupReport
from keras_gradwatch.framework import batch as batches
from keras_gradwatch.framework.devices import outside_strategies
from keras_gradwatch.framework.isolation import ONE_AT_A_TIME
from keras_gradwatch.framework.model import assert_built
from keras_gradwatch.setup.agreement import agreement
from keras_gradwatch.setup.attempts import attempt
from keras_gradwatch.setup.average import average
from keras_gradwatch.setup.case import Case
from keras_gradwatch.setup.first_loss import first_loss
from keras_gradwatch.setup.inputs import inputs
from keras_gradwatch.setup.overfit import overfit
from keras_gradwatch.setup.own_example import own_example
from keras_gradwatch.setup.sampled import sampled
from keras_gradwatch.setup.targets import targets
from keras_gradwatch.setup.weights import weights

_QUESTIONS = {
    "inputs": inputs,
    "targets": targets,
    "outputs": agreement,
    "first_loss": first_loss,
    "examples": own_example,
    "average": average,
    "weights": weights,
    "overfit": overfit,
}


def check_setup(
    model: keras.Model,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    expected: Sequence[str] = (),
) -> SetupReport:
    """Looks at model, loss and data together, before they are trained.

    Eight questions, each answered with its evidence: are inputs and targets sane; do
    outputs and loss agree; does the loss begin where a guess would; do the outputs of
    an example depend on that example alone; is the loss an average; does each weight
    get a gradient, and does Keras know it; can a few examples be learned by heart? All
    of it runs on a copy, and the model is left as it is.

    Example:

    ```python
    print(kgw.check_setup(model, x_train, y_train))
    ```

    Args:
        model: A built and compiled `keras.Model`.
        x: The training data, or some of them, as for `fit`: arrays, tensors, dicts
            and lists of them, or a `tf.data.Dataset`, a `keras.utils.PyDataset` or a
            generator, of which the first batches are taken. A generator has given
            them away then. Up to 1,024 examples are looked at, from all over.
        y: Targets, in the structure that the loss expects.
        sample_weight: Weights of the examples, as in `fit`.
        expected: Questions whose answer is on purpose, such as `"average"` for a loss
            that is a sum: that answer no longer counts for the verdict.

    Returns:
        A `SetupReport`.

    Raises:
        InvalidArgumentError: If the model is not ready, or an argument is
            wrong.
    """
    is_list = isinstance(expected, Iterable) and not isinstance(expected, str)
    if not is_list or any(name not in [*_QUESTIONS] for name in expected):
        names = ", ".join(map(repr, _QUESTIONS))
        refuse("expected", f"a list of names among {names}", expected)
    assert_built(model)
    started = time.perf_counter()
    many = sampled(x, y, sample_weight)
    with ONE_AT_A_TIME, outside_strategies(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns again in `fit`
        case = Case(model, many)
        answers = {name: _answered(ask, case) for name, ask in _QUESTIONS.items()}
    return SetupReport(
        **answers,
        examples_used=batches.batch_size(many) or 0,
        seconds=time.perf_counter() - started,
        expected=tuple(n for n in _QUESTIONS if n in expected),
    )


def _answered(ask, case) -> Answer:
    found, error = attempt(lambda: list(ask(case)))
    return answer(found or [not_told("failed", (error,))])


def assert_setup(
    model: keras.Model, x: Any, y: Any = None, sample_weight: Any = None, **options: Any
) -> SetupReport:
    """Like `check_setup`, but raises unless all is right.

    Example:

    ```python
    def test_setup():
        kgw.assert_setup(build_model(), x, y)
    ```

    Args:
        model: A built and compiled `keras.Model`.
        x: Training data, as for `check_setup`.
        y: Targets.
        sample_weight: Weights of the examples.
        **options: The other arguments of `check_setup`.

    Returns:
        The `SetupReport`, whose verdict is PASS.

    Raises:
        SetupError: If something is wrong or worth a look. An `AssertionError` whose
            text says all of it, and whose `report` is the report.
        UncheckableError: If something could not be told.
    """
    __tracebackhide__ = True
    return sound(check_setup(model, x, y, sample_weight, **options))
