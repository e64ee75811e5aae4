"""Adding to a sweep's budget, on SQLite and on a real PostgreSQL."""

import threading
from datetime import UTC, datetime

import pytest

from sweeps.core.errors import SpecInvalid, WrongState
from sweeps.core.extension import read_extension
from sweeps.core.requests import RequestKind, RequestState
from sweeps.core.states import AttemptState, SweepState, TrialState
from sweeps.core.stops import Limit
from sweeps.core.trial import Suggestion
from sweeps.service import SweepService
from sweeps.store.control import Answer, SweepControl
from sweeps.store.engine import writing
from sweeps.store.launches import LaunchBook
from sweeps.store.submissions import submit
from sweeps.testing import COMPLETED, GOES_ON, PAUSED, make_report, make_spec
from tests.store_rows import check_rows


class Sweep:
    """A sweep with one COMPLETED trial and one that a limit would cut off, and people who extend it."""

    def __init__(self, engine, **budget):
        self.service, self.control = SweepService(engine), SweepControl(engine, is_dead=lambda _: False)
        spec = make_spec(budget={"trials": 20, **budget})
        self.sweep_id = self.service.create(spec, fingerprint="", now=1.0).sweep_id

    def begin(self, now=100.0):
        self.claim = claim = self.service.claim(self.sweep_id, now)
        for number in (0, 1):
            self.service.add_trial(claim, Suggestion(number, {"mask_head.num_conv": 4}, 5), {}, now)
        done = make_report(0, iteration=300, metrics={"segm/AP": 30.0})
        self.service.record(claim, done, outcome=COMPLETED, sampler_attrs=None, now=now)
        cut = make_report(1, iteration=90, checkpoint="/c/90", paused=True)
        self.service.record(claim, cut, outcome=PAUSED, sampler_attrs=None, now=now)
        return self

    def end(self, limit, state=SweepState.COMPLETED, reason="why", now=200.0):
        self.service.finish(self.claim, SweepState.STOPPING, reason, now, limit=limit)
        self.left = self.service.finish(self.claim, state, reason, now)
        return self

    def extend(self, now=300.0, key=None, **more):
        return self.control.extend(self.sweep_id, read_extension(more), by="ann@lab", now=now, key=key)

    @property
    def row(self):
        return self.service.sweep(self.sweep_id)

    @property
    def requests(self):
        return [request.state for request in self.service.requests(self.sweep_id)]

    @property
    def states(self):
        return [trial.state for trial in self.service.trials(self.sweep_id)]


def test_an_extension_is_stored_beside_the_spec(engine):
    """The budget is larger at once, an event says by whom and by what, and the spec is as it was."""
    sweep = Sweep(engine, wall="1h")
    spec = sweep.row.spec
    reply = sweep.extend(trials=20, wall="30m")
    assert (reply.answer, reply.driver) == (Answer.DONE, None)
    assert (sweep.row.budget.trials, sweep.row.budget.wall_s) == (40, 5400.0)
    assert sweep.row.spec == spec
    event = sweep.service.events(sweep.sweep_id)[-1]
    assert (event.kind, event.at) == ("sweep.extended", 300.0)
    assert event.data == {
        "request_id": reply.request.request_id,
        "by": "ann@lab",
        "reason": "20 trials more, 30m of wall time more",
        "extension": {"trials": 20, "wall": "30m"},
    }


def test_extensions_add_up(engine):
    """What was added before stays; another target and another deadline take their places."""
    sweep = Sweep(engine, gpu_hours=2, no_improvement=5, target={"segm/AP": 40})
    sweep.extend(trials=5, gpu_hours=0.5, target={"segm/AP": 45})
    sweep.extend(trials=1, no_improvement=3, target={"segm/AP": 50})
    budget = sweep.row.budget
    assert (budget.trials, budget.gpu_hours, budget.no_improvement) == (26, 2.5, 8)
    assert budget.target == {"segm/AP": 50.0}
    assert str(sweep.row.extension) == (
        "6 trials more, 0.5 GPU-hours more, target segm/AP 50, 3 more without improvement"
    )


def test_a_key_makes_an_extension_once(engine):
    """A script may ask again after a failure that left it in doubt; another sweep has keys of its own."""
    sweep, other = Sweep(engine), Sweep(engine)
    first = sweep.extend(trials=5, key="monday")
    again = sweep.extend(trials=5, key="monday")
    assert (again.answer, again.request) == (Answer.ALREADY, first.request)
    assert sweep.row.budget.trials == 25
    assert other.extend(trials=5, key="monday").answer is Answer.DONE


