"""All that is to be said of a run, the worst first."""

import dataclasses

import pytest

from keras_gradwatch.findings.alert import Alert
from keras_gradwatch.findings.digest import digest
from keras_gradwatch.findings.handed import ZEROS, Handed
from keras_gradwatch.findings.notes import SEVERE, HandedOn, LookHere, LookToTheLoss
from keras_gradwatch.findings.place import LOSS, Line, Place
from keras_gradwatch.findings.states import STATES, rank
from keras_gradwatch.findings.story import findings
from tests.support.reports import comparison, report, variable

LINE = Line("/home/me/train.py", 12, "half")
HERE = LookHere((Place("net/half", "Half", LINE),))


def wrong(path="a/kernel", error=1 / 3):
    pair = comparison(word="mismatch", analytic=1.0, numerical=2.0)
    return variable(
        path=path,
        verdict="FAIL",
        relative_error=error,
        coordinates=(pair,),
        directions=(pair,),
    )


def check(step, *variables, **changes):
    return digest(report(*(variables or [variable()]), step=step, **changes))


def failed(step, *variables, remarks=(HERE,)):
    rows = variables or [wrong()]
    return check(step, *rows, verdict="FAIL", remarks=remarks)


def untold(step):
    row = variable(verdict="INCONCLUSIVE", reason="A kink.")
    return check(step, variable(path="b"), row, verdict="INCONCLUSIVE", reason="Kinks.")


def warned(step):
    handed = HandedOn(("a/kernel",), Handed(ZEROS), severity=SEVERE)
    return check(step, remarks=(handed,))


def alert(step, kind="vanishing", message="The gradient is small.", since=None):
    since = step if since is None else since
    return Alert(kind, step, ("dense", "other"), message, since=since)


def states(digests, *alerts):
    return [one.state for one in findings(digests, enumerate(alerts))]


def test_the_worst_comes_first():
    alerts = alert(3), alert(4, "nonfinite")
    found = states([warned(5), failed(10), untold(20)], *alerts)
    assert found == ["FAIL", "NaN", "ALERT", "WARNING", "INCONCLUSIVE"]
    assert [rank(state) for state in STATES] == [*range(len(STATES))]


@pytest.mark.parametrize(
    ("digests", "alerts", "state"),
    [
        ([check(1), failed(2)], [], "FAIL"),
        ([failed(1), check(2)], [], "FAIL"),
        ([check(1)], [alert(1, "nonfinite")], "NaN"),
        ([check(1)], [alert(1)], "ALERT"),
        ([check(1), warned(2)], [], "WARNING"),
        ([check(1), untold(2)], [], "INCONCLUSIVE"),
        ([untold(1), check(2)], [], "PASS"),
        ([], [alert(1)], "ALERT"),
    ],
)
def test_a_run_is_as_bad_as_its_worst(digests, alerts, state):
    assert states(digests, *alerts)[0] == state


def test_of_nothing_there_is_nothing_to_say():
    assert findings([], []) == []


def test_what_is_wrong_names_the_place_the_line_the_extent_and_since_when():
    rows = [wrong("net/first/kernel", 0.2), wrong("net/second/kernel", 0.015)]
    told, *_ = findings([check(10), failed(20, *rows), failed(30, *rows)], [])
    assert told.title == "Look at 'net/half' (Half)"
    assert told.lines == (LINE,)
    assert told.text == "2 of 2 gradients are too small by a factor of 2."
    assert (told.since, told.step, told.check) == (20, 30, 2)
    # The closest to the mistake first.
    assert told.labels == ("net/second/kernel", "net/first/kernel")


def test_without_a_place_the_variables_are_named():
    told, *_ = findings([failed(10, wrong("a"), wrong("b"), remarks=())], [])
    assert told.title == "The gradients of b and 1 more are wrong"
    told, *_ = findings([failed(10, wrong("a"), remarks=())], [])
    assert told.title == "The gradient of a is wrong"
    assert told.lines == ()


def test_a_loss_may_be_to_blame():
    look = LookToTheLoss((Place("huber", LOSS),), wrong="a")
    told, *_ = findings([failed(10, remarks=(look,))], [])
    assert told.title == "Look at the loss 'huber'"


def test_what_was_wrong_and_is_right_by_now_stays_the_worst():
    told, *rest = findings([failed(10), check(20)], [])
    assert told.text.endswith("1 of 2 checks failed; the newest, at step 20, is PASS.")
    assert (told.step, told.check) == (10, 0)
    assert [one.state for one in rest] == ["PASS"]


def test_a_training_before_is_history():
    told = findings([failed(10), failed(20), check(10)], [])
    assert [one.state for one in told] == ["PASS"]
    assert told[0].check == 2
    assert told[0].text == "The check passed; worst relative error 1e-08."


def test_alerts_of_a_kind_are_one_finding_and_each_nan_is_one():
    alerts = [alert(5), alert(9, since=7), alert(3, "dead"), alert(4, "nonfinite")]
    alerts.append(alert(8, "nonfinite", "Where it came from, at length."))
    told = findings([], enumerate(alerts))
    assert [one.state for one in told] == ["NaN", "NaN", "ALERT", "ALERT"]
    assert [one.alerts for one in told] == [(3,), (4,), (2,), (0, 1)]
    assert (told[-1].since, told[-1].step) == (5, 9)
    assert told[-1].title == "Vanishing gradients: dense and 1 more"
    assert told[0].title == "NaN or infinity in dense and 1 more"


def test_what_weights_learn_by_instead_is_said_since_it_is_so():
    told, *_ = findings([check(1), warned(2), warned(3)], [])
    assert (told.state, told.since, told.step) == ("WARNING", 2, 3)
    assert "hands the optimizer zeros" in told.text


def test_what_was_not_told_says_how_much_was():
    told, *_ = findings([untold(7)], [])
    assert told.title == "Told of 1 of 2 gradients only"
    nothing = dataclasses.replace(untold(7), variables=())
    told, *_ = findings([nothing], [])
    assert told.title == "No gradient could be checked"


def test_what_is_right_counts_the_rest():
    rows = variable(path="a"), variable(path="b", verdict="UNUSED")
    told, *_ = findings([check(5, *rows), check(6, *rows)], [])
    assert told.title == "1 of 2 gradients right (1 UNUSED)"
    assert told.text == "All 2 checks passed; worst relative error 1e-08."
