"""The loss of a batch, from the mean over an epoch that Keras logs."""

from __future__ import annotations

# What a float32 can't hold: a mean of many batches, and a sum of them, lose so large a
# share of their size.
_EPSILON = 2.0**-23


class OwnLoss:
    """Takes a running mean apart.

    A mean `m` over the weight `w` that becomes `m'` over `w'` had `(m' w' - m w) /
    (w' - w)` added. Late in a long epoch that is a small difference of large numbers:
    how far it may be off is told too.
    """

    def __init__(self) -> None:
        self._mean = self._weight = 0.0

    def begin(self) -> None:
        """Tells that the mean begins anew."""
        self._mean = self._weight = 0.0

    def take(self, mean: float, weight: float) -> tuple[float, float]:
        """What was added since the last time, and how far that may be off.

        Args:
            mean: The running mean, now.
            weight: The weight of all that is in it.
        """
        before, known = self._mean, self._weight
        self._mean, self._weight = mean, weight
        added = weight - known
        if not known or added <= 0:
            return mean, _EPSILON * abs(mean)
        value = (mean * weight - before * known) / added
        return value, _EPSILON * weight / added * max(abs(mean), abs(before))
