"""`python -m keras_gradwatch`, as a shell or CI runs it."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import keras_gradwatch as kgw
from keras_gradwatch.findings.alert import Alert
from keras_gradwatch.findings.notes import SEVERE, Underflow
from keras_gradwatch.tensorboard.alert_writer import AlertWriter
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


def run(*arguments, stdout=subprocess.PIPE, **env):
    return subprocess.run(
        [sys.executable, "-m", "keras_gradwatch", *map(str, arguments)],
        stdout=stdout,
        stderr=subprocess.PIPE,
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
    # As in the tab.
    assert lines[first + 1 : first + 8] == [
        "FAIL since step 300: The gradient of dense/kernel is wrong",
        "  The gradient of dense/kernel is too small by a factor of 2.",
        "History:",
        "  steps 100 to 200 PASS (2 checks)",
        "  steps 300 to 400 FAIL (2 checks)",
        "",
        "Step 400, in full:",
    ]
    assert bad(400).details in done.stdout
    assert good(5).details in done.stdout
    assert done.stdout.count("by a factor of 2") == 1
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
    assert run(tmp_path, "--fail-on", "fail").returncode == 2  # no proof is no pass
    write(tmp_path, report(verdict="INCONCLUSIVE", reason="The loss is nan."))
    assert run(tmp_path).returncode == 2
    assert run(tmp_path, "--fail-on", "fail,alert").returncode == 0


def test_a_wrong_command_is_no_finding(tmp_path):
    (tmp_path / "file").write_text("")
    for wrong in (["nowhere"], ["file"], [".", "--fail-on", "all"], [".", "--jsn"]):
        done = run(tmp_path / wrong[0], *wrong[1:])
        assert done.returncode == 4
        assert "error: " in done.stderr
        assert "Received: " in done.stderr or "--jsn" in done.stderr


def test_an_alert_or_what_is_severe_counts_unless_it_shall_not(tmp_path):
    told = Alert("dead", 3, ("dense",), "All of it is zero.", since=1)
    lost = Underflow("float16", 1.0, ("dense/kernel",), None, severity=SEVERE)
    lost = report(variable(), remarks=(lost,))
    write(tmp_path / "severe", good(1), lost, good(9))
    AlertWriter(tmp_path / "alert").write(told)
    for kind in ("alert", "severe"):
        assert run(tmp_path / kind).returncode == 3
        assert run(tmp_path / kind, "--fail-on", kind).returncode == 3
        assert run(tmp_path / kind, "--fail-on", "fail,unknown").returncode == 0
    # What is trained anew there may be mended, as with a wrong gradient.
    write(tmp_path / "alert", good(1))
    assert run(tmp_path / "alert").returncode == 3  # not before its first check is one
    write(tmp_path / "alert", good(1))
    done = run(tmp_path / "alert")
    assert done.returncode == 0
    assert "\nAlert of an earlier training: Dead gradients" in done.stdout
    # Green hides nothing: the check that warned has a line of its own.
    printed = run(tmp_path / "severe").stdout
    assert re.search(r"^  step 7 PASS: In float16,", printed, re.MULTILINE)


def test_the_findings_count_whatever_becomes_of_the_console(tmp_path):
    write(tmp_path / "bad", bad(1))
    write(tmp_path / "good", good(1))
    for name, codes in (("bad", (1, 1)), ("good", (0, 4))):
        closed = f'"$0" -m keras_gradwatch {tmp_path / name} >&- 2>&-'
        done = subprocess.run(["sh", "-c", closed, sys.executable], check=False)
        assert done.returncode == codes[0]
        with open("/dev/full", "w") as full:
            done = run(tmp_path / name, stdout=full)
        assert done.returncode == codes[1]
        assert "What was found could not be printed" in done.stderr
        assert "Traceback" not in done.stderr


def test_the_command_has_a_name(tmp_path):
    write(tmp_path, good(1))
    project = Path(kgw.__file__).parents[1] / "pyproject.toml"
    home = tomllib.loads(project.read_text())["project"]["scripts"]["gradwatch"]
    # As the script that pip makes of it.
    code = "import sys; from {} import {} as f; sys.argv[0] = 'gradwatch'; f()"
    code = code.format(*home.split(":"))
    command = [sys.executable, "-c", code]
    done = subprocess.run([*command, tmp_path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run([*command, "-h"], capture_output=True, text=True)
    assert done.stdout.startswith("usage: gradwatch ")


def test_a_mistake_that_was_mended_is_forgotten_with_the_next_training(tmp_path):
    write(tmp_path, bad(1), bad(2))
    assert run(tmp_path).returncode == 1
    write(tmp_path, good(1), good(2))
    done = run(tmp_path)
    assert done.returncode == 0
    assert "  steps 1 to 2 FAIL (2 checks): dense/kernel, wrong since" in done.stdout
    assert "\n  steps 1 to 2 PASS (2 checks)\n" in done.stdout


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
        {"step": 1, "verdict": "PASS", "warning": ""},
        {"step": 2, "verdict": "FAIL", "warning": ""},
    ]
    last = kgw.GradientReport.from_json(json.dumps(found["last"]))
    assert last == bad(2)
    assert json.loads(run(tmp_path / "gradwatch" / "..", "--json").stdout)["runs"]


def test_a_model_that_was_built_anew_is_the_one_that_it_was(tmp_path):
    write(tmp_path, bad(10, "net/dense/kernel"), bad(20, "net/dense/kernel"))
    write(tmp_path, bad(30, "outer/net/dense_1/kernel"))
    done = run(tmp_path)
    wrong = "FAIL since step 10: The gradient of outer/net/dense_1/kernel is wrong"
    assert wrong in done.stdout
    assert "  steps 10 to 30 FAIL (3 checks)\n" in done.stdout
    (found,) = json.loads(run(tmp_path, "--json").stdout)["runs"]
    (told,) = found["findings"]
    assert (told["state"], told["since"], told["step"]) == ("FAIL", 10, 30)
    assert found["headline"].startswith("outer/net/dense_1/kernel, wrong since step 10")


def test_alerts_of_one_kind_are_told_together_and_each_is_there(tmp_path):
    for step, where in ((3, "dense"), (7, "dense"), (9, "other")):
        told = Alert("dead", step, (where,), f"All of '{where}' is zero.", since=1)
        AlertWriter(tmp_path).write(told)
    lines = run(tmp_path).stdout.splitlines()
    assert lines[1:] == [
        "ALERT since step 1: Dead gradients: dense",
        "  All of 'dense' is zero.",
        "  Told at step 3.",
        "  Told at step 7.",
        "  Told at step 9. All of 'other' is zero.",
        "",
    ]


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


def test_a_damaged_point_of_a_chart_is_told(tmp_path):
    write(tmp_path, good(1), good(2))
    assert run(tmp_path).returncode == 0
    (path,) = (tmp_path / "gradwatch").iterdir()
    data = bytearray(path.read_bytes())
    # One bit of the last: TensorBoard would show another number.
    data[data.rindex(b"~GradCheck/log10_margin") + len("~GradCheck/log10_") - 30] ^= 1
    path.write_bytes(data)
    done = run(tmp_path)
    assert done.returncode == 1
    assert "1 damaged event(s) left out: " in done.stderr
