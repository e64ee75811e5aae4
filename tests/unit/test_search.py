"""The three verbs on a real store, with a clock of the test's and nobody executing."""

from pathlib import Path

import pytest

from sweeps.core.details import EvaluationDetails, ImageScores
from sweeps.core.requests import AIMS, RequestKind
from sweeps.core.states import SweepState, TrialState
from sweeps.core.stops import Limit
from sweeps.core.trial import Assignment, Decision, Failure, FailureKind
from sweeps.end import Ending
from sweeps.records import Claim
from sweeps.search import Turn
from sweeps.store.control import SweepControl
from sweeps.warm.plan import KnownTrial, Origin, WarmPlan, WarmSummary
from tests.unit.search_driver import Driver


@pytest.fixture
def driver(tmp_path):
    return Driver(tmp_path)


def test_no_more_trials_run_than_there_are_workers(driver):
    """`next` waits while every worker is busy: a suggestion is made with all that is known."""
    assert isinstance(driver.search.next(), Assignment)
    assert isinstance(driver.search.next(), Assignment)
    assert driver.search.next() is Turn.WAIT


def test_finished_is_said_only_when_nothing_runs(driver):
    """What runs may fail and come back, so the budget being handed out is not the end."""
    first, second = driver.search.next(), driver.search.next()
    driver.measure(first, 300)
    third = driver.search.next()
    driver.measure(second, 300)
    assert driver.search.next() is Turn.WAIT
    driver.measure(third, 300)
    assert driver.search.next() is Turn.FINISHED
    assert driver.states() == [TrialState.COMPLETED] * 3


def test_a_trial_goes_on_until_its_last_rung(driver):
    """Rungs before the last continue; the last one completes."""
    trial = driver.search.next()
    assert driver.measure(trial, 75) is Decision.CONTINUE
    assert driver.measure(trial, 150) is Decision.CONTINUE
    assert driver.measure(trial, 300) is Decision.STOP
    assert driver.states() == [TrialState.COMPLETED]


def test_a_rung_without_the_objective_is_no_measurement(driver):
    """A metric that is absent at a rung neither prunes nor completes by itself, and is never a score."""
    trial = driver.search.next()
    assert driver.measure(trial, 75, metrics={"bbox/AP": 3.0}) is Decision.CONTINUE
    assert driver.search.progress().best is None


def test_a_lost_attempt_resumes_from_its_checkpoint_before_anything_new(driver):
    """The next assignment after a dead worker is the same trial, from where its checkpoint is."""
    trial = driver.search.next()
    driver.measure(trial, 75)
    driver.search.fail(trial.number, trial.attempt, Failure(FailureKind.LOST, "the worker died"))
    again = driver.search.next()
    assert (again.number, again.attempt, again.iteration, again.checkpoint) == (0, 2, 75, "/c/75")
    assert (again.params, again.seed) == (trial.params, trial.seed)


def test_a_report_of_a_lost_attempt_changes_nothing(driver):
    """A worker that was given up and still talks is told to stop, and its value is not kept."""
    trial = driver.search.next()
    driver.search.fail(trial.number, trial.attempt, Failure(FailureKind.LOST, "the worker died"))
    again = driver.search.next()
    assert driver.measure(trial, 75, ap=99.0) is Decision.STOP
    assert driver.service.measurements(driver.sweep_id) == []
    assert driver.measure(again, 75, ap=11.0) is Decision.CONTINUE


def test_the_third_failure_is_the_last(driver):
    """A trial that keeps failing is FAILED after three attempts."""
    for _ in range(3):
        trial = driver.search.next()
        driver.search.fail(trial.number, trial.attempt, Failure(FailureKind.ERROR, "disk full"))
    (row,) = driver.service.trials(driver.sweep_id)
    assert (row.state, row.attempt, row.failures, row.reason) == (TrialState.FAILED, 3, 3, "error: disk full")


@pytest.mark.parametrize("kind", ["diverged", "does_not_build", "unmeasured"])
def test_what_is_deterministic_is_never_retried(driver, kind):
    """Failures that another attempt would repeat are INFEASIBLE at once."""
    trial = driver.search.next()
    driver.search.fail(trial.number, trial.attempt, Failure(FailureKind(kind), "no"))
    (row,) = driver.service.trials(driver.sweep_id)
    assert (row.state, row.attempt, row.reason) == (TrialState.INFEASIBLE, 1, f"{kind}: no")


