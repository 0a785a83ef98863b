"""The training step of a harness: one for each of its losses."""

from __future__ import annotations

from typing import Any

from keras_gradwatch.check.training_step import Trained, TrainingStep


class StepPerOutput(TrainingStep):
    """Runs the step under the upstream gradient of each output in turn."""

    def run(self, batch: Any) -> tuple[Trained, ...]:
        harness = self._model
        trained: list[Trained] = []
        before = harness.halves.numpy()
        try:
            for number in range(len(harness.wanted)):
                harness.halves.assign(harness.factors(number, 1.0, 1.0))
                trained += super().run(batch)
        finally:
            harness.halves.assign(before)
        return tuple(trained)
