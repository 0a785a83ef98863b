"""Units that saturate: where their slope is nearly zero, nothing is learnt."""

from __future__ import annotations

from collections.abc import Iterator

from keras_gradwatch.findings.reading import GradientReading
from keras_gradwatch.findings.symptom import SaturatedUnits
from keras_gradwatch.stats.sighting import Case

# Share of the entries of a hidden layer. Over the healthy trainings of the tests it was
# 0.01 at most, over sick ones 0.91 at least (weights ten times too large, inputs that
# are not scaled, too high a learning rate).
SATURATED = 0.85
# Rows that such a share is of, at least: of a few it says little.
_ROWS = 8


def saturated(reading: GradientReading, limit: float) -> Iterator[Case]:
    """The hidden layers nearly all of whose units saturate.

    What a model puts out may, and so may gates and codes: `LayerStats.may_saturate`.

    Args:
        reading: The reading.
        limit: The share of its entries from which on a layer is told of.
    """
    for layer in reading.layers:
        share = layer.saturated
        if share is None or layer.may_saturate or layer.count < _ROWS:
            continue
        if share >= limit:
            yield Case(SaturatedUnits(layer.layer, share), limit, rank=share)