def test_a_pause_queues_what_runs_and_a_new_driver_goes_on(driver):
    """After a pause nothing is RUNNING, and the next epoch starts with the paused trial's checkpoint."""
    trial = driver.search.next()
    driver.search.pause()
    assert driver.search.next() is Turn.WAIT
    assert driver.measure(trial, 40, metrics=None, paused=True) is Decision.STOP
    assert driver.search.next() is Turn.FINISHED
    assert driver.search.ending().state is SweepState.PAUSED
    assert driver.states() == [TrialState.QUEUED]
    driver.search = driver.claimed()
    again = driver.search.next()
    assert (again.number, again.attempt, again.epoch, again.iteration) == (0, 2, 2, 40)


def test_a_wall_budget_counts_the_drivers_life_and_not_the_gaps(tmp_path):
    """Time without a driver is not spent; time of earlier drivers is."""
    driver = Driver(tmp_path, budget={"trials": 30, "wall": "100s"})
    trial = driver.search.next()
    driver.clock.tick(60)
    assert driver.measure(trial, 75) is Decision.CONTINUE
    driver.clock.tick(100_000)
    driver.search = driver.claimed()
    again = driver.search.next()
    driver.clock.tick(30)
    assert driver.measure(again, 150) is Decision.CONTINUE
    driver.clock.tick(20)
    assert driver.measure(again, 300) is Decision.STOP
    assert driver.search.next() is Turn.FINISHED
    assert driver.search.ending().reason == "wall time of 1m40s used up"


def test_gpu_hours_count_the_share_of_a_device(tmp_path):
    """Half a GPU for two hours is one GPU-hour."""
    driver = Driver(tmp_path, devices=0.5, budget={"trials": 30, "gpu_hours": 1})
    trial = driver.search.next()
    assert driver.measure(trial, 75, worker_s=7100.0) is Decision.CONTINUE
    assert driver.measure(trial, 150, worker_s=100.0) is Decision.STOP
    assert driver.search.next() is Turn.FINISHED
    assert driver.states() == [TrialState.CANCELLED]


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_an_assignment_says_what_share_of_a_gpu_it_holds(tmp_path, share):
    """Workers learn from it whether to use a GPU: a machine may have some that a trial must leave alone."""
    assert Driver(tmp_path, devices=share).search.next().gpus == share


def test_gpu_hours_count_what_came_to_nothing(tmp_path):
    """A worker that dies, and one whose driver dies, held their device up to then."""
    driver = Driver(tmp_path, budget={"trials": 30, "gpu_hours": 3})
    trial = driver.search.next()
    driver.measure(trial, 75, worker_s=1.0)
    driver.clock.tick(3600)
    driver.search.fail(trial.number, trial.attempt, Failure(FailureKind.LOST, "the worker died"))
    assert driver.service.trials(driver.sweep_id)[0].worker_s == 3601.0
    driver.search.next()
    driver.clock.tick(3600)
    driver.service.beat(Claim(driver.sweep_id, 1), driver.clock())
    driver.clock.tick(100_000)  # nobody drives
    driver.search = driver.claimed()
    sweep, (row,) = driver.service.sweep(driver.sweep_id), driver.service.trials(driver.sweep_id)
    assert (sweep.worker_s, row.worker_s) == (7201.0, 7201.0)
    again = driver.search.next()
    driver.clock.tick(3600)
    assert driver.measure(again, 150, worker_s=3600.0) is Decision.STOP
    assert driver.search.ending().reason == "3 GPU-hours used up"


def test_a_spent_budget_cancels_what_waits(tmp_path):
    """A lost trial whose sweep has ended in the meantime does not stay QUEUED for ever."""
    driver = Driver(tmp_path, budget={"trials": 30, "target": {"segm/AP": 50}})
    lost, other = driver.search.next(), driver.search.next()
    driver.search.fail(lost.number, lost.attempt, Failure(FailureKind.LOST, "the worker died"))
    assert driver.measure(other, 75, ap=60.0) is Decision.STOP
    assert driver.search.next() is Turn.FINISHED
    assert driver.states() == [TrialState.CANCELLED] * 2