def test_a_driver_hears_of_an_extension(engine):
    """The request is open until the driver has the new budget."""
    sweep = Sweep(engine).begin()
    reply = sweep.extend(now=110.0, trials=5)
    assert reply.driver is not None
    assert [r.kind for r in sweep.service.open_requests(sweep.sweep_id)] == [RequestKind.EXTEND]
    assert sweep.service.take_extension(sweep.claim, 111.0).budget.trials == 25
    assert sweep.requests == [RequestState.DONE]


def test_an_extension_outlives_the_driver_that_did_not_hear_of_it(engine):
    """kill -9 in between: the next driver starts with the new budget."""
    sweep = Sweep(engine).begin()
    sweep.extend(now=110.0, trials=5)
    sweep.service.claim(sweep.sweep_id, 500.0)
    assert (sweep.row.budget.trials, sweep.requests) == (25, [RequestState.DONE])


@pytest.mark.parametrize("state", [SweepState.COMPLETED, SweepState.FAILED])
def test_a_sweep_that_a_limit_ended_is_opened_again(engine, state):
    """It is PAUSED, what the limit cut off waits at its checkpoint, and what has ended is untouched."""
    sweep = Sweep(engine, wall="1h").begin().end(Limit.WALL, state, "wall time of 1h used up")
    assert sweep.states == [TrialState.COMPLETED, TrialState.CANCELLED]
    before = sweep.service.trials(sweep.sweep_id)[0]
    assert sweep.extend(wall="1h").answer is Answer.DONE
    row = sweep.row
    assert (row.state, row.reason) == (SweepState.PAUSED, "extended by ann@lab: 1h of wall time more")
    assert (row.ended_at, row.stopped_by) == (None, None)
    assert sweep.service.trials(sweep.sweep_id)[0] == before
    cut = sweep.service.trials(sweep.sweep_id)[1]
    assert (cut.state, cut.ended_at, cut.checkpoint_iteration) == (TrialState.QUEUED, None, 90)
    check_rows(sweep.service, sweep.sweep_id)
    claim = sweep.service.claim(sweep.sweep_id, 400.0)
    assert sweep.service.start_attempt(claim, 1, 401.0).iteration == 90
    told = [(event.kind, event.by) for event in sweep.service.events(sweep.sweep_id)]
    assert told[-5:] == [
        ("sweep.extended", "ann@lab"),
        ("trial.queued", None),
        ("sweep.reopened", "ann@lab"),
        ("sweep.claimed", None),
        ("trial.started", None),
    ]


@pytest.mark.parametrize("submitted", [False, True])
def test_a_submitted_sweep_that_a_limit_ended_goes_on_by_itself(engine, submitted):
    """Also where a pause had come just too late; one that was run by hand waits for whoever resumes it."""
    sweep = Sweep(engine).begin()
    if submitted:
        with writing(engine) as connection:
            submit(connection, sweep.sweep_id, by="ann", now=100.0)
    driven = SweepControl(engine, stale_after_s=1e9, is_dead=lambda _: False)
    driven.ask(sweep.sweep_id, RequestKind.PAUSE, by="bob", now=150.0)
    sweep.end(Limit.TRIALS)
    reply = sweep.extend(trials=20, key="once")
    assert (reply.sweep.state, reply.goes_on) == (SweepState.PAUSED, submitted)
    assert sweep.extend(trials=20, key="once").goes_on is submitted
    book = LaunchBook(engine, "one", 0.0)
    (watched,) = [one for one in book.watched() if one.launch.sweep_id == sweep.sweep_id] or [None]
    assert (watched is not None) is submitted
    assert watched is None or watched.held_by is None


def test_an_extension_of_what_somebody_paused_leaves_it_so(engine):
    """Who paused it resumes it."""
    sweep = Sweep(engine).begin()
    with writing(engine) as connection:
        submit(connection, sweep.sweep_id, by="ann", now=100.0)
    driven = SweepControl(engine, stale_after_s=1e9, is_dead=lambda _: False)
    driven.ask(sweep.sweep_id, RequestKind.PAUSE, by="bob", now=150.0)
    sweep.service.finish(sweep.claim, SweepState.PAUSED, "paused by bob", 160.0)
    reply = sweep.extend(trials=20)
    assert (reply.sweep.state, reply.goes_on) == (SweepState.PAUSED, False)


def test_what_ran_when_an_impatient_driver_left_is_gone_on_with_too(engine):
    """Its attempt is PAUSED with the last checkpoint, and stays so when the trial has another one."""
    sweep = Sweep(engine, wall="1h").begin()
    sweep.service.start_attempt(sweep.claim, 1, 150.0)
    report = make_report(1, attempt=2, iteration=120)
    sweep.service.record(sweep.claim, report, outcome=GOES_ON, sampler_attrs=None, now=160.0)
    sweep.end(Limit.WALL)
    sweep.extend(wall="1h")
    cut = sweep.service.trials(sweep.sweep_id)[1]
    assert (cut.state, cut.iteration) == (TrialState.QUEUED, 90)
    assert sweep.service.attempts(sweep.sweep_id)[-1].state is AttemptState.PAUSED


