"""The report: its table, its JSON, its figures."""

import json
import math

import keras
import numpy as np
import pytest
from keras import layers

import keras_gradwatch as kgw
from keras_gradwatch.findings.causes import NotAllTold
from keras_gradwatch.findings.digest import digest
from keras_gradwatch.findings.headline import headline
from tests.support.reports import comparison, of_format_1, report, variable
from tests.support.small_models import Halved


def test_json_keeps_everything_and_is_standard():
    odd = comparison(analytic=math.nan, numerical=None, error_bar=math.inf, index=())
    rounded = {"training_error": math.inf, "vanished": 0.5, "overflowed": 0.0}
    whole = report(
        variable(coordinates=(odd,), applied="half", **rounded),
        notes=("a", "b"),
        loss=-math.inf,
        training_dtype="float16",
    )
    text = whole.to_json()
    json.loads(text, parse_constant=pytest.fail)
    back = kgw.GradientReport.from_json(text)
    assert back == whole
    assert hash(back) == hash(whole)
    assert math.isnan(back.variables[0].coordinates[0].analytic)
    assert back.variables[0].coordinates[0].index == ()
    assert back != report()


def test_a_report_of_format_1_is_read():
    new = report(variable(reason="Off.", verdict="FAIL"), notes=("a",), verdict="FAIL")
    old = kgw.GradientReport.from_json(of_format_1(new))
    assert old == new
    assert (old.variables[0].reason, old.notes) == ("Off.", ("a",))


@pytest.mark.parametrize("gone", ["Dead", "WithoutInfluence", "StraightThrough"])
def test_a_report_of_format_2_is_read(gone):
    lost = variable(path="b", verdict="INCONCLUSIVE")
    stored = json.loads(report(variable(), lost).to_json()) | {"format": 2}
    stored["variables"][1]["cause"] = {"is": gone}
    old = kgw.GradientReport.from_json(json.dumps(stored))
    assert old.verdict == "PASS"  # as it was told then
    assert old.variables[1].verdict == "INCONCLUSIVE"
    told = "A quantised layer" if gone == "StraightThrough" else "The gradient is zero"
    assert old.variables[1].reason.startswith(told)
    assert kgw.GradientReport.from_json(old.to_json()) == old


NO = NotAllTold(("b", "c"), ("d",), ("outer",), right=2, count=5)
ONE = NotAllTold((), ("d",), (), right=1, count=2)


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (
            NO,
            "No gradient gets through to b and c (BLOCKED); not looked at: 'outer'; "
            "not told: d. 2 of 5 variables right. Why.",
        ),
        (ONE, "Not told: d. 1 of 2 variables right. Why."),
    ],
)
def test_the_headline_says_first_what_was_not_told(cause, told):
    rows = [
        variable(path="a"),
        variable(path="d", verdict="INCONCLUSIVE", reason="Why."),
    ]
    whole = report(*rows, verdict="INCONCLUSIVE", cause=cause)
    assert whole.headline == f"Gradient check at step 7: INCONCLUSIVE. {told}"
    assert str(headline([digest(whole)])) == f"INCONCLUSIVE: At step 7. {told}"


@pytest.mark.parametrize("text", ["{}", "[]", '{"format": 99}', '{"format": true}'])
def test_foreign_json_is_refused(text):
    with pytest.raises(ValueError, match="Received"):
        kgw.GradientReport.from_json(text)


def test_a_report_can_not_be_changed():
    with pytest.raises(AttributeError):
        report().verdict = "PASS"


def test_figures():
    bad = variable(path="a", verdict="FAIL", relative_error=0.5, reason="Wrong.")
    lost = variable(path="b", verdict="INCONCLUSIVE", relative_error=None)
    meant = variable(path="c", verdict="EXPECTED", relative_error=0.9)
    whole = report(variable(), bad, lost, meant, verdict="FAIL")
    assert whole.failures == (bad,)
    assert not whole.passed
    assert whole.worst_relative_error == 0.5
    assert whole.count("PASS") == 1
    assert report().worst_relative_error is None


def test_the_table_fits_100_columns_and_has_failures_first():
    names = ["x" * 300, "line\nbreak", "dense/kernel"]
    whole = report(
        *[variable(path=n) for n in names],
        variable(path="bad/kernel", verdict="FAIL", reason="Off by half."),
        variable(path="z", verdict="INCONCLUSIVE", reason="why " * 60),
        verdict="FAIL",
    )
    lines = str(whole).splitlines()
    table = lines[1:-1]
    assert max(map(len, table)) <= 100
    assert table[1].split() == ["FAIL", "bad/kernel", "1.0e-08", "100%"]
    assert table[2].split()[0] == "INCONCLUSIVE"
    assert lines[-1] == "bad/kernel: Off by half."
    assert "Wrong: bad/kernel" in lines[0]


def small_model(wrong):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, activation="tanh", name="first"),
            Halved() if wrong else layers.Identity(),
            layers.Dense(1, name="second"),
        ]
    )
    model.compile("sgd", "mse")
    return model, np.ones((3, 4)), np.zeros((3, 1))


@pytest.mark.basic
def test_assert_gradients():
    assert kgw.assert_gradients(*small_model(wrong=False)).passed
    with pytest.raises(AssertionError) as caught:
        kgw.assert_gradients(*small_model(wrong=True))
    assert isinstance(caught.value, kgw.GradientMismatchError)
    assert str(caught.value) == str(caught.value.report)
    failures = caught.value.report.failures
    assert [v.path.split("/")[-2] for v in failures] == ["first", "first"]
    assert all("0.5 times" in v.reason for v in failures)
    assert all(v.relative_error == pytest.approx(1 / 3, abs=1e-3) for v in failures)


def test_assert_gradients_does_not_pass_on_no_proof():
    model, x, y = small_model(wrong=False)
    with pytest.raises(kgw.UncheckableError, match="loss is nan"):
        kgw.assert_gradients(model, x * np.nan, y)
