"""Finalists are run again once the search has ended, and no more than asked for, whatever dies in between."""

import pytest

from sweeps.core.extension import Extension
from sweeps.core.replicates import repeat_of
from sweeps.core.states import SweepState, TrialState
from sweeps.core.stops import Limit
from sweeps.core.trial import Decision, Failure, FailureKind
from sweeps.end import Ending
from sweeps.records import Claim
from sweeps.search import Turn
from sweeps.store.control import SweepControl
from tests.unit.search_driver import Driver

THREE = {"replicates": {"runs": 3, "finalists": 2}}
LOST = Failure(FailureKind.LOST, "the worker died")


def searched(tmp_path, *aps, **sections):
    """A driver whose search has ended with those values at full length."""
    options = {"workers": 1, "budget": {"trials": len(aps)}, **THREE, **sections}
    driver = Driver(tmp_path, **options)
    for ap in aps:
        driver.measure(driver.search.next(), 300, ap=ap)
    return driver


def again(driver):
    """What the store has of replicates: (trial, repeated, state) by number."""
    rows = driver.service.trials(driver.sweep_id)
    return [(t.number, t.replicate_of, t.state) for t in rows if t.replicate_of is not None]


def test_finalists_run_again_in_full_with_other_seeds(tmp_path):
    """The best two get a second run each, then a third; nobody looks at them before the end."""
    driver = searched(tmp_path, 10.0, 30.0, 20.0)
    own = driver.service.trials(driver.sweep_id)
    made = []
    for _ in range(4):
        made.append(driver.search.next())
        driver.measure(made[-1], 300, ap=15.0)
    assert driver.search.next() is Turn.FINISHED
    assert [a.number for a in made] == [100001, 100002, 200001, 200002]
    assert [a.params for a in made] == [own[1].params, own[2].params] * 2
    assert len({a.seed for a in made} | {t.seed for t in own}) == 7
    assert {a.rungs for a in made} == {(300,)}
    assert again(driver) == [(a.number, a.number % 100_000, TrialState.COMPLETED) for a in made]
    assert driver.search.ending() == Ending(SweepState.COMPLETED, "budget of 3 trials used up")


def test_replicates_wait_for_the_last_trial_of_the_search(tmp_path):
    """Who is a finalist is known only then: a worker that has nothing to do waits."""
    driver = Driver(tmp_path, workers=2, budget={"trials": 2}, **THREE)
    first, second = driver.search.next(), driver.search.next()
    driver.measure(first, 300)
    assert driver.search.next() is Turn.WAIT
    driver.measure(second, 300)
    assert driver.search.next().number == 100000
    assert driver.search.next().number == 100001
    assert driver.search.next() is Turn.WAIT


@pytest.mark.parametrize("dies_after", ["start", "report", "both"])
def test_restarts_make_the_same_replicates_and_none_twice(tmp_path, dies_after):
    """A driver that dies after each step ends with the rows of one that does not."""
    straight, broken = searched(tmp_path / "a", 10.0, 30.0), searched(tmp_path / "b", 10.0, 30.0)
    while (turn := straight.search.next()) is not Turn.FINISHED:
        straight.measure(turn, 300, ap=turn.number / 10_000)
    while (turn := broken.search.next()) is not Turn.FINISHED:
        if dies_after != "report":
            broken.search = broken.claimed()
            turn = broken.search.next()
        broken.measure(turn, 300, ap=turn.number / 10_000)
        if dies_after != "start":
            broken.search = broken.claimed()

    def rows(driver):
        found = driver.service.trials(driver.sweep_id)
        return [(t.number, t.replicate_of, t.seed, t.params, t.state, t.metrics) for t in found]

    assert rows(broken) == rows(straight)
    assert len(again(broken)) == 4


