"""What becomes of trials that run out of memory: once more, alone, and for what it costs."""

import pytest

from sweeps.core.states import AttemptState, TrialState
from sweeps.core.trial import Alone, Assignment, Decision, Failure, FailureKind, SecondTry
from sweeps.room import OTHERS_HOLD_IT_S
from sweeps.search import Turn
from tests.unit.search_driver import Driver

NO_ROOM = Failure(FailureKind.OUT_OF_MEMORY, "CUDA out of memory")
NO_HOST = Failure(FailureKind.OUT_OF_HOST_MEMORY, "can't allocate memory")
FIRST = "out_of_memory: CUDA out of memory"


class Pool(Driver):
    """Two GPUs with two halves each, unless told otherwise."""

    def __init__(self, directory, *, workers=4, devices=0.5, beside=3, **sections):
        sections = {"budget": {"trials": 9}, **sections}
        super().__init__(directory, workers=workers, devices=devices, beside=beside, **sections)

    def next(self, *, begins=True):
        """The next assignment, whose worker begins at once unless it waits for its device."""
        turn = self.search.next()
        if begins and isinstance(turn, Assignment):
            self.search.begun(turn.number)
        return turn

    def fails(self, assignment, failure=NO_ROOM):
        self.clock.tick()
        self.search.fail(assignment.number, assignment.attempt, failure)

    def row(self, number):
        return self.service.trials(self.sweep_id)[number]


@pytest.fixture
def pool(tmp_path):
    return Pool(tmp_path)


def test_a_trial_that_runs_out_of_memory_is_retried_from_its_checkpoint_on_a_full_device(pool):
    """Beside another one, it may have been the other's memory: the same trial goes on with all of a GPU."""
    first = pool.next()
    pool.measure(first, 75)
    pool.fails(first)
    again = pool.next()
    assert (again.number, again.attempt, again.iteration) == (0, 2, 75)
    assert (first.gpus, again.gpus) == (0.5, 1.0)
    assert pool.measure(again, 300) is Decision.STOP
    assert pool.row(0).state is TrialState.COMPLETED


def test_out_of_memory_alone_is_infeasible_and_says_both(pool):
    """There is no third try, and the reason tells both."""
    pool.fails(pool.next())
    pool.fails(pool.next(), Failure(FailureKind.OUT_OF_MEMORY, "9 GiB more"))
    row = pool.row(0)
    assert (row.state, row.attempt) == (TrialState.INFEASIBLE, 2)
    assert row.reason == f"out_of_memory: 9 GiB more (alone on a full device; before: {FIRST})"


def test_a_trial_that_had_a_full_device_is_infeasible_at_once(tmp_path):
    """A second try could not end otherwise, and why there is none is said."""
    pool = Pool(tmp_path, workers=2, devices=1.0, beside=2)
    pool.fails(pool.next())
    row = pool.row(0)
    assert (row.state, row.attempt) == (TrialState.INFEASIBLE, 1)
    assert row.reason == f"{FIRST} (it had a full device)"


def test_a_trial_that_ran_by_itself_on_the_host_is_infeasible_at_once(tmp_path):
    """One worker on CPUs has no neighbours."""
    pool = Pool(tmp_path, workers=1, devices=0.0, beside=1)
    pool.fails(pool.next(), NO_HOST)
    assert pool.row(0).reason == "out_of_host_memory: can't allocate memory (nothing else ran)"
    assert pool.row(0).state is TrialState.INFEASIBLE


def test_nothing_new_begins_until_the_lone_trial_has_its_device(pool):
    """Others would take each half that comes free, and it would wait for ever."""
    first, *_ = (pool.next() for _ in range(4))
    pool.fails(first)
    alone = pool.next(begins=False)
    assert alone.gpus == 1.0
    assert pool.next() is Turn.WAIT
    pool.search.begun(alone.number)
    assert pool.next() is Turn.WAIT  # one on its device, two on the other


