"""Keras callbacks that watch gradients, and the loss, while a model trains.

Example:

```python
import keras_gradwatch as kgw

model.fit(x, y, epochs=20, callbacks=[kgw.GradientCheck(log_dir="logs")])
kgw.assert_gradients(model, x, y)  # in a unit test
```

Importing this package imports neither Keras nor TensorFlow: the names below
are loaded when they are first used.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what `__getattr__` finds, for those who read types
    from keras_gradwatch.callbacks.gradient_check import (
        GradientCheck,
    )
    from keras_gradwatch.callbacks.gradient_stats import (
        GradientStats,
    )
    from keras_gradwatch.callbacks.loss_watch import (
        LossWatch,
    )
    from keras_gradwatch.callbacks.non_finite_locator import (
        NonFiniteLocator,
    )
    from keras_gradwatch.errors import (
        BackendError,
        GradientAlertWarning,
        GradientMismatchWarning,
        GradwatchError,
        GradwatchWarning,
        InvalidArgumentError,
        LossAlertWarning,
        MissingPackageError,
        NonFiniteWarning,
        UncheckableError,
    )
    from keras_gradwatch.findings.alert import (
        Alert,
    )
    from keras_gradwatch.findings.incident import (
        Incident,
    )
    from keras_gradwatch.findings.nonfinite import (
        NonFinite,
    )
    from keras_gradwatch.findings.raised import (
        GradientAlertError,
        GradientMismatchError,
        LossAlertError,
        NonFiniteError,
        SetupError,
    )
    from keras_gradwatch.findings.reading import (
        GradientReading,
        LayerStats,
        NoiseScale,
        VariableStats,
    )
    from keras_gradwatch.findings.report import (
        GradientReport,
    )
    from keras_gradwatch.findings.setup_report import (
        SetupReport,
    )
    from keras_gradwatch.findings.variable import (
        Comparison,
        VariableReport,
    )
    from keras_gradwatch.functions import (
        assert_function,
        assert_gradients,
        assert_layer,
        assert_loss,
        check_function,
        check_gradients,
        check_layer,
        check_loss,
    )
    from keras_gradwatch.nonfinite.saved import (
        SavedFailure,
        load_failure,
    )
    from keras_gradwatch.setup.check_setup import (
        assert_setup,
        check_setup,
    )
    from keras_gradwatch.tensorboard.reader import (
        read_alerts,
        read_reports,
    )

# Where the public names live, below this package.
_NAMES = {
    "callbacks.gradient_check": [
        "GradientCheck",
    ],
    "callbacks.gradient_stats": [
        "GradientStats",
    ],
    "callbacks.loss_watch": [
        "LossWatch",
    ],
    "callbacks.non_finite_locator": [
        "NonFiniteLocator",
    ],
    "errors": [
        "BackendError",
        "GradientAlertWarning",
        "GradientMismatchWarning",
        "GradwatchError",
        "GradwatchWarning",
        "InvalidArgumentError",
        "LossAlertWarning",
        "MissingPackageError",
        "NonFiniteWarning",
        "UncheckableError",
    ],
    "findings.alert": [
        "Alert",
    ],
    "findings.incident": [
        "Incident",
    ],
    "findings.nonfinite": [
        "NonFinite",
    ],
    "findings.raised": [
        "GradientAlertError",
        "GradientMismatchError",
        "LossAlertError",
        "NonFiniteError",
        "SetupError",
    ],
    "findings.reading": [
        "GradientReading",
        "LayerStats",
        "NoiseScale",
        "VariableStats",
    ],
    "findings.report": [
        "GradientReport",
    ],
    "findings.setup_report": [
        "SetupReport",
    ],
    "findings.variable": [
        "Comparison",
        "VariableReport",
    ],
    "functions": [
        "assert_function",
        "assert_gradients",
        "assert_layer",
        "assert_loss",
        "check_function",
        "check_gradients",
        "check_layer",
        "check_loss",
    ],
    "nonfinite.saved": [
        "SavedFailure",
        "load_failure",
    ],
    "setup.check_setup": [
        "assert_setup",
        "check_setup",
    ],
    "tensorboard.reader": [
        "read_alerts",
        "read_reports",
    ],
}
_HOMES = {name: f"{__name__}.{home}" for home in _NAMES for name in _NAMES[home]}

__all__ = sorted(_HOMES)
__version__ = "0.1.0"

# Findings are logged for those who listen; others get warnings and need no second copy.
logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *_HOMES])