def test_the_leader_is_who_is_best_on_average(tmp_path):
    """Trial 1 was lucky; once all runs are in, trial 2 leads, with its mean."""
    driver = searched(tmp_path, 10.0, 30.0, 29.0)
    for ap in (20.0, 31.0, 22.0, 30.0):
        assert driver.search.progress().best.number == 1
        driver.measure(driver.search.next(), 300, ap=ap)
    best = driver.search.progress().best
    assert (best.number, best.metrics["segm/AP"]) == (2, 30.0)


def test_progress_counts_replicates_apart(tmp_path):
    """The search's budget is its own; of replicates it is said how many are done and how many will be."""
    driver = Driver(tmp_path, workers=1, budget={"trials": 2}, **THREE)
    assert driver.search.progress().replicates == (0, 4)
    driver.measure(driver.search.next(), 300)
    driver.search.fail(*_who(driver.search.next()), Failure(FailureKind.DIVERGED, "nan"))
    now = driver.search.progress()
    assert (now.done, now.total, now.replicates) == (2, 2, (0, 2)), "there is one finalist only"
    driver.measure(driver.search.next(), 300)
    now = driver.search.progress()
    assert (now.done, now.total, now.replicates, now.left_s) == (2, 2, (1, 2), 1.0)


def _who(assignment):
    return assignment.number, assignment.attempt


def test_a_replicate_is_retried_and_may_fail_for_good(tmp_path):
    """Its finalist is left with fewer runs, and nobody makes up for it."""
    driver = searched(tmp_path, 30.0, replicates={"runs": 3, "finalists": 1})
    for attempt in (1, 2, 3):
        trial = driver.search.next()
        assert _who(trial) == (100000, attempt)
        driver.search.fail(*_who(trial), LOST)
    driver.search.fail(*_who(driver.search.next()), Failure(FailureKind.DIVERGED, "nan"))
    assert driver.search.next() is Turn.FINISHED
    assert [state for _, _, state in again(driver)] == [TrialState.FAILED, TrialState.INFEASIBLE]
    assert driver.search.ending() == Ending(SweepState.COMPLETED, "budget of 1 trial used up")


def test_a_replicate_is_never_pruned_and_teaches_nobody(tmp_path):
    """However bad its first value is, and whatever the pruner: the search's rows are as if there was none."""
    sections = {"pruner": {"type": "successive_halving"}, "replicates": {"runs": 2, "finalists": 1}}
    driver = searched(tmp_path, 30.0, **sections)
    trial = driver.search.next()
    assert driver.measure(trial, 75, ap=0.1) is Decision.CONTINUE
    assert driver.measure(trial, 300, ap=0.2) is Decision.STOP
    driver.search = driver.claimed()
    assert driver.search.next() is Turn.FINISHED
    assert again(driver) == [(100000, 0, TrialState.COMPLETED)]
    assert driver.service.trials(driver.sweep_id)[1].sampler_attrs == {}


def test_a_target_ends_the_search_and_finalists_still_run_again(tmp_path):
    """What runs is called in; replicates are not, and a restart does not go back to searching."""
    budget = {"trials": 30, "target": {"segm/AP": 40}}
    driver = Driver(tmp_path, workers=2, budget=budget, **THREE)
    first, second = driver.search.next(), driver.search.next()
    driver.measure(first, 300, ap=45.0)
    assert driver.service.sweep(driver.sweep_id).search_ended == "target reached: segm/AP 45"
    assert driver.search.next() is Turn.WAIT
    assert driver.measure(second, 150, ap=30.0, paused=True) is Decision.STOP
    replicate = driver.search.next()
    assert replicate.number == 100000
    assert list(tmp_path.glob("pause-e*")) == []
    driver.search = driver.claimed()
    assert driver.search.next().number == 100000
    driver.measure(driver.search.next(), 300, ap=20.0)
    assert driver.search.next() is Turn.WAIT
    assert driver.states()[:2] == [TrialState.COMPLETED, TrialState.CANCELLED]
    assert driver.service.sweep(driver.sweep_id).state is SweepState.RUNNING
    driver.search.fail(100000, 2, Failure(FailureKind.DIVERGED, "nan"))
    assert driver.search.next() is Turn.FINISHED
    assert driver.search.ending() == Ending(SweepState.COMPLETED, "target reached: segm/AP 45")