def test_the_leader_is_judged_where_it_was_measured(driver):
    """A checkpoint between two rungs makes a trial no better, and neither does reaching a rung first."""
    first, second = driver.search.next(), driver.search.next()
    driver.measure(second, 75, ap=40.0)
    driver.measure(first, 75, ap=5.0)
    driver.measure(first, 80, metrics=None)
    best = driver.search.progress().best
    assert (best.number, best.measured_iteration) == (1, 75)
    driver.measure(first, 150, ap=6.0)
    assert driver.search.progress().best.number == 1
    stored = driver.service.trials(driver.sweep_id)
    assert [(t.iteration, t.measured_iteration) for t in stored] == [(150, 150), (75, 75)]


def test_the_best_ended_trial_is_kept_while_an_open_one_leads(driver):
    """An open leader may yet become INFEASIBLE: what ended is ready to follow it."""
    first, second = driver.search.next(), driver.search.next()
    driver.measure(first, 75, ap=40.0)
    driver.measure(second, 300, ap=10.0)
    progress = driver.search.progress()
    assert (progress.best.number, progress.kept) == (0, ((1,),))
    driver.search.fail(first.number, first.attempt, Failure(FailureKind.DIVERGED, "nan"))
    progress = driver.search.progress()
    assert (progress.best.number, progress.kept) == (1, ((1,),))


def test_a_target_is_not_reached_by_breaking_a_constraint(tmp_path):
    """A model that is good and too slow lets the sweep go on; one that is good and fast enough ends it."""
    budget = {"trials": 5, "target": {"segm/AP": 40}}
    constraints = [{"metric": "latency/ms_per_image", "max": 80}]
    driver = Driver(tmp_path, budget=budget, constraints=constraints)
    slow, fast = driver.search.next(), driver.search.next()
    metrics = {"segm/AP": 45.0, "latency/ms_per_image": 500.0}
    assert driver.measure(slow, 75, metrics=metrics) is Decision.CONTINUE
    assert driver.measure(fast, 75, metrics=metrics | {"latency/ms_per_image": 50.0}) is Decision.STOP
    assert driver.search.ending().reason == "target reached: segm/AP 45"


def test_a_trial_that_reaches_the_target_is_not_pruned(tmp_path):
    """It is the sweep's result, though trials that break a constraint did better at that rung."""
    budget = {"trials": 5, "target": {"segm/AP": 40}}
    constraints = [{"metric": "latency/ms_per_image", "max": 80}]
    pruner = {"type": "median", "startup_trials": 1}
    driver = Driver(tmp_path, workers=1, budget=budget, constraints=constraints, pruner=pruner)
    for ap, ms in ((60.0, 500.0), (70.0, 500.0)):
        trial = driver.search.next()
        for rung in (75, 150, 300):
            driver.measure(trial, rung, metrics={"segm/AP": ap, "latency/ms_per_image": ms})
    trial = driver.search.next()
    driver.measure(trial, 75, metrics={"segm/AP": 41.0, "latency/ms_per_image": 50.0})
    assert driver.search.next() is Turn.FINISHED
    assert driver.states()[-1] is TrialState.CANCELLED


def test_a_spent_budget_is_not_paused(tmp_path):
    """Ctrl-C while the last workers stop leaves the sweep with nothing to resume: it has ended."""
    driver = Driver(tmp_path, budget={"trials": 30, "target": {"segm/AP": 40}})
    driver.measure(driver.search.next(), 75, ap=45.0)
    driver.search.pause()
    assert driver.search.next() is Turn.FINISHED
    assert driver.search.ending().state is SweepState.COMPLETED
    assert driver.search.ending().reason == "target reached: segm/AP 45"


def test_an_abandoned_search_writes_nothing(driver):
    """Once its epoch is lost, a driver's workers are told to stop and the store is left alone."""
    trial = driver.search.next()
    driver.search.abandon()
    before = driver.service.events(driver.sweep_id)
    assert driver.measure(trial, 75) is Decision.STOP
    assert driver.search.next() is Turn.WAIT
    assert driver.service.events(driver.sweep_id) == before


def infeasible(driver, message="no such norm"):
    trial = driver.search.next()
    driver.search.fail(trial.number, trial.attempt, Failure(FailureKind.DOES_NOT_BUILD, message))


