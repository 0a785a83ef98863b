"""Event files of every kind that the tab may meet."""

import math

import tensorflow as tf

from keras_gradwatch.findings.alert import Alert
from keras_gradwatch.findings.causes import MissingGradient
from keras_gradwatch.findings.handed import ZEROS, Handed
from keras_gradwatch.findings.notes import (
    SEVERE,
    ExpectedIsRight,
    HandedOn,
    LookBetween,
)
from keras_gradwatch.findings.place import Line, Place
from keras_gradwatch.findings.reading import GradientReading, VariableStats
from keras_gradwatch.tensorboard.alert_writer import AlertWriter
from keras_gradwatch.tensorboard.report_writer import ReportWriter
from keras_gradwatch.tensorboard.stats_writer import StatsWriter
from tests.support.reports import comparison, of_format_1, report, variable

LINE = Line("/home/me/train.py", 12, "half")
LOOK = LookBetween((Place("halved", "Halved", LINE),), wrong="dense_1", right="dense_2")
HOSTILE = [
    "<script>alert(1)</script>/<img src=x onerror=alert(2)>",
    "](javascript:alert(3))/`$x$`",
    "../../../etc/passwd",
    "line\nbreak\r\n/tab\there",
    "\u0428\u0430\u0440/\u5c42/\u0637\u0628\u0642\u0629/\U0001f600",
    "\u202egnorw/kernel",
    "x" * 10_000 + "/kernel",
]


def pair(factor, numerical, **changes):
    """A comparison whose analytic slope is off by a factor."""
    return comparison(
        analytic=factor * numerical,
        numerical=numerical,
        word="match" if factor == 1 else "mismatch",
        relative_error=abs(factor - 1) / (abs(factor) + 1),
        **changes,
    )


def row(path, factor=1.0, **changes):
    """The report of a variable, its gradient off by a factor."""
    entries = [pair(factor, n, index=(i, 3)) for i, n in enumerate((0.3, -2e-2, 5.0))]
    wrong = {
        "verdict": "FAIL",
        "reason": f"The gradient is {factor:.4g} times what differences give.",
        "relative_error": abs(factor - 1) / (abs(factor) + 1),
    }
    compared = {
        "coordinates": tuple(entries),
        "directions": (pair(factor, -1.4, kind="direction", index=None),),
    }
    wrong = wrong if factor != 1 else {}
    return variable(path=path, **{**compared, **wrong, **changes})


def check(step, *variables, **changes):
    fails = any(v.verdict == "FAIL" for v in variables)
    found = {"verdict": "FAIL", "remarks": (LOOK,)} if fails else {}
    return report(*variables, step=step, **{**found, **changes})


def network(factor):
    """Three layers, of which the second one's kernel may be wrong."""
    return [
        row("net/dense/kernel"),
        row("net/dense/bias"),
        row(
            "net/dense_1/kernel",
            factor,
            training_error=2e-3,
            vanished=0.25,
            overflowed=0.0,
        ),
        row("net/dense_1/bias", verdict="INCONCLUSIVE", reason="Truly zero."),
        row("net/quantiser/scale", verdict="EXPECTED", reason="Straight through."),
        row("net/spare/kernel", verdict="UNUSED", reason="Without influence."),
    ]


def write(log_dir, *reports):
    writer = ReportWriter(log_dir)
    for one in reports:
        writer.write(one)
    writer.close()


def write_old(log_dir):
    """Events as the first version wrote them: a report as text, no digest."""
    new = check(7, row("old/kernel", 2.0))
    write_tensors(log_dir, "GradCheck/report", {7: of_format_1(new)})


def write_tensors(log_dir, tag, values):
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = "keras_gradwatch"
    metadata.data_class = 2
    writer = tf.summary.create_file_writer(str(log_dir / "gradwatch"))
    with writer.as_default():
        for step, value in values.items():
            tf.summary.write(tag, value, step=step, metadata=metadata)
    writer.close()


def alert(step, kind="dead", epoch=None):
    message = f"No gradient reaches '{HOSTILE[0]}': all are exactly zero."
    return Alert(kind, step, (HOSTILE[0],), message, since=step - 4, epoch=epoch)


def write_alerts(log_dir, *alerts):
    writer = AlertWriter(log_dir)
    for one in alerts:
        writer.write(one)
    writer.close()