@pytest.mark.parametrize("restarts", [False, True])
def test_who_reaches_the_target_early_is_trained_to_its_end_and_confirmed(tmp_path, restarts):
    """Cut off it would be no finalist. The others are; it is called in with them once, and goes on alone."""
    budget = {"trials": 30, "target": {"segm/AP": 40}}
    driver = Driver(tmp_path, workers=2, budget=budget, pruner={"type": "successive_halving"}, **THREE)
    first, second = driver.search.next(), driver.search.next()
    assert driver.measure(first, 75, ap=45.0) is Decision.CONTINUE
    assert driver.measure(second, 40, metrics=None, paused=True) is Decision.STOP
    assert driver.search.next() is Turn.WAIT
    assert driver.measure(first, 80, metrics=None, paused=True) is Decision.STOP
    first = driver.search.next()
    assert (first.number, first.attempt, first.iteration) == (0, 2, 80)
    assert list(tmp_path.glob("pause-e*")) == []
    assert driver.search.next() is Turn.WAIT
    assert driver.measure(first, 150, ap=30.0) is Decision.CONTINUE, "it is worse now, and has been better"
    if restarts:
        driver.search = driver.claimed()
        first = driver.search.next()
        assert (first.number, first.iteration) == (0, 150)
    assert driver.measure(first, 300, ap=44.0) is Decision.STOP
    assert driver.states() == [TrialState.COMPLETED, TrialState.CANCELLED]
    for repeat in (1, 2):
        replicate = driver.search.next()
        assert replicate.number == repeat * 100_000
        driver.measure(replicate, 300, ap=42.0)
    assert driver.search.next() is Turn.FINISHED
    assert driver.search.ending() == Ending(SweepState.COMPLETED, "target reached: segm/AP 45")


def test_who_reaches_the_target_alone_is_not_even_called_in(tmp_path):
    """With nothing beside it there is nobody to wait for; and a pause leaves something to go on with."""
    budget = {"trials": 30, "target": {"segm/AP": 40}}
    driver = Driver(tmp_path, workers=1, budget=budget, **THREE)
    only = driver.search.next()
    assert driver.measure(only, 75, ap=45.0) is Decision.CONTINUE
    assert list(tmp_path.glob("pause-e*")) == []
    driver.search.pause()
    assert driver.measure(only, 80, metrics=None, paused=True) is Decision.STOP
    assert driver.search.next() is Turn.FINISHED
    assert driver.leave() is SweepState.PAUSED
    assert goes_on(driver) == 0


def test_without_replicates_a_target_cuts_off_who_reaches_it(tmp_path):
    """Nobody is to confirm it: its checkpoint is what was looked for."""
    driver = Driver(tmp_path, workers=1, budget={"trials": 30, "target": {"segm/AP": 40}})
    assert driver.measure(driver.search.next(), 75, ap=45.0) is Decision.STOP
    assert driver.search.next() is Turn.FINISHED
    assert driver.states() == [TrialState.CANCELLED]


def test_the_end_of_the_search_is_remembered(tmp_path):
    """A trial that was better after all, once the search was given up, does not open it again."""
    driver = Driver(tmp_path, workers=3, budget={"trials": 30, "no_improvement": 1}, **THREE)
    first, second, third = (driver.search.next() for _ in range(3))
    driver.measure(first, 300, ap=40.0)
    driver.measure(second, 300, ap=10.0)
    driver.measure(third, 300, ap=50.0)
    driver.search = driver.claimed()
    assert [driver.search.next().number for _ in range(3)] == [100002, 100000, 200002]
    assert len([t for t in driver.service.trials(driver.sweep_id) if not repeat_of(t.number)]) == 3