def test_what_runs_makes_room_at_its_next_checkpoint_and_goes_on_from_there(pool):
    """A device comes free within a checkpoint's time, not when a trial of many hours ends."""
    first, second, third, fourth = (pool.next() for _ in range(4))
    pool.fails(first)
    alone = pool.next(begins=False)
    assert pool.measure(second, 75) is Decision.STOP
    row = pool.row(1)
    assert (row.state, row.failures) == (TrialState.QUEUED, 0)
    assert row.reason == "makes room for trial 0, which runs alone on a full device"
    assert pool.measure(third, 75, checkpoint=None) is Decision.CONTINUE  # it would lose what it did
    pool.search.begun(alone.number)
    assert pool.measure(fourth, 75) is Decision.CONTINUE
    pool.measure(fourth, 300)
    back = pool.next()
    assert (back.number, back.iteration, back.gpus) == (1, 75, 0.5)


def test_other_devices_go_on_beside_the_lone_trial(pool):
    """Once it has begun, the places of all other devices are filled."""
    pool.fails(pool.next())
    alone = pool.next()
    beside = [pool.next(), pool.next()]
    assert [a.gpus for a in (alone, *beside)] == [1.0, 0.5, 0.5]
    assert pool.next() is Turn.WAIT
    pool.measure(alone, 300)
    assert isinstance(pool.next(), Assignment)
    assert isinstance(pool.next(), Assignment)
    assert pool.next() is Turn.WAIT


def test_only_one_trial_at_a_time_is_alone(pool):
    """Two that ran out of memory have their turns one after the other; between them, others go on."""
    first, second = pool.next(), pool.next()
    pool.fails(first)
    pool.fails(second)
    alone = pool.next()
    assert alone.number == 0
    assert pool.next().number == 2
    pool.measure(alone, 300)
    assert pool.next().number == 1


def test_on_cpus_alone_means_that_nothing_else_runs(tmp_path):
    """Memory of the machine is everybody's: the second try begins when all others have made room."""
    pool = Pool(tmp_path, workers=2, devices=0.0, beside=2)
    first, second = pool.next(), pool.next()
    pool.fails(first, NO_HOST)
    assert pool.next() is Turn.WAIT
    assert pool.measure(second, 75) is Decision.STOP
    assert pool.row(1).reason == "makes room for trial 0, which runs with nothing else running"
    again = pool.next()
    assert (again.number, again.gpus) == (0, 0.0)
    assert pool.next() is Turn.WAIT
    pool.measure(again, 75)
    assert pool.next() is Turn.WAIT
    pool.measure(again, 300)
    assert pool.next().number == 1


def test_lack_of_host_memory_on_gpus_stops_the_other_devices_too(pool):
    """Workers of one machine share its memory, whichever device they train on."""
    first, second = pool.next(), pool.next()
    pool.fails(first, NO_HOST)
    assert pool.next() is Turn.WAIT
    pool.measure(second, 75)
    again = pool.next()
    assert (again.number, again.gpus) == (0, 1.0)
    assert pool.next() is Turn.WAIT


def test_a_new_driver_retries_alone_what_an_old_one_saw(pool):
    """What a trial needs stands in its row: a kill before or in the second try changes nothing."""
    first, second = pool.next(), pool.next()
    pool.fails(first)
    assert pool.row(0).second_try == SecondTry(Alone.DEVICE, FIRST)
    pool.search = pool.claimed()
    again = pool.next()
    assert (again.number, again.attempt, again.gpus) == (0, 2, 1.0)
    pool.search = pool.claimed()
    third = pool.next()
    assert (third.number, third.attempt, third.gpus) == (0, 3, 1.0)
    assert pool.next().number == second.number
    pool.fails(third)
    assert pool.row(0).reason.endswith(f"(alone on a full device; before: {FIRST})")