def test_a_sweep_that_measured_nothing_has_failed(driver):
    """Deterministic failures stop nothing early, but when all trials end so, the sweep says why."""
    for number in range(3):
        infeasible(driver, f"no such norm {number}")
    assert driver.search.next() is Turn.FINISHED
    reason = "no trial could be measured: does_not_build: no such norm 2"
    assert driver.search.ending() == Ending(SweepState.FAILED, reason)


def test_a_sweep_with_one_measurement_is_complete(driver):
    """One trial that could be measured is an answer, whatever became of the others."""
    infeasible(driver)
    driver.measure(driver.search.next(), 300)
    infeasible(driver)
    assert driver.search.next() is Turn.FINISHED
    assert driver.search.ending() == Ending(SweepState.COMPLETED, "budget of 3 trials used up")


def test_a_budget_that_ends_before_the_first_rung_is_told(tmp_path):
    """A limit that leaves nothing measured fails the sweep, with the limit as its reason."""
    driver = Driver(tmp_path, budget={"trials": 3, "wall": "60s"})
    trial = driver.search.next()
    driver.clock.tick(70)
    assert driver.measure(trial, 40, metrics=None) is Decision.STOP
    assert driver.search.next() is Turn.FINISHED
    assert driver.search.ending().state is SweepState.FAILED
    assert driver.search.ending().reason == "no trial could be measured: wall time of 1m used up"


def test_a_pause_before_the_first_rung_is_no_failure(driver):
    """Who stops a sweep before anything is measured can go on with it, also after a first failure."""
    infeasible(driver)
    trial = driver.search.next()
    driver.search.pause()
    driver.measure(trial, 40, metrics=None, paused=True)
    assert driver.search.next() is Turn.FINISHED
    assert driver.search.ending() == Ending(SweepState.PAUSED, None)


STALLED = "no improvement over 2 trials: the best is still trial 0"


def test_a_sweep_that_finds_nothing_better_ends(tmp_path):
    """What runs beside the last trial that counts is CANCELLED with the reason; a new driver counts on."""
    driver = Driver(tmp_path, budget={"trials": 30, "no_improvement": 2})
    for ap in (30.0, 20.0):
        driver.measure(driver.search.next(), 300, ap=ap)
    driver.search = driver.claimed()
    beside, last = driver.search.next(), driver.search.next()
    driver.measure(beside, 75, ap=10.0)
    assert driver.measure(last, 300, ap=29.0) is Decision.STOP
    assert driver.service.sweep(driver.sweep_id).reason == STALLED
    assert driver.measure(beside, 90, metrics=None, paused=True) is Decision.STOP
    assert driver.search.next() is Turn.FINISHED
    assert driver.search.ending() == Ending(SweepState.COMPLETED, STALLED)
    assert [(t.state, t.reason) for t in driver.service.trials(driver.sweep_id)][2:] == [
        (TrialState.CANCELLED, STALLED),
        (TrialState.COMPLETED, None),
    ]


def test_an_open_trial_that_leads_is_waited_for(tmp_path):
    """A sweep does not end for want of improvement while one is on its way."""
    driver = Driver(tmp_path, budget={"trials": 30, "no_improvement": 2})
    driver.measure(driver.search.next(), 300, ap=30.0)
    better = driver.search.next()
    driver.measure(better, 75, ap=31.0)
    for _ in range(3):
        driver.measure(driver.search.next(), 300, ap=20.0)
    assert driver.service.sweep(driver.sweep_id).state is SweepState.RUNNING
    driver.measure(better, 150, ap=25.0)  # it led, and does not any more
    assert driver.service.sweep(driver.sweep_id).reason == STALLED


def test_workers_that_were_called_in_too_early_go_on(tmp_path):
    """The clock says that GPU hours are used up; the workers say that they worked less: nothing ends yet."""
    driver = Driver(tmp_path, workers=1, budget={"trials": 30, "gpu_hours": 1})
    trial = driver.search.next()
    driver.clock.tick(3601)
    driver.search.heed()
    assert Path(trial.pause_file).exists()
    assert driver.measure(trial, 40, metrics=None, paused=True, worker_s=3000.0) is Decision.STOP
    again = driver.search.next()
    assert (again.number, again.attempt, again.iteration) == (0, 2, 40)
    assert not Path(again.pause_file).exists()
    driver.clock.tick(601)
    driver.search.heed()
    driver.measure(again, 60, metrics=None, paused=True, worker_s=600.0)
    assert driver.search.next() is Turn.FINISHED
    assert driver.states() == [TrialState.CANCELLED]