def reading(step, norm=1.0):
    """One of `GradientStats`; its loss falls as the steps go."""
    variables = (
        VariableStats(
            path="net/dense/kernel",
            layer="net/dense",
            target="",
            shape=(2, 4),
            norm=norm,
            mean_size=0.1,
            largest=0.5,
            zeros=0.0,
            idle_units=0.0,
            nonfinite=0,
        ),
    )
    return GradientReading(step, (("loss", 2.0 / (1 + step / 40)),), variables)


def write_story(log_dir):
    """A training of four epochs: readings, checks, an alert, and at last a NaN."""
    checks, stats = ReportWriter(log_dir), StatsWriter(log_dir)
    alerts = AlertWriter(log_dir)
    for step in range(0, 80, 5):
        epoch = step // 20
        norm = math.nan if step == 75 else 1.0 + step
        given = [alert(40, "vanishing", epoch)] if step == 40 else []
        stats.write(reading(step, norm), given, epoch)
        if step % 20 == 10:
            checks.write(check(step, *network(0.5 if step > 40 else 1)), epoch)
    alerts.write(alert(75, "nonfinite", 3))
    for writer in (checks, stats, alerts):
        writer.close()


def renamed(numbers, factor=1.0):
    """Two layers with the names that Keras gave them."""
    first, second = numbers
    return [
        row(f"net/dense{first}/kernel", shape=(4, 8)),
        row(f"net/dense{second}/kernel", factor, shape=(8, 2)),
    ]


RUNS = 28
# Equal ones, to make them many.
SWEEP = 9
# What differs stands in the middle.
MIDDLE = [
    f"a_second_sweep_of_many/adam_with_warm_up_rate={rate}_width={width}_seed=0_mixed"
    for rate in (0.001, 0.003)
    for width in (8, 16)
]
# How the layers of a deep network begin.
LONG = "a_network_of_thirty/layer_"


def write_all(root):
    """A run of each kind."""
    steps = range(0, 1000, 100)
    write(root / "half", *[check(s, *network(0.5 if s >= 300 else 1)) for s in steps])
    write(root / "flipped", check(10, *network(-1)), check(20, *network(-1)))
    right = [row("net/dense/kernel"), row("net/dense/bias")]
    write(root / "right", *[check(s, *right) for s in (10, 20)])
    write(root / "hostile", check(1, *[row(name, 3.0) for name in HOSTILE]))
    many = [row(f"{LONG}{i}/kernel") for i in range(30)]
    last = row("net/last/kernel", 2.0)
    ends = [check(s, *many, last) for s in (110, 115)]
    write(root / "long", *[check(s, *many) for s in range(100)], *ends)
    # The same directory twice: the second training is the one that counts.
    write(root / "twice", *[check(s, row("net/a/kernel", 9.0)) for s in (10, 20, 30)])
    write(root / "twice", *[check(s, row("net/a/kernel")) for s in (10, 20)])
    write(root / "damaged", check(5, row("net/a/kernel", 0.1)))
    write_tensors(
        root / "damaged",
        "GradCheck/digest/1",
        {6: b"nonsense", 7: '{"format": 99}', 8: "[1, 2]", 9: [1.0, 2.0]},
    )
    write_old(root / "old")
    write(root / "noticed", *[check(s, *right) for s in (10, 20, 30)])
    write_alerts(root / "noticed", alert(20), alert(27, "vanishing"), alert(99))
    write_alerts(root / "alerts alone", alert(5, "exploding"))
    write_story(root / "story")
    # Taken up again with a model that was built anew.
    write(root / "resumed", *[check(s, *renamed(("", "_1"), 0.5)) for s in (10, 20)])
    write(root / "resumed", *[check(s, *renamed(("_1", "_2"), 0.5)) for s in (30,)])
    missing = {"cause": MissingGradient(), "relative_error": None, "reason": ""}
    unseen = {"relative_error": None, "coordinates": (), "directions": ()}
    small = [
        row("net/a/kernel", 0.99),
        row("net/b/kernel", -1.0),
        row("net/c/kernel", 2.0, **unseen),
        row("net/d/kernel", 2.0, **missing),
    ]
    write(root / "small", check(10, *small))
    handed = HandedOn(("net/a/kernel",), Handed(ZEROS), severity=SEVERE)
    notes = (handed, ExpectedIsRight("net/b*"))
    write(root / "severe", check(10, row("net/a/kernel"), remarks=notes))
    for k in range(SWEEP):
        name = f"sweep_of_long_names/learning_rate=0.001_momentum=0.9_width={2**k}"
        write(root / name, check(10, *right))
    for name in MIDDLE:
        write(root / name, check(10, *right))
    write_alerts(root / "at once", alert(9, "dead"), alert(9, "nonfinite"), alert(7))
