"""Each planted NaN is located, in graph, eagerly and under XLA; no twin alarms."""

import keras
import pytest

import keras_gradwatch as kgw
from tests.support.marks import some
from tests.support.plants import BATCH, PLANTS, Plant

WAYS = {
    "graph": {"jit_compile": False},
    "eager": {"run_eagerly": True},
    "jit": {"jit_compile": True},
}
# Compiling each of the others anew takes long; they are tried in a graph. In the short
# part that is so of all but the first.
EVERY_WAY = (
    "forward",
    "backward",
    "weight",
    "exploding_learning_rate",
    "loss",
    "two_losses",
    "not_the_mask",
)


def trained(plant: Plant, way, check):
    options = {"optimizer": "adam", "loss": "mse", **plant.compiled, **way}
    plant.model.compile(**options)
    fitted = {"batch_size": BATCH, "shuffle": False, "verbose": 0, **plant.fitted}
    fitted["callbacks"] = [*fitted.get("callbacks", ()), check]
    plant.model.fit(plant.x, plant.y, **fitted)


@pytest.mark.parametrize(
    ("name", "way"),
    [
        pytest.param(
            name,
            way,
            marks=[] if way == "graph" or name == EVERY_WAY[0] else pytest.mark.long,
        )
        for name in PLANTS
        for way in WAYS
        if name in EVERY_WAY or way == "graph"
    ],
)
def test_located(name, way):
    keras.utils.set_random_seed(0)
    plant = PLANTS[name](True)
    check = kgw.NonFiniteLocator(on_failure="stop", verbose=0)
    with pytest.warns(kgw.NonFiniteWarning) as caught:
        trained(plant, WAYS[way], check)
    (finding,) = check.findings
    assert [str(w.message) for w in caught] == [str(finding)]
    text = str(finding)
    assert finding.replayed, text
    assert plant.kind in ("", finding.kind), text
    assert plant.step in (-1, finding.step), text
    assert finding.place.endswith(plant.place), text
    assert finding.examples == plant.examples, text
    for words in plant.words:
        assert words in text, text


@pytest.mark.parametrize("name", some(PLANTS, 5))
def test_the_healthy_twin_does_not_alarm(name):
    keras.utils.set_random_seed(0)
    check = kgw.NonFiniteLocator(on_failure="raise")
    trained(PLANTS[name](False), {"jit_compile": False}, check)
    assert check.findings == []
    assert check.finding is None
