"""What is open in the tab: in its address, by the keys, and what is not there."""

import urllib.error
import urllib.request

import pytest

from tests.support.browser import Tab
from tests.support.tab_logs import RUNS
from tests.support.tab_pages import (
    ROUTES,
    WITH_BROWSER,
    address_of,
    both_ways,
    finding,
    get,
)

pytestmark = WITH_BROWSER


@both_ways
def test_what_is_open_is_in_the_address(browser, addresses, tab):
    tab.run("half")
    tab.open("net/dense_1/kernel\nstep 300: FAIL, relative error 33 %")
    found = address_of(tab)
    assert found["run"] == "half/gradwatch"
    assert set(found) == {"run", "check", "variable"}
    tab.page.reload()
    tab.wait('.detail h2:has-text("net/dense_1/kernel")')
    assert tab.frame.locator(".cell.chosen").count() == 1
    # The same address, sent to somebody else.
    other = Tab(browser, tab.page.url.partition("#")[0], place="", before=None)
    other.page.goto(tab.page.url)
    other.wait('.detail h2:has-text("net/dense_1/kernel")')
    # And another, typed where this one is.
    other.page.evaluate(
        "location.hash = '#keras_gradwatch&p.keras_gradwatch.run=right/gradwatch'"
    )
    other.wait('.run-heading:text-is("right")')
    other.close()
    tab.frame.locator(".grid").press("Escape")
    assert set(address_of(tab)) == {"run"}


@pytest.mark.long
def test_a_link_to_what_is_not_there_says_so(browser, address):
    place = "run=half/gradwatch&check=1.1&variable=x"
    tab = Tab(browser, address, place=place)
    tab.wait('.detail h2:has-text("can\'t be read")')
    assert finding(tab)["state"].endswith("FAIL")
    tab.close()


@pytest.mark.long
def test_escape_closes_and_the_keys_go_back_to_where_they_were(tab):
    tab.run("half")
    grid = tab.frame.locator(".grid")
    tab.open("net/dense/bias\nstep 300: PASS")
    grid.press("Enter")
    focused = "element => element.ownerDocument.activeElement.tagName"
    assert grid.evaluate(focused) == "H2"
    tab.page.keyboard.press("Escape")
    assert tab.frame.locator(".detail").count() == 0
    assert grid.evaluate("grid => grid === grid.ownerDocument.activeElement")
    # Up to "all variables", and into the check.
    for _ in range(3):
        grid.press("ArrowUp")
    grid.press("Enter")
    tab.wait('.check-page h2:has-text("step 300")')
    tab.page.keyboard.press("Escape")
    tab.wait(".grid")
    assert grid.evaluate("grid => grid === grid.ownerDocument.activeElement")
    # From a finding, back to its button.
    figures = tab.frame.get_by_role("button", name="Figures of")
    figures.press("Enter")
    tab.wait(".detail")
    tab.page.keyboard.press("Escape")
    assert figures.evaluate("one => one === one.ownerDocument.activeElement")


def test_the_page_can_be_loaded_again(tab):
    tab.page.reload()
    tab.wait("tr.run")
    assert len(tab.all("tr.run")) == RUNS


@pytest.mark.long
@pytest.mark.parametrize(
    "route",
    [
        "static/../backend.py",
        "static/..%2fbackend.py",
        "static/nothing.js",
        "grid?run=no",
        "check?run=half/gradwatch&check=1.1&variable=x",
        "check?run=half/gradwatch",
        "check",
    ],
)
def test_what_is_not_there_is_not_found(address, route):
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        get(f"{address}{ROUTES}{route}")
    caught.value.close()
