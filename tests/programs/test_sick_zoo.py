"""Each sick training is found, with the right word; its healthy twin is left alone.

With those of `loss_zoo`, which only `LossWatch` is shown.
"""

import pytest

from tests.support.loss_zoo import HEALTHY, SICK
from tests.support.sick_zoo import CASES, said

QUICK = ("dead_relu", "rounding_on_the_way", "forward")


def cases():
    return [
        pytest.param(
            case,
            id=case.name,
            marks=[] if case.name in QUICK else [pytest.mark.long],
        )
        for case in CASES
    ]


@pytest.mark.parametrize("case", cases())
def test_it_is_found_and_its_twin_is_left_alone(case):
    assert case.word in said(case, True)
    assert said(case, False) == set()


def test_how_many_there_are():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert len(CASES) + len(SICK) >= 41
    assert len(CASES) + len(HEALTHY) >= 64
    # Each system's symptoms that concern training are among them.
    for system in "SDAT":
        assert sum(system in case.rules for case in CASES) >= 4
