"""What a long check is doing, on the console, with the progress bar of Keras."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

import keras

from keras_gradwatch.check.numerics.directions import Perturbation, Sweep

logger = logging.getLogger("keras_gradwatch")


class Silence:
    """Tells nobody what a check is doing."""

    shown = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def stage(self, doing: str, variables: int | None = None) -> None:
        """Tells what comes next.

        Args:
            doing: In a few words, such as `"tracing"`.
            variables: How many variables that is done to one by one, if it is.
        """

    def comes_to(self, perturbations: Sequence[Perturbation]) -> None:
        """Tells which losses come next.

        Args:
            perturbations: As `ReplicaProblem.losses` takes them.
        """


SILENCE = Silence()


class Progress(Silence):
    """Tells on the console what a long check is doing; of a short one, nothing.

    The checking thread only notes what it does. Another one shows it from time to
    time, so that something moves also while a model is traced.

    Example:

    ```python
    with Progress("Gradient check at step 100") as progress:
        progress.stage("tracing")
        ...
    ```

    Args:
        title: What begins each line.
        bars: Whether to show progress bars, too.

    Attributes:
        shown: Whether anything was printed.
    """

    # Seconds of silence: whoever waits longer asks what is going on. And between two
    # looks: often enough for a bar to move. Both chosen, not measured.
    AFTER = 2.0
    EVERY = 0.2

    def __init__(self, title: str, bars: bool = True):
        self.shown = False
        self._title, self._bars = title, bars
        self._now: _Stage | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=title, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    def stage(self, doing: str, variables: int | None = None) -> None:
        try:
            self._now = _Stage(doing, variables)
        except Exception:  # the bar of Keras asks the console what it is
            logger.debug("Progress can't be shown.", exc_info=True)

    def comes_to(self, perturbations: Sequence[Perturbation]) -> None:
        if self._now is not None:
            self._now.count(perturbations)

    def _run(self):
        if not self._ended.wait(self.AFTER):
            try:
                self._show()
            except Exception:  # a console that is gone is no reason to end a training
                logger.debug("Progress could not be shown.", exc_info=True)

    def _show(self):
        stage = None
        while True:
            if self._now is not stage:
                if stage is not None:
                    stage.close()
                stage = self._now
                # The bar of Keras stands on a line that is still open.
                start = "" if self.shown else "\n"
                self.shown = True
                if stage is not None:
                    print(f"{start}{self._title}: {stage.doing}", flush=True)
            if self._bars and stage is not None:
                stage.draw()
            if self._ended.wait(self.EVERY):
                break
        if stage is not None:
            stage.close()


class _Stage:
    """One thing that a check does, and how far it has come."""

    def __init__(self, doing, variables):
        self.doing = doing
        unit = "loss" if variables is None else "variable"
        # Made here, for it counts the time from when it is made.
        self._bar = keras.utils.Progbar(variables, unit_name=unit)
        self._is_drawn = False
        self._variables: set[int] | None = None if variables is None else set()
        self._reached = 0

    def count(self, perturbations):
        if self._variables is None:
            self._reached += len(perturbations)
        else:
            self._variables |= {
                d.variable for d, _ in perturbations if not isinstance(d, Sweep)
            }
            self._reached = len(self._variables)

    def draw(self):
        if self._reached:
            self._is_drawn = True
            self._bar.update(self._reached, finalize=False)

    def close(self):
        """Leaves the line of the bar."""
        if self._is_drawn:
            self._bar.update(self._reached, finalize=True)
