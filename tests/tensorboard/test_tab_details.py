"""One variable in one check, and one check as a whole, in the tab."""

import pytest

from keras_gradwatch.findings import sentences
from tests.support.tab_logs import LOOK
from tests.support.tab_pages import (
    WITH_BROWSER,
    both_ways,
    finding,
)

pytestmark = WITH_BROWSER


@both_ways
def test_a_click_shows_the_details(tab):
    tab.run("half")
    tab.open("net/dense_1/kernel\nstep 300: FAIL, relative error 33 %")
    assert tab.all(".detail h2") == ["net/dense_1/kernel"]
    assert "step 300" in tab.all(".detail .heading .quiet")[0]
    assert tab.all(".reason") == ["The gradient is 0.5 times what differences give."]
    assert tab.all(".note") == [sentences.note(LOOK)]
    table = [line.split("\t") for line in tab.all(".detail tbody tr")]
    assert [line[0].strip() for line in table] == [
        "[0, 3]",
        "[1, 3]",
        "[2, 3]",
        "direction 1",
    ]
    numbers = [text.strip() for text in table[0][1:]]
    assert [numbers[k] for k in (0, 1, 2, 3, -1)] == [
        "0.15",
        "0.3",
        "1e-9",
        "0.33",
        "mismatch",
    ]
    figures = dict(zip(tab.all(".detail dt"), tab.all(".detail dd"), strict=False))
    assert figures["tolerance"] == "0.001"
    assert figures["vanished"] == "25 %"
    assert figures["overflowed"] == "0 %"
    tab.frame.get_by_label("Close details").click()
    assert tab.frame.locator(".detail").count() == 0


def test_a_small_mistake_stands_clear_of_the_tolerance(tab):
    tab.run("small")
    tab.open("net/a/kernel\nstep 10: FAIL, relative error 0.5 %")
    rows = tab.frame.locator(".detail tbody tr")
    for k in range(rows.count()):
        picture = rows.nth(k).locator(".errors")
        limit = picture.locator(".limit").bounding_box()
        mark = picture.locator("path.dot").bounding_box()
        assert mark["x"] > limit["x"] + 10
    assert tab.texts(".band-text") == ["tolerance 0.1 %"]
    tab.run("right")
    tab.frame.locator(".cell.variable").first.click()
    tab.wait(".detail circle.dot")
    limit = tab.frame.locator(".detail tbody .limit").first.bounding_box()
    for dot in tab.frame.locator(".detail circle.dot").all():
        assert dot.bounding_box()["x"] < limit["x"]


@both_ways
def test_a_check_has_a_page_of_its_own(tab):
    tab.run("half")
    tab.frame.locator(".head").nth(3).click()
    tab.wait(".check-page")
    assert tab.all(".check-page h2") == ["Check at step 300"]
    page = tab.frame.locator(".check-page").inner_text()
    assert sentences.note(LOOK) in page
    figures = dict(
        zip(tab.all(".check-page dt"), tab.all(".check-page dd"), strict=True)
    )
    assert figures["variables"] == "6"
    assert figures["FAIL"] == "1"
    assert figures["time"] == "0.1 s"
    assert figures["losses"] == "4"
    assert figures["check"] == "float64"
    # The worst first.
    assert tab.all(".variables tbody .link")[:2] == [
        "net/dense_1/kernel",
        "net/dense_1/bias",
    ]
    tab.frame.locator(".variables .link").first.click()
    tab.wait('.detail h2:has-text("net/dense_1/kernel")')
    tab.page.keyboard.press("Escape")
    tab.frame.locator(".cell.all").first.click()
    tab.wait('.check-page h2:has-text("step 0")')
    tab.frame.get_by_text("Back to the run").click()
    tab.wait(".finding.large")


@pytest.mark.long
def test_notes_stand_by_how_severe_they_are(tab):
    tab.run("severe")
    assert finding(tab)["state"].endswith("WARNING")
    assert "hands" in finding(tab)["text"]
    assert tab.all(".cell.all") == ["✓ !"]
    tab.frame.get_by_text("The whole check").first.click()
    tab.wait(".check-page")
    assert tab.all(".note-group h3 ") == [
        "!\nKeeps weights from learning",
        "i\nGood to know",
    ]
