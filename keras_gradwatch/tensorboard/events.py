"""One event file for all callbacks that write below the same directory.

TensorBoard reads the files of a run one after the other, and never goes back to an
earlier one: with two open at once it would lose what comes later into the first.
"""

from __future__ import annotations

import contextlib
import os
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_gradwatch.tensorboard.tags import RUN

# TensorBoard's classes of data: it loads the first whole, the other on demand.
TENSORS, BLOBS = 2, 3


class Events:
    """A callback's way to the event file of a directory.

    Args:
        log_dir: TensorBoard's directory. Events go to its run `gradwatch`.
    """

    def __init__(self, log_dir: str | os.PathLike[str]):
        self.directory = os.path.join(os.fspath(log_dir), RUN)
        self._file: _File | None = None
        self._release: Callable[[], object] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # A copy opens the file for itself.
        return {**self.__dict__, "_file": None, "_release": None}

    def open(self) -> bool:
        """Opens the file, if that is still to be done; whether it was."""
        was_open = self._file is not None
        self._opened_file()
        return not was_open

    def _opened_file(self) -> _File:
        if self._file is None:
            self._file = _file_at(self.directory)
            # A callback may be dropped before its training has ended.
            self._release = weakref.finalize(self, self._file.release)
        return self._file

    @contextlib.contextmanager
    def at(self, step: int) -> Iterator[str]:
        """Lets `tf.summary` write here; all is on disk when this ends.

        Args:
            step: Optimizer iterations.

        Yields:
            When the file was opened, to end a tag with. TensorBoard forgets what has
            the same tag and a later step, and training again into the same directory
            must not take the history away.
        """
        file = self._opened_file()
        # Keras' TensorBoard callback may have turned recording off for this step.
        step = tf.constant(np.int64(step))
        with file.writer.as_default(step=step), tf.summary.record_if(True):
            yield file.opened
        file.writer.flush()

    def close(self) -> None:
        """Closes the file, once nobody else writes to it."""
        release = self._release
        self._file = self._release = None
        if release is not None:
            release()


class _File:
    """An open event file, and how many write to it."""

    def __init__(self, directory: str):
        self.directory = directory
        self.writer = tf.summary.create_file_writer(directory)
        self.opened = str(time.time_ns())
        self.users = 0

    def release(self) -> None:
        self.users -= 1
        if not self.users:
            del _OPEN[self.directory]
            self.writer.close()


_OPEN: dict[str, _File] = {}


def _file_at(directory: str) -> _File:
    directory = os.path.abspath(directory)
    if directory not in _OPEN:
        _OPEN[directory] = _File(directory)
    _OPEN[directory].users += 1
    return _OPEN[directory]


def write_scalar(name: str, value: float, **options: Any) -> None:
    """Writes one number."""
    # As an array: TensorFlow keeps a tensor for each Python number that it ever saw.
    tf.summary.scalar(name, np.asarray(value, np.float32), **options)


def metadata(plugin: str, data_class: int) -> Any:
    """What TensorBoard wants to know of a value of a plugin."""
    found = tf.compat.v1.SummaryMetadata()
    found.plugin_data.plugin_name = plugin
    # TensorBoard shows nothing of any other class.
    found.data_class = data_class
    return found
