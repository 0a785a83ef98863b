"""The errors and warnings of keras_gradwatch, one small family."""

from __future__ import annotations


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

    Args:
        message: Why, in words.
        why: The same as data, where there are any.
    """

    def __init__(self, message: str, why: object = None):
        super().__init__(message)
        self.why = why


class GradwatchWarning(UserWarning):
    """A check could not do its work; training went on without it."""


class GradientMismatchWarning(GradwatchWarning):
    """A check found a wrong gradient, or that weights learn by something else."""


class GradientAlertWarning(GradwatchWarning):
    """The gradients of the user's model vanish, explode or are dead."""


class LossAlertWarning(GradwatchWarning):
    """The loss of the user's model spikes, diverges, stalls or does not fall."""


class NonFiniteWarning(GradwatchWarning):
    """Training gave a NaN or an infinity; the message says where it came from."""
