"""`python -m keras_gradwatch`, as a shell or CI runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras_gradwatch as kgw
from keras_gradwatch.tensorboard.report_writer import ReportWriter
from tests.support.reports import comparison, report, variable

HALF = tuple(
    comparison(analytic=n / 2, numerical=n, word="mismatch") for n in (1.0, 2.0)
)


def good(step):
    return report(variable(), step=step)


def bad(step, path="dense/kernel"):
    wrong = variable(
        path=path,
        verdict="FAIL",
        reason="The gradient is 0.5 times what differences give.",
        coordinates=HALF,
        directions=(),
    )
    return report(wrong, step=step, verdict="FAIL")


def write(log_dir, *reports):
    writer = ReportWriter(log_dir)
    for one in reports:
        writer.write(one)
    writer.close()


def run(*arguments, **env):
    return subprocess.run(
        [sys.executable, "-m", "keras_gradwatch", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(kgw.__file__).parents[1]), **env},
    )


def test_a_wrong_gradient(tmp_path):
    write(tmp_path / "a", good(100), good(200), bad(300), bad(400))
    write(tmp_path / "b", good(5))
    done = run(tmp_path)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    first = lines.index(f"== {Path('a') / 'gradwatch'}")
    assert lines[first + 1] == (
        "FAIL: dense/kernel, wrong since step 300, too small by a factor of 2"
    )
    assert lines[first + 3] == (
        "  steps 100 to 200 PASS (2 checks), steps 300 to 400 FAIL (2 checks)"
    )
    assert str(bad(400)) in done.stdout
    assert str(good(5)) in done.stdout
    assert done.stderr == ""


def test_all_right(tmp_path):
    write(tmp_path, good(1))
    done = run(tmp_path)
    assert done.returncode == 0
    assert "step 1 PASS" in done.stdout


def test_nothing_known(tmp_path):
    done = run(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "No gradient check below" in done.stderr
    done = run(tmp_path / "nowhere")
    assert done.returncode == 2
    assert "Received: log_dir=" in done.stderr
    write(tmp_path, report(verdict="INCONCLUSIVE", reason="The loss is nan."))
    assert run(tmp_path).returncode == 2


def test_a_mistake_that_was_mended_is_forgotten_with_the_next_training(tmp_path):
    write(tmp_path, bad(1), bad(2))
    assert run(tmp_path).returncode == 1
    write(tmp_path, good(1), good(2))
    done = run(tmp_path)
    assert done.returncode == 0
    assert "  steps 1 to 2 FAIL (2 checks)\n  steps 1 to 2 PASS" in done.stdout


def test_trainings_of_the_same_second_stay_in_order(tmp_path):
    # The tenth file that a process opens comes after its ninth.
    for step in range(12):
        write(tmp_path, good(step))
    assert [r.step for r in kgw.read_reports(tmp_path)] == list(range(12))


def test_json(tmp_path):
    write(tmp_path, good(1), bad(2))
    done = run(tmp_path, "--json")
    assert done.returncode == 1
    (found,) = json.loads(done.stdout)["runs"]
    assert found["verdict"] == "FAIL"
    assert found["headline"].startswith("dense/kernel, wrong since step 2")
    assert found["history"] == [
        {"step": 1, "verdict": "PASS"},
        {"step": 2, "verdict": "FAIL"},
    ]
    last = kgw.GradientReport.from_json(json.dumps(found["last"]))
    assert last == bad(2)
    assert json.loads(run(tmp_path / "gradwatch" / "..", "--json").stdout)["runs"]


def test_names_do_not_reach_the_terminal_raw(tmp_path):
    write(tmp_path, bad(1, path="\x1b[2J\u202e\u5c42\n" + "x" * 10_000 + "/kernel"))
    done = run(tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) < 300


def test_damaged_events_are_counted(tmp_path):
    write(tmp_path, good(1), bad(2))
    (path,) = (tmp_path / "gradwatch").iterdir()
    data = bytearray(path.read_bytes())
    middle = data.index(b"GradCheck/report/") + 120
    data[middle : middle + 8] = b"\0" * 8
    path.write_bytes(data)
    done = run(tmp_path)
    assert done.returncode == 1
    assert "1 damaged event(s) left out: " in done.stderr
