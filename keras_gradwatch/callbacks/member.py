"""What the callbacks have in common that hear one another."""

from __future__ import annotations

import os
from typing import ClassVar

import keras

from keras_gradwatch.callbacks.telling import Telling
from keras_gradwatch.findings import clues
from keras_gradwatch.findings.incident import Incident
from keras_gradwatch.findings.several import Several


class Member(keras.callbacks.Callback):
    """A callback that hears the others of its training.

    Attributes:
        incidents: An `Incident` for each story that was told, of all fits so far.
    """

    # What it can be asked for, `CHECK` or `READING`.
    looks_for: ClassVar[str] = ""
    verbose: int
    _telling: Telling
    _log_dir: str | os.PathLike[str] | None
    _epoch: int | None = None  # until one begins

    def __init__(self) -> None:
        super().__init__()
        self.incidents: list[Incident] = Several()

    @property
    def telling(self) -> Telling:
        """Who asked for its findings."""
        return self._telling

    @property
    def log_dir(self) -> str | os.PathLike[str] | None:
        """Where it writes for TensorBoard; None if it does not."""
        return self._log_dir

    @property
    def epoch(self) -> int | None:
        """The present epoch, None until one begins."""
        return self._epoch

    def summon(self, step: int) -> str:
        """Asks for a look at the first step after this one.

        Args:
            step: Optimizer iterations done before it.

        Returns:
            Why there will be none, of the constants of `clues`; empty if there will be.
        """
        return clues.ABSENT
