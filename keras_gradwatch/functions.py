"""What a user calls: the check of a model, a layer, a loss or any function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras_gradwatch.framework  # noqa: F401 - refuses another backend, before:

# isort: split
import keras

from keras_gradwatch.arguments import refuse
from keras_gradwatch.check.checker import GradientChecker
from keras_gradwatch.check.parts.call_arguments import CallArguments, names_of
from keras_gradwatch.check.parts.part import check_part
from keras_gradwatch.check.settings import Settings
from keras_gradwatch.check.subject import WholeModel
from keras_gradwatch.errors import InvalidArgumentError
from keras_gradwatch.findings.raised import passing
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.framework import batch as batches
from keras_gradwatch.framework.dtypes import lowest


def check_gradients(
    model: keras.Model,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    samples: int = 5,
    directions: int = 2,
    tolerance: float = 1e-3,
    dropout: str = "bypass",
    expected: Sequence[str] = (),
    time_budget: float | None = None,
    seed: int = 0,
) -> GradientReport:
    """Compares the gradients of a compiled model with differences of its loss.

    The model's own training step is traced, and its loss computed in float64 on
    a copy of its weights. For each trainable variable, single entries and
    random directions over all entries are compared with centred differences of
    the loss. The model is left as it is.

    Example:

    ```python
    report = kgw.check_gradients(model, x[:32], y[:32])
    print(report)
    assert report.passed
    ```

    Args:
        model: A built and compiled `keras.Model`.
        x: One batch of input data: an array, a tensor, or a dict or list of
            them, first axis the batch. A few dozen examples are enough.
        y: Targets, in the structure that the loss expects.
        sample_weight: Weights of the examples, as in `fit`.
        samples: How many entries of each variable to compare singly.
        directions: How many random directions of each variable to compare; one
            direction moves all entries of the variable at once.
        tolerance: Largest relative error `|a - n| / (|a| + |n|)` that counts
            as agreement.
        dropout: `"bypass"` switches dropout and noise layers off. `"freeze"`
            leaves them on and repeats the same draw in every evaluation. Any other
            draw is repeated in either case.
        expected: Patterns (`fnmatch`) of paths of variables whose mismatch is
            intended, such as `"*quantiser*"`, or what training makes of their
            gradient: negates it, drops it.
        time_budget: Seconds that it may take, tracing apart. All variables are
            screened in any case, and at least one that looks wrong is looked at
            closely. No limit if None.
        seed: Seed of the draws.

    Returns:
        A `GradientReport`.

    Raises:
        InvalidArgumentError: If the model is not ready, or an argument is
            wrong.
    """
    settings = Settings(
        samples=samples,
        directions=directions,
        tolerance=tolerance,
        dropout=dropout,
        expected=expected,
        time_budget=time_budget,
        seed=seed,
    )
    batch = batches.from_arrays(x, y, sample_weight)
    subject = WholeModel(model, settings.dropout)
    return GradientChecker(subject, settings).check(batch).report


def assert_gradients(
    model: keras.Model, x: Any, y: Any = None, sample_weight: Any = None, **options: Any
) -> GradientReport:
    """Like `check_gradients`, but raises unless the gradients are right.

    Example:

    ```python
    def test_gradients():
        kgw.assert_gradients(build_model(), x, y)
    ```

    Args:
        model: A built and compiled `keras.Model`.
        x: Input data, as for `check_gradients`.
        y: Targets.
        sample_weight: Weights of the examples.
        **options: The other arguments of `check_gradients`.

    Returns:
        The `GradientReport`, whose verdict is PASS.

    Raises:
        GradientMismatchError: If a gradient is wrong, or if it is not what the
            weights learn by: it underflows, or the training step hands its optimizer
            another one. An `AssertionError` whose text is the table, and whose
            `report` is the report.
        UncheckableError: If something could not be told, or no gradient gets through
            to a variable: the verdict is then INCONCLUSIVE.
    """
    __tracebackhide__ = True
    return passing(check_gradients(model, x, y, sample_weight, **options))


def check_layer(
    layer: keras.Layer,
    *inputs: Any,
    arguments: Mapping | None = None,
    training: bool = True,
    order: int = 1,
    **options: Any,
) -> GradientReport:
    """Checks the gradients of one layer, for its weights and for its inputs.

    Each output is differentiated by itself: its entries, each times a random number
    that stays the same, summed up. So is what the layer adds with `add_loss`,
    regularisers and activity regularisers. The backward pass is tried under larger,
    smaller and partly zero upstream gradients as well. So a gradient that comes out
    right is right for any loss behind the layer.

    The layer is left as it is: its weights, statistics and seeds too. One that
    is not built yet is built, as it would be by its first call.

    Example:

    ```python
    report = kgw.check_layer(MyLayer(8), np.random.normal(size=(4, 5)))
    print(report)  # a row for "inputs", and one for each weight
    ```

    Args:
        layer: A `keras.Layer`; a model is one, too.
        *inputs: What the layer is called with: arrays, tensors, or dicts, lists
            and tuples of them. Floats are differentiated for, and first take
            Keras' default float type; of sparse and ragged tensors, the values. All
            else is passed on as it is, and named in the report.
        arguments: Keyword arguments of the call, such as
            `{"mask": mask, "initial_state": [h, c]}`. Floats in them are
            differentiated for, too.
        training: What layers are told with `training`.
        order: With 2, second derivatives are checked as well: the gradient of
            the slope along a random direction that mixes all entries of all
            inputs and weights, as TensorFlow computes it, for these and for the
            upstream gradient of each output. The report has a section for each.
        **options: `samples`, `directions`, `tolerance`, `dropout`, `expected`,
            `time_budget` and `seed`, as for `check_gradients`.

    Returns:
        A `GradientReport`. Inputs are named as the parameters of `call`, such as
        `"inputs"` or `"inputs/0"`, weights by their paths. If there is more than one
        output or added loss, `target` says which one a row is about.

    Raises:
        InvalidArgumentError: If an argument is wrong, or there is nothing to
            differentiate.
    """
    if not isinstance(layer, keras.Layer):
        hint = ". Use `check_function` for a function" if callable(layer) else ""
        refuse("layer", f"a keras.Layer{hint}", layer)
    if not isinstance(training, bool):
        refuse("training", "True or False", training)
    names = names_of(layer.call, len(inputs))
    given = CallArguments(inputs, arguments or {}, names, dtype=keras.config.floatx())
    dtype = layer.compute_dtype
    if not keras.backend.is_float_dtype(dtype or ""):
        dtype = keras.config.floatx()
    return check_part(layer, given, order, options, dtype, training=training)


def check_loss(
    loss: Any,
    y_true: Any,
    y_pred: Any,
    *,
    wrt: Sequence[str] = ("y_pred",),
    order: int = 1,
    **options: Any,
) -> GradientReport:
    """Checks the gradient of a loss for the predictions.

    If the loss returns a value for each example, what is differentiated is their
    sum, each times a random number that stays the same. Other upstream gradients are
    tried, as by `check_layer`.

    Example:

    ```python
    kgw.check_loss(MyLoss(), y_true, y_pred)
    kgw.check_loss("huber", y_true, y_pred, wrt=("y_true", "y_pred"))
    ```

    Args:
        loss: A `keras.Loss`, the name of one, or a function of `y_true` and
            `y_pred`.
        y_true: Targets: an array or tensor, or a structure that the loss takes.
        y_pred: Predictions. Floats of both first take Keras' default float type.
        wrt: What to differentiate for: `"y_pred"`, `"y_true"` or both. Integers
            are never differentiated for.
        order: As for `check_layer`.
        **options: As for `check_layer`.

    Returns:
        A `GradientReport`, with a row for `"y_pred"`.

    Raises:
        InvalidArgumentError: If an argument is wrong, or there is nothing to
            differentiate.
    """
    if isinstance(loss, str):
        try:
            loss = keras.losses.get(loss)
        except ValueError:
            refuse("loss", "a keras.Loss, the name of one, or a function", loss)
    if not callable(loss) or isinstance(loss, type | keras.Layer):
        refuse("loss", "a keras.Loss, the name of one, or a function", loss)
    names = ("y_true", "y_pred")
    if isinstance(wrt, str) or not wrt or not set(wrt) <= set(names):
        refuse("wrt", f"a tuple of one or both of {names}", wrt)
    floatx = keras.config.floatx()
    still = set(names) - set(wrt)
    given = CallArguments((y_true, y_pred), {}, names, dtype=floatx, still=still)
    return check_part(loss, given, order, options, floatx, is_loss=True)


def check_function(
    fn: Callable, *args: Any, order: int = 1, **options: Any
) -> GradientReport:
    """Checks the gradient of any function of tensors, such as a custom gradient.

    Each output is differentiated by itself: its entries, each times a random number
    that stays the same, summed up. Other upstream gradients are tried, as by
    `check_layer`.

    Example:

    ```python
    kgw.check_function(my_op, np.random.normal(size=(3, 4)))
    kgw.check_function(functools.partial(tf.cumsum, axis=1), x, order=2)
    ```

    Args:
        fn: A function of tensors that returns tensors, or structures of them.
            For keyword arguments use `functools.partial`.
        *args: What it is called with. Floats are differentiated for: arrays and
            tensors, which keep their dtype, and Python's own; of complex
            numbers, real and imaginary part; of sparse and ragged tensors, the
            values. All else is passed on as it is, and named in the report.
        order: As for `check_layer`.
        **options: As for `check_layer`.

    Returns:
        A `GradientReport`. Arguments are named as the parameters of the
        function, or `"args/0"` and so on.

    Raises:
        InvalidArgumentError: If an argument is wrong, or there is nothing to
            differentiate.
        Exception: What the function itself raises.
    """
    if not callable(fn) or isinstance(fn, type):
        refuse("fn", "a function of tensors", fn)
    if isinstance(fn, keras.Layer):
        raise InvalidArgumentError(
            "Argument `fn` must be a function of tensors. Use `check_layer` for a "
            f"layer: it has weights. Received: fn={fn!r}"
        )
    given = CallArguments(args, {}, names_of(fn, len(args)))
    floats = [v.dtype for v in given.variables]
    return check_part(fn, given, order, options, lowest(floats))


def assert_layer(layer: keras.Layer, *inputs: Any, **options: Any) -> GradientReport:
    """Like `check_layer`, but raises unless the gradients are right.

    Example:

    ```python
    def test_my_layer():
        kgw.assert_layer(MyLayer(8), x)
    ```

    Args:
        layer: A `keras.Layer`.
        *inputs: What the layer is called with.
        **options: The other arguments of `check_layer`.

    Returns:
        The `GradientReport`, whose verdict is PASS.

    Raises:
        GradientMismatchError: If a gradient is wrong.
        UncheckableError: If something could not be told, or no gradient gets through
            to a variable: the verdict is then INCONCLUSIVE.
    """
    __tracebackhide__ = True
    return passing(check_layer(layer, *inputs, **options))


def assert_loss(loss: Any, y_true: Any, y_pred: Any, **options: Any) -> GradientReport:
    """Like `check_loss`, but raises unless the gradient is right.

    Args:
        loss: A `keras.Loss`, the name of one, or a function.
        y_true: Targets.
        y_pred: Predictions.
        **options: The other arguments of `check_loss`.

    Returns:
        The `GradientReport`, whose verdict is PASS.

    Raises:
        GradientMismatchError: If a gradient is wrong.
        UncheckableError: If something could not be told, or no gradient gets through
            to an argument: the verdict is then INCONCLUSIVE.
    """
    __tracebackhide__ = True
    return passing(check_loss(loss, y_true, y_pred, **options))


def assert_function(fn: Callable, *args: Any, **options: Any) -> GradientReport:
    """Like `check_function`, but raises unless the gradients are right.

    Args:
        fn: A function of tensors.
        *args: What it is called with.
        **options: The other arguments of `check_function`.

    Returns:
        The `GradientReport`, whose verdict is PASS.

    Raises:
        GradientMismatchError: If a gradient is wrong.
        UncheckableError: If something could not be told, or no gradient gets through
            to an argument: the verdict is then INCONCLUSIVE.
    """
    __tracebackhide__ = True
    return passing(check_function(fn, *args, **options))