@pytest.fixture
def ask(driver):
    """Asks something of the driver's sweep from outside."""
    control = SweepControl(driver.service.engine, is_dead=lambda _: False)
    return lambda kind: control.ask(driver.sweep_id, kind, by="ann@lab", now=driver.clock.tick())


def test_a_pause_that_was_asked_for_is_seen_at_the_next_verb(driver, ask):
    """The workers are told to come in, what runs is QUEUED, and the sweep says who wanted it."""
    trial = driver.search.next()
    ask(RequestKind.PAUSE)
    assert not Path(trial.pause_file).exists()
    assert driver.search.next() is Turn.WAIT
    assert Path(trial.pause_file).exists()
    assert driver.measure(trial, 75) is Decision.STOP
    assert driver.search.next() is Turn.FINISHED
    assert driver.states() == [TrialState.QUEUED]
    assert driver.search.ending() == Ending(SweepState.PAUSED, "paused by ann@lab")


def test_a_pause_is_seen_between_verbs_too(driver, ask):
    """The driver's heartbeat looks: a rung may take hours."""
    trial = driver.search.next()
    ask(RequestKind.PAUSE)
    driver.search.heed()
    assert Path(trial.pause_file).exists()


def test_a_cancel_ends_what_runs_and_what_waits(driver, ask):
    """The sweep is STOPPING until its workers are in, then everything open is CANCELLED with the reason."""
    lost, trial = driver.search.next(), driver.search.next()
    driver.search.fail(lost.number, lost.attempt, Failure(FailureKind.LOST, "the worker died"))
    ask(RequestKind.CANCEL)
    assert driver.search.next() is Turn.WAIT
    assert driver.service.sweep(driver.sweep_id).state is SweepState.STOPPING
    assert driver.measure(trial, 40, metrics=None, paused=True) is Decision.STOP
    assert driver.search.next() is Turn.FINISHED
    assert driver.search.ending() == Ending(SweepState.CANCELLED, "cancelled by ann@lab")
    assert [(t.state, t.reason) for t in driver.service.trials(driver.sweep_id)] == [
        (TrialState.CANCELLED, "cancelled by ann@lab")
    ] * 2


def test_a_cancel_that_comes_with_the_last_result_keeps_it(driver, ask):
    """A trial that completes meanwhile is COMPLETED."""
    trial = driver.search.next()
    ask(RequestKind.CANCEL)
    assert driver.measure(trial, 300) is Decision.STOP
    assert driver.states() == [TrialState.COMPLETED]
    assert driver.search.next() is Turn.FINISHED


@pytest.mark.parametrize("kind", [RequestKind.PAUSE, RequestKind.CANCEL])
def test_what_was_asked_of_a_driver_that_died_is_done_by_the_next(driver, ask, kind):
    """kill -9 between a request and its taking loses nothing."""
    trial = driver.search.next()
    driver.measure(trial, 75)
    ask(kind)
    driver.search = driver.claimed()
    assert driver.search.next() is Turn.FINISHED
    assert driver.search.ending().state is AIMS[kind]


def test_a_sweep_whose_driver_died_while_it_stopped_is_only_finished(tmp_path):
    """The next driver starts nothing, whatever the limits now say, and keeps the reason."""
    driver = Driver(tmp_path, budget={"trials": 30, "target": {"segm/AP": 40}})
    running, best = driver.search.next(), driver.search.next()
    driver.measure(running, 75)
    driver.measure(best, 75, ap=45.0)
    assert driver.service.sweep(driver.sweep_id).state is SweepState.STOPPING
    driver.search = driver.claimed()
    assert driver.search.next() is Turn.FINISHED
    assert driver.search.ending() == Ending(SweepState.COMPLETED, "target reached: segm/AP 45")
    assert driver.states() == [TrialState.CANCELLED] * 2


def test_trials_that_are_added_are_tried(driver):
    """The driver sees the larger budget at its next verb, and its progress counts by it."""
    for _ in range(3):
        driver.measure(driver.search.next(), 300)
    driver.extend(trials=1)
    driver.measure(driver.search.next(), 300)
    assert driver.search.progress().total == 4
    assert driver.search.next() is Turn.FINISHED
    assert driver.search.ending() == Ending(SweepState.COMPLETED, "budget of 4 trials used up")
    assert driver.service.sweep(driver.sweep_id).stopped_by is Limit.TRIALS


