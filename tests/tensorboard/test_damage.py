"""Events that are damaged, of a newer version, or made to do harm."""

import itertools
import json
import os
import re
import zlib

import pytest
import tensorflow as tf

import keras_gradwatch as kgw
from keras_gradwatch.__main__ import ALARMED, WRONG, main
from keras_gradwatch.tensorboard.plugin import answers
from keras_gradwatch.tensorboard.tags import PLUGIN
from tests.support.reports import report, variable
from tests.support.tab_logs import alert, write, write_alerts
from tests.support.tab_server import summary_of

STEPS = [10, 20, 30, 40]
HIT = 20


@pytest.fixture
def log(tmp_path):
    """Four checks that passed, and three alerts; returns the directory."""
    write(tmp_path, *[report(variable(), step=step) for step in STEPS])
    write_alerts(tmp_path, alert(15), alert(HIT), alert(25))
    return tmp_path


def event_file(log):
    return min((log / "gradwatch").iterdir())


def rewrite(log, change):
    """Writes the files anew; `change` makes other bytes of the JSON of an event."""
    for path in list((log / "gradwatch").iterdir()):
        records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
        with tf.io.TFRecordWriter(str(path)) as file:
            for record in records:
                event = tf.compat.v1.Event.FromString(record)
                for value in event.summary.value:
                    packed = value.tensor.string_val
                    is_ours = value.metadata.plugin_data.plugin_name == PLUGIN
                    if is_ours and event.step == HIT:
                        packed[0] = change(zlib.decompress(packed[0]))
                file.write(event.SerializeToString())


def console(log, capsys, *flags):
    code = main([str(log), *flags])
    return code, *capsys.readouterr()


def tab(log):
    """What the tab's server reads by TensorBoard's slow loader."""
    found = summary_of(log)
    return answers.run("gradwatch", found), found


# Where a digest has them.
PLACES = {"step": 1, "verdict": 2, "variables": 6}


def fields(**changes):
    """Changes fields of a report, an alert or a digest."""

    def change(text):
        data = json.loads(text)
        if isinstance(data, list):
            for name in changes.keys() & PLACES.keys():
                data[PLACES[name]] = changes[name]
            return json.dumps(data).encode()
        known = {name: value for name, value in changes.items() if name in data}
        return json.dumps({**data, **known, **({} if known else {"step": []})}).encode()

    return change


def in_variable(name, place, value):
    """Changes a field of a variable, in a report by name, in a digest by place."""

    def change(text):
        data = json.loads(text)
        if isinstance(data, list):
            data[PLACES["variables"]][0][place] = value
        else:
            data.get("variables", [data])[0][name] = value
        return json.dumps(data).encode()

    return change


def infinite_cause(text):
    """Points at a variable that is not there."""
    data = json.loads(text)
    if isinstance(data, dict):
        data["cause"] = {"is": "OnlyFirstOrder", "open_rows": [99]}
        return json.dumps(data).encode()
    return b"[]"


CONTENTS = {
    "deep": lambda text: 200_000 * b"[" + 200_000 * b"]",
    "deep objects": lambda text: 100_000 * b'{"a":' + b"1" + 100_000 * b"}",
    "no text": lambda text: b"\xff\xfe\x00",
    "nothing": lambda text: b"",
    "null": lambda text: b"null",
    "a number": lambda text: b"7",
    "an empty list": lambda text: b"[]",
    "of a newer version": lambda text: re.sub(
        rb'^(\[|\{"format": )\d+', rb"\g<1>99", text
    ),
    "a verdict of a newer version": fields(verdict="SKIPPED", kind="BORED"),
    "the verdict of a variable": in_variable("verdict", 2, "SKIPPED"),
    "null for a verdict": fields(verdict=None, kind=None),
    "null for a step": fields(step=None),
    "a step of a thousand digits": fields(step=10.0**300, since=1e300),
    "null for variables": fields(variables=None, where=None),
    "a list for an error": in_variable("relative_error", 3, []),
    "words for an error": in_variable("relative_error", 3, "large"),
    "a number for a path": in_variable("path", 0, 5),
    "a cause that points nowhere": infinite_cause,
}
FIRST = ("deep", "a verdict of a newer version", "null for variables")


