"""What every store must do, on SQLite and on a real PostgreSQL."""

import math
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from sweeps.core.details import EvaluationDetails, Reliability, ReliabilityBin
from sweeps.core.errors import MasksweepError, StaleEpoch, UnknownSweep, UserError, WrongState
from sweeps.core.states import TRIAL_TRANSITIONS, AttemptState, SweepState, TrialState
from sweeps.core.trial import AttemptFacts, CurvePoint, Decision, Suggestion
from sweeps.records import Claim, Outcome
from sweeps.store import sql
from sweeps.store.engine import open_engine, reading, writing
from sweeps.store.tables import trials
from sweeps.testing import (
    COMPLETED,
    GOES_ON,
    LOST,
    PAUSED,
    PRUNED,
    RETRIED,
    make_report,
    make_spec,
)

SPEC = make_spec()
SUGGESTION = Suggestion(0, {"mask_head.name": "strided", "solver.base_lr": 0.1, "mask_head.num_conv": 4}, 5)


@pytest.fixture
def claim(service) -> Claim:
    """A driver's hold on a new sweep, taken at second 100."""
    return service.claim(service.create(SPEC, fingerprint="sha", now=90.0).sweep_id, 100.0)


@pytest.fixture
def running(service, claim) -> Claim:
    """The same, with trial 0 RUNNING."""
    service.add_trial(claim, SUGGESTION, {"mark": 1}, 101.0)
    return claim


def record(service, claim, report, outcome=GOES_ON, *, attrs=None, now=110.0) -> bool:
    return service.record(claim, report, outcome=outcome, sampler_attrs=attrs, now=now)


def trial(service, claim, number=0):
    return service.trials(claim.sweep_id)[number]


def everything(service, sweep_id):
    return (
        service.sweep(sweep_id),
        service.trials(sweep_id),
        service.attempts(sweep_id),
        service.measurements(sweep_id),
        service.curves(sweep_id),
        service.events(sweep_id),
        service.details(sweep_id, 0),
    )


# -- sweeps


def test_a_new_sweep_is_read_back_as_it_was_made(service):
    """Creating answers with the row, whose id is the name and six characters."""
    made = service.create(make_spec(name="Nightly Parts"), fingerprint="sha", now=5.0)
    assert service.sweep(made.sweep_id) == made
    assert made.sweep_id[:-6] == "nightly-parts-"
    assert (made.state, made.epoch, made.started_at, made.active_s) == (SweepState.PENDING, 0, None, 0.0)
    assert made.spec == make_spec(name="Nightly Parts")


def test_sweeps_come_newest_first(service):
    """The list is in falling order of creation."""
    ids = [service.create(SPEC, fingerprint="", now=now).sweep_id for now in (1e9, 3e9, 2e9)]
    assert [s.sweep_id for s in service.sweeps() if s.sweep_id in ids] == [ids[1], ids[2], ids[0]]


def test_a_unique_prefix_names_a_sweep(service):
    """An id may be cut short as long as only one sweep begins like it."""
    made = service.create(make_spec(name="cut short"), fingerprint="", now=1.0)
    assert service.sweep("cut-sho").sweep_id == made.sweep_id


def test_an_unknown_sweep_is_answered_with_near_ids(service):
    """A typo is told what exists; a prefix of several is told which; wildcards are plain characters."""
    made = [service.create(make_spec(name="near miss"), fingerprint="", now=1.0).sweep_id for _ in range(2)]
    with pytest.raises(UnknownSweep) as unknown:
        service.sweep(made[0].replace("near", "nare"))
    assert made[0] in str(unknown.value.hint)
    with pytest.raises(UnknownSweep, match="more than one sweep begins with 'near'"):
        service.sweep("near")
    with pytest.raises(UnknownSweep):
        service.sweep("near_miss%")
    with pytest.raises(UnknownSweep):
        service.sweep("")


# -- claims


def test_a_claim_starts_the_sweep(service):
    """The first claim is epoch 1, and tells who the driver is and when it began."""
    sweep_id = service.create(SPEC, fingerprint="", now=1.0).sweep_id
    claim = service.claim(sweep_id, 7.0)
    sweep = service.sweep(sweep_id)
    assert claim == Claim(sweep_id, 1)
    assert (sweep.state, sweep.epoch, sweep.started_at) == (SweepState.RUNNING, 1, 7.0)
    assert sweep.driver is not None
    assert sweep.driver.beat_at == 7.0


