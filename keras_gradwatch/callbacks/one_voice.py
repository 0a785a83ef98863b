"""An incident is told once, whichever of the callbacks have found it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from keras_gradwatch.callbacks import workers
from keras_gradwatch.callbacks.console import line_break, say
from keras_gradwatch.callbacks.member import Member
from keras_gradwatch.callbacks.telling import write
from keras_gradwatch.findings.clues import CHECK
from keras_gradwatch.findings.incident import Incident
from keras_gradwatch.tensorboard.alert_writer import AlertWriter

logger = logging.getLogger("keras_gradwatch")


def tell_all(incident: Incident, teller: Member, members: Sequence[Member]) -> None:
    """Tells an incident to all who asked for anything, each once.

    Args:
        incident: The incident.
        teller: The callback that has brought the last of it.
        members: All callbacks of the training.
    """
    for one in members:
        one.incidents.append(incident)
    if not workers.is_chief(teller.model.distribute_strategy):
        return
    _write(incident, teller, members)
    logger.warning("%s", incident)
    told: list[Any] = []
    for one in members:
        asks = one.telling.on_finding
        if asks is not None and asks not in told:
            told.append(asks)
            one.telling.hand_on(incident)
    if any(one.verbose for one in members):
        say(f"{_start(incident, teller, members)}{incident}")


def _start(incident, teller, members):
    """What ends the line that the console is on."""
    # That of the check that was made for it has just been printed.
    checks = [one for one in members if one.looks_for == CHECK and one.verbose]
    if incident.check is not None and checks:
        return ""
    return line_break(teller, getattr(teller, "_batch", 0))


def _write(incident: Incident, teller: Member, members: Sequence[Member]) -> None:
    """For TensorBoard: where the teller writes, or else the first who writes."""
    places = [one.log_dir for one in (teller, *members)]
    log_dir = next((place for place in places if place is not None), None)
    if log_dir is None:
        return
    writer = AlertWriter(log_dir)
    write(incident.alert, writer)
    writer.close()
