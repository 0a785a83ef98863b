"""The example, run as a newcomer runs it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import keras_gradwatch as kgw

EXAMPLE = Path(__file__).parent.parent / "examples" / "digits.py"


def run(*arguments):
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(EXAMPLE.parents[1])},
    )
    return done.stdout, done.stderr


def names(variables):
    return {v.path.removeprefix("digits/") for v in variables}


def accuracy(printed):
    return float(re.search(r"held-out digits: ([\d.]+)%", printed)[1])


def test_healthy(tmp_path):
    printed, _ = run("--log-dir", str(tmp_path))
    reports = kgw.read_reports(tmp_path)
    assert len(reports) == 8
    assert all(report.passed for report in reports)
    assert all(v.verdict == "PASS" for r in reports for v in r.variables)
    assert len(re.findall(r"^Gradient check at step \d+: PASS", printed, re.M)) == 9
    assert re.search(r"^Checks that passed: 8 of 8$", printed, re.M)
    assert re.search(r"^Alerts in 12 readings: 0$", printed, re.M)
    assert re.search(r"^NaN or infinity: none$", printed, re.M)
    assert accuracy(printed) > 95
    command = re.search(r"^To see it:  (\S+) --logdir (\S+)$", printed, re.M)
    assert Path(command[1]).exists()
    assert command[2] == str(tmp_path)


@pytest.mark.basic
def test_bug(tmp_path):
    printed, errors = run("--bug", "--epochs", "2", "--log-dir", str(tmp_path))
    upstream = {
        f"{layer}/{weight}"
        for layer, weight in [
            ("conv_1", "kernel"),
            ("norm_1", "gamma"),
            ("norm_1", "beta"),
            ("conv_2", "kernel"),
            ("norm_2", "gamma"),
            ("norm_2", "beta"),
            ("hidden", "kernel"),
            ("hidden", "bias"),
        ]
    }
    for report in kgw.read_reports(tmp_path):
        assert report.verdict == "FAIL"
        assert names(report.failures) == upstream
    assert "GradientMismatchWarning" in errors
    assert "FAIL. Look at 'swish' (SwishWithBug), digits.py:" in printed
    assert kgw.read_alerts(tmp_path) == []  # only a check can see it
    assert accuracy(printed) < 90