def told(log, capsys, damaged, checks=3):
    code, out, err = console(log, capsys)
    assert code == 1
    assert f"{damaged} damaged event(s) left out" in err
    assert f"steps 10 to 40 PASS ({checks} checks)" in out
    assert "step 15" in out
    assert "step 25" in out
    code, out, _ = console(log, capsys, "--json")
    (run,) = json.loads(out)["runs"]
    assert (code, run["damaged"]) == (1, damaged)
    with pytest.warns(kgw.GradwatchWarning, match=f"^{damaged} damaged event"):
        reports = kgw.read_reports(log)
    steps = [r.step for r in reports]
    assert [s for s in steps if s != HIT] == [10, 30, 40]
    return steps


def some_of(kinds, *first):
    """The first of some kinds; the others take long."""
    long = pytest.mark.long
    return [k if k in first else pytest.param(k, marks=long) for k in kinds]


@pytest.mark.parametrize("kind", some_of(CONTENTS, *FIRST))
def test_what_an_event_holds(log, capsys, kind):
    rewrite(log, lambda text: zlib.compress(CONTENTS[kind](text)))
    # A report, its digest, and an alert.
    assert HIT not in told(log, capsys, 3)
    answer, found = tab(log)
    assert answer["damaged"] == 2  # the report is read only when it is looked at
    assert (answer["state"], answer["checks"]) == ("ALERT", 3)
    assert [check.digest.step for check in found.checks] == [10, 30, 40]
    assert [one.alert.step for one in found.alerts] == [15, 25]


def test_what_unpacks_to_more_than_there_is_room_for(log, capsys):
    bomb = zlib.compress(bytes(100 * 2**20))
    rewrite(log, lambda text: bomb)
    assert HIT not in told(log, capsys, 3)
    assert tab(log)[0]["damaged"] == 2


def test_bytes_that_are_not_packed(log, capsys):
    rewrite(log, lambda text: b"\0\1\2")
    assert HIT not in told(log, capsys, 3)


def test_only_the_digest_is_damaged(log, capsys):
    rewrite(log, lambda text: zlib.compress(b"[]" if text[:1] == b"[" else text))
    assert HIT in told(log, capsys, 1, checks=4)


def test_a_whole_log_is_no_damage(log, capsys):
    rewrite(log, zlib.compress)  # as the first versions packed it
    code, out, err = console(log, capsys)
    assert (code, err) == (ALARMED, "")  # of the alerts
    assert "steps 10 to 40 PASS (4 checks)" in out
    assert len(kgw.read_reports(log)) == 4
    answer, _ = tab(log)
    assert (answer["damaged"], answer["broken"]) == (0, 0)


def places(data):
    """Where each record begins."""
    at = 0
    while at < len(data):
        yield at
        at += 16 + int.from_bytes(data[at : at + 8], "little")


def record_of(data, tag, number):
    """Where the record of a tag begins and ends."""
    starts = [*places(data), len(data)]
    spans = [(a, b) for a, b in itertools.pairwise(starts) if tag in data[a:b]]
    return spans[number]


def flip(data, at, bit=0):
    data[at] ^= 1 << bit


def damage_file(log, change):
    path = event_file(log)
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    os.utime(path, (1e9, 1e9))  # nobody writes to it any more


REPORT = b"GradCheck/report/"


def flip_length(byte, bit):
    return lambda data: flip(data, record_of(data, REPORT, 1)[0] + byte, bit)


def hole(data):
    begin, end = record_of(data, REPORT, 1)
    del data[begin + 5 : end + 3]


def flip_tag(data):
    flip(data, data.index(REPORT, record_of(data, REPORT, 1)[0]) + 3)


def flip_frame(data):
    begin, _ = record_of(data, REPORT, 1)
    at = data.index(b"\x0a", data.index(b"\x2a", begin + 20))
    flip(data, at, 5)


FILES = {
    "a small length": flip_length(0, 1),
    "a large length": flip_length(3, 0),
    "a huge length": flip_length(7, 6),
    "a checksum": flip_length(9, 4),
    "a hole": hole,
    "a tag": flip_tag,
    "a frame": flip_frame,
}


@pytest.mark.parametrize("kind", some_of(FILES, "a large length"))
def test_one_record_of_a_file(log, capsys, kind):
    damage_file(log, FILES[kind])
    code, out, err = console(log, capsys)
    assert code == 1
    assert "damaged event(s) left out" in err
    assert "40 PASS" in out
    with pytest.warns(kgw.GradwatchWarning, match="damaged event"):
        steps = [r.step for r in kgw.read_reports(log)]
    assert [s for s in steps if s not in (HIT, 30)] == [10, 40]
    assert len(steps) >= 2


