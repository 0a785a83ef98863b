"""The tab in TensorBoard, as a person sees it: a real server, a real browser."""

import contextlib
import json
import re
import time
import urllib.error
import urllib.request
from urllib.parse import unquote, urlsplit

import pytest

from keras_gradwatch.findings import sentences
from keras_gradwatch.tensorboard.report_writer import ReportWriter
from tests.support.browser import CHROMIUM, Tab, chromium, tensorboard
from tests.support.contrast import hard_to_read
from tests.support.marks import first
from tests.support.tab_logs import (
    HOSTILE,
    LOOK,
    RUNS,
    SWEEP,
    check,
    network,
    row,
    write,
    write_all,
)

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


@pytest.fixture(scope="module")
def opened(browser):
    """Tabs that are open, by the address of their TensorBoard."""
    found = {}
    yield found
    for tab in found.values():
        tab.close()


@pytest.fixture
def tab(browser, addresses, opened, request):
    """The tab of the fast TensorBoard, or the one that `both_ways` asks for."""
    address = addresses[getattr(request, "param", "fast")]
    if address in opened:
        opened[address].begin_anew()
    else:
        opened[address] = Tab(browser, address)
    yield opened[address]
    assert opened[address].complaints == []


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


@both_ways
def test_the_table_of_runs_is_sorted_by_state_and_counted(tab):
    found = states(tab)
    assert len(found) == RUNS
    order = [*dict.fromkeys(found.values())]
    assert order == ["FAIL", "NaN", "ALERT", "WARNING", "PASS"]
    assert found["half"] == "FAIL"
    assert found["at once"] == "NaN"
    # Its checks are right, but that is not all there is to say.
    assert found["noticed"] == "ALERT"
    assert found["twice"] == "PASS"
    assert tab.all(".runs [role=status]") == [
        f"{RUNS} runs: 9 FAIL, 1 NaN, 2 alerts, 1 warning, {RUNS - 13} right"
    ]
    # The worst is open.
    assert finding(tab)["state"].endswith("FAIL")


def test_runs_are_filtered_and_chosen_by_the_keys(tab):
    box = tab.frame.get_by_label("Filter runs")
    box.fill("sweep")
    assert len(tab.all("tr.run")) == SWEEP
    assert tab.all(".runs [role=status]")[0].startswith(f"{SWEEP} of {RUNS} runs")
    box.press("ArrowDown")
    tab.page.keyboard.press("ArrowDown")
    tab.page.keyboard.press("Enter")
    tab.wait('.run-heading:has-text("width=2")')
    assert address_of(tab)["run"].endswith("width=2/gradwatch")


def test_long_names_are_cut_in_the_middle(tab):
    name = tab.frame.locator(".cut", has_text="width=256")
    assert name.locator(".cut-tail").inner_text().endswith("width=256")
    head = name.locator(".cut-head")
    assert head.evaluate("head => head.scrollWidth > head.clientWidth")
    assert "sweep_of_long_names" in name.get_attribute("title")


@both_ways
def test_the_finding_says_what_where_since_when_and_how_much(tab):
    tab.run("half")
    found = finding(tab)
    assert found["title"] == "Look at 'halved' (Halved)"
    assert found["since"] == "since step 300"
    assert found["text"] == (
        "The gradient of net/dense_1/kernel is too small by a factor of 2."
    )
    assert tab.all("code.line") == ["train.py:12, in half"]
    line = tab.frame.locator("code.line").get_attribute("title")
    assert line == "/home/me/train.py:12"
    assert tab.all(".advice p")[0] == sentences.why_there(LOOK)
    assert "kgw.check_layer" in tab.all(".advice p")[1]
    tab.run("flipped")
    assert "of the wrong sign" in finding(tab)["text"]
    tab.run("right")
    assert finding(tab)["title"] == "2 of 2 gradients right"
    assert finding(tab)["text"].startswith("All 2 checks passed")


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
        # Without weights, and to blame.
        "➜ 'halved' (Halved)",
        "net/quantiser",
        "scale",
        "net/spare",
        "kernel",
    ]
    assert tab.all(".head-step") == [str(s) for s in range(0, 1000, 100)]
    assert tab.all(".cell.all") == ["✓"] * 3 + ["✕ FAIL"] * 7
    assert tab.all(".cell.place") == ["look"] * 7
    assert cells(tab, "step 900:") == {
        "net/dense/kernel": "✓",
        "net/dense/bias": "✓",
        "net/dense_1/kernel": "✕ 33%",
        "net/dense_1/bias": "?",
        "net/quantiser/scale": "≠",
        "net/spare/kernel": "\u2013",
    }


def test_cells_show_how_wrong(tab):
    tab.run("small")
    found = cells(tab, "step 10:")
    assert found == {
        "net/a/kernel": "✕ 0.5%",
        "net/b/kernel": "✕ 100%",
        "net/c/kernel": "✕ still",
        "net/d/kernel": "✕ none",
    }
    backs = {
        cell.evaluate("cell => getComputedStyle(cell).backgroundColor")
        for cell in tab.frame.locator(".cell.variable").all()
    }
    assert len(backs) == 3


