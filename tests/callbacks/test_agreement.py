"""Of the reports of several workers, the worst is what all of them act on."""

from dataclasses import replace

import pytest

from keras_gradwatch.callbacks import workers
from keras_gradwatch.findings.notes import SEVERE, LossNotScaled
from tests.support.reports import report

RIGHT = report()
UNTOLD = replace(RIGHT, verdict="INCONCLUSIVE")
WRONG = replace(RIGHT, verdict="FAIL")
IN_VAIN = replace(RIGHT, remarks=(LossNotScaled("optimizer", severity=SEVERE),))


@pytest.mark.parametrize(
    ("reports", "worst"),
    [
        ([], None),
        ([RIGHT, UNTOLD], UNTOLD),
        ([RIGHT, IN_VAIN], IN_VAIN),
        ([UNTOLD, IN_VAIN], IN_VAIN),
        ([IN_VAIN, WRONG], WRONG),
    ],
)
def test_the_worst(reports, worst):
    for some in (reports, reports[::-1]):
        assert workers.worst(some) is worst
