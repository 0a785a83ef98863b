"""The tab in TensorBoard, as a person sees it: a real server, a real browser."""

import contextlib
import json
import re
import time
import urllib.error
import urllib.request

import pytest

from keras_gradwatch.findings import sentences
from keras_gradwatch.tensorboard.report_writer import ReportWriter
from tests.support.browser import CHROMIUM, Tab, chromium, tensorboard
from tests.support.marks import first
from tests.support.tab_logs import HOSTILE, LOOK, RUNS, check, network, write_all

pytest.importorskip("playwright.sync_api", reason="needs playwright, as in `[test]`")
pytestmark = [
    # A newcomer may have no browser, and pip can't bring one; `.ci/run` installs it, so
    # there the tab is always tested.
    pytest.mark.skipif(
        not CHROMIUM,
        reason="the tab is tested in a browser, and pip can't bring one: "
        "apt install chromium",
    ),
    # One worker has them all: they share the server and the browser.
    pytest.mark.xdist_group("tab"),
]

ROUTES = "data/plugin/keras_gradwatch/"


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    root = tmp_path_factory.mktemp("logs")
    write_all(root)
    return root


FLAGS = {
    "fast": ["--load_fast=true"],
    "slow, behind a prefix": ["--load_fast=false", "--path_prefix=/some/where"],
}


@pytest.fixture(scope="module")
def addresses(logs):
    """Where TensorBoard answers that was started in one way or the other."""
    with contextlib.ExitStack() as stack:
        found = {
            how: stack.enter_context(tensorboard(logs, "--reload_interval=5", *flags))
            for how, flags in FLAGS.items()
        }
        for address in found.values():
            wait_until(
                lambda a=address: len(json.loads(get(f"{a}{ROUTES}runs"))) == RUNS
            )
        yield found


@pytest.fixture
def address(addresses):
    return addresses["fast"]


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def tab(browser, addresses, request):
    """The tab of the fast TensorBoard, or the one that `both_ways` asks for."""
    opened = Tab(browser, addresses[getattr(request, "param", "fast")])
    yield opened
    assert opened.complaints == []
    opened.close()


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


def headlines(tab):
    return dict(
        zip(
            tab.all(".headline > .quiet"), tab.all(".headline > .sentence"), strict=True
        )
    )


def cells(tab, title_end):
    """Word or sign, and title, of the cells whose title ends so."""
    found = tab.frame.locator(".cell.variable").all()
    return {
        cell.get_attribute("title").split("\n")[0]: cell.inner_text()
        for cell in found
        if cell.get_attribute("title").split("\n")[1].startswith(title_end)
    }


@both_ways
def test_a_headline_for_each_run(tab):
    found = headlines(tab)
    assert found["half/gradwatch"] == (
        "net/dense_1/kernel, wrong since step 300, too small by a factor of 2. "
        "Look at 'halved' (Halved)"
    )
    assert "wrong since step 10, of the wrong sign" in found["flipped/gradwatch"]
    assert found["right/gradwatch"] == (
        "2 of 2 gradients right at step 20; all 2 checks passed"
    )
    badges = dict(zip(found, tab.all(".headline > .badge"), strict=True))
    assert badges["half/gradwatch"] == "FAIL"
    assert badges["right/gradwatch"] == "PASS"
    assert badges["twice/gradwatch"] == "PASS"


def test_the_grid_has_variables_in_model_order_and_a_word_or_sign_in_each_cell(tab):
    tab.run("half")
    assert tab.all(".name") == [
        "all variables",
        "net/dense",
        "kernel",
        "bias",
        "net/dense_1",
        "kernel",
        "bias",
        "net/quantiser",
        "scale",
        "net/spare",
        "kernel",
    ]
    assert tab.all(".head") == [str(s) for s in range(0, 1000, 100)]
    assert tab.all(".cell.all") == ["✓"] * 3 + ["FAIL"] * 7
    assert cells(tab, "step 900:") == {
        "net/dense/kernel": "✓",
        "net/dense/bias": "✓",
        "net/dense_1/kernel": "FAIL",
        "net/dense_1/bias": "?",
        "net/quantiser/scale": "≠",
        "net/spare/kernel": "\u2013",
    }


@both_ways
def test_a_click_shows_the_details(tab):
    tab.run("half")
    tab.open("net/dense_1/kernel\nstep 300: FAIL")
    assert tab.all(".detail h2") == ["net/dense_1/kernel"]
    assert "step 300" in tab.all(".detail .heading .quiet")[0]
    assert tab.all(".reason") == ["The gradient is 0.5 times what differences give."]
    assert tab.all(".note") == [sentences.note(LOOK)]
    table = [line.split("\t") for line in tab.all("tbody tr")]
    assert [line[0].strip() for line in table] == [
        "[0, 3]",
        "[1, 3]",
        "[2, 3]",
        "direction 1",
    ]
    assert [text.strip() for text in table[0][1:]] == [
        "0.15",
        "0.3",
        "1e-9",
        "0.33",
        "mismatch",
    ]
    figures = dict(zip(tab.all("dt"), tab.all("dd"), strict=False))
    assert figures["tolerance"] == "0.001"
    assert figures["vanished"] == "25 %"
    assert figures["overflowed"] == "0 %"
    assert tab.frame.locator(".scatter .point.coordinate circle").count() == 3
    assert tab.frame.locator(".scatter .point.direction circle").count() == 1
    tab.frame.get_by_label("Close details").click()
    assert tab.frame.locator(".detail").count() == 0