def test_a_claim_queues_what_the_last_driver_left_running(service, running):
    """RUNNING trials are QUEUED at their checkpoint, and their attempts LOST with the reason."""
    record(service, running, make_report(iteration=75, checkpoint="/c/75"))
    record(service, running, make_report(iteration=90))
    service.claim(running.sweep_id, 200.0)
    found = trial(service, running)
    assert (found.state, found.attempt, found.failures) == (TrialState.QUEUED, 1, 0)
    assert (found.iteration, found.checkpoint, found.checkpoint_iteration) == (75, "/c/75", 75)
    attempt = service.attempts(running.sweep_id)[0]
    assert (attempt.state, attempt.ended_at) == (AttemptState.LOST, 200.0)
    assert attempt.reason == "the driver of epoch 1 is gone"


def test_a_driver_that_lost_its_epoch_changes_nothing(service, running):
    """Each of a zombie's writes fails as StaleEpoch and leaves no trace."""
    service.claim(running.sweep_id, 200.0)
    before = everything(service, running.sweep_id)
    other = replace(SUGGESTION, number=1)
    for write in (
        lambda: service.beat(running, 201.0),
        lambda: service.add_trial(running, other, {}, 201.0),
        lambda: service.start_attempt(running, 0, 201.0),
        lambda: service.cancel_queued(running, 0, "no", 201.0),
        lambda: record(service, running, make_report(metrics={"segm/AP": 1.0})),
        lambda: service.finish(running, SweepState.COMPLETED, None, 201.0),
    ):
        with pytest.raises(StaleEpoch):
            write()
    assert everything(service, running.sweep_id) == before


def test_a_living_driver_is_left_alone_when_asked(service, claim):
    """A claim refuses a driver seen within the given seconds, and takes over an older one."""
    service.beat(claim, 108.0)
    with pytest.raises(WrongState, match=r"run by another driver \(pid \d+ on .+, seen 2 s ago\)"):
        service.claim(claim.sweep_id, 110.0, stale_after_s=30.0)
    assert service.claim(claim.sweep_id, 140.0, stale_after_s=30.0) == Claim(claim.sweep_id, 2)


def test_a_driver_known_to_be_dead_is_not_waited_for(service, claim):
    """The claim asks about whoever holds the sweep when it is made, not about an earlier driver."""
    service.beat(claim, 108.0)
    asked = []

    def is_dead(driver):
        asked.append(driver)
        return len(asked) > 1

    with pytest.raises(WrongState, match="run by another driver"):
        service.claim(claim.sweep_id, 110.0, stale_after_s=30.0, is_dead=is_dead)
    assert service.claim(claim.sweep_id, 111.0, stale_after_s=30.0, is_dead=is_dead).epoch == 2
    assert [(driver.pid, driver.beat_at) for driver in asked] == [(os.getpid(), 108.0)] * 2


def test_a_driver_from_the_future_does_not_hold_its_sweep(service, claim):
    """A beat later than now, by a clock that was set back since, is no sign of life."""
    service.beat(claim, 9000.0)
    assert service.claim(claim.sweep_id, 110.0, stale_after_s=30.0) == Claim(claim.sweep_id, 2)
    assert service.claim(claim.sweep_id, 109.0) == Claim(claim.sweep_id, 3)


def test_of_claims_at_the_same_moment_one_wins(service):
    """Four threads claim at once: one gets the epoch, the others are refused."""
    sweep_id = service.create(SPEC, fingerprint="", now=1.0).sweep_id
    start, answers = threading.Barrier(4), []

    def attempt() -> None:
        start.wait()
        try:
            answers.append(service.claim(sweep_id, 10.0, stale_after_s=60.0))
        except MasksweepError as error:
            answers.append(type(error))

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [a for a in answers if isinstance(a, Claim)] == [Claim(sweep_id, 1)]
    assert {a for a in answers if not isinstance(a, Claim)} <= {StaleEpoch, WrongState}
    assert service.sweep(sweep_id).epoch == 1