def test_time_that_is_added_lets_workers_go_on(tmp_path):
    """A limit that is extended before it is reached ends nothing, nor does one that has just been reached."""
    driver = Driver(tmp_path, budget={"trials": 30, "wall": "100s"})
    trial = driver.search.next()
    driver.clock.tick(90)
    driver.extend(wall="100s")
    driver.clock.tick(50)
    assert driver.measure(trial, 75) is Decision.CONTINUE
    driver.clock.tick(70)
    driver.search.heed()
    assert Path(trial.pause_file).exists()
    driver.extend(wall="1h")
    assert driver.measure(trial, 80, metrics=None, paused=True) is Decision.STOP
    again = driver.search.next()
    assert (again.number, again.iteration) == (0, 80)
    assert not Path(again.pause_file).exists()


@pytest.mark.parametrize("limit", ["trials", "wall"])
def test_a_sweep_that_is_extended_as_it_stops_does_not_stop(tmp_path, limit):
    """The extension is committed after the driver looked, and before it says STOPPING."""
    driver = Driver(tmp_path, budget={"trials": 1, "wall": "100s"})
    finish, more = driver.service.finish, {"trials": 1, "wall": "1h"}

    def late(*arguments, **options):
        if more:
            driver.extend(**more)
            more.clear()
        return finish(*arguments, **options)

    driver.service.finish = late
    trial = driver.search.next()
    if limit == "trials":
        driver.measure(trial, 300)
        assert driver.search.next().number == 1
    else:
        driver.clock.tick(200)
        assert driver.measure(trial, 75) is Decision.STOP
        again = driver.search.next()
        assert (again.number, again.attempt, again.iteration) == (0, 2, 75)
    assert driver.service.sweep(driver.sweep_id).state is SweepState.RUNNING


def test_a_sweep_that_ended_goes_on_after_an_extension(tmp_path):
    """What the limit cut off comes first, from its checkpoint; then what was added."""
    driver = Driver(tmp_path, workers=1, budget={"trials": 2, "target": {"segm/AP": 40}})
    driver.measure(driver.search.next(), 300, ap=30.0)
    driver.measure(driver.search.next(), 75, ap=41.0)
    assert driver.search.next() is Turn.FINISHED
    assert driver.leave() is SweepState.COMPLETED
    assert driver.states() == [TrialState.COMPLETED, TrialState.CANCELLED]
    driver.extend(trials=1, target={"segm/AP": 50})
    driver.search = driver.claimed()
    again = driver.search.next()
    assert (again.number, again.attempt, again.iteration) == (1, 2, 75)
    assert driver.measure(again, 150, ap=45.0) is Decision.CONTINUE
    driver.measure(again, 300, ap=45.0)
    assert driver.search.next().number == 2


def images(*scores):
    return EvaluationDetails(images=ImageScores(tuple(range(len(scores))), scores))


def test_a_pruned_trial_is_stored_with_its_iteration_and_why(tmp_path):
    """PRUNED, never COMPLETED: the row, the attempt and the event say where and for what reason."""
    driver = Driver(tmp_path, pruner={"type": "successive_halving"})
    first, second = driver.search.next(), driver.search.next()
    assert driver.measure(first, 75, ap=20.0) is Decision.CONTINUE
    assert driver.measure(second, 75, ap=10.0) is Decision.STOP
    row = driver.service.trials(driver.sweep_id)[1]
    why = "segm/AP 10 at iteration 75: not in the best 1/3 there"
    assert (row.state, row.iteration, row.measured_iteration, row.reason) == (TrialState.PRUNED, 75, 75, why)
    assert row.ended_at is not None
    assert [a.reason for a in driver.service.attempts(driver.sweep_id)] == [None, why]
    *_, last = (event for event in driver.service.events(driver.sweep_id) if event.number == 1)
    assert (last.kind, last.data["iteration"], last.data["reason"]) == ("trial.pruned", 75, why)


