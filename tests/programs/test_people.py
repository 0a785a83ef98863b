"""Programs as people write them: told in full within three checks, faults found."""

import keras
import pytest

import keras_gradwatch as kgw
from tests.support.models import Middle
from tests.support.people import PROGRAMS, language, pictures, several  # noqa: F401

# A mask that ends where nobody needs it any more.
pytestmark = pytest.mark.filterwarnings("ignore:Layer 'middle' .* was passed an input")
# One of each family, two of them with a fault too; of all others each second is `long`,
# healthy or faulty, or `slow`.
SHORT = ("adversaries", "distillation", "rendering")


def names(turn):
    marks = pytest.mark.long, pytest.mark.slow
    return [
        pytest.param(name, marks=() if name in SHORT[turn:] else marks[(k + turn) % 2])
        for k, name in enumerate(PROGRAMS)
    ]


def _checked(name, wrong, rng, steps, **options):
    program = PROGRAMS[name](rng, Middle(wrong, name="middle"))
    check = kgw.GradientCheck(
        warmup_steps=1, check_freq=1, expected=program.expected, verbose=0, **options
    )
    program.fit(steps, [check])
    return check.reports


@pytest.mark.parametrize("name", names(0))
def test_a_program_is_told_in_full(name, rng):
    keras.utils.set_random_seed(0)
    reports = _checked(name, False, rng, 4)
    assert len(reports) == 3
    # Then every variable is told.
    assert {r.verdict for r in reports} == {"PASS"}, str(reports[0])
    assert {r.dtype for r in reports} == {"float64"}


@pytest.mark.filterwarnings("ignore::keras_gradwatch.GradientMismatchWarning")
@pytest.mark.parametrize("name", names(1))
def test_a_fault_in_it_is_found_and_located(name, rng):
    keras.utils.set_random_seed(0)
    (report,) = _checked(name, True, rng, 2)
    assert report.verdict == "FAIL", str(report)
    names = [place.name.rpartition("/")[-1] for place in report.places]
    assert names == ["middle"], str(report)


def test_there_are_ten_at_least():
    assert len(PROGRAMS) >= 10
