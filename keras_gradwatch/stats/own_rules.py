"""Rules of the user's own: what else in a reading should give the alarm."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence

from keras_gradwatch.arguments import refuse
from keras_gradwatch.findings.reading import GradientReading
from keras_gradwatch.findings.symptom import BrokenRule

logger = logging.getLogger("keras_gradwatch")

Rule = Callable[[GradientReading], str | None]


class Rules:
    """Asks rules about readings.

    Args:
        rules: Functions of a `GradientReading`; each returns what is wrong, or None.
        failed: Called with the name of a rule and its error, once for each rule.

    Raises:
        InvalidArgumentError: If one of them can't be called.
    """

    def __init__(
        self, rules: Sequence[Rule], failed: Callable[[str, Exception], object]
    ):
        is_fit = isinstance(rules, list | tuple) and all(map(callable, rules))
        if not is_fit:
            refuse("rules", "a list of functions of a reading", rules)
        self._rules = list(rules)
        self._failed = failed
        self._known_bad: set[int] = set()

    def broken(self, reading: GradientReading) -> Iterator[BrokenRule]:
        """What does not hold in a reading.

        Args:
            reading: The reading.
        """
        for number, rule in enumerate(self._rules):
            name = _name(rule)
            try:
                message = rule(reading)
                if message is not None and not isinstance(message, str):
                    raise TypeError(
                        "A rule must return a message, or None. "
                        f"Received: {message!r:.80}"
                    )
            except Exception as error:  # of the user's own: training goes on
                if number not in self._known_bad:
                    self._known_bad.add(number)
                    self._failed(name, error)
                logger.debug("The rule %s failed.", name, exc_info=True)
                continue
            if message:
                yield BrokenRule(name, math.nan, message)


def _name(rule):
    return getattr(rule, "__name__", type(rule).__name__)
