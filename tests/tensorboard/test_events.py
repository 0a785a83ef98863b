"""What TensorBoard and `read_reports` get to see."""

import html
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

import keras_gradwatch as kgw
from tests.support.small_models import small_model
from tests.support.tab_logs import alert, write_alerts


def load(directory):
    events = EventAccumulator(str(directory), size_guidance={"tensors": 0})
    events.Reload()
    return events


def scalar(events, tag):
    return [
        float(np.frombuffer(e.tensor_proto.tensor_content, np.float32)[0])
        if e.tensor_proto.tensor_content
        else e.tensor_proto.float_val[0]
        for e in events.Tensors(tag)
    ]


def text(events, tag):
    return [e.tensor_proto.string_val[0].decode() for e in events.Tensors(tag)]


@pytest.fixture
def data(rng):
    x = rng.normal(size=(24, 4)).astype("float32")
    return x, rng.integers(0, 3, 24)


def fit(log_dir, data, wrong=False, others=(), **arguments):
    check = kgw.GradientCheck(
        log_dir, **{"warmup_steps": 0, "check_freq": 2, "verbose": 0, **arguments}
    )
    model = small_model(wrong)
    model.fit(*data, batch_size=6, epochs=3, verbose=0, callbacks=[check, *others])
    return check, model


@pytest.mark.basic
def test_reports_come_back_equal_field_by_field(tmp_path, data):
    check, _ = fit(tmp_path, data)
    back = kgw.read_reports(tmp_path)
    assert len(back) == len(check.reports) == 6
    for read, held in zip(back, check.reports, strict=True):
        assert read == held
        for name in held.__dataclass_fields__:
            assert getattr(read, name) == getattr(held, name), name


@pytest.mark.filterwarnings("ignore::keras_gradwatch.GradientMismatchWarning")
def test_scalars(tmp_path, data):
    # Not by the time that training takes: a machine may stand still for a while.
    check, model = fit(tmp_path, data, wrong=True, time_budget=600.0, scalars="all")
    events = load(tmp_path / "gradwatch")
    tags = set(events.Tags()["tensors"])
    for group in ("~GradCheck_variables", "~GradCheck_variables_in_training"):
        assert {f"{group}/{v.path}" for v in model.trainable_variables} <= tags
    steps = [r.step for r in check.reports]
    assert [e.step for e in events.Tensors("~GradCheck/variables_FAIL")] == steps
    assert scalar(events, "~GradCheck/failed_checks_so_far") == [1, 2, 3, 4, 5, 6]
    assert scalar(events, "~GradCheck/variables_FAIL") == [2] * 6
    assert scalar(events, "~GradCheck/variables_PASS") == [2] * 6
    worst = [r.worst_relative_error for r in check.reports]
    np.testing.assert_allclose(scalar(events, "~GradCheck/worst_relative_error"), worst)
    margins = scalar(events, "~GradCheck/log10_margin")
    np.testing.assert_allclose(margins, np.log10(worst) + 3, rtol=1e-5)
    np.testing.assert_allclose(
        scalar(events, "~GradCheck_variables/sequential/first/kernel"),
        -0.477,
        atol=1e-3,
    )


@pytest.mark.filterwarnings("ignore::keras_gradwatch.GradientMismatchWarning")
def test_the_grid_has_the_newest_check_first_and_verdicts_in_letters(tmp_path, data):
    check, _ = fit(tmp_path, data, wrong=True)
    grid = text(load(tmp_path / "gradwatch"), "~GradCheck/history")[-1]
    lines = grid.splitlines()
    assert lines[0].startswith("**Gradient check at step 10: FAIL")
    shown = html.unescape(lines[2])
    assert shown == check.reports[-1].notes[0]
    assert (
        "| variable | step 10 | step 8 | step 6 | step 4 | step 2 | step 0 |" in lines
    )
    rows = {line.split(" | ")[0]: line for line in lines}
    assert rows["| **all**"].count("**FAIL**") == 6
    assert rows["| sequential/first/kernel"].count("**FAIL**") == 6
    assert rows["| sequential/second/bias"].count("PASS") == 6