@pytest.mark.parametrize("state", [SweepState.COMPLETED, SweepState.CANCELLED, SweepState.FAILED])
def test_an_ended_sweep_cannot_be_claimed(service, claim, state):
    """Terminal sweeps have nothing left to run."""
    service.finish(claim, state, "done", 200.0)
    with pytest.raises(WrongState, match=f"is {state.value}: nothing is left to run"):
        service.claim(claim.sweep_id, 300.0)


def test_a_stopping_sweep_stays_stopping_under_a_new_driver(service, claim):
    """A claim does not undo a stop that was asked for."""
    service.finish(claim, SweepState.STOPPING, "enough", 200.0)
    service.claim(claim.sweep_id, 300.0)
    assert service.sweep(claim.sweep_id).state is SweepState.STOPPING


def test_only_time_under_a_driver_is_active(service, claim):
    """Gaps between drivers do not count against a wall budget, nor does a clock that was set back."""
    service.beat(claim, 130.0)
    service.finish(claim, SweepState.PAUSED, "interrupted", 140.0)
    again = service.claim(claim.sweep_id, 1000.0)
    service.beat(again, 1007.0)
    service.beat(again, 1003.0)
    assert service.sweep(claim.sweep_id).active_s == 47.0


# -- trials


def test_a_trial_starts_with_its_first_attempt(service, claim):
    """Adding a trial makes it RUNNING at attempt 1, and answers with the row."""
    added = service.add_trial(claim, SUGGESTION, {"mark": [1.5, "x"]}, 101.0)
    assert service.trials(claim.sweep_id) == [added]
    assert (added.state, added.attempt, added.iteration) == (TrialState.RUNNING, 1, 0)
    assert (added.params, added.seed) == (SUGGESTION.params, 5)
    assert added.sampler_attrs == {"mark": [1.5, "x"]}
    attempt = service.attempts(claim.sweep_id)[0]
    assert (attempt.state, attempt.epoch, attempt.started_at) == (AttemptState.RUNNING, 1, 101.0)


def test_a_trial_number_is_taken_once(service, running):
    """A second trial of the same number is refused, and the first is untouched."""
    before = everything(service, running.sweep_id)
    with pytest.raises(WrongState, match="has a trial 0 already"):
        service.add_trial(running, SUGGESTION, {}, 102.0)
    assert everything(service, running.sweep_id) == before


def test_a_replicate_names_the_trial_that_it_repeats(service, running):
    """The mark is in the row and in the event that started it; the search's own trials have none."""
    service.add_trial(running, replace(SUGGESTION, number=100_000, seed=6), {}, 102.0, replicate_of=0)
    assert [t.replicate_of for t in service.trials(running.sweep_id)] == [None, 0]
    own, repeated = [e for e in service.events(running.sweep_id) if e.kind == "trial.started"]
    assert ("replicate_of" in own.data, repeated.data["replicate_of"]) == (False, 0)


def test_the_end_of_the_search_outlives_its_driver(service, claim):
    """A driver that comes later, after a pause too, finds why the search ended; the state stays."""
    service.end_search(claim, "target reached: segm/AP 45", 103.0)
    sweep = service.sweep(claim.sweep_id)
    assert (sweep.state, sweep.search_ended) == (SweepState.RUNNING, "target reached: segm/AP 45")
    assert service.events(claim.sweep_id)[-1].kind == "sweep.search_ended"
    service.finish(claim, SweepState.PAUSED, None, 104.0)
    again = service.claim(claim.sweep_id, 105.0)
    assert service.sweep(claim.sweep_id).search_ended == "target reached: segm/AP 45"
    with pytest.raises(StaleEpoch):
        service.end_search(claim, "another reason", 106.0)
    assert again.epoch == 2


def test_parameters_keep_their_types(service, claim):
    """Booleans, integers, floats and texts come back as they were, floats to the last bit."""
    params = {"a": True, "b": 1, "c": 1.0, "d": "1", "e": 0.1 + 0.2, "f": 1e-308}
    service.add_trial(claim, Suggestion(0, params, 2**31 - 1), {}, 101.0)
    found = trial(service, claim).params
    assert found == params
    assert [type(found[k]) for k in "abcdef"] == [bool, int, float, str, float, float]


