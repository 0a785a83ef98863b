"""The kinds of model that people train, each in its smallest form."""

from tests.support.kinds import custom, standard  # noqa: F401
from tests.support.kinds.registry import KINDS, LOW_PRECISION, WITHOUT_INFLUENCE

__all__ = ["KINDS", "LOW_PRECISION", "WITHOUT_INFLUENCE"]
