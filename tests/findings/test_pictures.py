"""A report in a notebook and as a picture."""

import math
import subprocess
import sys
from html.parser import HTMLParser

import pytest

import keras_gradwatch as kgw
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


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_report_is_drawn(tmp_path, suffix):
    path = tmp_path / f"report.{suffix}"
    hostile().plot(path)
    assert path.stat().st_size > 5000
    if suffix == "svg":
        text = path.read_text()
        assert "<script" not in text
        assert "relative error" in text


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
