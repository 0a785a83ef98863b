"""Set-ups, healthy and sick, that `check_setup` looks at, and how many it gets right.

    python benchmarks/setup_zoo.py [name ...]

A healthy one must be neither wrong nor worth a look anywhere; of a sick one, the
question that it is about must say so. Names leave the others out, and print reports.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import keras

import keras_gradwatch as kgw
from tests.support.setup_zoo import HEALTHY
from tests.support.sick_setups import SICK

ALARMS = ("wrong", "worth a look")


def checked(program):
    """The report on a program."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    return kgw.check_setup(*program())


def alarmed(report):
    """The questions that give the alarm."""
    return [name for state in ALARMS for name in report.names_of(state)]


def main(names):
    right, most, total = 0, 0.0, 0
    for kind, zoo in (("healthy", HEALTHY), ("sick", SICK)):
        right = passed = 0
        chosen = {n: p for n, p in zoo.items() if not names or n in names}
        for name, program in chosen.items():
            program, wanted = (program, None) if kind == "healthy" else program
            report = checked(program)
            found = alarmed(report)
            is_right = not found if wanted is None else wanted in found
            right, passed = right + is_right, passed + report.passed
            most, total = max(most, report.seconds), total + 1
            open_ = ", ".join(report.names_of("not told"))
            print(
                f"{'ok' if is_right else 'NO':<3} {kind:<8} {name:<36} "
                f"{report.seconds:5.1f} s  {', '.join(found)}"
                f"{f'  (not told: {open_})' if open_ else ''}",
                flush=True,
            )
            if names or not is_right:
                print(report)
        print(f"{kind}: {right} of {len(chosen)} right, {passed} of them PASS")
    print(f"{total} set-ups, the slowest took {most:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
