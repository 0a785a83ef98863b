"""Mistakes from life in backward passes, each with a healthy twin.

`FAULTS` is the table: a name, how to build the model with and without the
mistake, and the variables that lie upstream of it.
"""

from tests.support.faults import (  # noqa: F401  (each registers its faults)
    elementwise,
    images,
    losses,
    sequences,
    structure,
    tensorflow_own,
    weights,
)
from tests.support.faults.library import FAULTS, MISTAKES

__all__ = ["FAULTS", "MISTAKES"]
