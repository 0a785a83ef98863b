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
        UncheckableError,
    )
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

_HOMES = {
    "GradientCheck": "keras_gradwatch.callbacks.gradient_check",
    "GradientStats": "keras_gradwatch.callbacks.gradient_stats",
    "check_gradients": "keras_gradwatch.checks",
    "assert_gradients": "keras_gradwatch.checks",
    "read_alerts": "keras_gradwatch.tensorboard.reader",
    "assert_function": "keras_gradwatch.parts",
    "assert_layer": "keras_gradwatch.parts",
    "assert_loss": "keras_gradwatch.parts",
    "check_function": "keras_gradwatch.parts",
    "check_layer": "keras_gradwatch.parts",
    "check_loss": "keras_gradwatch.parts",
    "read_reports": "keras_gradwatch.tensorboard.reader",
    "Alert": "keras_gradwatch.alerts",
    "Comparison": "keras_gradwatch.report",
    "GradientReport": "keras_gradwatch.report",
    "VariableReport": "keras_gradwatch.report",
    "GradientReading": "keras_gradwatch.stats.reading",
    "VariableStats": "keras_gradwatch.stats.reading",
    "BackendError": "keras_gradwatch.errors",
    "GradientAlertError": "keras_gradwatch.errors",
    "GradientAlertWarning": "keras_gradwatch.errors",
    "GradientMismatchError": "keras_gradwatch.errors",
    "GradientMismatchWarning": "keras_gradwatch.errors",
    "GradwatchError": "keras_gradwatch.errors",
    "GradwatchWarning": "keras_gradwatch.errors",
    "InvalidArgumentError": "keras_gradwatch.errors",
    "MissingPackageError": "keras_gradwatch.errors",
    "UncheckableError": "keras_gradwatch.errors",
}

__all__ = [
    "Alert",
    "BackendError",
    "Comparison",
    "GradientAlertError",
    "GradientAlertWarning",
    "GradientCheck",
    "GradientMismatchError",
    "GradientMismatchWarning",
    "GradientReading",
    "GradientReport",
    "GradientStats",
    "GradwatchError",
    "GradwatchWarning",
    "InvalidArgumentError",
    "MissingPackageError",
    "UncheckableError",
    "VariableReport",
    "VariableStats",
    "assert_function",
    "assert_gradients",
    "assert_layer",
    "assert_loss",
    "check_function",
    "check_gradients",
    "check_layer",
    "check_loss",
    "read_alerts",
    "read_reports",
]
__version__ = "0.1.0"


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *_HOMES])
