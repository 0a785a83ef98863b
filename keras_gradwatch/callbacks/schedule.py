"""At which optimizer iterations something is due."""

from __future__ import annotations

from keras_gradwatch.arguments import is_count, refuse


class Schedule:
    """Warm-up and frequency, counted in optimizer iterations.

    Counted by crossing: one call of the training function may take several
    steps (`steps_per_execution`), so the exact multiple may never be seen.

    Args:
        warmup_steps: Iterations before anything is due. Close to its initial
            values a network may hide a wrong gradient.
        check_freq: `"epoch"`, for the first chance in each epoch, or a number
            of iterations.

    Raises:
        InvalidArgumentError: If an argument is wrong.
    """

    def __init__(self, warmup_steps: int, check_freq: int | str):
        if not is_count(warmup_steps):
            refuse("warmup_steps", "an integer, 0 or more", warmup_steps)
        each_epoch = check_freq == "epoch"
        if not each_epoch and (not is_count(check_freq) or int(check_freq) < 1):
            refuse("check_freq", "'epoch' or an integer, 1 or more", check_freq)
        self.warmup_steps = warmup_steps
        self.check_freq = check_freq
        self._epoch_is_served = False
        self._served = -1
        self._last_seen = 0
        self._before = (False, -1)

    def describe(self) -> str:
        """When the next check is due, in words."""
        if self.check_freq == "epoch":
            often = "in each epoch"
        else:
            often = f"every check_freq={self.check_freq} iterations"
        return f"checks are due {often} past warmup_steps={self.warmup_steps}"

    def begin_epoch(self) -> None:
        """Tells that an epoch begins."""
        self._epoch_is_served = False

    @property
    def may_wait(self) -> bool:
        """Whether what is due may come later in the epoch."""
        return self.check_freq == "epoch"

    @property
    def is_served(self) -> bool:
        """Whether nothing can be due before the next epoch."""
        return self._epoch_is_served

    def is_due(self, iterations: int) -> bool:
        """Whether something is due before the next step; asked once a step.

        Args:
            iterations: Optimizer iterations done so far.
        """
        if iterations < self._last_seen:  # another model, or it was recompiled
            self._served = -1
        self._last_seen = iterations
        self._before = (self._epoch_is_served, self._served)
        if iterations < self.warmup_steps:
            return False
        if self.check_freq == "epoch":
            due, self._epoch_is_served = not self._epoch_is_served, True
            return due
        period = (iterations - self.warmup_steps) // int(self.check_freq)
        due = period > self._served
        self._served = max(self._served, period)
        return due

    def not_done(self) -> None:
        """Tells that what was due was not done: it is due at the next step."""
        self._epoch_is_served, self._served = self._before
