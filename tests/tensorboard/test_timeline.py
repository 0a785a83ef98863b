"""A run on one axis, on which steps never fall back."""

import math

from keras_gradwatch.findings.alert import Alert
from keras_gradwatch.findings.digest import digest
from keras_gradwatch.findings.moment import Moment
from keras_gradwatch.tensorboard.plugin.runs import Check, Noticed, Point, RunSummary
from keras_gradwatch.tensorboard.plugin.timeline import timeline
from tests.support.reports import report, variable


def summary(*events):
    """A run of events, each a kind, a step and the fit that it is of."""
    found = RunSummary()
    for wall, (kind, step, fit) in enumerate(events):
        if kind == "check":
            short = digest(report(variable(), step=step, loss=step / 10))
            found.checks.append(Check(f"{fit}.{step}", short, wall, fit))
        elif kind == "alert":
            alert = Alert("dead", step, ("a",), "Dead.", since=step)
            found.alerts.append(Noticed(len(found.checks), alert, wall, fit))
        else:
            moment = Moment(step, step // 10, step / 10, 1.0)
            found.points.append(Point(moment, wall, fit))
    return found


def test_one_fit_is_drawn_by_its_steps():
    events = ("point", 0, "1"), ("check", 5, "1"), ("point", 10, "1"), ("alert", 8, "1")
    found = timeline(summary(*events))
    assert [p[:3] for p in found["points"]] == [[0, 0, 0], [10, 10, 1]]
    assert (found["checks"], found["alerts"]) == ([5], [8])
    assert found["begins"] == []


def test_a_fit_that_goes_on_is_marked_and_not_moved():
    found = timeline(summary(("check", 5, "1"), ("check", 9, "2"), ("check", 12, "2")))
    assert found["checks"] == [5, 9, 12]
    assert found["begins"] == [{"at": 9, "step": 9}]


def test_a_fit_that_begins_anew_is_drawn_after_the_one_before():
    events = [(k, s, fit) for fit in "12" for k, s in (("point", 0), ("check", 5))]
    found = timeline(summary(*events))
    assert found["checks"] == [5, 11]
    assert [p[:2] for p in found["points"]] == [[0, 0], [6, 0]]
    assert found["begins"] == [{"at": 6, "step": 0}]


def test_checks_that_fall_back_in_one_file_begin_anew_too():
    found = timeline(summary(("check", 5, ""), ("check", 9, ""), ("check", 3, "")))
    assert found["checks"] == [5, 9, 10]


def test_where_no_reading_is_checks_tell_the_loss():
    found = timeline(summary(("check", 5, "1"), ("check", 9, "1")))
    assert [p[4:] for p in found["points"]] == [[0.5, None], [0.9, None]]


def test_of_many_points_some_are_drawn_and_all_that_are_not_finite():
    found = summary(*[("point", step, "1") for step in range(10_000)])
    found.points[777] = Point(Moment(777, 0, math.nan, 1.0), 777.0, "1")
    drawn = timeline(found)["points"]
    assert len(drawn) < 4_000
    assert [p[1] for p in drawn if math.isnan(p[4])] == [777]
    assert drawn[0][1] == 0


def test_of_nothing_there_is_nothing_to_draw():
    assert timeline(RunSummary()) == {
        "points": [],
        "checks": [],
        "alerts": [],
        "begins": [],
    }
