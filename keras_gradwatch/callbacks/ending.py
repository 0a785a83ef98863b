"""Ending a training that went wrong, so that its last backup outlives it."""

from __future__ import annotations

import gc

import keras

from keras_gradwatch.callbacks import desk
from keras_gradwatch.callbacks.member import Member


def end_training(callback: Member, error: Exception) -> None:
    """Ends training after the present step.

    A `fit` that ends in the regular way has ended well, for
    `keras.callbacks.BackupAndRestore`: it saves the weights as they are, NaN or not, in
    place of the backup, and then deletes it. Only an error keeps it, as with
    `keras.callbacks.TerminateOnNaN(raise_error=True)`.

    Args:
        callback: The callback that ends it.
        error: What to raise if there is a backup that would be lost.

    Raises:
        Exception: The error, if there is.
    """
    if _has_backup(callback):
        desk.conclude(callback)
        raise error
    callback.model.stop_training = True


def _has_backup(callback: keras.callbacks.Callback) -> bool:
    """Whether a `BackupAndRestore` goes with the same training."""
    # Callbacks are not told of one another; but of all objects that there are, these
    # are for the same model, and were handed the same parameters by the same `fit`.
    return any(
        getattr(other, "model", None) is callback.model
        and getattr(other, "params", None) is callback.params
        for other in gc.get_objects()
        # Not `isinstance`, which asks some objects for more than their type.
        if issubclass(type(other), keras.callbacks.BackupAndRestore)
    )