def test_a_report_takes_the_trial_forward(service, running):
    """Progress, checkpoint, metrics, sampler's attributes and worker time are stored in one go."""
    report = make_report(worker_s=2.5, metrics={"segm/AP": 12.5}, checkpoint="/c/75")
    assert record(service, running, report, attrs={"mark": 2}) is True
    found = trial(service, running)
    assert (found.state, found.iteration, found.worker_s) == (TrialState.RUNNING, 75, 2.5)
    assert (found.checkpoint, found.checkpoint_iteration) == ("/c/75", 75)
    assert (found.metrics, found.sampler_attrs) == ({"segm/AP": 12.5}, {"mark": 2})
    assert service.sweep(running.sweep_id).worker_s == 2.5
    attempt = service.attempts(running.sweep_id)[0]
    assert (attempt.iteration, attempt.worker_s, attempt.state) == (75, 2.5, AttemptState.RUNNING)
    assert service.decisions(running.sweep_id) == {(0, 75): Decision.CONTINUE}


def test_sampler_attributes_stay_when_none_are_given(service, running):
    """None keeps what is stored."""
    record(service, running, make_report(), attrs=None)
    assert trial(service, running).sampler_attrs == {"mark": 1}


def test_the_first_measurement_of_a_rung_wins(service, running):
    """A retried attempt measures a rung again: neither the measurement nor the trial's metrics change."""
    record(service, running, make_report(metrics={"segm/AP": 12.5}))
    record(service, running, make_report(iteration=80, failure=LOST), RETRIED)
    service.start_attempt(running, 0, 120.0)
    assert record(service, running, make_report(attempt=2, metrics={"segm/AP": 99.0})) is True
    assert trial(service, running).metrics == {"segm/AP": 12.5}
    assert [(m.attempt, m.metrics) for m in service.measurements(running.sweep_id)] == [
        (1, {"segm/AP": 12.5})
    ]
    assert service.events(running.sweep_id)[-1].kind == "trial.progressed"


def details_of(count: int) -> EvaluationDetails:
    return EvaluationDetails(reliability=Reliability(mask=(ReliabilityBin(0.0, 0.5, count, 0.25, 0.125),)))


def test_details_come_with_their_measurement(service, running):
    """They are read back by rung, a rung without any has none, and the first value wins here too."""
    assert service.details(running.sweep_id, 0) == {}
    record(service, running, make_report(metrics={"segm/AP": 1.0}, details=details_of(1)))
    record(
        service, running, make_report(iteration=80, details=details_of(2))
    )  # between rungs: no measurement
    record(service, running, make_report(iteration=90, failure=LOST), RETRIED)
    service.start_attempt(running, 0, 120.0)
    record(service, running, make_report(attempt=2, metrics={"segm/AP": 2.0}, details=details_of(3)))
    record(service, running, make_report(attempt=2, iteration=150, metrics={"segm/AP": 3.0}))
    record(
        service,
        running,
        make_report(attempt=2, iteration=300, metrics={"segm/AP": 4.0}, details=details_of(4)),
        COMPLETED,
    )
    assert service.details(running.sweep_id, 0) == {75: details_of(1), 300: details_of(4)}
    assert service.details(running.sweep_id, 1) == {}


@pytest.mark.parametrize("attempt", [1, 3])
def test_a_report_of_another_attempt_changes_nothing(service, running, attempt):
    """What comes from an attempt that the trial does not run is answered with False and leaves no trace."""
    record(service, running, make_report(failure=LOST), RETRIED)
    service.start_attempt(running, 0, 120.0)
    before = everything(service, running.sweep_id)
    late = make_report(
        attempt=attempt,
        metrics={"segm/AP": 1.0},
        curve=(CurvePoint(1, 1.0, {"loss": 1.0}),),
        checkpoint="/x",
        details=details_of(1),
    )
    assert record(service, running, late, COMPLETED, attrs={"mark": 9}) is False
    assert everything(service, running.sweep_id) == before


def test_a_report_of_an_ended_trial_changes_nothing(service, running):
    """A terminal trial stays as it ended."""
    record(service, running, make_report(metrics={"segm/AP": 5.0}), PRUNED)
    before = everything(service, running.sweep_id)
    assert record(service, running, make_report(iteration=150, metrics={"segm/AP": 50.0}), COMPLETED) is False
    assert everything(service, running.sweep_id) == before


