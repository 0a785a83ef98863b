"""Ordinary programs with the callback as the only change."""

import keras
import numpy as np
import pytest

import keras_gradwatch as kgw
from tests.support.programs import PROGRAMS

pytestmark = pytest.mark.long


def after(program, callbacks):
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    model = program(callbacks)
    return [v.numpy() for v in (*model.variables, *model.optimizer.variables)]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_program_passes_and_trains_as_without(program, tmp_path):
    check = kgw.GradientCheck(
        tmp_path,
        warmup_steps=2,
        check_freq="epoch",
        on_failure="raise",
        time_budget=30,
        verbose=0,
    )
    with_check = after(program, [check])
    np.testing.assert_equal(with_check, after(program, []))
    assert len(check.reports) >= 2
    assert {r.verdict for r in check.reports} == {"PASS"}
    assert kgw.read_reports(tmp_path) == check.reports
