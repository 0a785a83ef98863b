"""The tab on a long history: 200 variables by 1,000 checks.

    python benchmarks/tab.py [--variables N] [--checks N]

Prints the size of the event files, how long TensorBoard takes to start with and
without the tab, how long the tab takes to show the finding, the grid and the
details of the oldest check, how many bytes that transfers, and the longest pause
while scrolling through the grid. Needs chromium.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

import keras_gradwatch as kgw
from keras_gradwatch.findings.causes import Mismatch
from keras_gradwatch.findings.pattern import SCALED, Pattern
from keras_gradwatch.tensorboard.report_writer import ReportWriter
from tests.support.browser import Tab, chromium, tensorboard

LAYERS = 4  # variables of each
# TensorBoard up to the address that it prints, with or without the tab.
START = """
import sys
from importlib.metadata import entry_points
from tensorboard import default, main_lib, program
main_lib.global_init()
plugins = default.get_static_plugins() + [
    entry.load()
    for entry in entry_points(group="tensorboard_plugins")
    if entry.name != "keras_gradwatch" or sys.argv[2] == "with"
]
server = program.TensorBoard(plugins)
server.configure(argv=["", "--logdir", sys.argv[1], "--port", "0"])
server.launch()
"""
# Scrolls to the end and back in many small steps; the longest time between frames.
SCROLL = """
async (grid) => {
  const frame = () => new Promise(requestAnimationFrame);
  let [longest, last] = [0, await frame()];
  for (let i = 0; i <= 200; i++) {
    const share = 1 - Math.abs(1 - i / 100);
    grid.scrollLeft = share * grid.scrollWidth;
    grid.scrollTop = share * grid.scrollHeight;
    const now = await frame();
    longest = Math.max(longest, now - last);
    last = now;
  }
  return longest;
}
"""


def comparison(rng: random.Random, kind: str, factor: float) -> Any:
    slope = rng.gauss(0, 1e-2)
    wrong = factor != 1
    return kgw.Comparison(
        kind=kind,
        index=(rng.randrange(512), rng.randrange(512))
        if kind == "coordinate"
        else None,
        word="mismatch" if wrong else "match",
        analytic=factor * slope * (1 + rng.gauss(0, 1e-8)),
        numerical=slope,
        error_bar=abs(rng.gauss(0, 1e-11)),
        relative_error=1 / 3 if wrong else abs(rng.gauss(0, 1e-8)),
        step=1e-6 * rng.random(),
    )


def variable(rng: random.Random, number: int, factor: float) -> Any:
    wrong = factor != 1
    return kgw.VariableReport(
        path=f"network/block_{number // LAYERS}/weight_{number % LAYERS}",
        target="",
        shape=(512, 512),
        verdict="FAIL" if wrong else "PASS",
        cause=Mismatch(0.5, 1.0, 1e-9, Pattern(SCALED, 0.5)) if wrong else None,
        relative_error=1 / 3 if wrong else abs(rng.gauss(0, 1e-8)),
        error_bar=abs(rng.gauss(0, 1e-9)),
        resolution=abs(rng.gauss(0, 1e-9)),
        coverage=1.0,
        coordinates=tuple(comparison(rng, "coordinate", factor) for _ in range(5)),
        directions=tuple(comparison(rng, "direction", factor) for _ in range(2)),
    )


def write(log_dir: str, variables: int, checks: int) -> None:
    """Reports of the size of real ones; in the end the last variable is wrong."""
    rng = random.Random(0)
    writer = ReportWriter(log_dir)
    for number in range(checks):
        wrong = number >= checks // 2
        factors = [1.0] * (variables - 1) + [0.5 if wrong else 1.0]
        report = kgw.GradientReport(
            verdict="FAIL" if wrong else "PASS",
            cause=None,
            step=100 * number,
            loss=rng.random(),
            dtype="float64",
            tolerance=1e-3,
            seed=0,
            evaluations=14 * variables,
            seconds=1.0,
            remarks=(),
            variables=tuple(variable(rng, i, f) for i, f in enumerate(factors)),
        )
        writer.write(report)
    writer.close()


def start_up(log_dir: str, how: str) -> Any:
    """Seconds until TensorBoard answers."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", START, log_dir, how], capture_output=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return time.perf_counter() - started


def look(log_dir: str, flags: Sequence[str], checks: int) -> Iterator[Any]:
    """One visit; yields what was measured and the figure."""
    with chromium() as browser:
        started = time.perf_counter()

        def elapsed() -> Any:
            return f"{time.perf_counter() - started:.2f} s"

        with tensorboard(log_dir, *flags) as address:
            yield "start to address", elapsed()
            while runs(address) != [checks]:
                time.sleep(0.1)
            yield "start to all checks read", elapsed()
            transferred: list[float] = []
            started = time.perf_counter()
            tab = Tab(browser, address, before=lambda page: count(page, transferred))
            tab.wait('.since:has-text("since step")')
            yield "page to finding", elapsed()
            tab.wait(".cell.variable")
            yield "page to grid", elapsed()
            grid = tab.frame.locator(".grid")
            yield "longest frame while scrolling", f"{grid.evaluate(SCROLL):.0f} ms"
            tab.wait('.head-step:text-is("0")')
            started = time.perf_counter()
            tab.frame.locator(".cell.variable").first.click()
            tab.wait(".detail tbody")
            yield "click to details, oldest check", elapsed()
            yield "transfer of the tab", f"{sum(transferred) / 1e3:.0f} kB"
            yield "cells in the page", tab.frame.locator(".cell").count()


def runs(address: str) -> Any:
    """How many checks of each run TensorBoard has read so far."""
    url = f"{address}data/plugin/keras_gradwatch/runs"
    with urllib.request.urlopen(url) as answer:
        return [run["checks"] for run in json.load(answer)]


def count(page: Any, sizes: Any) -> None:
    """Adds up what our own routes send, as it goes over the wire."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    ours = set()

    def received(event: Any) -> None:
        if "plugin/keras_gradwatch" in event["response"]["url"]:
            ours.add(event["requestId"])

    def finished(event: Any) -> None:
        if event["requestId"] in ours:
            sizes.append(event["encodedDataLength"])

    session.on("Network.responseReceived", received)
    session.on("Network.loadingFinished", finished)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variables", type=int, default=200)
    parser.add_argument("--checks", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5, help="of starting up")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as log_dir:
        times: dict[str, list[float]] = {"with": [], "without": []}
        for _ in range(chosen.rounds):
            for how, found in times.items():
                found.append(start_up(log_dir, how))
        ratio = statistics.median(times["with"]) / statistics.median(times["without"])
        print(f"start of TensorBoard with the tab / without: {ratio:.2f}")
        started = time.perf_counter()
        write(log_dir, chosen.variables, chosen.checks)
        each = (time.perf_counter() - started) / chosen.checks
        size = sum(f.stat().st_size for f in Path(log_dir).rglob("*tfevents*"))
        print(f"{chosen.variables} variables by {chosen.checks} checks")
        print(
            f"event files: {size / 1e6:.1f} MB, written in {each * 1e3:.0f} ms a check"
        )
        for flags in (["--load_fast=true"], ["--load_fast=false"]):
            print(*flags)
            for what, figure in look(log_dir, flags, chosen.checks):
                print(f"  {what}: {figure}")


if __name__ == "__main__":
    main()