def test_the_tab_tells_where_tensorboard_stops(log):
    damage_file(log, FILES["a large length"])
    answer, found = tab(log)
    assert answer["broken"] == 1
    assert len(found.checks) < 4


@pytest.mark.parametrize("left", [0, 5, 300])
def test_a_file_that_ends_too_early(log, capsys, left):
    def cut(data):
        begin, _ = record_of(data, REPORT, 3)
        del data[begin + left :]

    damage_file(log, cut)
    code, _, err = console(log, capsys)
    answer, _ = tab(log)
    is_cut = left > 0  # otherwise all that is there is whole
    assert code == (WRONG if is_cut else ALARMED)
    assert (bool(err), answer["broken"]) == (is_cut, is_cut)


CHART = b"~GradCheck/log10_margin"


def flip_figure(data):
    _, end = record_of(data, CHART, 3)
    flip(data, data.rindex(b"\x22\x04", 0, end) + 3, 6)


def test_a_point_of_a_chart_that_is_not_what_was_written(log, capsys):
    damage_file(log, flip_figure)
    answer, found = tab(log)
    # TensorBoard's fast loader would draw it, the slow one stops there.
    assert (answer["damaged"], answer["broken"]) == (0, 1)
    assert found.checks
    code, out, err = console(log, capsys)
    assert (code, "1 damaged event" in err) == (WRONG, True)
    assert "steps 10 to 40 PASS (4 checks)" in out


# What is whole, and no callback writes: of a scalar, of a histogram.
ODD = {
    "a word": ("log10_margin", tf.constant("high")),
    "a matrix": ("log10_margin", tf.zeros([300, 300])),
    "a double": ("log10_margin", tf.constant(1.0, tf.float64)),
    "no bins": ("_histograms/dense/kernel", tf.constant(1.0)),
    "too many bins": ("_histograms/dense/kernel", tf.zeros([2000, 3], tf.float64)),
    "a large name": ("x" * 70_000, tf.constant(1.0)),
    "a large histogram": ("_histograms/a", tf.zeros([9000, 3], tf.float64)),
}
GOOD = {
    "global_norm": tf.constant(1.0),
    "history": tf.constant("| a text |" * 10_000),
    "_histograms/dense/kernel": tf.zeros([30, 3], tf.float64),
    "_histograms/dense/empty": tf.zeros([0, 3], tf.float64),
    "_norm/" + "x" * 10_000: tf.constant(1.0),
}


def write_charts(log, charts):
    writer = tf.summary.create_file_writer(str(log / "gradwatch"))
    with writer.as_default(step=50):
        for tag, value in charts:
            between = "" if tag.startswith("_") else "/"
            tf.summary.write(f"~GradCheck{between}{tag}", value)
    writer.close()


def test_charts_that_no_callback_writes(log, capsys):
    write_charts(log, GOOD.items())
    assert tab(log)[0]["damaged"] == 0
    assert console(log, capsys)[2] == ""
    write_charts(log, ODD.values())
    answer, _ = tab(log)
    assert (answer["damaged"], answer["broken"]) == (len(ODD), 0)
    assert (answer["state"], answer["checks"]) == ("ALERT", 4)
    code, out, err = console(log, capsys)
    assert (code, f"{len(ODD)} damaged event" in err) == (WRONG, True)
    assert "steps 10 to 40 PASS (4 checks)" in out


def test_what_is_still_being_written_is_not_broken_in_the_tab(log):
    path = event_file(log)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert tab(log)[0]["broken"] == 0
    path.write_bytes(whole)
    assert tab(log)[0]["broken"] == 0


def test_zeros_and_junk_at_the_end(log, capsys):
    for junk in (bytes(100_000), b"junk" * 1000):
        path = event_file(log)
        whole = path.read_bytes()
        path.write_bytes(whole + junk)
        code, out, err = console(log, capsys)
        assert code == 1
        assert "1 damaged event(s)" in err
        assert "steps 10 to 40 PASS (4 checks)" in out
        path.write_bytes(whole)


def test_other_runs_are_told_as_ever(log, capsys):
    write(log / "other", report(variable(), step=7))
    event_file(log).write_bytes(b"no event file at all" * 50)
    code, out, _ = console(log, capsys)
    assert code == 1
    assert "at step 7" in out