def test_a_report_is_stored_whole_or_not_at_all(service, running):
    """An error in the middle of a transaction rolls all of it back."""
    before = everything(service, running.sweep_id)
    with pytest.raises(sa.exc.StatementError):
        record(service, running, make_report(metrics={"segm/AP": 1.0}), attrs={"mark": object()})
    assert everything(service, running.sweep_id) == before


def test_a_paused_trial_goes_on_from_its_checkpoint(service, running):
    """A pause is no failure: QUEUED, the attempt PAUSED; the next attempt begins at the checkpoint."""
    record(service, running, make_report(iteration=60, checkpoint="/c/60", paused=True), PAUSED, now=120.0)
    found = trial(service, running)
    assert (found.state, found.failures, found.reason) == (TrialState.QUEUED, 0, "paused")
    assert [a.state for a in service.attempts(running.sweep_id)] == [AttemptState.PAUSED]
    started = service.start_attempt(running, 0, 130.0)
    assert started == trial(service, running)
    assert (started.state, started.attempt, started.iteration) == (TrialState.RUNNING, 2, 60)
    assert started.checkpoint == "/c/60"
    attempt = service.attempts(running.sweep_id)[1]
    assert (attempt.start_iteration, attempt.state) == (60, AttemptState.RUNNING)


def test_a_lost_attempt_is_counted_and_tried_again(service, running):
    """A retry is QUEUED with one more failure, at the last checkpoint; its attempt is LOST."""
    record(service, running, make_report(iteration=75, checkpoint="/c/75"))
    record(service, running, make_report(iteration=99, failure=LOST), RETRIED, now=130.0)
    found = trial(service, running)
    assert (found.state, found.failures, found.iteration) == (TrialState.QUEUED, 1, 75)
    assert found.reason == RETRIED.reason
    attempt = service.attempts(running.sweep_id)[0]
    assert (attempt.state, attempt.ended_at, attempt.iteration) == (AttemptState.LOST, 130.0, 99)
    assert service.events(running.sweep_id)[-1].data["failure"]["message"] == "the worker died"


@pytest.mark.parametrize("state", [s for s in TrialState if s.terminal])
def test_a_trial_ends_with_its_attempt(service, running, state):
    """A terminal outcome sets the end and the reason of both."""
    outcome = Outcome(state, "because", Decision.STOP)
    record(service, running, make_report(), outcome, now=150.0)
    found, attempt = trial(service, running), service.attempts(running.sweep_id)[0]
    assert (found.state, found.ended_at, found.reason) == (state, 150.0, "because")
    assert (attempt.state, attempt.ended_at, attempt.reason) == (AttemptState.ENDED, 150.0, "because")


def test_only_a_queued_trial_is_started_or_cancelled_by_number(service, running):
    """A RUNNING trial can be neither; one that does not exist is named."""
    for verb in (
        lambda: service.start_attempt(running, 0, 120.0),
        lambda: service.cancel_queued(running, 0, "no", 120.0),
    ):
        with pytest.raises(WrongState, match="is RUNNING, not QUEUED"):
            verb()
    with pytest.raises(WrongState, match="has no trial 8"):
        service.start_attempt(running, 8, 120.0)
    record(service, running, make_report(), PAUSED)
    service.cancel_queued(running, 0, "the budget is spent", 160.0)
    found = trial(service, running)
    assert (found.state, found.ended_at, found.reason) == (TrialState.CANCELLED, 160.0, "the budget is spent")


@pytest.mark.parametrize("old", list(TrialState))
@pytest.mark.parametrize("new", list(TrialState))
def test_the_gate_lets_through_what_the_table_says(engine, running, old, new):
    """Each pair of trial states is passed or refused as in the table; RUNNING may stay RUNNING."""
    key = sql.Key(running.sweep_id, 0, 1)
    allowed = new in TRIAL_TRANSITIONS[old] or old is new is TrialState.RUNNING
    with writing(engine) as connection:
        at = sa.update(trials).where(trials.c.sweep_id == running.sweep_id)
        connection.execute(at.values(state=old.value))
        if allowed:
            assert sql.move_trial(connection, key, old, new, {}) is True
            assert sql.move_trial(connection, replace(key, attempt=2), old, new, {}) is False
        else:
            with pytest.raises(WrongState, match=f"is {old.value} and cannot become {new.value}"):
                sql.move_trial(connection, key, old, new, {})