def test_the_scatter_has_the_line_and_marks_flipped_signs(tab):
    tab.run("flipped")
    tab.open("net/dense_1/kernel\nstep 20: FAIL")
    assert tab.frame.locator(".scatter .flipped path").count() == 4
    assert "signs differ" in tab.all("figcaption")[0]
    tab.open("net/dense/kernel\nstep 20: PASS")
    tab.wait(".point.match")
    assert tab.frame.locator(".scatter .flipped").count() == 0
    line = tab.frame.locator(".scatter .equal")
    for dot in tab.frame.locator(".scatter circle").all():
        x, y = (float(dot.get_attribute(name)) for name in ("cx", "cy"))
        x1, y1 = (float(line.get_attribute(name)) for name in ("x1", "y1"))
        # What agrees lies on the line, which rises at 45 degrees.
        assert x - x1 == pytest.approx(y1 - y, abs=1e-6)
        assert x > x1


def test_filters(tab):
    tab.run("half")
    tab.frame.get_by_label("Failures only").check()
    assert tab.all(".name.variable") == ["kernel"]
    assert tab.all(".name.layer") == ["net/dense_1"]
    assert tab.all("[role=status]") == ["1 of 6 variables, 10 checks"]
    tab.frame.get_by_label("Failures only").uncheck()
    tab.frame.get_by_label("Filter variables").fill("BIAS")
    assert tab.all(".name.variable") == ["bias", "bias"]
    tab.frame.get_by_label("Filter variables").fill("no such")
    assert tab.all(".name.variable") == []
    assert tab.all("[role=status]") == ["0 of 6 variables, 10 checks"]


def test_keys_move_from_cell_to_cell(tab):
    tab.run("half")
    tab.open("net/dense/bias\nstep 300: PASS")
    grid = tab.frame.locator(".grid")
    grid.press("ArrowDown")  # over the heading of the next layer
    tab.wait('h2:has-text("net/dense_1/kernel")')
    grid.press("ArrowLeft")
    tab.wait('.heading:has-text("step 200")')
    assert tab.all(".heading .badge") == ["PASS"]


@both_ways
def test_a_long_history_keeps_only_what_is_in_sight_in_the_page(tab):
    tab.run("long")
    assert tab.all("[role=status]") == ["31 variables, 102 checks"]
    # It opens at the newest check, with what fails there in sight.
    assert tab.all(".head")[-1] == "115"
    assert "last" in tab.all(".name")[-2]
    grid = tab.frame.locator(".grid")
    grid.evaluate("grid => grid.scrollTo(0, grid.scrollHeight)")
    tab.wait('.head:text-is("0")')
    tab.open("net/layer_29/kernel\nstep 0: PASS")
    assert tab.frame.locator(".cell").count() < 1500
    tab.frame.get_by_text("Newest").click()
    tab.wait('.head:text-is("115")')
    grid.evaluate("grid => grid.scrollTo(0, 0)")
    tab.wait('.head:text-is("0")')
    tab.frame.get_by_text("First failure").click()
    failure = "net/last/kernel\nstep 110: FAIL"
    tab.frame.get_by_title(failure, exact=True).wait_for()


@both_ways
def test_names_are_data(tab):
    tab.run("hostile")
    assert tab.frame.locator("main script, main img").count() == 0
    shown = {
        c.get_attribute("title") for c in tab.frame.locator(".name.variable bdi").all()
    }
    assert {visible(name)[:1000] for name in HOSTILE} <= shown
    for index in range(len(HOSTILE)):
        tab.frame.locator(".cell.variable").nth(index).click()
        tab.wait(".detail")
    wait_until(lambda: tab.all(".detail h2")[0].startswith("xxx"))
    assert tab.frame.locator("h2 bdi").text_content() == HOSTILE[-1]
    width = tab.frame.locator("body").evaluate("body => body.scrollWidth")
    assert width <= 1000


@both_ways
def test_damaged_events_are_counted_and_the_rest_is_shown(tab):
    name = "damaged/gradwatch, 4 damaged events left out"
    assert name in tab.all(".headline > .quiet")
    tab.run("damaged")
    tab.open("net/a/kernel\nstep 5: FAIL")
    assert "too small by a factor of 10" in headlines(tab)[name]


@both_ways
def test_events_of_the_first_version(tab):
    assert "too large by a factor of 2" in headlines(tab)["old/gradwatch"]
    tab.run("old")
    tab.open("old/kernel\nstep 7: FAIL")
    assert tab.all(".reason") == ["The gradient is 2 times what differences give."]