def test_a_handful_of_charts_after_those_of_keras(tmp_path, data):
    stats = kgw.GradientStats(tmp_path, check_freq=2, verbose=0)
    keras_callback = keras.callbacks.TensorBoard(tmp_path, update_freq=2)
    fit(tmp_path, data, others=[stats, keras_callback])
    events = load(tmp_path / "gradwatch")
    charts = set(events.PluginTagToContent("scalars"))
    assert charts == {
        "~GradCheck/failed_checks_so_far",
        "~GradCheck/variables_FAIL",
        "~GradCheck/log10_margin",
        "~GradCheck/global_norm",
        "~GradCheck/update_ratio",
    }
    with pytest.raises(KeyError):
        events.PluginTagToContent("histograms")
    theirs = load(tmp_path / "train").PluginTagToContent("scalars")
    # TensorBoard sorts by the codes of characters; a user's own may begin with any.
    assert max([*theirs, "loss/main", "zeta"]) < min(charts)


@pytest.mark.parametrize("make", [kgw.GradientCheck, kgw.GradientStats])
def test_how_many_charts_there_may_be(make, tmp_path):
    for wrong in ("none", True, None):
        with pytest.raises(kgw.InvalidArgumentError, match=r"one of .*Received: sca"):
            make(tmp_path, scalars=wrong)


def test_two_checks_of_one_fit_and_directory(tmp_path, data):
    other = kgw.GradientCheck(
        tmp_path, warmup_steps=0, check_freq=2, verbose=0, seed=7, samples=2
    )
    check, model = fit(tmp_path, data, others=[other])
    runs = sorted(path.name for path in tmp_path.iterdir())
    assert runs == ["gradwatch", "gradwatch_2"]
    assert kgw.read_reports(tmp_path) == [*check.reports, *other.reports]
    # Both are closed by now, and what comes later goes to the first again.
    model.fit(*data, batch_size=6, verbose=0, callbacks=[other])
    reports = kgw.read_reports(tmp_path)
    assert len(reports) == 14
    assert len(kgw.read_reports(tmp_path / "gradwatch_2")) == 6


def test_nothing_has_the_tag_and_step_of_another(tmp_path):
    # TensorBoard's fast loader forgets what has the same tag and no earlier step.
    given = [alert(step) for step in (10, 10, 20, 5, 5, 30)]
    write_alerts(tmp_path, *given)
    events = all_events(tmp_path / "gradwatch")
    for steps in events.values():
        assert steps == sorted(set(steps))
    written = [step for steps in events.values() for step in steps]
    assert sorted(written) == sorted(one.step for one in given)
    assert len(events) == 4
    assert kgw.read_alerts(tmp_path) == given


def test_names_are_shown_as_they_are(tmp_path, data):
    name = "<script>alert(1)<script> | [x](y)"
    x, y = data
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    for variable in model.layers[0].variables:
        variable._path = f"{name}/{variable.name}"
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    check = kgw.GradientCheck(tmp_path, warmup_steps=0, verbose=0)
    model.fit(x, y, verbose=0, callbacks=[check])
    assert check.reports[0].variables[0].path == f"{name}/kernel"
    grid = text(load(tmp_path / "gradwatch"), "~GradCheck/history")[-1]
    assert "<script>" not in grid
    assert "](" not in grid
    assert all(line.count("|") == 3 for line in grid.splitlines() if line[:1] == "|")


def all_events(directory):
    events = load(directory)
    return {
        tag: [e.step for e in events.Tensors(tag)] for tag in events.Tags()["tensors"]
    }


def test_beside_keras_tensorboard_neither_loses_an_event(tmp_path, data):
    def keras_callback(log_dir):
        return keras.callbacks.TensorBoard(log_dir, update_freq=2)

    fit(tmp_path / "alone", data)
    model = small_model()
    callback = keras_callback(tmp_path / "keras")
    model.fit(*data, batch_size=6, epochs=3, verbose=0, callbacks=[callback])
    for order in (1, -1):
        both = tmp_path / f"both{order}"
        check = kgw.GradientCheck(both, warmup_steps=0, check_freq=2, verbose=0)
        callbacks = [keras_callback(both), check][::order]
        small_model().fit(*data, batch_size=6, epochs=3, verbose=0, callbacks=callbacks)
        ours = all_events(both / "gradwatch")
        alone = all_events(tmp_path / "alone" / "gradwatch")
        assert list(ours.values()) == list(alone.values())
        assert all_events(both / "train") == all_events(tmp_path / "keras" / "train")
        assert kgw.read_reports(both) == check.reports


