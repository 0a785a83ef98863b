"""A report in a notebook and as a picture."""

import copy
import html
import math
import pickle
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

import keras_gradwatch as kgw
from keras_gradwatch.findings.nonfinite import Extent
from keras_gradwatch.findings.notes import LookHere, Said
from keras_gradwatch.findings.place import Line, Place
from keras_gradwatch.findings.several import Several
from tests.support.reports import comparison, report, variable

NAMES = [
    "<script>alert(1)</script>",
    "](javascript:x) $\\frac{",
    "\u5c42/\u202e\nkernel",
    "x" * 10_000,
]


class Page(HTMLParser):
    """The tags and the text of some HTML."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)

    def handle_data(self, data):
        self.words.append(data)


def hostile():
    pairs = [(1.0, -1.0), (0.0, 2.0), (math.nan, 1.0), (None, 1.0), (1e-300, 1e300)]
    compared = tuple(
        comparison(analytic=a, numerical=n, word="mismatch") for a, n in pairs
    )
    wrong = [
        variable(path=n, verdict="FAIL", reason=n, coordinates=compared) for n in NAMES
    ]
    lost = variable(verdict="INCONCLUSIVE", relative_error=None, coordinates=())
    right = variable(path="right", relative_error=0.0)
    return report(right, lost, *wrong, verdict="FAIL", notes=("<b>$a$</b>",))


def test_the_notebook_shows_failures_first_and_names_as_they_are():
    page = Page(hostile()._repr_html_())
    assert set(page.tags) <= {"div", "table", "tr", "th", "td", "b", "bdi"}
    badges = [w for w in page.words if w in ("FAIL", "INCONCLUSIVE", "PASS")]
    assert badges == ["FAIL"] * 5 + ["INCONCLUSIVE", "PASS"]
    assert NAMES[0] in page.words
    assert "<b>$a$</b>" in page.words
    assert max(len(w) for w in page.words if "x" * 50 in w) < 20_000


def tables(found):
    """The text of each cell, row by row, of what a notebook shows."""
    rows = re.findall(r"<tr>(.*?)</tr>", found._repr_html_())
    return [
        [
            html.unescape(re.sub("<.*?>", "", cell))
            for cell in re.findall("<t[hd].*?</t[hd]>", r)
        ]
        for r in rows
    ]


def test_the_notebook_has_all_of_the_console_and_the_place_first():
    line = Line("/home/me/swish.py", 47, "swish")
    look = LookHere((Place("swish", "Swish", line),))
    whole = report(
        variable(verdict="FAIL", reason="Off.", training_error=2.5e-6),
        verdict="FAIL",
        training_dtype="float32",
        remarks=(look, Said("More.")),
        switched_off=("dropout",),
    )
    header, row = tables(whole)
    assert header[:5] == ["verdict", "variable", "rel. error", "compared", "in float32"]
    assert row == ["FAIL", "dense/kernel", "1.0e-08", "100%", "2.5e-06", "Off."]
    shown = html.unescape(re.sub("<.*?>", "", whole._repr_html_()))
    order = ["Look first at 'swish'", "dense/kernelOff.", "More.", "Switched off"]
    assert shown.index(order[0]) < shown.index("rel. error") < shown.index(order[2])
    assert shown.count(order[0]) == 1
    assert order[3] in shown
    header, row = tables(Several([whole]))
    assert header[:2] == ["verdict", "look at"]
    assert row[:4] == ["FAIL", "'swish' (Swish), swish.py:47, in swish", "7", "1 of 1"]


def test_readings_alerts_and_findings_are_tables_too():
    figures = {"norm": 1.5, "mean_size": 0.1, "largest": 1.0, "zeros": 0.25}
    stats = kgw.VariableStats(
        NAMES[0], "dense", "", (2,), **figures, idle_units=None, nonfinite=0
    )
    reading = kgw.GradientReading(3, (("loss", 0.5),), (stats,))
    alert = kgw.Alert("dead", 4, (NAMES[0],), "All <b>zero</b>.", since=2)
    inputs = (Extent.of("the input", [1.0, 2.0]), Extent.of(NAMES[0], [[0.0]]))
    finding = kgw.NonFinite(
        5, "the loss is nan", "forward", where=NAMES[0], inputs=inputs
    )
    expected = {
        reading: [NAMES[0], "1.50e+00", "1.00e-01", "25%", "-"],
        alert: ["Dead gradients", NAMES[0], "4", "2", "All <b>zero</b>."],
        finding: ["went in", "the input", "(2,)", "1", "2", "1.5", "0"],
    }
    for found, row in expected.items():
        assert tables(found)[1] == row
        page = Page(found._repr_html_())
        assert set(page.tags) <= {"div", "table", "tr", "th", "td", "b", "bdi"}
        listed = tables(Several([found, found]))
        assert len(listed) == 3
        assert str(found.step) in listed[1]
    assert tables(Several([finding]))[1][0] == NAMES[0]


def test_a_list_of_findings_is_a_list():
    several = Several([report(step=1), report(step=2)])
    assert several == [report(step=1), report(step=2)]
    assert tables(several[1:])[1] == ["PASS", "2", "0 of 0", "-"]
    for same in (copy.deepcopy(several), pickle.loads(pickle.dumps(several))):
        assert tables(same) == tables(several)
    assert tables(Several()) == []
    many = Several(report(step=k) for k in range(300))
    assert len(tables(many)) == 201
    assert "The last 200 of 300." in many._repr_html_()


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_report_is_drawn(tmp_path, suffix):
    path = tmp_path / f"report.{suffix}"
    hostile().plot(path)
    assert path.stat().st_size > 5000
    if suffix == "svg":
        text = path.read_text()
        assert "<script" not in text
        assert "relative error" in text


def test_two_hundred_variables_are_drawn_on_one_screen(tmp_path):
    off = comparison(analytic=0.932, relative_error=0.035, word="mismatch")
    rows = [variable(path=f"block_{k}/kernel") for k in range(199)]
    wrong = variable(path="wrong/kernel", verdict="FAIL", coordinates=(off,))
    report(*rows, wrong, verdict="FAIL").plot(tmp_path / "many.svg")
    drawn = (tmp_path / "many.svg").read_text()
    written = re.findall(r"<!-- (.*?) -->", drawn)
    assert {f"{v.label}  PASS" for v in rows} <= set(written)
    assert {"wrong/kernel  FAIL", "mismatch", "match", "tolerance, 0.001"} <= (
        set(written)
    )
    width, height = re.search(r'width="(\d+).*?pt" height="(\d+)', drawn).groups()
    assert int(height) < 0.6 * int(width) < 1200
    report(rows[0]).plot(tmp_path / "right.svg")
    assert "<!-- mismatch -->" not in (tmp_path / "right.svg").read_text()


def test_a_report_without_anything_is_drawn(tmp_path):
    report(verdict="INCONCLUSIVE", reason="Why.").plot(str(tmp_path / "none.png"))
    assert (tmp_path / "none.png").exists()


def test_an_unknown_kind_of_picture_is_refused(tmp_path):
    with pytest.raises(kgw.InvalidArgumentError, match=r"'png'.*Received: path="):
        report().plot(tmp_path / "report.docx")


def test_without_matplotlib_the_error_names_the_remedy():
    code = """
import sys
sys.modules["matplotlib"] = None  # as if it were not installed
from tests.support.reports import report
try:
    report().plot("report.png")
except ImportError as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("MissingPackageError")
    assert 'pip install "keras-gradwatch[plot]"' in done.stdout
    assert "Received: path='report.png'" in done.stdout
