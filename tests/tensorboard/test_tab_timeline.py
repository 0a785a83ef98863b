"""The timeline of the tab."""

import re

import pytest

from tests.support.tab_pages import (
    WITH_BROWSER,
    both_ways,
)

pytestmark = WITH_BROWSER


@both_ways
def test_the_timeline_shows_what_was_read_and_what_was_found(tab):
    tab.run("story")
    assert tab.frame.locator("path.curve.loss").get_attribute("d").count("L") == 15
    # A NaN interrupts the curve.
    assert tab.frame.locator("path.curve.norm").get_attribute("d").count("L") == 14
    assert tab.texts(".mark.check text") == ["✓", "✓", "✕", "✕"]
    assert tab.texts(".mark.alert text") == ["!", "NaN"]
    assert tab.frame.locator("line.begins").count() == 0
    tab.run("resumed")
    assert tab.frame.locator("line.begins").count() == 1


@both_ways
@pytest.mark.long
def test_pointing_at_the_timeline_says_step_epoch_and_time(tab):
    tab.run("story")
    tab.frame.locator(".mark.check").nth(2).hover()
    tip = tab.frame.locator(".tip").inner_text()
    assert "step 50, epoch 3" in tip
    assert re.search(r"\d:\d\d:\d\d", tip)
    assert "loss 0.8889" in tip
    assert "check: FAIL" in tip
    tab.frame.locator(".mark.check").nth(2).click()
    tab.wait(".check-page")
    assert tab.all(".check-page h2") == ["Check at step 50, epoch 3"]


@pytest.mark.long
def test_the_keys_go_along_the_timeline(tab):
    tab.run("story")
    drawing = tab.frame.locator(".drawing")
    drawing.focus()
    drawing.press("ArrowRight")
    assert "step 10, epoch 1" in tab.all(".tip")[0]
    for _ in range(2):
        drawing.press("ArrowRight")
    assert "Vanishing gradients" in tab.all(".tip")[0]
    drawing.press("Enter")
    tab.wait(".finding.lit")
    assert "Vanishing" in tab.all(".finding.lit .title")[0]