def test_columns_have_epochs(tab):
    tab.run("story")
    assert tab.all(".head-epoch") == [f"epoch {k}" for k in (1, 2, 3, 4)]
    title = tab.frame.locator(".cell.variable").first.get_attribute("title")
    assert "step 10, epoch 1" in title
    assert re.search(r"\d:\d\d:\d\d", title)  # and when that was


def test_a_model_that_was_built_anew_has_the_rows_that_it_had(tab):
    tab.run("resumed")
    assert tab.all(".head-step") == ["10", "20", "30"]
    names = [n for n in tab.all(".name") if n.startswith("net")]
    assert names == ["net/dense_1", "net/dense_2"]
    assert tab.all(".cell.variable") == ["✓"] * 3 + ["✕ 33%"] * 3
    # Details are those of the variable under the name that it had then.
    tab.frame.locator(".cell.variable").nth(3).click()
    tab.wait('.detail h2:has-text("net/dense_1/kernel")')
    assert "shape 8 \u00d7 2" in tab.all(".detail .heading .quiet")[0]


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


def test_a_link_to_what_is_not_there_says_so(browser, address):
    place = "run=half/gradwatch&check=1.1&variable=x"
    tab = Tab(browser, address, place=place)
    tab.wait('.detail h2:has-text("can\'t be read")')
    assert finding(tab)["state"].endswith("FAIL")
    tab.close()


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


def test_filters(tab):
    tab.run("half")
    tab.frame.get_by_label("Failures only").check()
    assert tab.all(".name.variable") == ["kernel"]
    assert tab.all(".name.layer") == ["net/dense_1"]
    assert tab.all(".tools [role=status]") == ["1 of 6 variables, 10 checks"]
    tab.frame.get_by_label("Failures only").uncheck()
    tab.frame.get_by_label("Filter variables").fill("BIAS")
    assert tab.all(".name.variable") == ["bias", "bias"]
    tab.frame.get_by_label("Filter variables").fill("no such")
    assert tab.all(".name.variable") == []
    assert tab.all(".tools [role=status]") == ["0 of 6 variables, 10 checks"]


def test_keys_move_from_cell_to_cell(tab):
    tab.run("half")
    tab.open("net/dense/bias\nstep 300: PASS")
    grid = tab.frame.locator(".grid")
    grid.press("ArrowDown")  # over the heading of the next layer
    tab.wait('h2:has-text("net/dense_1/kernel")')
    grid.press("ArrowLeft")
    tab.wait('.heading:has-text("step 200")')
    assert tab.all(".heading .badge")[0].endswith("PASS")


@both_ways
def test_a_long_history_keeps_only_what_is_in_sight_in_the_page(tab):
    tab.run("long")
    assert tab.all(".tools [role=status]") == ["31 variables, 102 checks"]
    # It opens at the newest check, with what fails there in sight.
    assert tab.all(".head-step")[-1] == "115"
    assert any("last" in name for name in tab.all(".name")[-3:])
    grid = tab.frame.locator(".grid")
    grid.evaluate("grid => grid.scrollTo(0, grid.scrollHeight)")
    tab.wait('.head-step:text-is("0")')
    tab.open("net/layer_29/kernel\nstep 0: PASS")
    assert tab.frame.locator(".cell").count() < 1500
    tab.frame.get_by_text("Newest").click()
    tab.wait('.head-step:text-is("115")')
    grid.evaluate("grid => grid.scrollTo(0, 0)")
    tab.wait('.head-step:text-is("0")')
    tab.frame.get_by_text("First failure").click()
    failure = "net/last/kernel\nstep 110: FAIL, relative error 33 %"
    tab.cell(failure).wait_for()


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
    assert tab.frame.locator("h2 bdi").last.text_content() == HOSTILE[-1]
    width = tab.frame.locator("body").evaluate("body => body.scrollWidth")
    assert width <= 1000


@both_ways
def test_damaged_events_are_counted_and_the_rest_is_shown(tab):
    names = tab.frame.locator("tr.run", has_text="damaged event")
    assert names.locator(".run-button").all_text_contents() == ["damaged"]
    tab.run("damaged")
    assert tab.all(".lost") == ["4 damaged events left out."]
    tab.open("net/a/kernel\nstep 5: FAIL, relative error 82 %")
    assert "too small by a factor of 10" in finding(tab)["text"]


@both_ways
def test_events_of_the_first_version(tab):
    tab.run("old")
    assert "too large by a factor of 2" in finding(tab)["text"]
    tab.open("old/kernel\nstep 7: FAIL, relative error 33 %")
    assert tab.all(".reason") == ["The gradient is 2 times what differences give."]


