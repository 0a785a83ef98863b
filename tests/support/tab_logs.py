"""Event files of every kind that the tab may meet."""

import tensorflow as tf

from keras_gradwatch.findings.alert import Alert
from keras_gradwatch.findings.notes import LookBetween
from keras_gradwatch.findings.place import Place
from keras_gradwatch.tensorboard.alert_writer import AlertWriter
from keras_gradwatch.tensorboard.report_writer import ReportWriter
from tests.support.reports import comparison, of_format_1, report, variable

LOOK = LookBetween((Place("halved", "Halved"),), wrong="dense_1", right="dense_2")
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
    return variable(
        path=path,
        coordinates=tuple(entries),
        directions=(pair(factor, -1.4, kind="direction", index=None),),
        **{**(wrong if factor != 1 else {}), **changes},
    )


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


def alert(step, kind="dead"):
    message = f"No gradient reaches '{HOSTILE[0]}': all are exactly zero."
    return Alert(kind, step, (HOSTILE[0],), message, since=step - 4)


def write_alerts(log_dir, *alerts):
    writer = AlertWriter(log_dir)
    for one in alerts:
        writer.write(one)
    writer.close()


RUNS = 11


def write_all(root):
    """A run of each kind."""
    steps = range(0, 1000, 100)
    write(root / "half", *[check(s, *network(0.5 if s >= 300 else 1)) for s in steps])
    write(root / "flipped", check(10, *network(-1)), check(20, *network(-1)))
    right = [row("net/dense/kernel"), row("net/dense/bias")]
    write(root / "right", *[check(s, *right) for s in (10, 20)])
    write(root / "hostile", check(1, *[row(name, 3.0) for name in HOSTILE]))
    many = [row(f"net/layer_{i}/kernel") for i in range(30)]
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
    write_alerts(root / "at once", alert(9, "dead"), alert(9, "nonfinite"), alert(7))
