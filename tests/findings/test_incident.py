"""What is known of an incident, as data and in one sentence."""

import dataclasses
import math

import pytest

from keras_gradwatch.findings import clues, handed, notes, piecing
from keras_gradwatch.findings.alert import INCIDENT, KINDS, OVERFITTING, Alert
from keras_gradwatch.findings.clues import Checked, Idle, Moved, Norms, Seen, Unknown
from keras_gradwatch.findings.incident import Incident
from keras_gradwatch.findings.place import Line, Place
from keras_gradwatch.findings.reading import GradientReading, VariableStats
from keras_gradwatch.findings.verdicts import FAIL, INCONCLUSIVE, PASS
from tests.support.reports import report, variable

SEEN = Seen("spike", ("loss",), 1203, 1200, 80.0, 2.0)
RIGHT = Checked(1190, PASS, 8, underflow=0.0)
NOW = dataclasses.replace(RIGHT, step=1204)
SWISH = Place("swish", "Swish", Line("net.py", 41, "swish"), "swish")
WRONG = Checked(1204, FAIL, 8, ("a", "b"), (), (SWISH,), underflow=0.0)
GROWN = Norms(1204, 1150, 9.1, 0.2, Moved("block_3/attention", 0.2, 9.0))
# `read` can't tell where nobody asked for it.
NO_STATS = Unknown(clues.READING, clues.ABSENT)


def told(*seen, **known):
    return Incident(1205, seen or (SEEN,), **known)


def test_all_of_it():
    incident = told(check_before=RIGHT, check=NOW, norms=GROWN)
    assert str(incident) == (
        "Incident at step 1205: 'loss' rose 40-fold to 80 at step 1200, and came back; "
        "the gradient was right at step 1190 and is right at step 1204; its norm grew "
        "45-fold in 'block_3/attention' from step 1150 to 1204; nothing underflows."
    )
    assert (incident.since, incident.alert.kind) == (1200, INCIDENT)
    assert incident.alert.where == ("loss",)


