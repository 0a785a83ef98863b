"""What the tests of the tab have in common: where it answers, and what it shows."""

import time
import urllib.error
import urllib.request
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.browser import CHROMIUM
from tests.support.marks import first

# Said where the tab is not tested. The README's command must pass without a browser.
NO_BROWSER = "needs a browser, which pip can't bring: apt install chromium"
WITH_BROWSER = [
    pytest.mark.skipif(not CHROMIUM, reason=NO_BROWSER),  # `.ci/run` installs one
    # One worker has them all: they share the server and the browser.
    pytest.mark.xdist_group("tab"),
]

ROUTES = "data/plugin/keras_gradwatch/"
# How TensorBoard may be started.
FLAGS = {
    "fast": ["--load_fast=true"],
    "slow, behind a prefix": ["--load_fast=false", "--path_prefix=/some/where"],
}
both_ways = pytest.mark.parametrize(
    "tab", first(["fast", "slow, behind a prefix"]), indirect=True
)


def get(url):
    with urllib.request.urlopen(url) as answer:
        return answer.read()


def wait_until(holds, seconds=60):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def visible(name):
    """As the tab shows control characters."""
    return "".join(f"\\u{ord(c):04x}" if c in "\n\r\t\u202e" else c for c in name)


def states(tab):
    """The word of each run in the table, by its name."""
    rows = tab.frame.locator("tr.run").all()
    return {
        row.locator(".run-button").text_content(): row.locator(".badge")
        .inner_text()
        .split("\n")[-1]
        .strip()
        for row in rows
    }


def finding(tab):
    """What stands at large: its words, by their kind."""
    large = tab.frame.locator(".finding.large").first
    parts = {"state": ".badge", "title": ".title", "since": ".since", "text": ".text"}
    return {name: large.locator(s).first.inner_text() for name, s in parts.items()}


def cells(tab, title_end):
    """Text, by the variable, of the cells whose title ends so."""
    found = tab.frame.locator(".cell.variable").all()
    return {
        cell.get_attribute("title").split("\n")[0]: cell.inner_text()
        for cell in found
        if cell.get_attribute("title").split("\n")[1].startswith(title_end)
    }


def address_of(tab):
    """What the address says is open."""
    parts = dict(p.split("=") for p in urlsplit(tab.page.url).fragment.split("&")[1:])
    return {key.split(".")[-1]: unquote(value) for key, value in parts.items()}


def cut(tab, selector):
    """The texts of elements that have no room for all of it."""
    cut = "all => all.filter((one) => one.scrollWidth > one.clientWidth)"
    texts = f"all => ({cut})(all).map((one) => one.textContent)"
    return tab.frame.locator(selector).evaluate_all(texts)


def reach(tab, selector):
    """From where to where elements of a page reach from left to right."""
    sides = "all => all.map((one) => one.getBoundingClientRect())"
    ends = f"all => ({sides})(all).map((box) => [box.left, box.right])"
    found = tab.frame.locator(selector).evaluate_all(ends)
    return min(left for left, _ in found), max(right for _, right in found)
