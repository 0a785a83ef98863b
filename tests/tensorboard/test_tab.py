"""The tab in TensorBoard, as a person sees it: runs, findings, alerts."""

import json

import pytest

from keras_gradwatch.findings import sentences
from keras_gradwatch.tensorboard.report_writer import ReportWriter
from tests.support.browser import Tab, tensorboard
from tests.support.tab_logs import (
    HOSTILE,
    LOOK,
    MIDDLE,
    RUNS,
    SWEEP,
    check,
    network,
)
from tests.support.tab_pages import (
    FLAGS,
    ROUTES,
    WITH_BROWSER,
    address_of,
    both_ways,
    cut,
    finding,
    get,
    states,
    visible,
    wait_until,
)

pytestmark = WITH_BROWSER


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


@pytest.mark.long
def test_runs_are_filtered_and_chosen_by_the_keys(tab):
    # To the tabulator the table is one stop.
    assert tab.frame.locator(".run-button[tabindex='0']").count() == 1
    box = tab.frame.get_by_label("Filter runs")
    box.fill("sweep_of_long")
    assert len(tab.all("tr.run")) == SWEEP
    assert tab.all(".runs [role=status]")[0].startswith(f"{SWEEP} of {RUNS} runs")
    box.press("ArrowDown")
    tab.page.keyboard.press("ArrowDown")
    tab.page.keyboard.press("Enter")
    tab.wait('.run-heading:has-text("width=2")')
    assert address_of(tab)["run"].endswith("width=2/gradwatch")


@pytest.mark.parametrize("width", [800, 1280])
def test_long_names_are_cut_where_they_do_not_differ(tab, width):
    tab.resize(width, 800)
    name = tab.frame.locator(".cut", has_text="width=256")
    assert "sweep_of_long_names" in name.get_attribute("title")
    assert name.locator(".own").last.inner_text() == "256"
    tab.frame.get_by_label("Filter runs").fill("mixed")
    wait_until(lambda: len(tab.all("tr.run")) == len(MIDDLE))
    shown = [
        [*row.locator(".own").all_text_contents()]
        for row in tab.frame.locator("tr.run").all()
    ]
    assert shown == [[r, w] for r in ("0.001", "0.003") for w in ("8", "16")]
    assert not cut(tab, ".cut .own")
    assert len(cut(tab, ".cut .shared")) >= len(MIDDLE)
    for row in tab.frame.locator("tr.run").all():
        box, room = row.locator(".own").last.bounding_box(), row.bounding_box()
        assert box["x"] + box["width"] < room["x"] + room["width"]
    tab.frame.get_by_label("Filter runs").fill("")


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


@both_ways
@pytest.mark.long
def test_damaged_events_are_counted_and_the_rest_is_shown(tab):
    names = tab.frame.locator("tr.run", has_text="damaged event")
    assert names.locator(".run-button").all_text_contents() == ["damaged"]
    tab.run("damaged")
    assert tab.all(".lost") == ["4 damaged events left out."]
    tab.open("net/a/kernel\nstep 5: FAIL, relative error 82 %")
    assert "too small by a factor of 10" in finding(tab)["text"]


@both_ways
@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
def test_without_the_tab_a_chart_tells_the_same(address):
    layout = json.loads(get(f"{address}data/plugin/custom_scalars/layout"))
    (category,) = layout["category"]
    assert category["title"] == "Gradient check"
    (series,) = category["chart"][0]["margin"]["series"]
    query = f"run=half/gradwatch&tag={series['value']}"
    found = json.loads(get(f"{address}data/plugin/custom_scalars/scalars?{query}"))
    ((_, points),) = found["tag_to_events"].items()
    assert [value > 0 for _, _, value in points] == [False] * 3 + [True] * 7


@pytest.mark.long
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


def reload_until(tab, selector):
    def seen():
        tab.reload()
        return tab.frame.locator(selector).count()

    wait_until(seen)
