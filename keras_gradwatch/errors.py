"""The errors and warnings of keras_gradwatch, one small family."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_gradwatch.alerts import Alert
    from keras_gradwatch.nonfinite.finding import NonFinite
    from keras_gradwatch.report import GradientReport


class GradwatchError(Exception):
    """Base class of every error that keras_gradwatch raises on purpose."""


class InvalidArgumentError(GradwatchError, ValueError):
    """An argument is wrong: the caller can mend it before anything runs."""


class BackendError(GradwatchError, RuntimeError):
    """Keras runs on another backend than TensorFlow."""


class MissingPackageError(GradwatchError, ImportError):
    """An optional package is needed for this; the message says how to get it."""


class UncheckableError(GradwatchError, RuntimeError):
    """This model or this data can't be checked; the message says why.

    Nothing is known about the gradient then: neither right nor wrong.
    """


class GradientMismatchError(GradwatchError, AssertionError):
    """A gradient is wrong. `report` holds what was found."""

    def __init__(self, report: GradientReport):
        super().__init__(str(report))
        self.report = report

    def __reduce__(self):
        return type(self), (self.report,)


class GradientAlertError(GradwatchError, ArithmeticError):
    """Gradients vanish, explode or are dead. `alert` says what was seen."""

    def __init__(self, alert: Alert):
        super().__init__(str(alert))
        self.alert = alert

    def __reduce__(self):
        return type(self), (self.alert,)


class NonFiniteError(GradwatchError, ArithmeticError):
    """Training gave a NaN or an infinity. `finding` says where it came from."""

    def __init__(self, finding: NonFinite):
        super().__init__(str(finding))
        self.finding = finding

    def __reduce__(self):
        return type(self), (self.finding,)


class GradwatchWarning(UserWarning):
    """A check could not do its work; training went on without it."""


class GradientMismatchWarning(GradwatchWarning):
    """A check during training found a wrong gradient in the user's model."""


class GradientAlertWarning(GradwatchWarning):
    """The gradients of the user's model vanish, explode or are dead."""


class NonFiniteWarning(GradwatchWarning):
    """Training gave a NaN or an infinity; the message says where it came from."""
