"""What is damaged in event files, and TensorBoard does not tell.

It stops reading a file in the middle, or shows what is damaged as truth.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, field
from typing import IO

from keras_gradwatch import files
from keras_gradwatch.tensorboard.charts import HEAD, Charts, is_finding
from keras_gradwatch.tensorboard.records import TAIL, places

logger = logging.getLogger("keras_gradwatch")

# Seconds. What the end of a file cuts off may be on its way there until then.
_WRITTEN_BY_NOW = 60.0
# Records of a file that are looked at for one question, in a second or so. The next
# question is asked at the next reload, and goes on from there.
_AT_ONCE = 100_000


@dataclass
class _Look:
    """How far a file was looked at.

    Args:
        at: Where its last whole record ends.
        size: How large it was when it had been looked at to its end.
        count: How many records before that are broken.
        is_cut: Whether its end cuts one off.
        charts: What was found of its charts.
    """

    at: int = 0
    size: int = 0
    count: int = 0
    is_cut: bool = False
    charts: Charts = field(default_factory=Charts)


class BrokenFiles:
    """Counts what is broken in the event files of runs.

    Args:
        logdir: TensorBoard's log directory. On another file system nothing is looked
            at: there, each look takes long.
    """

    def __init__(self, logdir: str | None):
        self._logdir = "" if not logdir or files.is_address(logdir) else logdir
        self._looks: dict[str, _Look] = {}

    def count(self, run: str) -> tuple[int, int]:
        """How many records of a run are broken, and how many charts are odd.

        What is odd is whole, but nothing that a callback here writes.

        Args:
            run: Its name.
        """
        folder = os.path.join(self._logdir, run)
        if not self._logdir or not os.path.isdir(folder):
            return 0, 0
        names = [name for name in os.listdir(folder) if "tfevents" in name]
        counts = [self._count(os.path.join(folder, name)) for name in names]
        return sum(broken for broken, _ in counts), sum(odd for _, odd in counts)

    def _count(self, path: str) -> tuple[int, int]:
        look = self._looks.setdefault(path, _Look())
        try:
            with files.opened(path) as (file, size):
                if size < max(look.size, look.at):  # another file of the same name
                    look = self._looks[path] = _Look()
                if size > look.size:
                    _look_on(look, file, size)
            is_old = time.time() - os.path.getmtime(path) > _WRITTEN_BY_NOW
        except OSError:
            logger.debug("%s can't be read.", path, exc_info=True)
            return 1, 0
        broken = look.count + look.charts.broken
        return broken + (look.is_cut and is_old), look.charts.odd


def _look_on(look: _Look, file: IO[bytes], size: int) -> None:
    """Looks at what comes after what was looked at before."""
    look.is_cut = False
    for number, (begin, length) in enumerate(places(file, size, look.at)):
        look.count += look.is_cut
        look.is_cut = length is None
        if length is None:
            continue
        file.seek(begin)
        head = file.read(min(length, HEAD))
        # Findings are read by TensorBoard, and what is damaged of them is told then.
        if not is_finding(head) and look.charts.wants(head, length):
            record = head + file.read(length - len(head))
            look.charts.look(record, TAIL.unpack(file.read(TAIL.size))[0])
        look.at = begin + length + TAIL.size
        if number >= _AT_ONCE:
            break
    else:
        look.size = size
    look.charts.end()