@both_ways
def test_alerts_stand_beside_the_checks_on_their_steps(tab):
    tab.run("noticed")
    assert finding(tab)["state"].endswith("ALERT")
    assert finding(tab)["title"].startswith("Dead gradients")
    assert visible(HOSTILE[0]) in finding(tab)["text"]
    # One finding a kind; the others of the kind are there to be opened.
    assert tab.all(".finding.small .title")[0].startswith("Vanishing gradients")
    assert tab.all(".again summary") == ["1 more of this kind"]
    assert tab.all(".finding.small .badge")[-1].endswith("PASS")
    # Beside the check of their step, the next one, or the last one.
    assert tab.all(".cell.alerts") == ["▲", "▲ 2"]
    last = tab.frame.locator(".cell.alerts").last
    assert last.get_attribute("title") == "vanishing, step 27\ndead, step 99"
    last.click()
    tab.wait('.finding.lit:has-text("Vanishing")')
    tab.run("half")
    assert tab.frame.locator(".cell.alerts").count() == 0


def test_alerts_without_any_check(tab):
    tab.run("alerts alone")
    assert "Exploding gradients" in finding(tab)["title"]
    assert finding(tab)["since"] == "since step 1"
    assert not tab.frame.locator(".grid").is_visible()
    tab.frame.get_by_text("On the timeline").click()
    tab.wait(".mark.alert.chosen")


@pytest.mark.parametrize("way", FLAGS)
def test_alerts_of_one_step_are_all_there(addresses, way):
    found = json.loads(get(f"{addresses[way]}{ROUTES}grid?run=at%20once/gradwatch"))
    kinds = [(one["kind"], one["step"]) for one in found["alerts"]]
    assert sorted(kinds) == [("dead", 7), ("dead", 9), ("nonfinite", 9)]


@both_ways
def test_two_trainings_in_one_directory_stay_apart(tab):
    tab.run("twice")
    assert finding(tab)["state"].endswith("PASS")
    assert tab.all(".head-step") == ["10", "20", "30", "10", "20"]
    assert tab.all(".cell.all") == ["✕ FAIL"] * 3 + ["✓"] * 2
    for position, verdict in ((0, "FAIL"), (3, "PASS")):
        tab.frame.locator(".cell.variable").nth(position).click()
        tab.wait(f'.detail .badge:has-text("{verdict}")')


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


def test_the_name_of_the_tab_fits_its_bar_at_1000_pixels(tab):
    label = tab.page.locator("[role=tab]", has_text="Gradients").bounding_box()
    room = tab.page.locator("[role=tab]").first.locator("xpath=../../..").bounding_box()
    assert label["x"] >= room["x"]
    assert label["x"] + label["width"] <= room["x"] + room["width"]


def test_dark_mode(tab):
    page = tab.frame.locator("body")
    light = page.evaluate("body => getComputedStyle(body).backgroundColor")
    assert light == "rgb(255, 255, 255)"
    tab.page.evaluate("document.body.classList.add('dark-mode')")
    tab.wait("xpath=/html[@data-theme='dark']")
    dark = page.evaluate("body => getComputedStyle(body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", dark))) < 64


@both_ways
def test_the_letters_are_those_of_tensorboard(tab):
    frame = tab.page.frames[1]
    frame.wait_for_function("document.fonts.status === 'loaded'")
    assert frame.evaluate("document.fonts.check('13px Roboto')")
    loaded = "[...document.fonts].filter((font) => font.status === 'loaded').length"
    assert frame.evaluate(loaded) > 0


def test_the_page_can_be_loaded_again(tab):
    tab.page.reload()
    tab.wait("tr.run")
    assert len(tab.all("tr.run")) == RUNS


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
        writer.write(check(100, *network(1)), 0)
        reload_until(tab, '.since:has-text("at step 100, epoch 1")')
        assert not tab.frame.locator(".runs").is_visible()  # of one there is no table
        tab.open("net/dense_1/kernel\nstep 100, epoch 1: PASS")
        writer.write(check(200, *network(0.5)), 1)
        reload_until(tab, '.since:has-text("at step 200, epoch 2")')
        tab.wait('.head-step:text-is("200")')
        assert tab.all(".head-step") == ["100", "200"]
        # What was open stays open.
        assert "step 100" in tab.all(".detail .heading .quiet")[0]
        assert tab.frame.locator(".cell.chosen").count() == 1
        writer.close()
        assert tab.complaints == []
        tab.close()


@pytest.mark.long
def test_two_hundred_variables_and_a_thousand_checks(browser, tmp_path):
    right = [row(f"net/layer_{i}/kernel", coordinates=()) for i in range(199)]
    checks = [
        check(10 * k, *right, row("net/last/kernel", 0.5 if k > 500 else 1))
        for k in range(1000)
    ]
    write(tmp_path, *checks)
    with tensorboard(tmp_path) as address:
        route = f"{address}{ROUTES}runs"
        wait_until(lambda: [r["checks"] for r in json.loads(get(route))] == [1000])
        tab = Tab(browser, address, 1280, 800)
        assert tab.all(".tools [role=status]") == ["200 variables, 1,000 checks"]
        assert finding(tab)["since"] == "since step 5010"
        assert tab.frame.locator(".cell").count() < 2000
        assert tab.frame.locator(".mark").count() < 100
        tab.frame.get_by_text("First failure").click()
        tab.open("net/last/kernel\nstep 5010: FAIL, relative error 33 %")
        assert tab.complaints == []
        tab.close()


def reload_until(tab, selector):
    def seen():
        tab.reload()
        return tab.frame.locator(selector).count()

    wait_until(seen)