def test_a_second_fit_writes_on(tmp_path, data):
    check = kgw.GradientCheck(tmp_path, warmup_steps=0, check_freq=2, verbose=0)
    model = small_model()
    for _ in range(2):
        model.fit(*data, batch_size=6, verbose=0, callbacks=[check])
    assert [r.step for r in kgw.read_reports(tmp_path)] == [0, 2, 4, 6]


def test_several_runs_below_one_directory(tmp_path, data):
    for name in ("a", "b"):
        fit(tmp_path / name, data)
    assert [r.step for r in kgw.read_reports(tmp_path)] == [0, 2, 4, 6, 8, 10] * 2
    assert len(kgw.read_reports(tmp_path / "a")) == 6


def test_a_file_that_is_cut_off_gives_the_reports_before(tmp_path, data):
    fit(tmp_path, data)
    (path,) = (tmp_path / "gradwatch").iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 100])
    with pytest.warns(kgw.GradwatchWarning, match=r"^1 damaged event\(s\) below"):
        reports = kgw.read_reports(tmp_path)
    assert [r.step for r in reports] == [0, 2, 4, 6, 8]
    path.write_bytes(b"")
    assert kgw.read_reports(tmp_path) == []


def test_a_damaged_report_is_left_out_with_a_warning(tmp_path, data):
    fit(tmp_path, data)
    (path,) = (tmp_path / "gradwatch").iterdir()
    whole = bytearray(path.read_bytes())
    middle = whole.index(b"GradCheck/report/") + 120
    whole[middle : middle + 8] = b"\0" * 8
    path.write_bytes(whole)
    with pytest.warns(kgw.GradwatchWarning, match=r"^1 damaged event\(s\) below"):
        reports = kgw.read_reports(tmp_path)
    assert [r.step for r in reports] == [2, 4, 6, 8, 10]


def test_reports_of_the_first_version_can_be_read(tmp_path, data):
    check, _ = fit(None, data)
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = "keras_gradwatch"
    metadata.data_class = 2
    writer = tf.summary.create_file_writer(str(tmp_path / "gradwatch"))
    with writer.as_default():
        for report in check.reports:
            text = report.to_json()
            tf.summary.write("GradCheck/report", text, report.step, metadata)
    writer.close()
    assert kgw.read_reports(tmp_path) == check.reports


def test_custom_scalars_have_a_chart_of_the_margin(tmp_path, data):
    fit(tmp_path, data)
    (layout,) = load(tmp_path / "gradwatch").Tensors("custom_scalars__config__")
    text = layout.tensor_proto.string_val[0]
    (category,) = layout_pb2.Layout.FromString(text).category
    assert category.title == "Gradient check"
    (series,) = category.chart[0].margin.series
    assert series.value == "~GradCheck/log10_margin"


def test_no_directory(tmp_path):
    with pytest.raises(kgw.InvalidArgumentError, match=r"log_dir.*Received.*nowhere"):
        kgw.read_reports(tmp_path / "nowhere")
    assert kgw.read_reports(tmp_path) == []


def test_killed_in_the_middle_every_finished_check_can_be_read(tmp_path):
    script = """
import keras, numpy as np, sys
import keras_gradwatch as kgw
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
model.compile("sgd", "mse")
check = kgw.GradientCheck(sys.argv[1], warmup_steps=0, check_freq=1)
x = np.ones((8, 4)), np.ones((8, 3))
model.fit(*x, epochs=100000, verbose=0, callbacks=[check])
"""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", script, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(kgw.__file__).parents[1])},
    )
    printed = 0
    deadline = time.monotonic() + 120
    while printed < 3 and time.monotonic() < deadline:
        printed += b" of 2 variables" in process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    reports = kgw.read_reports(tmp_path)
    assert printed == 3
    assert [r.step for r in reports][:3] == [0, 1, 2]
