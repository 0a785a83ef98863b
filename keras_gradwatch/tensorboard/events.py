"""One event file for all callbacks that write below the same directory.

TensorBoard reads the files of a run one after the other, and never goes back to an
earlier one: with two open at once it would lose what comes later into the first.
"""

from __future__ import annotations

import contextlib
import os
import time
import weakref

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

    def __init__(self, log_dir):
        self.directory = os.path.join(os.fspath(log_dir), RUN)
        self._file: _File | None = None
        self._release = None

    def __getstate__(self):
        # A copy opens the file for itself.
        return {**self.__dict__, "_file": None, "_release": None}

    def open(self) -> bool:
        """Opens the file, if that is still to be done; whether it was."""
        if self._file is not None:
            return False
        self._file = _file_at(self.directory)
        # A callback may be dropped before its training has ended.
        self._release = weakref.finalize(self, self._file.release)
        return True

    @property
    def opened(self) -> str:
        """When the file was opened, to end a tag with.

        TensorBoard forgets what has the same tag and a later step. Training again
        into the same directory must not take the history away.
        """
        return self._file.opened

    @contextlib.contextmanager
    def at(self, step: int):
        """Lets `tf.summary` write here; all is on disk when this ends.

        Args:
            step: Optimizer iterations.
        """
        self.open()
        writer = self._file.writer
        # Keras' TensorBoard callback may have turned recording off for this step.
        step = tf.constant(np.int64(step))
        with writer.as_default(step=step), tf.summary.record_if(True):
            yield
        writer.flush()

    def close(self) -> None:
        """Closes the file, once nobody else writes to it."""
        if self._file is not None:
            self._file = None
            self._release()


class _File:
    """An open event file, and how many write to it."""

    def __init__(self, directory):
        self.directory = directory
        self.writer = tf.summary.create_file_writer(directory)
        self.opened = str(time.time_ns())
        self.users = 0

    def release(self):
        self.users -= 1
        if not self.users:
            del _OPEN[self.directory]
            self.writer.close()


_OPEN: dict[str, _File] = {}


def _file_at(directory):
    directory = os.path.abspath(directory)
    if directory not in _OPEN:
        _OPEN[directory] = _File(directory)
    _OPEN[directory].users += 1
    return _OPEN[directory]


def write_scalar(name: str, value: float, **options) -> None:
    """Writes one number."""
    # As an array: TensorFlow keeps a tensor for each Python number that it ever saw.
    tf.summary.scalar(name, np.asarray(value, np.float32), **options)


def metadata(plugin: str, data_class: int):
    """What TensorBoard wants to know of a value of a plugin."""
    found = tf.compat.v1.SummaryMetadata()
    found.plugin_data.plugin_name = plugin
    # TensorBoard shows nothing of any other class.
    found.data_class = data_class
    return found