# -- what comes with a report


def test_curve_points_sent_twice_are_kept_once(service, running):
    """A point is named by trial, attempt and iteration; what is not finite is left out."""
    first = (CurvePoint(20, 1.0, {"loss": 2.0}), CurvePoint(40, 2.0, {"loss": math.nan, "lr": 0.1}))
    record(service, running, make_report(iteration=50, curve=first))
    record(service, running, make_report(iteration=75, curve=(CurvePoint(20, 3.0, {"loss": 1.5}),)))
    points = [(p.attempt, p.iteration, p.at, p.values) for p in service.curves(running.sweep_id)]
    assert points == [(1, 20, 3.0, {"loss": 1.5}), (1, 40, 2.0, {"lr": 0.1})]


def test_what_is_not_finite_is_no_measurement(service, running):
    """NaN and infinity are dropped from metrics, on every database."""
    metrics = {"segm/AP": 1.0, "segm/APs": math.nan, "bbox/AP": math.inf}
    record(service, running, make_report(metrics=metrics))
    assert [m.metrics for m in service.measurements(running.sweep_id)] == [{"segm/AP": 1.0}]


def test_facts_come_back_as_they_were_sent(service, running):
    """An attempt's facts are stored with the report that brings them and kept by those that do not."""
    facts = AttemptFacts("MODEL: {}\n", {"torch": "2.14.1"}, ("roi_heads.mask_head.deconv.weight",), 0.4)
    record(service, running, make_report(iteration=1, facts=facts))
    record(service, running, make_report(iteration=75))
    assert [a.facts for a in service.attempts(running.sweep_id)] == [facts]


# -- ends


def test_an_ended_sweep_leaves_no_trial_open(service, running):
    """QUEUED and RUNNING trials are CANCELLED with the sweep's reason; ended ones stay."""
    service.add_trial(running, replace(SUGGESTION, number=1), {}, 102.0)
    service.add_trial(running, replace(SUGGESTION, number=2), {}, 103.0)
    record(service, running, make_report(number=1), PAUSED)
    record(service, running, make_report(number=2, metrics={"segm/AP": 1.0}), COMPLETED)
    service.finish(running, SweepState.COMPLETED, "target reached", 300.0)
    sweep = service.sweep(running.sweep_id)
    assert (sweep.state, sweep.reason, sweep.ended_at) == (SweepState.COMPLETED, "target reached", 300.0)
    states = [(t.state, t.reason) for t in service.trials(running.sweep_id)]
    cancelled = (TrialState.CANCELLED, "target reached")
    assert states == [cancelled, cancelled, (TrialState.COMPLETED, None)]
    assert {a.state for a in service.attempts(running.sweep_id)} == {AttemptState.ENDED, AttemptState.PAUSED}


def test_a_paused_sweep_goes_on_where_it_was(service, running):
    """Pausing queues what runs; the next claim is the next epoch and clears the reason."""
    service.finish(running, SweepState.PAUSED, "interrupted", 200.0)
    paused = service.sweep(running.sweep_id)
    assert (paused.state, paused.reason, paused.ended_at) == (SweepState.PAUSED, "interrupted", None)
    assert trial(service, running).state is TrialState.QUEUED
    again = service.claim(running.sweep_id, 300.0)
    assert again.epoch == 2
    assert (service.sweep(running.sweep_id).state, service.sweep(running.sweep_id).reason) == (
        SweepState.RUNNING,
        None,
    )
    assert service.start_attempt(again, 0, 301.0).attempt == 2


@pytest.mark.parametrize("state", [SweepState.PAUSED, SweepState.COMPLETED])
def test_a_driver_that_left_its_sweep_writes_no_more(service, running, state):
    """After a pause or an end the claim is used up, even if nobody else came."""
    service.finish(running, state, None, 200.0)
    before = everything(service, running.sweep_id)
    for write in (
        lambda: service.beat(running, 201.0),
        lambda: service.add_trial(running, replace(SUGGESTION, number=1), {}, 201.0),
        lambda: service.finish(running, SweepState.FAILED, None, 201.0),
    ):
        with pytest.raises(WrongState, match=f"is {state.value}: its driver has left it"):
            write()
    assert everything(service, running.sweep_id) == before


