"""Reports made by hand: what is not told is as in a check that passed."""

import json

import keras_gradwatch as kgw
from keras_gradwatch.findings.causes import Told
from keras_gradwatch.findings.handed import IN_WORDS, Handed
from keras_gradwatch.findings.notes import Said


def comparison(**changes):
    fields = {
        "kind": "coordinate",
        "index": (0, 3),
        "word": "match",
        "analytic": 1.0,
        "numerical": 1.0,
        "error_bar": 1e-9,
        "relative_error": 0.0,
        "step": 1e-6,
    }
    return kgw.Comparison(**{**fields, **changes})


def variable(reason="", applied="", **changes):
    fields = {
        "path": "dense/kernel",
        "target": "",
        "shape": (2, 4),
        "verdict": "PASS",
        "cause": Told(reason) if reason else None,
        "handed": Handed(IN_WORDS, text=applied) if applied else None,
        "relative_error": 1e-8,
        "error_bar": 1e-9,
        "resolution": 1e-9,
        "coverage": 1.0,
        "coordinates": (comparison(),),
        "directions": (comparison(kind="direction", index=None),),
    }
    return kgw.VariableReport(**{**fields, **changes})


def report(*variables, reason="", notes=(), **changes):
    fields = {
        "verdict": "PASS",
        "cause": Told(reason) if reason else None,
        "step": 7,
        "loss": 0.5,
        "dtype": "float64",
        "tolerance": 1e-3,
        "seed": 0,
        "evaluations": 4,
        "seconds": 0.1,
        "remarks": tuple(map(Said, notes)),
        "variables": variables,
    }
    return kgw.GradientReport(**{**fields, **changes})


def of_format_1(new):
    """The JSON of a report as the first version wrote it, with words for data."""
    found = json.loads(new.to_json()) | {"format": 1}
    found |= {"reason": new.reason, "notes": list(new.notes)}
    for whole, variable_ in zip(found["variables"], new.variables, strict=True):
        whole["reason"] = variable_.reason
        for later in ("cause", "subject", "handed", "training_error", "vanished"):
            del whole[later]
        del whole["overflowed"]
    for later in ("cause", "subject", "remarks", "training_dtype"):
        del found[later]
    return json.dumps(found)
