"""A place in a model to look at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A layer.

    Args:
        name: Its name.
        kind: Name of its class.
    """

    name: str
    kind: str