def test_a_lone_attempt_that_is_lost_is_alone_the_next_time_too(pool):
    """A dead worker says nothing about memory: the second try is still to come."""
    pool.fails(pool.next())
    pool.fails(pool.next(), Failure(FailureKind.LOST, "the worker died"))
    again = pool.next()
    assert (again.attempt, again.gpus) == (3, 1.0)


def test_gpu_hours_count_the_full_device_of_the_second_try(tmp_path):
    """Ten seconds on half a GPU and ten on a whole one are fifteen, restarted or not."""
    pool = Pool(tmp_path, workers=2, beside=1, budget={"trials": 2, "gpu_hours": 15 / 3600})
    first = pool.next()
    pool.clock.tick(10)
    pool.search.fail(first.number, first.attempt, NO_ROOM)
    again = pool.next()
    pool.search = pool.claimed()
    assert pool.service.gpu_s(pool.sweep_id, unnoted=9.0) == 5.0
    again = pool.next()
    assert pool.measure(again, 75, worker_s=9.9) is Decision.CONTINUE
    assert pool.measure(again, 150, worker_s=0.2) is Decision.STOP
    assert pool.row(0).reason == "0.00416667 GPU-hours used up"
    assert [a.gpus for a in pool.service.attempts(pool.sweep_id)] == [0.5, 1.0, 1.0]


def test_the_wait_for_a_device_costs_no_gpu_hours(tmp_path):
    """The lone trial holds nothing until its worker has begun."""
    pool = Pool(tmp_path, workers=2, beside=1, budget={"trials": 2, "gpu_hours": 30 / 3600})
    pool.fails(pool.next())
    alone = pool.next(begins=False)
    pool.clock.tick(50)
    assert pool.next() is Turn.WAIT
    pool.search.begun(alone.number)
    pool.clock.tick(10)
    assert pool.measure(alone, 75, worker_s=10) is Decision.CONTINUE


def test_a_device_that_somebody_else_holds_does_not_stop_the_sweep(pool):
    """With nothing else of ours running and still no full device, others go on until there is one."""
    first = pool.next()
    pool.fails(first)
    alone = pool.next(begins=False)
    pool.clock.tick(OTHERS_HOLD_IT_S - 1)
    assert pool.next() is Turn.WAIT
    pool.clock.tick(2)
    others = [pool.next() for _ in range(4)]
    assert [a.number for a in others] == [1, 2, 3, 4]
    assert pool.next() is Turn.WAIT
    pool.search.begun(alone.number)
    pool.measure(others[0], 300)
    pool.measure(others[1], 300)
    assert pool.next() is Turn.WAIT  # it counts from now on: one there and two here
    pool.measure(others[2], 300)
    assert isinstance(pool.next(), Assignment)


def test_a_pause_leaves_the_second_try_for_later(pool):
    """It waits as others do, for the next driver."""
    first, second = pool.next(), pool.next()
    pool.fails(first)
    pool.search.pause()
    pool.measure(second, 75)
    assert pool.next() is Turn.FINISHED
    assert pool.row(0).state is TrialState.QUEUED


def test_a_failure_that_is_not_of_memory_gets_no_second_try(pool):
    """A config that does not build is INFEASIBLE at once, beside others or not."""
    pool.fails(pool.next(), Failure(FailureKind.DOES_NOT_BUILD, "no such norm"))
    row = pool.row(0)
    assert (row.state, row.reason, row.second_try) == (
        TrialState.INFEASIBLE,
        "does_not_build: no such norm",
        None,
    )


def test_the_first_attempt_is_lost_and_not_ended(pool):
    """The attempt's row and the event say how it ended, and what comes next."""
    pool.fails(pool.next())
    (attempt,) = pool.service.attempts(pool.sweep_id)
    assert (attempt.state, attempt.reason) == (AttemptState.LOST, FIRST)
    event = pool.service.events(pool.sweep_id)[-1]
    assert (event.kind, event.data["second_try"]) == ("trial.queued", "device")
