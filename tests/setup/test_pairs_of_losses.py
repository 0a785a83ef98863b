"""Which loss of several gets which outputs and targets, whatever their structures."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_gradwatch as kgw
from tests.support.setup_zoo import LOGITS, compiled, labels, numbers

X = numbers(100, 8)
SIZE, KIND, IS = X[:, :1], labels(X), (X[:, 0] > 0).astype("float32")


def heads(as_dict=True, names=("size", "kind")):
    inputs = keras.Input((8,))
    h = layers.Dense(16, "relu", name="code")(inputs)
    known = {
        "size": layers.Dense(1, name="size"),
        "kind": layers.Dense(3, name="kind"),
        "is": layers.Dense(1, name="is"),
    }
    found = {name: known[name](h) if name in known else h for name in names}
    return keras.Model(inputs, found if as_dict else [*found.values()])


HEALTHY = {
    # By their names, not in the order of the alphabet.
    "dicts": lambda: (
        compiled(heads(), {"size": "mse", "kind": LOGITS}),
        X,
        {"kind": KIND, "size": SIZE},
    ),
    "a list and dicts": lambda: (
        compiled(heads(as_dict=False), {"size": "mse", "kind": LOGITS}),
        X,
        {"kind": KIND, "size": SIZE},
    ),
    "outputs without a loss": lambda: (
        compiled(heads(names=("code", "size")), {"size": "mse"}),
        X,
        {"size": SIZE},
    ),
    "targets without a loss": lambda: (
        compiled(heads(as_dict=False, names=("code", "size")), [None, "mse"]),
        X,
        [np.zeros((100, 16)), SIZE],
    ),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy(name):
    report = kgw.check_setup(*HEALTHY[name]())
    assert report.passed, str(report)


def test_the_loss_of_one_output_alone():
    model = heads(names=("code", "is"))
    compiled(model, {"is": "binary_crossentropy"})
    report = kgw.check_setup(model, X, {"is": IS})
    assert report.outputs.observations[0].kind == "logits_as_probabilities"


def test_labels_of_one_output():
    model = compiled(heads(), {"size": "mse", "kind": LOGITS})
    report = kgw.check_setup(model, X, {"kind": KIND + 1, "size": SIZE})
    (seen, *_) = report.targets.observations
    assert (seen.kind, seen.figures) == ("labels_out_of_range", (1, 3, 3))
