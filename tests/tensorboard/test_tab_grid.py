"""The grid of the tab: variables by checks."""

import json
import re

import pytest

from tests.support.browser import Tab, tensorboard
from tests.support.contrast import hard_to_read
from tests.support.marks import pairs
from tests.support.tab_logs import (
    HOSTILE,
    LONG,
    check,
    row,
    write,
)
from tests.support.tab_pages import (
    ROUTES,
    WITH_BROWSER,
    both_ways,
    cells,
    cut,
    finding,
    get,
    reach,
    visible,
    wait_until,
)

pytestmark = WITH_BROWSER


def test_the_grid_has_variables_in_model_order_and_a_word_or_sign_in_each_cell(tab):
    tab.run("half")
    assert tab.texts(".name") == [
        "all variables",
        "net/dense",
        "kernel",
        "bias",
        "net/dense_1",
        "kernel",
        "bias",
        # Without weights, and to blame.
        "➜ 'halved' (Halved)",
        # The one variable of a layer has no heading.
        "net/quantiser/scale",
        "net/spare/kernel",
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


@pytest.mark.parametrize(("width", "theme"), pairs([800, 1280], ["light", "dark"]))
def test_a_layer_of_one_variable_has_one_row(tab, width, theme):
    tab.resize(width, 800)
    tab.run("long")
    if theme == "dark":
        tab.page.evaluate("document.body.classList.add('dark-mode')")
    tab.frame.locator(".grid").evaluate("grid => grid.scrollTo(0, 0)")
    tab.wait(f'.name:has-text("{LONG}0/kernel")')
    names = tab.texts(".name")
    assert names[1:4] == [f"{LONG}{k}/kernel" for k in range(3)]
    # Where there is no room, what layers have in common is cut.
    (left, right), (start, end) = (reach(tab, x) for x in (".name .cut", ".names"))
    assert start < left < right < end
    assert reach(tab, ".name .variable-name")[1] <= right
    assert not cut(tab, ".name .own, .name .variable-name")
    assert bool(cut(tab, ".name .shared")) is (width == 800)
    assert hard_to_read(tab) == []
    # And it is one to be opened by the keys and by its name.
    tab.frame.locator(".name.variable").nth(1).click()
    tab.wait(f'.detail h2:has-text("{LONG}1/kernel")')
    tab.frame.locator(".grid").press("ArrowDown")
    tab.wait(f'.detail h2:has-text("{LONG}2/kernel")')


@pytest.mark.long
def test_columns_have_epochs(tab):
    tab.run("story")
    assert tab.all(".head-epoch") == [f"epoch {k}" for k in (1, 2, 3, 4)]
    title = tab.frame.locator(".cell.variable").first.get_attribute("title")
    assert "step 10, epoch 1" in title
    assert re.search(r"\d:\d\d:\d\d", title)  # and when that was


@pytest.mark.long
def test_a_model_that_was_built_anew_has_the_rows_that_it_had(tab):
    tab.run("resumed")
    assert tab.all(".head-step") == ["10", "20", "30"]
    names = [n for n in tab.texts(".name") if n.startswith("net")]
    assert names == ["net/dense_1/kernel", "net/dense_2/kernel"]
    assert tab.all(".cell.variable") == ["✓"] * 3 + ["✕ 33%"] * 3
    # Details are those of the variable under the name that it had then.
    tab.frame.locator(".cell.variable").nth(3).click()
    tab.wait('.detail h2:has-text("net/dense_1/kernel")')
    assert "shape 8 \u00d7 2" in tab.all(".detail .heading .quiet")[0]
    # And it is wrong since before it had its name.
    assert finding(tab)["since"] == "since step 10"


@pytest.mark.long
def test_the_name_of_a_row_opens_the_newest_of_its_cells(tab):
    tab.run("half")
    tab.frame.locator(".name.variable").nth(2).click()
    tab.wait('.detail h2:has-text("net/dense_1/kernel")')
    assert "step 900" in tab.all(".detail .heading .quiet")[0]
    tab.frame.locator(".name.all").click()
    tab.wait('.check-page h2:has-text("step 900")')


@pytest.mark.long
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


@pytest.mark.long
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
@pytest.mark.long
def test_a_long_history_keeps_only_what_is_in_sight_in_the_page(tab):
    tab.run("long")
    assert tab.all(".tools [role=status]") == ["31 variables, 102 checks"]
    # It opens at the newest check, with what fails there in sight.
    assert tab.all(".head-step")[-1] == "115"
    assert any("last" in name for name in tab.all(".name")[-3:])
    grid = tab.frame.locator(".grid")
    grid.evaluate("grid => grid.scrollTo(0, grid.scrollHeight)")
    tab.wait('.head-step:text-is("0")')
    tab.open(f"{LONG}29/kernel\nstep 0: PASS")
    assert tab.frame.locator(".cell").count() < 1500
    tab.frame.get_by_text("Newest").click()
    tab.wait('.head-step:text-is("115")')
    grid.evaluate("grid => grid.scrollTo(0, 0)")
    tab.wait('.head-step:text-is("0")')
    tab.frame.get_by_text("First failure").click()
    failure = "net/last/kernel\nstep 110: FAIL, relative error 33 %"
    tab.cell(failure).wait_for()


@both_ways
@pytest.mark.long
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
@pytest.mark.long
def test_two_trainings_in_one_directory_stay_apart(tab):
    tab.run("twice")
    assert finding(tab)["state"].endswith("PASS")
    assert tab.all(".head-step") == ["10", "20", "30", "10", "20"]
    assert tab.all(".cell.all") == ["✕ FAIL"] * 3 + ["✓"] * 2
    for position, verdict in ((0, "FAIL"), (3, "PASS")):
        tab.frame.locator(".cell.variable").nth(position).click()
        tab.wait(f'.detail .badge:has-text("{verdict}")')


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