def test_a_sweep_that_is_extended_before_it_stops_goes_on(engine):
    """The driver decided by the old limit, and learns in its transaction that there is another."""
    sweep = Sweep(engine, wall="1h").begin()
    sweep.extend(now=110.0, wall="1h")
    left = sweep.service.finish(sweep.claim, SweepState.STOPPING, "wall", 111.0, limit=Limit.WALL)
    assert (left, sweep.row.state, sweep.row.stopped_by) == (SweepState.RUNNING, SweepState.RUNNING, None)
    sweep.service.take_extension(sweep.claim, 112.0)
    left = sweep.service.finish(sweep.claim, SweepState.STOPPING, "wall", 113.0, limit=Limit.WALL)
    assert (left, sweep.row.stopped_by) == (SweepState.STOPPING, Limit.WALL)


def test_a_sweep_that_is_extended_while_it_stops_is_opened_at_its_end(engine):
    """Nothing is lost between the two: it ends, and is PAUSED in the same transaction."""
    sweep = Sweep(engine, wall="1h").begin()
    sweep.service.finish(sweep.claim, SweepState.STOPPING, "wall", 110.0, limit=Limit.WALL)
    reply = sweep.extend(now=111.0, wall="1h")
    assert (reply.sweep.state, reply.driver is None) == (SweepState.STOPPING, False)
    assert sweep.service.take_extension(sweep.claim, 112.0).state is SweepState.STOPPING
    left = sweep.service.finish(sweep.claim, SweepState.COMPLETED, "wall", 113.0)
    assert (left, sweep.row.state) == (SweepState.PAUSED, SweepState.PAUSED)
    assert (sweep.states[1], sweep.requests) == (TrialState.QUEUED, [RequestState.DONE])
    opened = [each.by for each in sweep.service.events(sweep.sweep_id) if each.kind == "sweep.reopened"]
    assert opened == ["ann@lab"]  # who asked, though it is the driver that comes to it
    check_rows(sweep.service, sweep.sweep_id)


def test_a_cancel_takes_no_extension_and_voids_an_open_one(engine):
    """Nobody goes on with what was cancelled."""
    sweep = Sweep(engine, wall="1h").begin()
    sweep.extend(now=110.0, wall="1h")
    sweep.control.ask(sweep.sweep_id, RequestKind.CANCEL, by="bob@lab", now=111.0)
    with pytest.raises(WrongState, match="is being cancelled, as bob@lab asked"):
        sweep.extend(now=112.0, wall="1h")
    sweep.service.finish(sweep.claim, SweepState.STOPPING, "cancelled by bob@lab", 113.0)
    sweep.service.finish(sweep.claim, SweepState.CANCELLED, "cancelled by bob@lab", 114.0)
    assert (sweep.row.state, sweep.requests) == (
        SweepState.CANCELLED,
        [RequestState.VOID, RequestState.DONE],
    )
    with pytest.raises(WrongState, match="what was cancelled is not taken up again: cancelled by bob@lab"):
        sweep.extend(wall="1h")


@pytest.mark.parametrize(
    ("limit", "state", "more", "problem"),
    [
        (Limit.WALL, SweepState.COMPLETED, {"trials": 5}, "is COMPLETED, another limit ended it: why"),
        (None, SweepState.FAILED, {"trials": 5}, "is FAILED, no limit of its budget ended it: why"),
        (None, SweepState.COMPLETED, {"trials": 5}, "is COMPLETED, no limit of its budget ended it: why"),
        (Limit.TARGET, SweepState.COMPLETED, {"target": {"segm/AP": 29.9}}, "would end at once all the same"),
        (Limit.WALL, SweepState.COMPLETED, {"wall": "1s"}, "would end at once all the same"),
    ],
)
def test_what_would_not_let_it_go_on_is_refused(engine, limit, state, more, problem):
    """The reason is told with the limit that has to be extended, and nothing changes."""
    sweep = Sweep(engine, wall="1s", target={"segm/AP": 25}).begin().end(limit, state)
    before = sweep.row
    with pytest.raises(WrongState, match=problem) as refused:
        sweep.extend(**more)
    assert (sweep.row, sweep.requests) == (before, [])
    if "another" in problem:
        assert refused.value.hint == "extend it by --wall too"


