"""The console on a long history: 2,000 checks of 300 variables.

    python benchmarks/console.py [--variables N] [--checks N] [--repeat N]

Prints the size of the event files, and how long `gradwatch` takes on them: the median,
by the clock on the wall and in time of the processors. On a machine that does other
work besides, only the second says something.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tab import write


def seconds(log_dir: str) -> tuple[float, float]:
    """By the clock and by the processors, of one run of the command."""
    used, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "keras_gradwatch", log_dir],
        stdout=subprocess.DEVNULL,
        check=False,
    )
    elapsed = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return elapsed, spent


def main() -> None:
    """Writes a log and reads it a few times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variables", type=int, default=300)
    parser.add_argument("--checks", type=int, default=2000)
    parser.add_argument("--repeat", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as log_dir:
        write(log_dir, chosen.variables, chosen.checks)
        size = sum(p.stat().st_size for p in Path(log_dir).rglob("*") if p.is_file())
        print(f"event files: {size / 1e6:.0f} MB")
        runs = [seconds(log_dir) for _ in range(chosen.repeat)]
    wall, spent = (statistics.median(times) for times in zip(*runs, strict=True))
    print(f"seconds: {wall:.2f} by the clock, {spent:.2f} of the processors")


if __name__ == "__main__":
    main()
