"""One event file for all callbacks that write below the same directory.

TensorBoard reads the files of a run one after the other, and never goes back to an
earlier one: with two open at once it would lose what comes later into the first. And of
one tag it keeps only what has a later step than all before: what may come on the same
step has a tag of its own, and of two callbacks of one kind each has a run of its own.
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

from keras_gradwatch import files
from keras_gradwatch.tensorboard.tags import RUN

# TensorBoard's classes of data: it loads the first whole, the other on demand.
TENSORS, BLOBS = 2, 3


class Events:
    """A callback's way to the event file of a directory.

    Args:
        log_dir: TensorBoard's directory. Events go to its run `gradwatch`.
        kind: What is written, such as `"checks"`: if something else writes the same
            there, events go to a run `gradwatch_2`. Any number may share it if empty.
    """

    def __init__(self, log_dir: str | os.PathLike[str], kind: str = ""):
        self._log_dir = files.absolute(log_dir)
        self._kind = kind
        self._file: _File | None = None
        self._release: Callable[[], object] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # A copy opens the file for itself.
        return {**self.__dict__, "_file": None, "_release": None}

    def assert_writable(self) -> None:
        """Makes sure, before there is anything to write, that it can be written.

        Raises:
            InvalidArgumentError: If it can't.
        """
        files.assert_writable("log_dir", self._log_dir)

    def open(self) -> bool:
        """Opens the file, if that is still to be done; whether it was."""
        was_open = self._file is not None
        self._opened_file()
        return not was_open

    def _opened_file(self) -> _File:
        if self._file is None:
            self._file = _file_at(self._log_dir, self._kind)
            # A callback may be dropped before its training has ended.
            self._release = weakref.finalize(self, self._file.release, self._kind)
        return self._file

    @contextlib.contextmanager
    def at(self, step: int) -> Iterator[Callable[[str], str]]:
        """Lets `tf.summary` write here; all is on disk when this ends.

        Args:
            step: Optimizer iterations.

        Yields:
            What makes a tag one that nothing was written to yet at this step or a
            later one. It ends in when the file was opened: TensorBoard forgets what
            has the same tag and a later step, and training again into the same
            directory must not take the history away.
        """
        file = self._opened_file()
        # Keras' TensorBoard callback may have turned recording off for this step.
        number = tf.constant(np.int64(step))
        with file.writer.as_default(step=number), tf.summary.record_if(True):
            yield lambda tag: file.fresh(tag, step)
        file.writer.flush()

    def close(self) -> None:
        """Closes the file, once nobody else writes to it."""
        release = self._release
        self._file = self._release = None
        if release is not None:
            release()


class _File:
    """An open event file, and who writes to it."""

    def __init__(self, directory: str):
        self.directory = directory
        self.writer = tf.summary.create_file_writer(directory)
        self.users: list[str] = []
        self._opened = str(time.time_ns())
        self._last: dict[str, int] = {}

    def fresh(self, tag: str, step: int) -> str:
        tag = whole = f"{tag}/{self._opened}"
        number = 1
        while step <= self._last.get(whole, step - 1):
            number += 1
            whole = f"{tag}.{number}"
        self._last[whole] = step
        return whole

    def release(self, kind: str) -> None:
        self.users.remove(kind)
        if not self.users:
            del _OPEN[self.directory]
            self.writer.close()


_OPEN: dict[str, _File] = {}


def _file_at(log_dir: str, kind: str) -> _File:
    directory = files.join(log_dir, RUN)
    number = 1
    while kind and directory in _OPEN and kind in _OPEN[directory].users:
        number += 1
        directory = files.join(log_dir, f"{RUN}_{number}")
    if directory not in _OPEN:
        _OPEN[directory] = _File(directory)
    _OPEN[directory].users.append(kind)
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