@pytest.mark.parametrize(
    ("more", "issue"),
    [
        ({"gpu_hours": 1}, "gpu_hours: the budget has no such limit to extend"),
        ({"deadline": "07:00 UTC"}, "deadline: the budget has no such limit to extend"),
        ({"trials": 99_990}, "trials: 20 and 99990 are more than 100000"),
        ({"target": {"bbox/AP": 1}}, "target.bbox/AP: it is not in the target, this is: segm/AP"),
        (
            {"target": {"segm/AP": 25}},
            "target.segm/AP: got 25, but needs a value that is better than 25",
        ),
    ],
)
def test_an_extension_must_fit_the_budget(engine, more, issue):
    """Only what the spec limits can be extended, and only to more."""
    sweep = Sweep(engine, target={"segm/AP": 25})
    with pytest.raises(SpecInvalid) as invalid:
        sweep.extend(**more)
    assert [str(each) for each in invalid.value.issues] == [issue]


def at(*when: int) -> float:
    return datetime(2027, 1, *when, tzinfo=UTC).timestamp()


def test_a_deadline_that_passed_in_a_pause_makes_room_for_the_next(engine):
    """Who resumes on Tuesday means Wednesday morning; a driver that takes over from a dead one does not."""
    sweep = Sweep(engine, deadline="07:00 UTC").begin(at(4, 22))
    assert sweep.row.deadline_at == at(5, 7)
    sweep.service.claim(sweep.sweep_id, at(5, 8))  # it died, and the night is over
    assert sweep.row.deadline_at == at(5, 7)
    sweep.service.finish(sweep.service.claim(sweep.sweep_id, at(5, 8)), SweepState.PAUSED, None, at(5, 8))
    sweep.service.claim(sweep.sweep_id, at(5, 20))
    assert sweep.row.deadline_at == at(6, 7)
    event = sweep.service.events(sweep.sweep_id)[-1]
    assert (event.kind, event.data["deadline_at"]) == ("sweep.claimed", at(6, 7))


def test_a_pause_before_the_deadline_leaves_it_alone(engine):
    """The night is not over."""
    sweep = Sweep(engine, deadline="07:00 UTC").begin(at(4, 22))
    sweep.service.finish(sweep.claim, SweepState.PAUSED, None, at(4, 23))
    sweep.service.claim(sweep.sweep_id, at(5, 6))
    assert sweep.row.deadline_at == at(5, 7)


def test_a_deadline_is_extended_to_a_later_one(engine):
    """The next time at which a clock shows it, counted from now; an earlier one extends nothing."""
    sweep = Sweep(engine, deadline="07:00 UTC").begin(at(4, 22))
    with pytest.raises(WrongState, match="the next 06:00 UTC is not later than its deadline is already"):
        sweep.extend(now=at(4, 23), deadline="06:00 UTC")
    sweep.extend(now=at(4, 23), deadline="09:30 UTC")
    assert (sweep.row.deadline_at, sweep.row.budget.deadline) == (at(5, 9, 30), "09:30 UTC")


def test_a_sweep_that_ended_by_trials_can_be_extended_after_its_deadline(engine):
    """The deadline has passed by then, and the next one takes its place when the sweep is resumed."""
    sweep = Sweep(engine, deadline="07:00 UTC").begin(at(4, 22)).end(Limit.TRIALS, now=at(5, 5))
    sweep.extend(now=at(5, 10), trials=5)
    sweep.service.claim(sweep.sweep_id, at(5, 11))
    assert sweep.row.deadline_at == at(6, 7)


def test_many_extend_while_the_driver_ends_the_sweep(engine):
    """Every extension that was not refused counts, and the sweep is open if the last of them came in time."""
    for _ in range(4):
        sweep = Sweep(engine).begin()
        made = []

        def extend(sweep=sweep, made=made):
            made.append(sweep.extend(now=110.0, trials=5))

        threads = [threading.Thread(target=extend) for _ in range(6)]
        for thread in threads:
            thread.start()
        stop = {"state": SweepState.STOPPING, "reason": "spent", "limit": Limit.TRIALS}
        while sweep.service.finish(sweep.claim, now=111.0, **stop) is SweepState.RUNNING:
            sweep.service.take_extension(sweep.claim, 111.0)
        sweep.service.finish(sweep.claim, SweepState.COMPLETED, "spent", 112.0)
        for thread in threads:
            thread.join()
        assert len(made) == 6
        assert sweep.row.budget.trials == 50
        assert sweep.requests == [RequestState.DONE] * 6
        assert sweep.row.state in (SweepState.PAUSED, SweepState.COMPLETED)
        check_rows(sweep.service, sweep.sweep_id)
