"""Each symptom of a loss says what was seen, by what it is known, and what to do."""

import dataclasses

import pytest

from keras_gradwatch.findings.alert import KINDS, Alert
from keras_gradwatch.findings.loss_symptom import LossSymptom
from keras_gradwatch.findings.sentences import about_loss

FIELDS = {
    "loss": "loss",
    "ago": 12,
    "value": 4.5,
    "threshold": 3.5,
    "level": 1.25,
    "highest": 1.5,
    "steps": 2,
    "number": 10,
    "first": 1.0,
    "is_lost": True,
    "best": 0.5,
    "start": 2.25,
    "layers": ("a", "b"),
    "share": 1.0,
    "looks": 4,
    "swapped": 2.125,
    "own": 2.0,
    "epoch": 3,
    "trained_then": 0.75,
    "trained_now": 0.25,
}
SAID = {
    "Spike": ["rose to 4.5 for 2 steps", "median was 1.25", "spike number 10"],
    "BlowUp": ["grew from 1 to 4.5", "not finite now", "Lower the learning rate"],
    "Rise": ["above 3.5", "began at 2.25", "down to 0.5", "was not raised"],
    "Stalled": ["not fallen for 12 steps", "100% of the units of 'a' and 'b'"],
    "Overshooting": ["the 4 that were looked at", "by 450%", "factor of 10"],
    "Uninformed": ["began at 2.25", "is 2, and 2.125 with", "Check that inputs"],
    "Parted": ["0.5 after epoch 3", "from 0.75 to 0.25", "EarlyStopping"],
}


@pytest.mark.parametrize("cls", LossSymptom.__subclasses__(), ids=lambda c: c.__name__)
def test_what_each_says(cls):
    names = [field.name for field in dataclasses.fields(cls)]
    said = about_loss(cls(**{name: FIELDS[name] for name in names}))
    assert said.startswith("'loss' ")
    assert said.endswith(".")
    for part in SAID[cls.__name__]:
        assert part in said


@pytest.mark.parametrize("kind", KINDS)
def test_an_alert_of_each_kind_has_a_title_and_comes_back(kind):
    alert = Alert(kind, 7, ("loss",), "It rose.", since=3)
    assert Alert.from_json(alert.to_json()) == alert
    assert str(alert).endswith(" at step 7: It rose.")
    assert alert.title[0].isupper()