def test_a_retry_that_passes_a_rung_again_changes_no_decision(tmp_path):
    """The first value of a rung stays what others are compared with, also in the next driver."""
    driver = Driver(tmp_path, workers=3, budget={"trials": 9}, pruner={"type": "successive_halving"})
    first = driver.search.next()
    assert driver.measure(first, 75, ap=20.0) is Decision.CONTINUE
    driver.search.fail(first.number, first.attempt, Failure(FailureKind.LOST, "the worker died"))
    again = driver.search.next()
    assert driver.measure(again, 75, ap=1.0) is Decision.CONTINUE
    assert driver.measure(driver.search.next(), 75, ap=19.0) is Decision.STOP
    driver.search = driver.claimed()
    resumed = driver.search.next()
    assert driver.measure(resumed, 75, ap=1.0) is Decision.CONTINUE
    assert driver.measure(driver.search.next(), 75, ap=19.5) is Decision.STOP


@pytest.mark.parametrize("restart", [False, True])
def test_image_scores_are_compared_as_the_store_has_them(tmp_path, restart):
    """After a restart a trial is judged by the stored scores of the best trial, as before it."""
    pruner = {"type": "wilcoxon", "startup_trials": 1}
    driver = Driver(tmp_path, workers=2, pruner=pruner)
    best = driver.search.next()
    for iteration in (75, 150, 300):
        driver.measure(best, iteration, ap=40.0, details=images(*[50.125 + k for k in range(20)]))
    other = driver.search.next()
    if restart:
        driver.search = driver.claimed()
        other = driver.search.next()
    said = driver.measure(other, 75, ap=39.0, details=images(*[50.0 + k for k in range(20)]))
    assert said is Decision.STOP
    row = driver.service.trials(driver.sweep_id)[1]
    assert (row.state, row.iteration) == (TrialState.PRUNED, 75)
    assert "worse than those of trial 0 there, on the same 20 images" in row.reason


@pytest.mark.parametrize(("kind", "read"), [("wilcoxon", [0, 2]), ("median", [])])
def test_stored_details_are_read_only_where_they_are_compared(tmp_path, monkeypatch, kind, read):
    """A restart reads those of open trials and of the best one, and none for other pruners."""
    driver = Driver(tmp_path, workers=1, pruner={"type": kind, "startup_trials": 9})
    for ap in (40.0, 30.0):
        trial = driver.search.next()
        for iteration in (75, 150, 300):
            driver.measure(trial, iteration, ap=ap, details=images(*[ap] * 20))
    driver.measure(driver.search.next(), 75, ap=20.0, details=images(*[20.0] * 20))
    asked, details = [], driver.service.details
    monkeypatch.setattr(
        driver.service, "details", lambda sweep, number: asked.append(number) or details(sweep, number)
    )
    driver.claimed()
    assert asked == read


def test_a_space_that_is_used_up_ends_the_sweep(tmp_path):
    """With two combinations and a budget of ten trials, two run to their end and the reason says why."""
    space = {"augment.flip": {"choices": ["none", "horizontal"]}}
    driver = Driver(tmp_path, space=space, budget={"trials": 10}, sampler={"type": "grid"})
    first, second = driver.search.next(), driver.search.next()
    assert driver.search.next() is Turn.WAIT
    assert first.params != second.params
    driver.measure(first, 300)
    assert driver.search.next() is Turn.WAIT
    driver.measure(second, 300)
    assert driver.search.next() is Turn.FINISHED
    assert driver.search.ending() == Ending(SweepState.COMPLETED, "the space has no further combination")
    again = driver.claimed()
    assert again.next() is Turn.FINISHED
    assert again.ending() == Ending(SweepState.COMPLETED, "the space has no further combination")


def test_a_sweep_that_knows_its_whole_space_has_nothing_to_do_and_has_not_failed(tmp_path):
    """As a night has it that begins where earlier ones have tried everything."""
    at_the_end = ((300, {"segm/AP": 1.0}),)
    known = tuple(
        KnownTrial(Origin("parts-a", n), {"augment.flip": flip}, TrialState.COMPLETED, at_the_end)
        for n, flip in enumerate(("none", "horizontal"))
    )
    warm = WarmPlan(WarmSummary(("parts-a",), {}, (), {}, {}), known)
    driver = Driver(tmp_path, warm=warm, space={"augment.flip": {"choices": ["none", "horizontal"]}})
    assert driver.search.next() is Turn.FINISHED
    assert driver.search.ending() == Ending(SweepState.COMPLETED, "the space has no further combination")
