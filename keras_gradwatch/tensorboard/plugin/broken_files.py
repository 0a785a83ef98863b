"""Event files that TensorBoard stops reading in the middle, and says nothing."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass

from keras_gradwatch import files
from keras_gradwatch.tensorboard.records import broken_records

logger = logging.getLogger("keras_gradwatch")

# Seconds. What the end of a file cuts off may be on its way there until then.
_WRITTEN_BY_NOW = 60.0


@dataclass
class _Look:
    """How far a file was looked at.

    Args:
        size: How large it was then.
        at: Where its last whole record ends.
        count: How many records before that are broken.
        is_cut: Whether its end cuts one off.
    """

    size: int = 0
    at: int = 0
    count: int = 0
    is_cut: bool = False


class BrokenFiles:
    """Counts what is broken in the event files of runs.

    Args:
        logdir: TensorBoard's log directory. On another file system nothing is looked
            at: there, each look takes long.
    """

    def __init__(self, logdir: str | None):
        self._logdir = "" if not logdir or files.is_address(logdir) else logdir
        self._looks: dict[str, _Look] = {}

    def count(self, run: str) -> int:
        """How many records of a run are broken.

        Args:
            run: Its name.
        """
        folder = os.path.join(self._logdir, run)
        if not self._logdir or not os.path.isdir(folder):
            return 0
        names = [name for name in os.listdir(folder) if "tfevents" in name]
        return sum(self._count(os.path.join(folder, name)) for name in names)

    def _count(self, path):
        look = self._looks.setdefault(path, _Look())
        try:
            with files.opened(path) as (file, size):
                if size < look.size:  # another file of the same name
                    look = self._looks[path] = _Look()
                if size > look.size:
                    found, at, is_cut = broken_records(file, size, look.at)
                    count = look.count + found
                    look = self._looks[path] = _Look(size, at, count, is_cut)
            is_old = time.time() - os.path.getmtime(path) > _WRITTEN_BY_NOW
        except OSError:
            logger.debug("%s can't be read.", path, exc_info=True)
            return 1
        return look.count + (look.is_cut and is_old)
