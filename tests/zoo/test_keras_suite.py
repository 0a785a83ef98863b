"""Keras' own layer tests as an oracle: no false alarm, no crash."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "keras_suite.py"


@pytest.mark.long
def test_configurations_of_keras_own_tests():
    # Every sixth of some 450: a minute or two of one core.
    command = [sys.executable, str(SCRIPT), "--every", "6"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    passed = next(line for line in run.stdout.splitlines() if "PASS:" in line)
    assert int(passed.split(":")[1]) >= 40, run.stdout