@both_ways
def test_alerts_stand_beside_the_checks_on_their_steps(tab):
    tab.run("noticed")
    assert tab.all(".alerts summary") == ["3 alerts"]
    assert tab.all(".alerts li .badge") == ["DEAD", "VANISHING", "DEAD"]
    assert tab.all(".alerts li .quiet")[1] == "steps 23 to 27"
    assert visible(HOSTILE[0]) in tab.all(".alerts li")[0]
    # Beside the check of their step, the next one, or the last one.
    assert tab.all(".cell.alerts") == ["", "!", "!"]
    title = tab.frame.locator(".cell.alerts").last.get_attribute("title")
    assert title == "vanishing, step 27\ndead, step 99"
    tab.frame.locator(".cell.alerts").last.click()
    assert len(tab.all(".alerts li.chosen")) == 2
    assert any("3 alerts" in quiet for quiet in tab.all(".headline .quiet"))
    tab.run("half")
    assert not tab.frame.locator(".alerts").first.is_visible()


def test_alerts_without_any_check(tab):
    tab.frame.locator(".headline", has_text="alerts alone").click()
    tab.wait(".alerts li")
    assert tab.all(".alerts li .badge") == ["EXPLODING"]
    assert "Exploding gradients since step 1" in tab.all(".headline .sentence")
    assert not tab.frame.locator(".work").is_visible()


@pytest.mark.parametrize("way", FLAGS)
def test_alerts_of_one_step_are_all_there(addresses, way):
    found = json.loads(get(f"{addresses[way]}{ROUTES}grid?run=at%20once/gradwatch"))
    kinds = [(one["kind"], one["step"]) for one in found["alerts"]]
    assert sorted(kinds) == [("dead", 7), ("dead", 9), ("nonfinite", 9)]


@both_ways
def test_two_trainings_in_one_directory_stay_apart(tab):
    tab.run("twice")
    assert tab.all(".head") == ["10", "20", "30", "10", "20"]
    assert tab.all(".cell.all") == ["FAIL"] * 3 + ["✓"] * 2
    for position, verdict in ((0, "FAIL"), (3, "PASS")):
        tab.frame.locator(".cell.variable").nth(position).click()
        tab.wait(f'.detail .badge:text-is("{verdict}")')


def test_nothing_is_cut_off_at_a_width_of_1000(tab):
    tab.run("half")
    tab.open("net/dense_1/kernel\nstep 300: FAIL")
    width = tab.frame.locator("body").evaluate("body => body.scrollWidth")
    assert width <= 1000
    for selector in (".headline", ".legend", ".grid", ".detail table"):
        box = tab.frame.locator(selector).first.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 1000


def test_dark_mode(tab):
    page = tab.frame.locator("body")
    light = page.evaluate("body => getComputedStyle(body).backgroundColor")
    assert light == "rgb(255, 255, 255)"
    tab.page.evaluate("document.body.classList.add('dark-mode')")
    tab.wait("xpath=/html[@data-theme='dark']")
    dark = page.evaluate("body => getComputedStyle(body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", dark))) < 64


def test_the_page_can_be_loaded_again(tab):
    tab.page.reload()
    tab.wait(".headline")
    assert len(tab.all(".headline")) == RUNS


@pytest.mark.parametrize(
    "route",
    [
        "static/../backend.py",
        "static/..%2fbackend.py",
        "static/nothing.js",
        "grid?run=no",
        "check?run=half/gradwatch&check=1.1&variable=x",
        "check",
    ],
)
def test_what_is_not_there_is_not_found(address, route):
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        get(f"{address}{ROUTES}{route}")
    caught.value.close()


def test_without_the_tab_a_chart_tells_the_same(address):
    layout = json.loads(get(f"{address}data/plugin/custom_scalars/layout"))
    (category,) = layout["category"]
    assert category["title"] == "Gradient check"
    (series,) = category["chart"][0]["margin"]["series"]
    query = f"run=half/gradwatch&tag={series['value']}"
    found = json.loads(get(f"{address}data/plugin/custom_scalars/scalars?{query}"))
    ((_, points),) = found["tag_to_events"].items()
    assert [value > 0 for _, _, value in points] == [False] * 3 + [True] * 7


def test_from_an_empty_directory_through_a_training(browser, tmp_path):
    with tensorboard(tmp_path, "--reload_interval=1") as address:
        tab = Tab(browser, address)
        assert tab.all(".empty h2") == ["No gradient check yet"]
        writer = ReportWriter(tmp_path)
        writer.write(check(100, *network(1)))
        reload_until(tab, '.sentence:has-text("step 100")')
        tab.open("net/dense_1/kernel\nstep 100: PASS")
        writer.write(check(200, *network(0.5)))
        reload_until(tab, '.sentence:has-text("wrong since step 200")')
        tab.wait('.head:text-is("200")')
        assert tab.all(".head") == ["100", "200"]
        # What was open stays open.
        assert "step 100" in tab.all(".detail .heading .quiet")[0]
        assert tab.frame.locator(".cell.chosen").count() == 1
        writer.close()
        assert tab.complaints == []
        tab.close()


def reload_until(tab, selector):
    def seen():
        tab.reload()
        return tab.frame.locator(selector).count()

    wait_until(seen)
