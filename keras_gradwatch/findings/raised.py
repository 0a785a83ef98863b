"""What was found, raised as an error."""

from __future__ import annotations

from keras_gradwatch.errors import GradwatchError, UncheckableError
from keras_gradwatch.findings import sentences
from keras_gradwatch.findings.alert import Alert
from keras_gradwatch.findings.nonfinite import NonFinite
from keras_gradwatch.findings.notes import Refusal
from keras_gradwatch.findings.observation import LOOK
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.findings.setup_report import SetupReport
from keras_gradwatch.findings.verdicts import FAIL, INCONCLUSIVE


class GradientMismatchError(GradwatchError, AssertionError):
    """A gradient is wrong, or what becomes of it. `report` holds what was found."""

    def __init__(self, report: GradientReport):
        super().__init__(str(report))
        self.report = report

    def __reduce__(self):
        return type(self), (self.report,)


class SetupError(GradwatchError, AssertionError):
    """A set-up is wrong, or worth a look. `report` holds all that was found."""

    def __init__(self, report: SetupReport):
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


class LossAlertError(GradwatchError, ArithmeticError):
    """The loss spikes, diverges or does not fall. `alert` says what was seen."""

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


def passing(report: GradientReport) -> GradientReport:
    """The same report.

    Raises:
        GradientMismatchError: If its verdict is FAIL, or a note of it is severe.
        UncheckableError: If it is INCONCLUSIVE.
    """
    __tracebackhide__ = True  # pytest then points at the line of the test
    if report.verdict == FAIL or report.severe:
        raise GradientMismatchError(report)
    if report.verdict == INCONCLUSIVE:
        raise UncheckableError(str(report))
    return report


def sound(report: SetupReport) -> SetupReport:
    """The same report of a set-up.

    Raises:
        SetupError: If something is wrong or worth a look.
        UncheckableError: If something could not be told.
    """
    __tracebackhide__ = True
    if report.verdict == FAIL or report.names_of(LOOK):
        raise SetupError(report)
    if report.verdict == INCONCLUSIVE:
        raise UncheckableError(str(report))
    return report


def refused(why: Refusal) -> UncheckableError:
    """The error that says why a loss can't be looked at.

    Args:
        why: The `Refusal`; the error holds it as `why`.
    """
    return UncheckableError(sentences.refusal(why), why)