def test_a_limit_ends_replicates_too(tmp_path):
    """GPU-hours count those of replicates; what is cut off is CANCELLED, and the reason kept."""
    driver = searched(tmp_path, 30.0, 20.0, budget={"trials": 2, "gpu_hours": 1})
    assert driver.measure(driver.search.next(), 300, worker_s=3000.0) is Decision.STOP
    assert driver.measure(driver.search.next(), 150, metrics=None, worker_s=600.0) is Decision.STOP
    assert driver.search.next() is Turn.FINISHED
    assert again(driver) == [
        (100000, 0, TrialState.COMPLETED),
        (100001, 1, TrialState.CANCELLED),
    ]
    assert driver.search.ending() == Ending(SweepState.COMPLETED, "1 GPU-hours used up")
    assert driver.search.progress().best.number == 0


def test_a_pause_in_the_middle_keeps_the_rest_for_later(tmp_path):
    """What ran is QUEUED, goes on from its checkpoint, and the rest follows."""
    driver = searched(tmp_path, 30.0, 20.0)
    trial = driver.search.next()
    driver.search.pause()
    driver.measure(trial, 150, metrics=None, paused=True)
    assert driver.search.next() is Turn.FINISHED
    assert driver.search.ending().state is SweepState.PAUSED
    driver.search = driver.claimed()
    resumed = driver.search.next()
    assert (resumed.number, resumed.attempt, resumed.iteration) == (100000, 2, 150)
    driver.measure(resumed, 300)
    assert driver.search.next().number == 100001


def test_a_pause_between_two_replicates_is_a_pause(tmp_path):
    """Nothing is open at that moment, and yet the sweep has not ended."""
    driver = searched(tmp_path, 30.0)
    driver.search.pause()
    assert driver.search.next() is Turn.FINISHED
    assert driver.search.ending().state is SweepState.PAUSED


def test_a_space_that_is_used_up_has_finalists_too(tmp_path):
    """The search ends for want of combinations, and its best run again."""
    space = {"mask_head.num_conv": {"choices": [1, 2]}}
    driver = Driver(tmp_path, workers=1, budget={"trials": 9}, space=space, **THREE)
    for ap in (10.0, 20.0):
        driver.measure(driver.search.next(), 300, ap=ap)
    assert driver.search.next().number == 100001


def test_a_sweep_without_finalists_just_ends(tmp_path):
    """Where no trial keeps the constraints there is none to run again."""
    driver = searched(tmp_path, 30.0, constraints=[{"metric": "latency/ms_per_image", "max": 80}])
    assert driver.search.next() is Turn.FINISHED
    assert again(driver) == []
    assert driver.search.progress().best.number == 0


def finals(tmp_path):
    """A driver whose search a target has ended, with a trial cut off, and whose finalist runs again."""
    budget = {"trials": 3, "target": {"segm/AP": 40}}
    driver = Driver(tmp_path, workers=2, budget=budget, replicates={"runs": 2, "finalists": 1})
    best, cut_off = driver.search.next(), driver.search.next()
    driver.measure(best, 300, ap=45.0)
    driver.measure(cut_off, 40, metrics=None, paused=True)
    return driver, driver.search.next()


def goes_on(driver):
    """Who is tried next by a driver that takes the sweep up again."""
    driver.search = driver.claimed()
    return driver.search.next().number


def test_a_target_that_is_raised_while_finalists_run_again_counts_at_the_end(tmp_path):
    """The finalist's run is finished; then the sweep is open again, with the trial that was cut off first."""
    driver, replicate = finals(tmp_path)
    driver.extend(target={"segm/AP": 50})
    driver.measure(replicate, 300, ap=44.0)
    assert driver.search.next() is Turn.FINISHED
    assert driver.leave() is SweepState.PAUSED
    assert driver.service.sweep(driver.sweep_id).search_ended is None
    assert goes_on(driver) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_pause_among_finalists_keeps_what_was_added(tmp_path, when):
    """A target that is raised before or after the driver has left lets the search go on."""
    driver, replicate = finals(tmp_path)
    if when == "before":
        driver.extend(target={"segm/AP": 50})
    driver.search.pause()
    driver.measure(replicate, 10, metrics=None, paused=True)
    assert driver.search.next() is Turn.FINISHED
    assert driver.leave() is SweepState.PAUSED
    if when == "after":
        driver.extend(target={"segm/AP": 50})
    assert goes_on(driver) == 1


