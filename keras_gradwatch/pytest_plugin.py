"""The pytest plugin: two fixtures, a marker, and how to run a failing case again.

Loaded by pytest in every project where this package is installed, so it imports
neither Keras nor TensorFlow until a test asks for a fixture.
"""

from __future__ import annotations

import random
import shlex
from collections.abc import Callable, Generator
from typing import Any

import pytest

import keras_gradwatch as kgw

_MARKER = "gradient_check"
_USED = pytest.StashKey[dict[str, Any]]()
_RANDOM = "random"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("gradwatch", "gradient checks")
    group.addoption(
        "--gradwatch-seed",
        type=_seed,
        metavar="N",
        help="seed of the draws of each gradient check, or 'random' for a new one in "
        "each run",
    )
    group.addoption(
        "--gradwatch-samples",
        type=_count,
        metavar="N",
        help="how many entries of each variable a gradient check compares singly",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(tolerance=..., seed=..., ...): options of the checks that the "
        f"fixture `{_MARKER}` makes in this test, as of `check_gradients`",
    )
    # Drawn once, here: the workers of pytest-xdist get what it has become.
    if config.option.gradwatch_seed == _RANDOM:
        config.option.gradwatch_seed = random.SystemRandom().randrange(2**31)


class GradientChecks:
    """Checks gradients in a test, with the options of its marker and of the run.

    Args:
        options: What every check gets, unless a call says otherwise.
        used: Filled with the seed and samples of the last check.
    """

    def __init__(self, options: dict[str, Any], used: dict[str, Any]):
        self._options, self._used = options, used

    def __call__(
        self,
        model: Any,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        **options: Any,
    ) -> kgw.GradientReport:
        """As `assert_gradients`."""
        __tracebackhide__ = True
        return self._run(kgw.assert_gradients, model, x, y, sample_weight, **options)

    def layer(self, layer: Any, *inputs: Any, **options: Any) -> kgw.GradientReport:
        """As `assert_layer`."""
        __tracebackhide__ = True
        return self._run(kgw.assert_layer, layer, *inputs, **options)

    def loss(
        self, loss: Any, y_true: Any, y_pred: Any, **options: Any
    ) -> kgw.GradientReport:
        """As `assert_loss`."""
        __tracebackhide__ = True
        return self._run(kgw.assert_loss, loss, y_true, y_pred, **options)

    def function(
        self, fn: Callable[..., Any], *args: Any, **options: Any
    ) -> kgw.GradientReport:
        """As `assert_function`."""
        __tracebackhide__ = True
        return self._run(kgw.assert_function, fn, *args, **options)

    def _run(
        self,
        check: Callable[..., kgw.GradientReport],
        *arguments: Any,
        **options: Any,
    ) -> kgw.GradientReport:
        __tracebackhide__ = True
        chosen = {**self._options, **options}
        self._used.update({k: v for k, v in chosen.items() if k in ("seed", "samples")})
        return check(*arguments, **chosen)


@pytest.fixture
def gradient_check(request: pytest.FixtureRequest) -> GradientChecks:
    """Checks gradients, and fails the test with the table if one is wrong.

    Example:

    ```python
    def test_my_layer(gradient_check):
        gradient_check.layer(MyLayer(8), x)
        gradient_check.loss(MyLoss(), y_true, y_pred)
        gradient_check.function(my_op, x)
        gradient_check(model, x, y)  # the training loss of a compiled model
    ```
    """
    options = {"seed": 0, "samples": 5}
    for marker in reversed(list(request.node.iter_markers(_MARKER))):
        if marker.args:
            raise kgw.InvalidArgumentError(
                f"The marker `{_MARKER}` takes keyword arguments only, such as "
                f"`tolerance=1e-4`. Received: {marker.args!r}"
            )
        options |= marker.kwargs
    for name in ("seed", "samples"):
        asked = getattr(request.config.option, f"gradwatch_{name}")
        if asked is not None:
            options[name] = asked
    used = request.node.stash.setdefault(_USED, {})
    return GradientChecks(options, used)


@pytest.fixture
def setup_check() -> Callable[..., kgw.SetupReport]:
    """Checks a whole set-up, and fails the test with all that is wrong with it.

    Example:

    ```python
    def test_my_setup(setup_check):
        setup_check(model, x, y)  # as `assert_setup`
    ```
    """
    return kgw.assert_setup


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    used = item.stash.get(_USED, {})
    if report.when == "call" and report.failed and used:
        options = [f"--gradwatch-{name}={value}" for name, value in used.items()]
        command = shlex.join(["pytest", item.nodeid, *options])
        report.sections.append(("gradient check", f"To run it again:\n\n{command}"))
    return report


def _seed(text: str) -> str | int:
    return text if text == _RANDOM else _count(text)


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError(text)
    return value
