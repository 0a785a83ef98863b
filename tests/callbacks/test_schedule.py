"""When a check is due."""

import pytest

import keras_gradwatch as kgw
from keras_gradwatch.callbacks.schedule import Schedule


def due_at(schedule, iterations):
    """When something is due, if all that is due is done."""
    found = []
    for i in iterations:
        if schedule.is_due(i):
            schedule.done()
            found.append(i)
    return found


def test_every_n_iterations_after_the_warm_up():
    assert due_at(Schedule(10, 5), range(30)) == [10, 15, 20, 25]


def test_counts_by_crossing_when_steps_come_in_blocks():
    # steps_per_execution=4: only multiples of 4 are ever seen.
    assert due_at(Schedule(10, 5), range(0, 40, 4)) == [12, 16, 20, 28, 32, 36]


def test_a_period_shorter_than_a_block_is_due_once_a_block():
    assert due_at(Schedule(0, 1), range(0, 12, 4)) == [0, 4, 8]


def test_once_an_epoch_at_the_first_step_past_the_warm_up():
    schedule, due = Schedule(5, "epoch"), []
    for epoch in range(3):
        schedule.begin_epoch()
        due += due_at(schedule, range(4 * epoch, 4 * epoch + 4))
    assert due == [5, 8]


def test_keeps_its_pace_over_a_second_fit():
    schedule = Schedule(0, 10)
    assert due_at(schedule, range(15)) == [0, 10]
    assert due_at(schedule, range(15, 35)) == [20, 30]


def test_begins_anew_when_the_iterations_do():
    schedule = Schedule(0, 10)
    due_at(schedule, range(15))
    assert due_at(schedule, range(15)) == [0, 10]


@pytest.mark.parametrize("warmup_steps", [-1, 1.5, None, True])
def test_refuses_a_wrong_warm_up(warmup_steps):
    with pytest.raises(kgw.InvalidArgumentError, match=r"warmup_steps.*Received"):
        Schedule(warmup_steps, 1)


@pytest.mark.parametrize("check_freq", [0, -1, "batch", 2.0, None, True])
def test_refuses_a_wrong_frequency(check_freq):
    with pytest.raises(kgw.InvalidArgumentError, match=r"check_freq.*Received"):
        Schedule(0, check_freq)


@pytest.mark.parametrize("check_freq", [10, "epoch"])
def test_what_was_not_done_is_due_at_the_next_step(check_freq):
    schedule = Schedule(0, check_freq)
    assert due_at(schedule, (20, 21)) == [20]
    schedule.begin_epoch()
    assert schedule.is_due(30)
    assert schedule.is_due(30)  # to be asked changes nothing
    assert due_at(schedule, (31, 32)) == [31]