def test_a_search_that_reached_its_target_is_not_begun_again_by_more_time(tmp_path):
    """A limit that cut finalists off is extended: they go on, and the search stays where it is."""
    budget = {"trials": 3, "target": {"segm/AP": 40}, "wall": "1h"}
    driver = Driver(tmp_path, workers=1, budget=budget, replicates={"runs": 2, "finalists": 1})
    driver.measure(driver.search.next(), 300, ap=45.0)
    replicate = driver.search.next()
    driver.clock.tick(4000)
    driver.measure(replicate, 10, metrics=None, paused=True)
    assert driver.search.next() is Turn.FINISHED
    assert driver.leave() is SweepState.COMPLETED
    assert driver.service.sweep(driver.sweep_id).stopped_by is Limit.WALL
    driver.extend(wall="1h")
    assert goes_on(driver) == replicate.number


def test_a_search_that_is_extended_goes_on_as_if_there_were_no_replicates(tmp_path):
    """The same trials come as in a longer search; new finalists run again, old ones keep their runs."""
    aps = [10.0, 30.0, 20.0, 40.0, 5.0]
    straight = searched(tmp_path / "straight", *aps)
    driver = searched(tmp_path / "extended", *aps[:3])
    while (turn := driver.search.next()) is not Turn.FINISHED:
        driver.measure(turn, 300, ap=25.0)
    ending = driver.search.ending()
    claim = Claim(driver.sweep_id, driver.service.sweep(driver.sweep_id).epoch)
    driver.service.finish(claim, ending.state, ending.reason, driver.clock.tick())
    control = SweepControl(driver.service.engine, is_dead=lambda _: True)
    control.extend(driver.sweep_id, Extension(trials=2), by="ann@host", now=driver.clock.tick())
    driver.search = driver.claimed()
    for ap in aps[3:]:
        driver.measure(driver.search.next(), 300, ap=ap)
    made = []
    while (turn := driver.search.next()) is not Turn.FINISHED:
        made.append(turn.number)
        driver.measure(turn, 300, ap=25.0)
    assert made == [100003, 200003], "trial 1 has its runs, and trial 2 is no finalist any more"

    def own(of):
        rows = of.service.trials(of.sweep_id)
        return [(t.number, t.params, t.seed, t.metrics) for t in rows if t.replicate_of is None]

    assert own(driver) == own(straight)
    assert [number for number, _, _ in again(driver)] == [100001, 100002, 100003, 200001, 200002, 200003]


def test_an_extended_limit_takes_up_the_replicates_that_it_cut_off(tmp_path):
    """The same row goes on from its checkpoint, and the rest follows."""
    driver = searched(tmp_path, 30.0, 20.0, budget={"trials": 2, "gpu_hours": 1})
    driver.measure(driver.search.next(), 150, metrics=None, worker_s=3600.0)
    assert driver.search.next() is Turn.FINISHED
    ending = driver.search.ending()
    claim = Claim(driver.sweep_id, driver.service.sweep(driver.sweep_id).epoch)
    driver.service.finish(claim, ending.state, ending.reason, driver.clock.tick(), limit=Limit.GPU_HOURS)
    control = SweepControl(driver.service.engine, is_dead=lambda _: True)
    control.extend(driver.sweep_id, Extension(gpu_hours=1), by="ann@host", now=driver.clock.tick())
    driver.search = driver.claimed()
    made = []
    while (turn := driver.search.next()) is not Turn.FINISHED:
        made.append((turn.number, turn.attempt, turn.iteration))
        driver.measure(turn, 300)
    assert made == [(100000, 2, 150), (100001, 1, 0), (200000, 1, 0), (200001, 1, 0)]
    assert {state for _, _, state in again(driver)} == {TrialState.COMPLETED}