def test_a_sweep_moves_only_as_the_table_says(service, claim):
    """RUNNING cannot become PENDING or RUNNING, and a refused change leaves no trace."""
    before = everything(service, claim.sweep_id)
    for state in (SweepState.PENDING, SweepState.RUNNING):
        with pytest.raises(WrongState):
            service.finish(claim, state, None, 200.0)
    assert everything(service, claim.sweep_id) == before


def test_every_change_leaves_an_event(service):
    """A sweep's life can be read from its events: who, when, under which epoch."""
    sweep_id = service.create(SPEC, fingerprint="", now=1.0).sweep_id
    claim = service.claim(sweep_id, 2.0)
    service.add_trial(claim, SUGGESTION, {}, 3.0)
    record(service, claim, make_report(metrics={"segm/AP": 1.0}), now=4.0)
    record(service, claim, make_report(iteration=80, paused=True), PAUSED, now=5.0)
    service.finish(claim, SweepState.PAUSED, "interrupted", 6.0)
    again = service.claim(sweep_id, 7.0)
    service.start_attempt(again, 0, 8.0)
    record(
        service, again, make_report(attempt=2, iteration=300, metrics={"segm/AP": 2.0}), COMPLETED, now=9.0
    )
    service.finish(again, SweepState.COMPLETED, None, 10.0)
    events = service.events(sweep_id)
    assert [(e.kind, e.number, e.attempt, e.epoch, e.at) for e in events] == [
        ("sweep.created", None, None, 0, 1.0),
        ("sweep.claimed", None, None, 1, 2.0),
        ("trial.started", 0, 1, 1, 3.0),
        ("trial.measured", 0, 1, 1, 4.0),
        ("trial.queued", 0, 1, 1, 5.0),
        ("sweep.paused", None, None, 1, 6.0),
        ("sweep.claimed", None, None, 2, 7.0),
        ("trial.started", 0, 2, 2, 8.0),
        ("trial.completed", 0, 2, 2, 9.0),
        ("sweep.completed", None, None, 2, 10.0),
    ]
    assert service.events(sweep_id, after=events[7].event_id) == events[8:]


# -- readers and writers at once


def test_a_reader_does_not_block_the_driver(engine, service, running):
    """While somebody reads, the driver's transaction goes through."""
    with reading(engine) as connection:
        rows = connection.execute(sa.select(trials).where(trials.c.sweep_id == running.sweep_id))
        assert record(service, running, make_report(metrics={"segm/AP": 1.0})) is True
        assert len(rows.all()) == 1
    assert trial(service, running).iteration == 75


def test_the_driver_does_not_block_a_reader(engine, service, running):
    """While a transaction is under way, readers see what was there before."""
    before = everything(service, running.sweep_id)
    with writing(engine) as connection:
        sql.fence(connection, running, 500.0)
        assert everything(service, running.sweep_id) == before
    assert service.sweep(running.sweep_id).active_s == 400.0


def test_drivers_of_different_sweeps_write_at_once(service):
    """Two sweeps' drivers in two threads lose none of their writes."""
    claims = [service.claim(service.create(SPEC, fingerprint="", now=1.0).sweep_id, 2.0) for _ in range(2)]

    def drive(claim: Claim) -> None:
        for number in range(15):
            service.add_trial(claim, replace(SUGGESTION, number=number), {}, 3.0)
            record(service, claim, make_report(number=number, metrics={"segm/AP": 1.0}), COMPLETED)

    threads = [threading.Thread(target=drive, args=(claim,)) for claim in claims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for claim in claims:
        assert [t.state for t in service.trials(claim.sweep_id)] == [TrialState.COMPLETED] * 15
        assert len(service.measurements(claim.sweep_id)) == 15


def test_a_store_must_be_a_database_that_is_known(tmp_path: Path):
    """Other URLs are refused with what is allowed."""
    for url in ("nonsense", "mysql://host/db", "sqlite://", "sqlite:///:memory:"):
        with pytest.raises(UserError) as refused:
            open_engine(url)
        assert "postgresql://" in str(refused.value.hint)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        open_engine(f"sqlite:///{tmp_path}/file/below/store.db")
