"""The server's letters for verdicts are those that the tab reads."""

import re
from importlib.resources import files

from keras_gradwatch.findings.verdicts import VERDICTS
from keras_gradwatch.tensorboard.plugin.rows import LETTERS

WORDS = files("keras_gradwatch.tensorboard.plugin") / "static" / "words.js"


def test_the_tab_reads_the_letters_of_the_server():
    table = re.search(r"VERDICTS = \{(.*?)\n\};", WORDS.read_text("utf-8"), re.DOTALL)
    words = dict(re.findall(r'^ *(\w): \{ word: "(\w+)"', table[1], re.MULTILINE))
    assert words == {letter: verdict for verdict, letter in LETTERS.items()}


def test_each_verdict_has_a_letter():
    assert set(LETTERS) == set(VERDICTS)
    assert len(set(LETTERS.values())) == len(VERDICTS)
