"""TensorBoard and Chromium, real ones, for the tests of the tab."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TAB = "keras_gradwatch"
# What is there once the tab has its first answers.
SHOWN = ".finding.large, .empty:visible, .check-page"


@contextlib.contextmanager
def tensorboard(log_dir, *flags):
    """A TensorBoard on a free port; yields its address."""
    command = Path(sys.executable).with_name("tensorboard")
    process = subprocess.Popen(
        [command, "--logdir", log_dir, "--host", "127.0.0.1", "--port", "0", *flags],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    said, rest = [], None
    try:
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"http://\S+", line):
                break
        else:
            raise RuntimeError(f"TensorBoard did not start: {''.join(said)}")
        # Or it would stop, some day, with its mouth full.
        rest = threading.Thread(target=process.stderr.read)
        rest.start()
        yield found[0]
    finally:
        process.terminate()
        process.wait()
        if rest is not None:
            rest.join()
        process.stderr.close()


@contextlib.contextmanager
def chromium():
    """A browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Tab:
    """The tab, opened in a page of its own; `complaints` is what went wrong in it.

    Args:
        browser: From `chromium`.
        address: From `tensorboard`.
        width: Of the page.
        height: Of the page.
        place: What the address says is open, such as `"run=a/gradwatch"`.
        before: Called with the page before anything is loaded.
        **options: Of `browser.new_page`.
    """

    def __init__(
        self,
        browser,
        address,
        width=1000,
        height=720,
        place="",
        before=None,
        **options,
    ):
        self.complaints = []
        self.size = (width, height)
        self.page = browser.new_page(**options)
        self.resize(width, height)
        if before is not None:
            before(self.page)
        self.page.set_default_timeout(30_000)
        host = urlsplit(address).netloc
        self.page.on("request", lambda r: self._request(r, host))
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._dialog)
        parts = [TAB, *(f"p.{TAB}.{part}" for part in place.split("&") if part)]
        self.page.goto(f"{address}#{'&'.join(parts)}")
        self.frame = self.page.frame_locator(f"iframe[src*={TAB}]")
        self.frame.locator(SHOWN).first.wait_for()

    def all(self, selector):
        """The texts of all elements of the tab that match."""
        return self.frame.locator(selector).all_inner_texts()

    def texts(self, selector):
        """The same of parts of drawings."""
        return self.frame.locator(selector).all_text_contents()

    def resize(self, width, height):
        """Makes the window as large as this."""
        self.page.set_viewport_size({"width": width, "height": height})

    def begin_anew(self):
        """Loads the tab, not TensorBoard, once more, with nothing chosen."""
        self.complaints.clear()
        self.resize(*self.size)
        self.page.evaluate(
            f"() => {{ history.replaceState(null, '', '#{TAB}');"
            "document.body.classList.remove('dark-mode'); }"
        )
        frame = self.page.frames[1]
        frame.evaluate("() => { window.isOld = true; }")
        with contextlib.suppress(Exception):
            frame.evaluate("() => location.reload()")
        self.page.frames[1].wait_for_function("() => !window.isOld")
        self.frame.locator(SHOWN).first.wait_for()

    def run(self, name):
        """Shows a run."""
        self.frame.get_by_role(
            "button", name=f", {name}/gradwatch", exact=False
        ).click()
        self.wait(f'.run-button[aria-current="true"]:has-text("{name}")')
        self.wait(".finding.large")

    def wait(self, selector):
        """Waits for an element of the tab."""
        self.frame.locator(selector).first.wait_for()

    def open(self, title):
        """Clicks the cell whose title begins with these lines."""
        self.cell(title).click()
        self.wait(".detail")

    def cell(self, title):
        """The cell whose title begins with these lines."""
        begins = f"{title}\n".replace("\n", r"\a ")
        return self.frame.locator(f'.cell[title^="{begins}"]')

    def reload(self):
        """TensorBoard's own button."""
        self.page.locator(".reload-button").click()

    def close(self):
        self.page.close()

    def _request(self, request, host):
        url = urlsplit(request.url)
        if url.netloc != host and url.scheme not in ("data", "blob"):
            self.complaints.append(f"request to another host: {request.url}")

    def _console(self, message):
        # Behind a prefix, TensorBoard's own page asks for its font in a wrong place.
        is_ours = "font-roboto" not in message.location["url"]
        if message.type == "error" and is_ours:
            self.complaints.append(message.text)

    def _dialog(self, dialog):
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()
