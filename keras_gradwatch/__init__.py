"""Keras callbacks that watch gradients while a model trains.

Example:

```python
import keras_gradwatch as kgw

model.fit(x, y, epochs=20, callbacks=[kgw.GradientCheck(log_dir="logs")])
kgw.assert_gradients(model, x, y)  # in a unit test
```

Importing this package imports neither Keras nor TensorFlow: the names below
are loaded when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what `__getattr__` finds, for those who read types
    from keras_gradwatch.alerts import Alert
    from keras_gradwatch.callbacks.gradient_check import GradientCheck
    from keras_gradwatch.callbacks.gradient_stats import GradientStats
    from keras_gradwatch.callbacks.non_finite_locator import NonFiniteLocator
    from keras_gradwatch.checks import assert_gradients, check_gradients
    from keras_gradwatch.errors import (
        BackendError,
        GradientAlertError,
        GradientAlertWarning,
        GradientMismatchError,
        GradientMismatchWarning,
        GradwatchError,
        GradwatchWarning,
        InvalidArgumentError,
        MissingPackageError,
        NonFiniteError,
        NonFiniteWarning,
        UncheckableError,
    )
    from keras_gradwatch.nonfinite.finding import NonFinite
    from keras_gradwatch.nonfinite.saved import SavedFailure, load_failure
    from keras_gradwatch.parts import (
        assert_function,
        assert_layer,
        assert_loss,
        check_function,
        check_layer,
        check_loss,
    )
    from keras_gradwatch.report import Comparison, GradientReport, VariableReport
    from keras_gradwatch.stats.reading import GradientReading, VariableStats
    from keras_gradwatch.tensorboard.reader import read_alerts, read_reports

# Where the public names live, below this package.
_NAMES = {
    "alerts": ["Alert"],
    "callbacks.gradient_check": ["GradientCheck"],
    "callbacks.gradient_stats": ["GradientStats"],
    "callbacks.non_finite_locator": ["NonFiniteLocator"],
    "checks": ["assert_gradients", "check_gradients"],
    "errors": [
        "BackendError",
        "GradientAlertError",
        "GradientAlertWarning",
        "GradientMismatchError",
        "GradientMismatchWarning",
        "GradwatchError",
        "GradwatchWarning",
        "InvalidArgumentError",
        "MissingPackageError",
        "NonFiniteError",
        "NonFiniteWarning",
        "UncheckableError",
    ],
    "nonfinite.finding": ["NonFinite"],
    "nonfinite.saved": ["SavedFailure", "load_failure"],
    "parts": [
        "assert_function",
        "assert_layer",
        "assert_loss",
        "check_function",
        "check_layer",
        "check_loss",
    ],
    "report": ["Comparison", "GradientReport", "VariableReport"],
    "stats.reading": ["GradientReading", "VariableStats"],
    "tensorboard.reader": ["read_alerts", "read_reports"],
}
_HOMES = {name: f"{__name__}.{home}" for home in _NAMES for name in _NAMES[home]}

__all__ = sorted(_HOMES)
__version__ = "0.1.0"


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *_HOMES])
