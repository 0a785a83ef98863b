"""A verdict has the same colours in notebooks and in the tab."""

import re
from importlib.resources import files

import pytest

from keras_gradwatch.findings.colours import BADGES, MARKS
from keras_gradwatch.findings.verdicts import VERDICTS

SHEET = files("keras_gradwatch.tensorboard.plugin") / "static" / "theme.css"


def light_theme():
    """The variables of the first rule, which is for the light theme."""
    rule = re.search(r":root \{(.*?)\}", SHEET.read_text("utf-8"), re.DOTALL)
    return dict(re.findall(r"--([\w-]+): (#\w+);", rule[1]))


@pytest.mark.parametrize("verdict", VERDICTS)
def test_the_tab_has_the_colours_of_notebooks(verdict):
    colours, name = light_theme(), verdict.lower()
    assert BADGES[verdict] == (colours[name], colours[f"{name}-text"])


def test_each_verdict_has_a_colour_of_its_own():
    assert set(BADGES) == set(MARKS) == set(VERDICTS)
    assert len(set(MARKS.values())) == len(VERDICTS)
