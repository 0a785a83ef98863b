"""Every block of Python in the documentation runs."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gradwatch as kgw
from tests.support.marks import first

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
WITH_CODE = [page for page in PAGES if "```python" in page.read_text()]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page):
    """The code of each block, at the lines that it has in the page."""
    text = page.read_text()
    for found in BLOCK.finditer(text):
        yield "\n" * text[: found.start(1)].count("\n") + found[1]


@pytest.mark.parametrize("page", first(WITH_CODE, 2), ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page, pytester):
    keras.utils.set_random_seed(0)
    keras.backend.clear_session()
    names = {"__name__": "page"}
    for code in blocks(page):
        if code.lstrip().startswith("# test_"):
            pytester.makepyfile(test_page=code)
            done = pytester.runpytest_inprocess("-p", "no:xdist", "-W", "ignore")
            done.assert_outcomes(passed=code.count("def test_"))
        exec(compile(code, page, "exec"), names)


def test_the_code_of_the_readme_runs(pytester):
    """With a model, data and parts such as a reader would have."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(256, 8)).astype("float32")
    y = np.tanh(x[:, :2])
    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(2)]
    )
    model.compile("adam", "mse")
    names = {
        **{"model": model, "x": x, "y": y, "y_true": y[:4], "y_pred": 0.5 * y[:4]},
        **{"MyLayer": keras.layers.Dense, "MyLoss": keras.losses.LogCosh},
        "my_op": tf.sin,
    }
    for code in blocks(ROOT / "README.md"):
        exec(compile(code, "README.md", "exec"), names)
    assert names["callbacks"][0].reports[-1].passed
    assert len(names["callbacks"][1].readings) >= 2
    assert names["callbacks"][2].finding is None


def test_the_site_has_all_pages_and_the_reference_all_names():
    # What `mkdocs build --strict` does not tell is what was never asked for.
    menu = (ROOT / "mkdocs.yml").read_text()
    assert [page.name for page in PAGES if f" {page.name}\n" not in menu] == []
    reference = (ROOT / "docs" / "reference.md").read_text()
    told = re.findall(r"^::: keras_gradwatch\.(\w+)$", reference, re.MULTILINE)
    assert sorted(told) == kgw.__all__


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda p: p.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::keras_gradwatch.GradwatchWarning")
def test_no_picture_shows_a_path_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    monkeypatch.chdir(tmp_path)
    import pictured

    # As `docs/pictures.py` has it made.
    pictured.not_finite(Path("logs"))
    told = "\n".join(alert.message for alert in kgw.read_alerts("logs"))
    assert "are in logs/nan/nonfinite/step_" in told
    assert str(tmp_path) not in told
