"""The kinds of model that people train, each in its smallest form."""

from tests.kinds import custom, standard  # noqa: F401
from tests.kinds.registry import KINDS

__all__ = ["KINDS"]
