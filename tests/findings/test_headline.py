"""One sentence on all checks of a run."""

import pytest

from keras_gradwatch.findings.digest import Digest, VariableDigest
from keras_gradwatch.findings.headline import headline, trainings
from keras_gradwatch.findings.manner import IN_WORDS, Manner

HALF = "too small by a factor of 2"


def row(path, verdict="PASS", error=1e-9, how=""):
    manner = Manner(IN_WORDS, text=how) if how else None
    return VariableDigest(path, "", verdict, error, manner)


def check(step, *rows, look_at="", verdict=None, reason=""):
    verdicts = {r.verdict for r in rows}
    overall = next(v for v in ("FAIL", "INCONCLUSIVE", "PASS") if v in verdicts)
    return Digest(step, verdict or overall, reason, 1e-3, (), rows, look_at)


def good(step):
    return check(step, row("dense/kernel"), row("dense_1/kernel"))


def bad(step, how=HALF, **changes):
    wrong = row("dense_1/kernel", "FAIL", 0.33, how)
    return check(step, row("dense/kernel"), wrong, **changes)


@pytest.mark.parametrize(
    ("checks", "told"),
    [
        (
            [good(100), good(200), bad(300), bad(400)],
            f"FAIL: dense_1/kernel, wrong since step 300, {HALF}",
        ),
        (
            [bad(300, how="", look_at="'dense_1' (Dense)")],
            "FAIL: dense_1/kernel, wrong since step 300, relative error 0.33 (330 "
            "times the tolerance). Look at 'dense_1' (Dense)",
        ),
        (
            [good(1), good(2)],
            "PASS: 2 of 2 gradients right at step 2; all 2 checks passed",
        ),
        (
            [check(1, row("a"), row("b", "UNUSED"), row("c", "ZERO"))],
            "PASS: 1 of 3 gradients right at step 1 (1 UNUSED, 1 ZERO); all 1 check "
            "passed",
        ),
        (
            [check(5, row("a", "INCONCLUSIVE"), reason="The loss is nan.")],
            "INCONCLUSIVE: At step 5. The loss is nan.",
        ),
        (
            [good(1), bad(2), bad(3), good(4)],
            "FAIL: 2 of 4 checks failed, the last at step 3; step 4 is PASS. There: "
            f"dense_1/kernel, wrong since step 2, {HALF}",
        ),
    ],
)
def test_headlines(checks, told):
    assert str(headline(checks)) == told


def test_several_wrong_variables():
    def wrong(step, **changes):
        rows = [row("a", "FAIL", 0.01), row("b", "FAIL", 0.5), row("c")]
        return check(step, *rows, **changes)

    swish = wrong(7, look_at="'swish' (Swish)")
    assert str(headline([wrong(6), swish])) == (
        "FAIL: Look at 'swish' (Swish): 2 of 3 gradients wrong since step 6, relative "
        "error up to 0.5 (500 times the tolerance)"
    )
    assert str(headline([wrong(7)])).startswith("FAIL: b and others: 2 of 3 gradients")


def test_a_check_that_did_not_get_round_to_a_variable_does_not_end_its_failure():
    skipped = check(
        200, row("dense/kernel", "FAIL", 0.2), row("dense_1/kernel", "INCONCLUSIVE")
    )
    assert "since step 100" in str(headline([bad(100), skipped, bad(300)]))
    assert "since step 300" in str(headline([bad(100), good(200), bad(300)]))


def test_without_a_figure():
    lost = [row("a", "FAIL", None, "missing"), row("b", "FAIL", None, "not finite")]
    assert "since step 1, missing or not finite" in str(headline([check(1, *lost)]))


def test_a_failure_of_no_variable():
    odd = check(3, row("a"), verdict="FAIL", reason="Odd.")
    assert str(headline([odd])) == "FAIL: at step 3. Odd."


def test_only_the_newest_training_counts():
    runs = [good(100), bad(200), good(100), good(200), good(200)]
    assert [len(t) for t in trainings(runs)] == [2, 2, 1]
    assert headline(runs).verdict == "PASS"
    assert headline(runs[:2]).verdict == "FAIL"


def test_names_are_one_short_line():
    hostile = "\x1b[31m\n" + "x" * 10_000 + "/kernel"
    told = str(headline([check(1, row(hostile, "FAIL", 0.3))]))
    assert len(told) < 250
    assert told.isprintable()
    assert "/kernel" in told
