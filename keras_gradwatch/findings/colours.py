"""The colours of the verdicts: one hue for each, wherever a verdict is shown.

Each verdict also stands there as a word, so that no colour carries a meaning alone.
"""

from __future__ import annotations

from typing import NamedTuple

from keras_gradwatch.findings.verdicts import (
    BLOCKED,
    EXPECTED,
    FAIL,
    INCONCLUSIVE,
    PASS,
    UNUSED,
    ZERO,
)


class Badge(NamedTuple):
    """The colours of a verdict in letters.

    Args:
        back: Background.
        front: Text.
    """

    back: str
    front: str


# Those of the tab in its light theme: plugin/static/theme.css has them too, since a
# style sheet can't import. tests/findings/test_colours.py holds the two together.
BADGES = {
    FAIL: Badge("#c62828", "#ffffff"),
    BLOCKED: Badge("#f9d9e3", "#98174f"),
    EXPECTED: Badge("#e9e4fb", "#5b3fc4"),
    INCONCLUSIVE: Badge("#fdf1d0", "#805300"),
    UNUSED: Badge("#eeeeee", "#5f5f5f"),
    ZERO: Badge("#dcedf7", "#1b5e8a"),
    PASS: Badge("#e2f2e4", "#1b7a34"),
}
# The same hues, for points and bars on white: a badge's background would be too pale
# there, and its text too dark to tell the hues apart.
MARKS = {
    FAIL: "#c62828",
    BLOCKED: "#c2407f",
    EXPECTED: "#7a5fd6",
    INCONCLUSIVE: "#b98a1b",
    UNUSED: "#8a939c",
    ZERO: "#4a90b8",
    PASS: "#2e8b4a",
}
