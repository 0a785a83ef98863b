"""Makes the pictures of the documentation: the console, and the tab as users meet it.

    python docs/pictures.py [FOLDER]

The tab is shown healthy, with a bug, with alerts, with a NaN and with twenty runs.
Without FOLDER the pictures go to where the README and the guides look for them. Needs
chromium, and the extras `examples` and `test`.
"""

import html
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from PIL import Image

from tests.support.browser import Tab, chromium, tensorboard

HERE = Path(__file__).parent
ROOT = HERE.parent
WIDTH, HEIGHT = 1280, 800
COLUMNS = 110
COLOURS = 128
CONSOLE = """
<meta charset="utf-8">
<style>
  body {{ margin: 0; background: #1e2329; color: #dfe5ec; }}
  pre {{
    width: {columns}ch;
    margin: 0;
    padding: 18px 22px;
    font: 13px/1.45 "DejaVu Sans Mono", monospace;
    white-space: pre-wrap;
  }}
</style>
<pre>{text}</pre>
"""


def run(*command: str, cwd: Path = ROOT) -> str:
    return subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    ).stdout


def picture_of_the_console(browser: Any, log_dir: Path, path: Path) -> None:
    said = run("-m", "keras_gradwatch", str(log_dir))
    text = html.escape(f"$ python -m keras_gradwatch logs\n{said.rstrip()}")
    page = browser.new_page(viewport={"width": 1000, "height": 100})
    page.set_content(CONSOLE.format(columns=COLUMNS, text=text))
    page.locator("pre").screenshot(path=path)
    page.close()


def details(tab: Tab) -> None:
    """Opens the figures of a variable, in the first check."""
    tab.frame.locator(".cell.variable.tone-fail").first.click()
    tab.wait(".detail")


def check(tab: Tab) -> None:
    """Opens a check as a whole."""
    tab.frame.get_by_role("button", name="The whole check").first.click()
    tab.wait(".check-page")


def nothing(tab: Tab) -> None:
    """As it opens."""


# Of each picture its name, the logs that it shows, and what is done before.
PICTURES: tuple[tuple[str, str, Callable[[Tab], None]], ...] = (
    ("tab", "bug", nothing),
    ("details", "small mistake", details),
    ("check", "bug", check),
    ("healthy", "healthy", nothing),
    ("alerts", "alerts", nothing),
    ("nan", "nan", nothing),
    ("runs", "twenty", nothing),
)


def picture_of_the_tab(
    browser: Any, log_dir: Path, before: Callable[[Tab], None], path: Path
) -> None:
    with tensorboard(log_dir) as address:
        tab = Tab(browser, address, WIDTH, HEIGHT)
        tab.wait(".cell")
        before(tab)
        # Without the pointer's shadow on the tab's name.
        tab.page.mouse.move(WIDTH / 2, HEIGHT - 4)
        tab.page.wait_for_timeout(1000)
        tab.page.screenshot(path=path, animations="disabled")
        tab.close()


def main() -> None:
    folder = Path(sys.argv[1]) if sys.argv[1:] else HERE
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        # Findings name the directory as it was given: no path of this machine.
        above, logs = Path(name), "logs"
        root = above / logs
        run("examples/digits.py", "--bug", "--log-dir", str(root / "bug"))
        run(str(HERE / "pictured.py"), logs, cwd=above)
        picture_of_the_console(browser, root / "bug", folder / "console.png")
        shrink(folder / "console.png")
        for picture, shown, before in PICTURES:
            path = folder / f"{picture}.png"
            picture_of_the_tab(browser, root / shown, before, path)
            shrink(path)


def shrink(path: Path) -> None:
    """Makes a picture smaller: of few colours."""
    Image.open(path).convert("RGB").quantize(COLOURS).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
