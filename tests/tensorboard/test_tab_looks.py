"""What the tab looks like: widths, letters, colours, light and dark."""

import re

import pytest

from tests.support.contrast import hard_to_read
from tests.support.tab_pages import (
    WITH_BROWSER,
    both_ways,
    finding,
)

pytestmark = WITH_BROWSER


SEEN = {
    "half": ("FAIL", "halved"),
    "noticed": ("ALERT", "Dead gradients"),
    "at once": ("NaN", "NaN or infinity"),
    "right": ("PASS", "2 of 2"),
    "story": ("FAIL", "halved"),
}


@pytest.mark.parametrize("run", SEEN)
def test_the_first_screen_holds_the_finding(tab, run):
    tab.resize(1280, 800)
    tab.run(run)
    state, title = SEEN[run]
    assert finding(tab)["state"].endswith(state)
    assert title in finding(tab)["title"]
    large = tab.frame.locator(".finding.large").first
    for part in (".badge", ".title", ".since", ".text"):
        box = large.locator(part).bounding_box()
        assert box["x"] + box["width"] <= 1280
        assert box["y"] + box["height"] <= 800


@pytest.mark.long
@pytest.mark.parametrize("width", [800, 1000, 1600])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_cut_off(tab, width, theme):
    tab.resize(width, 800)
    tab.run("half")
    if theme == "dark":
        tab.page.evaluate("document.body.classList.add('dark-mode')")
    tab.open("net/dense_1/kernel\nstep 300: FAIL, relative error 33 %")
    body = tab.frame.locator("body")
    assert body.evaluate("body => body.scrollWidth") <= width
    parts = (".runs", ".finding.large", ".timeline", ".grid", ".detail .heading")
    for selector in parts:
        box = tab.frame.locator(selector).first.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    assert hard_to_read(tab) == []
    tab.frame.locator(".heading").get_by_text("The whole check").click()
    tab.wait(".check-page .variables")
    assert body.evaluate("body => body.scrollWidth") <= width
    assert hard_to_read(tab) == []


@pytest.mark.long
def test_the_name_of_the_tab_fits_its_bar_at_1000_pixels(tab):
    label = tab.page.locator("[role=tab]", has_text="Gradients").bounding_box()
    room = tab.page.locator("[role=tab]").first.locator("xpath=../../..").bounding_box()
    assert label["x"] >= room["x"]
    assert label["x"] + label["width"] <= room["x"] + room["width"]


@pytest.mark.long
def test_dark_mode(tab):
    page = tab.frame.locator("body")
    light = page.evaluate("body => getComputedStyle(body).backgroundColor")
    assert light == "rgb(255, 255, 255)"
    tab.page.evaluate("document.body.classList.add('dark-mode')")
    tab.wait("xpath=/html[@data-theme='dark']")
    dark = page.evaluate("body => getComputedStyle(body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", dark))) < 64


@both_ways
@pytest.mark.long
def test_the_letters_are_those_of_tensorboard(tab):
    frame = tab.page.frames[1]
    frame.wait_for_function("document.fonts.status === 'loaded'")
    assert frame.evaluate("document.fonts.check('13px Roboto')")
    loaded = "[...document.fonts].filter((font) => font.status === 'loaded').length"
    assert frame.evaluate(loaded) > 0