GRADIENTS = {
    "wrong now": (
        RIGHT,
        WRONG,
        "was right at step 1190 and is wrong at step 1204 (2 of",
    ),
    "the place": (
        RIGHT,
        WRONG,
        "(2 of 8 variables, look at 'swish' (Swish), net.py:41",
    ),
    "wrong before": (
        dataclasses.replace(WRONG, step=1190),
        WRONG,
        "the gradient is wrong at step 1204",
    ),
    "as before": (dataclasses.replace(WRONG, step=7), WRONG, "as it was at step 7"),
    "first": (None, NOW, "is right at step 1204, where it was first checked"),
    "in part": (
        RIGHT,
        Checked(1204, INCONCLUSIVE, 8, (), ("a", "b")),
        "and is right at step 1204 as far as could be told (6 of 8 variables)",
    ),
    "not at all": (
        RIGHT,
        Checked(1204, INCONCLUSIVE, 0),
        "and is not known at step 1204",
    ),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_whether_the_gradient_is_right(name):
    before, check, words = GRADIENTS[name]
    incident = told(check_before=before, check=check, unknown=(NO_STATS,))
    assert words in incident.sentence
    assert "norm" not in incident.sentence
    underflow = check.underflow is not None
    assert ("nothing underflows" in incident.sentence) == underflow


WHYS = {
    clues.ABSENT: "no GradientCheck goes with this training",
    clues.WARMING_UP: "its warm-up is not over",
    clues.NO_TIME: "its share of the time is used up",
    clues.FAILED: "it could not be made",
    clues.ENDED: "training ended",
}


@pytest.mark.parametrize("why", WHYS)
def test_why_it_is_not_known(why):
    unknown = (Unknown(clues.CHECK, why), Unknown(clues.READING, clues.FAILED))
    sentence = told(unknown=unknown).sentence
    assert f"whether the gradient is right is not known ({WHYS[why]})" in sentence
    assert sentence.endswith("; its norm was not read (it could not be made).")
    sentence = told(check_before=RIGHT, unknown=unknown).sentence
    assert (
        f"was right at step 1190, and was not checked again ({WHYS[why]})" in sentence
    )


def test_what_was_looked_into_not_long_ago_has_no_excuse():
    unknown = Unknown(clues.CHECK, clues.RESTING), Unknown(clues.READING, clues.RESTING)
    sentence = told(check_before=RIGHT, unknown=unknown).sentence
    assert sentence.endswith("; the gradient was right at step 1190.")


NORMS = {
    "from nothing": (
        GROWN,
        {"grown": Moved("a", 0.0, 2.0)},
        "norm grew from 0 to 2 in",
    ),
    "as before": (
        GROWN,
        {"grown": Moved("a", 1.0, 1.5)},
        "its norm has doubled in no layer from step 1150 to 1204",
    ),
    "fallen": (
        GROWN,
        {"grown": None, "fallen": Moved("a", 1.0, 0.002)},
        "its norm fell to 0.002 of itself in 'a'",
    ),
    "gone": (
        GROWN,
        {"grown": None, "fallen": Moved("a", 1.0, 0.0)},
        "its norm fell to zero in 'a'",
    ),
    "first": (GROWN, {"before": None}, "its norm is 9.1, read for the first time"),
    "lost": (
        GROWN,
        {"nonfinite": ("a", "b")},
        "it is not finite in 'a' (and 1 more) at step 1204",
    ),
    "dead": (GROWN, {"idle": (Idle("a", 1.0),)}, "no unit of 'a' gets a gradient"),
    "nearly dead": (
        GROWN,
        {"idle": (Idle("a", 0.96), Idle("b", 1.0))},
        "4% of the units of 'a' (and 1 more) get a gradient",
    ),
}


@pytest.mark.parametrize("name", NORMS)
def test_what_became_of_its_norm(name):
    norms, changes, words = NORMS[name]
    sentence = told(check=NOW, norms=dataclasses.replace(norms, **changes)).sentence
    assert words in sentence


def test_what_becomes_of_it_in_training():
    loses = dataclasses.replace(NOW, underflow=0.12, underflows=("a/kernel", "b"))
    assert told(check=loses).sentence.endswith(
        "; 12% of it underflows in 'a/kernel' (and 1 more)."
    )
    twice = handed.Handed(handed.MULTIPLE, 2.0)
    note = notes.HandedOn(("a/kernel",), twice, severity=notes.SEVERE)
    given = dataclasses.replace(NOW, severe=(note,))
    assert told(check=given).sentence.endswith(
        "; nothing underflows; the optimizer of a/kernel gets 2 times the gradient."
    )
    severe = {"severity": notes.SEVERE}
    for note, words in [
        (notes.LossNotScaled("optimizer", **severe), "as the optimizer 'optimizer' e"),
        (
            notes.TrainingLossNotFinite("float16", math.inf, 1.0, **severe),
            "in float16.",
        ),
        (
            notes.RoundedOff("float16", 0.5, ("a",), **severe),
            "warns of what becomes of",
        ),
    ]:
        given = dataclasses.replace(NOW, severe=(note,))
        assert words in told(check=given).sentence


@pytest.mark.parametrize("kind", sorted({*KINDS} - {INCIDENT, OVERFITTING}))
def test_each_kind_of_alert_begins_a_sentence(kind):
    first = told(Seen(kind, ("net/a", "b", "c"), 20, 10), check=NOW).sentence
    first, *rest = first.split(";")
    assert "step 10" in first
    assert "'net/a', 'b' and 1 more" in first
    assert rest
    # Where it is, is not always known.
    nowhere = told(Seen(kind, (), 20, 10), check=NOW).sentence
    assert " in ;" not in nowhere


def test_a_loss_that_is_not_above_zero_has_no_factor():
    sentence = told(Seen("spike", ("loss",), 3, 2, 5.0, -3.0), check=NOW).sentence
    assert sentence.startswith("'loss' rose from -3 to 5 at step 2")
    sentence = told(Seen("diverging", ("loss",), 3, 2, 5.0, 3.0), check=NOW).sentence
    assert sentence.startswith("'loss' rose from 3 to 5 since step 2;")


def test_a_huge_factor_is_no_row_of_zeros():
    blown = dataclasses.replace(SEEN, value=3e18)
    assert "rose 1.5e+18-fold to 3e+18" in told(blown).sentence
    assert (
        "rose 520,000,000-fold"
        in told(dataclasses.replace(SEEN, value=1.04e9)).sentence
    )


def test_several_alerts_are_one_sentence():
    dead = Seen("dead", ("a",), 1203, 1150)
    incident = told(SEEN, dead, check=NOW)
    assert "and came back and gradients are dead in 'a' since step" in incident.sentence
    assert incident.since == 1150


def test_it_comes_back_from_json():
    note = notes.LossNotScaled("optimizer", severity=notes.SEVERE)
    check = dataclasses.replace(WRONG, severe=(note,))
    norms = dataclasses.replace(GROWN, total=math.nan, idle=(Idle("a", 1.0),))
    lost = Seen("nonfinite", (), 3, 3, math.inf)
    incident = told(SEEN, lost, check=check, norms=norms, unknown=(NO_STATS,), epoch=2)
    again = Incident.from_json(incident.to_json())
    assert again == incident
    assert again != told()
    assert again.check.severe == (note,)
    assert again.sentence == incident.sentence
    with pytest.raises(ValueError, match="Expected an incident of format 1"):
        Incident.from_json("{}")


def layer(name, norm, **changes):
    known = {"layer": name, "norm": norm, **changes}
    return VariableStats(
        **{
            "path": f"{name}/kernel",
            "target": "",
            "shape": (2, 2),
            "mean_size": 1.0,
            "largest": 1.0,
            "zeros": 0.0,
            "idle_units": None,
            "nonfinite": 0,
            **known,
        }
    )


def reading(step, *layers):
    return GradientReading(step, (("loss", 1.0),), layers)


def test_the_layer_that_grew_most_is_one_that_matters():
    before = reading(1, layer("a", 1.0), layer("b", 2.0), layer("noise", 1e-9))
    now = reading(2, layer("a", 40.0), layer("b", 60.0), layer("noise", 1e-5))
    found = piecing.norms(now, before)
    assert found.grown == Moved("a", 1.0, 40.0)
    assert found.fallen is None
    assert piecing.norms(before, now).fallen == Moved("a", 40.0, 1.0)


def test_a_layer_that_is_not_finite_is_no_growth():
    before = reading(1, layer("a", 1.0), layer("b", 2.0))
    now = reading(2, layer("a", math.nan, nonfinite=3), layer("b", 5.0))
    found = piecing.norms(now, before, [("c", 1.0)])
    assert found.nonfinite == ("a/kernel",)
    assert found.grown == Moved("b", 2.0, 5.0)
    assert found.idle == (Idle("c", 1.0),)


def test_what_a_report_tells():
    found = piecing.checked(report(variable(), step=7))
    assert (found.step, found.verdict, found.variables) == (7, "PASS", 1)
    assert found.wrong == found.untold == ()
    # It did not look at the precision of training.
    assert found.underflow is None


def test_an_alert_knows_what_was_before():
    alert = Alert("spike", 3, ("loss",), "It rose.", 2, 80.0, 9.0, before=2.0)
    assert Alert.from_json(alert.to_json()) == alert
    assert piecing.seen(alert) == Seen("spike", ("loss",), 3, 2, 80.0, 2.0)
    assert piecing.seen(alert).fold == 40
