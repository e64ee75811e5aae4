"""What `/metrics` says of sweeps that wait, and of what MLflow lacks, on SQLite and on a real PostgreSQL."""

import pytest

from sweeps.core.requests import RequestKind
from sweeps.core.states import SweepState
from sweeps.core.trial import CurvePoint, Suggestion
from sweeps.store.control import SweepControl
from sweeps.store.launches import LaunchBook
from sweeps.store.marks import SWEEP, Mark, Marks
from sweeps.store.submissions import SUPERVISOR, Rank
from sweeps.store.totals import totals
from sweeps.testing import COMPLETED, GOES_ON, make_report, make_spec


@pytest.fixture
def sweep_id(service) -> str:
    """A submitted sweep, the newest of the store."""
    return service.create(make_spec(), fingerprint="", now=1.0, rank=Rank()).sweep_id


@pytest.fixture
def waiting(engine, service, sweep_id):
    """How many more sweeps wait at a moment than did at first, but for the one."""
    others = totals(engine, 2.0).waiting - 1
    return lambda now: totals(engine, now).waiting - others


def test_whoever_has_no_driver_and_would_have_one_waits(engine, service, sweep_id, waiting):
    """PENDING, given way, dead or resumed; not while it is driven, and not what somebody paused."""
    control, book = SweepControl(engine, is_dead=lambda _: True), LaunchBook(engine, "one", 0.0)
    assert waiting(2.0) == 1
    launch = book.write_down(book.launch(sweep_id), 3.0)
    assert waiting(3.0) == 0, "its driver is on its way"
    service.claim(sweep_id, 4.0)
    book.bury(launch, 100.0, "out of luck", lambda _: 10.0)
    assert (waiting(5.0), waiting(100.0)) == (0, 1), "dead once it is not heard of"
    by = f"{SUPERVISOR}@lab"
    control.ask(sweep_id, RequestKind.PAUSE, by=by, now=101.0, holds=False)
    assert waiting(101.0) == 1, "it has given way"
    control.ask(sweep_id, RequestKind.PAUSE, by="ann", now=102.0)
    assert waiting(102.0) == 0, "she does not want it to go on"
    control.resume(sweep_id, by="ann", now=103.0)
    assert waiting(103.0) == 1
    control.ask(sweep_id, RequestKind.CANCEL, by="ann", now=104.0)
    assert waiting(104.0) == 0


def test_what_runs_by_hand_does_not_wait(engine, service, waiting):
    """Nobody has asked a service to drive it."""
    before = waiting(2.0)
    service.create(make_spec(), fingerprint="", now=1.0)
    assert waiting(2.0) == before


@pytest.fixture
def lag(engine, sweep_id):
    """For how long a display has lacked something of the sweep at a moment."""

    def lag(now: float) -> float:
        (shown,) = [each for each in totals(engine, now).shown if each.sweep.sweep_id == sweep_id]
        return shown.lag_s

    return lag


def rung(service, claim, iteration: int, at: float, outcome=GOES_ON) -> None:
    """A report of a rung of trial 0, with a point of a curve a second before."""
    curve = (CurvePoint(iteration - 1, at - 1.0, {"total_loss": 1.0}),)
    report = make_report(0, iteration=iteration, metrics={"segm/AP": 1.0}, at=at, curve=curve)
    service.record(claim, report, outcome=outcome, sampler_attrs=None, now=at)


def test_the_lag_is_the_age_of_the_oldest_row_that_is_not_shipped(engine, service, sweep_id, lag):
    """Since the first claim where nothing is; then what lies behind the marks; in the end nothing."""
    marks, run = Marks(engine, "http://one"), {"run_id": "r", "experiment_id": "e"}
    assert lag(50.0) == 0.0, "nobody drives it yet: there is nothing to show"
    claim = service.claim(sweep_id, 100.0)
    assert lag(160.0) == 60.0, "it was never shown"
    for number in (0, 1):
        service.add_trial(claim, Suggestion(number, {"mask_head.num_conv": 4}, 5), {}, 110.0 + number)
    rung(service, claim, 75, 130.0)
    marks.save(sweep_id, {SWEEP: Mark(**run)}, 115.0)
    assert lag(160.0) == 50.0, "the first attempt has no run"
    marks.save(sweep_id, {"0/1": Mark(**run), "1/1": Mark("", "e")}, 120.0)
    assert lag(160.0) == 49.0, "of the second one nobody knows whether it has a run"
    marks.save(sweep_id, {"1/1": Mark(**run)}, 121.0)
    assert lag(160.0) == 31.0, "a point of a curve"
    marks.save(sweep_id, {"0/1": Mark(**run, curved=74)}, 131.0)
    assert lag(160.0) == 30.0, "a measurement"
    marks.save(sweep_id, {"0/1": Mark(**run, curved=74, measured=75)}, 132.0)
    assert lag(160.0) == 0.0, "events are never shipped, and all else is"
    rung(service, claim, 300, 170.0, COMPLETED)
    marks.save(sweep_id, {"0/1": Mark(**run, curved=299, measured=300)}, 171.0)
    assert lag(180.0) == 10.0, "that the attempt is over"
    marks.save(sweep_id, {"0/1": Mark(**run, curved=299, measured=300, settled=True)}, 172.0)
    assert lag(180.0) == 0.0
    service.finish(claim, SweepState.CANCELLED, "why", 200.0)
    assert lag(230.0) == 30.0
    marks.save(sweep_id, {"1/1": Mark(**run, settled=True), SWEEP: Mark(**run, status="KILLED")}, 201.0)
    assert lag(80_000.0) == 0.0


def test_another_display_that_is_shown_nothing_any_more_does_not_lag(engine, service, sweep_id, lag):
    """As after MLflow has moved: the one that was sent something last counts."""
    service.claim(sweep_id, 100.0)
    Marks(engine, "http://old").save(sweep_id, {SWEEP: Mark("r", "e")}, 101.0)
    Marks(engine, "http://new").save(sweep_id, {SWEEP: Mark("r", "e")}, 102.0)
    assert lag(200.0) == 0.0
