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
        self._served_period = -1
        # Iterations when it was last asked.
        self._asked_at = 0

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
        """Whether something is due before the next step.

        Args:
            iterations: Optimizer iterations done so far.
        """
        if iterations < self._asked_at:  # another model, or it was recompiled
            self._served_period = -1
        self._asked_at = iterations
        if iterations < self.warmup_steps:
            return False
        if self.check_freq == "epoch":
            return not self._epoch_is_served
        return self._period() > self._served_period

    def done(self) -> None:
        """Tells that what was due, when it was last asked, is done.

        Until then it is due at each step.
        """
        if self.check_freq == "epoch":
            self._epoch_is_served = True
        else:
            self._served_period = self._period()

    def _period(self) -> int:
        return (self._asked_at - self.warmup_steps) // int(self.check_freq)
