"""Makes the pictures of the README, from the example with `--bug`.

    python docs/pictures.py

Needs chromium, and the extras `examples` and `test`.
"""

import html
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from PIL import Image

from tests.support.browser import Tab, chromium, tensorboard

HERE = Path(__file__).parent
ROOT = HERE.parent
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


def run(*command: str) -> str:
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout


def picture_of_the_console(browser: Any, log_dir: str) -> None:
    said = run("-m", "keras_gradwatch", log_dir)
    text = html.escape(f"$ python -m keras_gradwatch logs\n{said.rstrip()}")
    page = browser.new_page(viewport={"width": 1000, "height": 100})
    page.set_content(CONSOLE.format(columns=COLUMNS, text=text))
    page.locator("pre").screenshot(path=HERE / "console.png")
    page.close()


def pictures_of_the_tab(browser: Any, log_dir: str) -> None:
    with tensorboard(log_dir) as address:
        tab = Tab(browser, address)
        tab.wait(".cell.variable")
        # Without the pointer's shadow on the tab's name.
        tab.page.mouse.move(500, 700)
        tab.page.screenshot(path=HERE / "tab.png", animations="disabled")
        tab.frame.locator(".cell.variable.tone-fail").last.click()
        tab.wait(".detail")
        tab.frame.locator(".details").screenshot(path=HERE / "details.png")
        tab.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as log_dir, chromium() as browser:
        run("examples/digits.py", "--bug", "--log-dir", log_dir)
        picture_of_the_console(browser, log_dir)
        pictures_of_the_tab(browser, log_dir)
    for path in sorted(HERE.glob("*.png")):
        Image.open(path).convert("RGB").quantize(COLOURS).save(path, optimize=True)
        print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
