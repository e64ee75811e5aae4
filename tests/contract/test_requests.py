"""What people ask of a sweep, on SQLite and on a real PostgreSQL."""

import threading

import pytest

from sweeps.core.errors import StaleEpoch, UnknownSweep, WrongState
from sweeps.core.requests import AIMS, RequestKind, RequestState
from sweeps.core.states import AttemptState, SweepState, TrialState
from sweeps.core.trial import Suggestion
from sweeps.records import Claim
from sweeps.store.control import Answer, SweepControl
from sweeps.store.engine import writing
from sweeps.store.submissions import find
from sweeps.testing import COMPLETED, make_report, make_spec

SPEC = make_spec()
PAUSE, CANCEL = RequestKind.PAUSE, RequestKind.CANCEL


@pytest.fixture
def sweep_id(service) -> str:
    return service.create(SPEC, fingerprint="", now=1.0).sweep_id


@pytest.fixture
def claim(service, sweep_id) -> Claim:
    """A driver since second 100, with trial 0 RUNNING and a checkpoint of it, seen at second 105."""
    claim = service.claim(sweep_id, 100.0)
    service.add_trial(claim, Suggestion(0, {"mask_head.num_conv": 4}, 5), {}, 101.0)
    report = make_report(iteration=75, checkpoint="/c/75", worker_s=3.0)
    service.record(claim, report, outcome=COMPLETED, sampler_attrs=None, now=105.0)
    service.add_trial(claim, Suggestion(1, {"mask_head.num_conv": 4}, 5), {}, 105.0)
    return claim


@pytest.fixture
def driven(engine) -> SweepControl:
    """Asks while every driver lives."""
    return SweepControl(engine, stale_after_s=1e9, is_dead=lambda _: False)


@pytest.fixture
def orphaned(engine) -> SweepControl:
    """Asks when every driver is dead."""
    return SweepControl(engine, is_dead=lambda _: True)


def kinds(service, sweep_id):
    return [(event.kind, event.epoch) for event in service.events(sweep_id)]


def states(service, sweep_id):
    return [trial.state for trial in service.trials(sweep_id)]


def test_a_driver_finds_what_was_asked(service, driven, claim):
    """A request to a driven sweep changes nothing but leaves a row and an event: who, what, when and why."""
    reply = driven.ask(claim.sweep_id, CANCEL, by="ann@lab", now=110.0, reason="too slow")
    assert (reply.answer, reply.sweep.state) == (Answer.ASKED, SweepState.RUNNING)
    (request,) = service.open_requests(claim.sweep_id)
    assert request == reply.request
    assert (request.kind, request.by, request.at, request.reason) == (CANCEL, "ann@lab", 110.0, "too slow")
    event = service.events(claim.sweep_id)[-1]
    assert (event.kind, event.epoch, event.at) == ("sweep.cancel_asked", 1, 110.0)
    assert event.data == {"request_id": request.request_id, "by": "ann@lab", "reason": "too slow"}
    service.beat(claim, 111.0)  # the driver has lost nothing


def test_the_same_request_twice_is_one(service, driven, claim):
    """Asking again changes no row and no event."""
    first = driven.ask(claim.sweep_id, PAUSE, by="ann@lab", now=110.0)
    before = kinds(service, claim.sweep_id)
    again = driven.ask(claim.sweep_id, PAUSE, by="bob@lab", now=120.0, reason="me too")
    assert again == first
    assert kinds(service, claim.sweep_id) == before
    assert len(service.requests(claim.sweep_id)) == 1


@pytest.mark.parametrize(
    ("kind", "left"),
    [
        (PAUSE, SweepState.PAUSED),
        (PAUSE, SweepState.COMPLETED),
        (CANCEL, SweepState.CANCELLED),
        (CANCEL, SweepState.COMPLETED),
        (CANCEL, SweepState.FAILED),
    ],
)
def test_a_driver_that_leaves_answers(service, driven, claim, kind, left):
    """What the driver made of the sweep is the answer, and whoever waits for it hears it."""
    stands = RequestState.DONE if left is AIMS[kind] else RequestState.VOID
    request = driven.ask(claim.sweep_id, kind, by="ann@lab", now=110.0).request
    service.finish(claim, left, "so it came", 120.0)
    (answered,) = service.requests(claim.sweep_id)
    assert (answered.state, answered.answered_at) == (stands, 120.0)
    if stands is RequestState.DONE:
        assert driven.look(request, 121.0).answer is Answer.DONE
    else:
        problem = f"sweep {claim.sweep_id}: it was {left} before it could be {AIMS[kind]}, so it came"
        with pytest.raises(WrongState, match=problem):
            driven.look(request, 121.0)


def test_a_driver_on_its_way_to_the_end_answers_nothing_yet(service, driven, claim):
    """STOPPING is no end: the request stays open for the next driver, should this one die."""
    driven.ask(claim.sweep_id, CANCEL, by="ann@lab", now=110.0)
    service.finish(claim, SweepState.STOPPING, "cancelled by ann@lab", 111.0)
    assert [r.kind for r in service.open_requests(claim.sweep_id)] == [CANCEL]
    again = service.claim(claim.sweep_id, 200.0)
    sweep = service.sweep(claim.sweep_id)
    assert (sweep.state, sweep.reason) == (SweepState.STOPPING, "cancelled by ann@lab")
    service.finish(again, SweepState.CANCELLED, "cancelled by ann@lab", 201.0)
    assert service.open_requests(claim.sweep_id) == []


def test_a_sweep_that_pauses_for_another_reason_is_cancelled_if_that_was_asked(service, driven, claim):
    """A driver that is stopped before it saw the request cannot make it undone."""
    driven.ask(claim.sweep_id, CANCEL, by="ann@lab", now=110.0)
    service.finish(claim, SweepState.PAUSED, "interrupted", 120.0)
    sweep = service.sweep(claim.sweep_id)
    assert (sweep.state, sweep.reason) == (SweepState.CANCELLED, "cancelled by ann@lab")
    assert states(service, claim.sweep_id) == [TrialState.COMPLETED, TrialState.CANCELLED]


def test_a_dead_drivers_sweep_is_paused_at_once(service, orphaned, claim):
    """Nobody is there to be asked: what ran is QUEUED from its checkpoint, as when a driver takes over."""
    reply = orphaned.ask(claim.sweep_id, PAUSE, by="ann@lab", now=500.0)
    assert (reply.answer, reply.sweep.state) == (Answer.DONE, SweepState.PAUSED)
    assert (reply.sweep.reason, reply.sweep.ended_at) == ("paused by ann@lab", None)
    assert states(service, claim.sweep_id) == [TrialState.COMPLETED, TrialState.QUEUED]
    assert service.attempts(claim.sweep_id)[-1].state is AttemptState.LOST
    assert kinds(service, claim.sweep_id)[-3:] == [
        ("sweep.pause_asked", 1),
        ("trial.queued", 2),
        ("sweep.paused", 2),
    ]
    with pytest.raises(StaleEpoch):
        service.beat(claim, 501.0)  # it was not dead after all
    assert service.claim(claim.sweep_id, 600.0).epoch == 3


def test_a_dead_drivers_sweep_is_cancelled_at_once(service, orphaned, claim):
    """What ran is CANCELLED with the reason; worker time counts up to the driver's last sign of life."""
    reply = orphaned.ask(claim.sweep_id, CANCEL, by="ann@lab", now=500.0, reason="too slow")
    assert (reply.answer, reply.sweep.state) == (Answer.DONE, SweepState.CANCELLED)
    assert (reply.sweep.reason, reply.sweep.ended_at) == ("too slow", 500.0)
    trial = service.trials(claim.sweep_id)[1]
    assert (trial.state, trial.reason, trial.ended_at) == (TrialState.CANCELLED, "too slow", 500.0)
    assert service.sweep(claim.sweep_id).worker_s == 3.0  # trial 1 began with the last sign of life


@pytest.mark.parametrize("stopping", [False, True])
def test_a_request_outlives_its_driver(service, driven, orphaned, claim, stopping):
    """The driver is killed between request and answer: who waits carries it out."""
    request = driven.ask(claim.sweep_id, CANCEL, by="ann@lab", now=110.0).request
    if stopping:
        service.finish(claim, SweepState.STOPPING, "cancelled by ann@lab", 111.0)
    assert driven.look(request, 112.0).answer is Answer.ASKED
    assert orphaned.look(request, 113.0).answer is Answer.DONE
    assert service.sweep(claim.sweep_id).state is SweepState.CANCELLED
    assert [r.state for r in service.requests(claim.sweep_id)] == [RequestState.DONE]


def test_a_silent_driver_elsewhere_is_asked_until_it_counts_as_dead(engine, service, claim):
    """A driver on another machine may only be slow."""
    control = SweepControl(engine, stale_after_s=30.0, is_dead=lambda _: False)
    assert control.ask(claim.sweep_id, PAUSE, by="ann@lab", now=134.0).answer is Answer.ASKED
    assert control.ask(claim.sweep_id, PAUSE, by="ann@lab", now=136.0).answer is Answer.DONE


def test_a_sweep_that_has_not_started_can_be_cancelled(service, driven, sweep_id):
    """Nobody drives it yet, and nobody can afterwards."""
    assert driven.ask(sweep_id, CANCEL, by="ann@lab", now=5.0).answer is Answer.DONE
    with pytest.raises(WrongState, match="is CANCELLED: nothing is left to run"):
        service.claim(sweep_id, 6.0)


def test_a_paused_sweep_can_be_cancelled(service, driven, claim):
    """What waits QUEUED is CANCELLED."""
    service.finish(claim, SweepState.PAUSED, None, 110.0)
    assert driven.ask(claim.sweep_id, CANCEL, by="ann@lab", now=120.0).answer is Answer.DONE
    assert states(service, claim.sweep_id) == [TrialState.COMPLETED, TrialState.CANCELLED]


@pytest.mark.parametrize("kind", [PAUSE, CANCEL])
def test_what_is_so_already_is_no_mistake(service, driven, claim, kind):
    """Pausing what is PAUSED, and cancelling what is CANCELLED, changes nothing."""
    service.finish(claim, AIMS[kind], "before", 110.0)
    before = kinds(service, claim.sweep_id)
    reply = driven.ask(claim.sweep_id, kind, by="ann@lab", now=120.0)
    assert (reply.answer, reply.sweep.reason, reply.request) == (Answer.ALREADY, "before", None)
    assert kinds(service, claim.sweep_id) == before


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ((PAUSE, SweepState.STOPPING), "is STOPPING: it ends at the next checkpoints, why"),
        ((PAUSE, SweepState.COMPLETED), "is COMPLETED: there is nothing to pause"),
        ((PAUSE, SweepState.CANCELLED), "is CANCELLED: there is nothing to pause"),
        ((CANCEL, SweepState.COMPLETED), "is COMPLETED: there is nothing to cancel"),
        ((CANCEL, SweepState.FAILED), "is FAILED: there is nothing to cancel"),
    ],
)
def test_what_makes_no_sense_is_refused(service, driven, claim, asked, problem):
    """The state and the reason are named, and nothing is written."""
    kind, state = asked
    service.finish(claim, state, "why", 110.0)
    with pytest.raises(WrongState, match=f"sweep {claim.sweep_id} {problem}"):
        driven.ask(claim.sweep_id, kind, by="ann@lab", now=120.0)
    assert service.requests(claim.sweep_id) == []


def test_what_has_not_started_cannot_pause(driven, sweep_id):
    """There is nothing to go on with later."""
    with pytest.raises(WrongState, match="is PENDING: it has not started, there is nothing to pause"):
        driven.ask(sweep_id, PAUSE, by="ann@lab", now=5.0)


def test_a_cancel_overtakes_a_pause_and_not_the_reverse(service, driven, claim):
    """The stronger wish counts, in whatever order they come."""
    driven.ask(claim.sweep_id, PAUSE, by="ann@lab", now=110.0)
    driven.ask(claim.sweep_id, CANCEL, by="bob@lab", now=111.0)
    with pytest.raises(WrongState, match="is being cancelled, as bob@lab asked"):
        driven.ask(claim.sweep_id, PAUSE, by="ann@lab", now=112.0)
    service.finish(claim, SweepState.CANCELLED, "cancelled by bob@lab", 113.0)
    assert [(r.kind, r.state) for r in service.requests(claim.sweep_id)] == [
        (PAUSE, RequestState.VOID),
        (CANCEL, RequestState.DONE),
    ]


def test_an_unknown_sweep_is_asked_nothing(driven):
    """The usual answer to an id that is none."""
    with pytest.raises(UnknownSweep, match="no sweep 'nobody'"):
        driven.ask("nobody", PAUSE, by="ann@lab", now=5.0)


def test_many_ask_while_the_driver_leaves(engine, service, driven):
    """Requests of eight threads race with the end: none stays open on a sweep that has ended."""
    for _ in range(5):
        claim = service.claim(service.create(SPEC, fingerprint="", now=1.0).sweep_id, 100.0)
        refused: list[BaseException] = []

        def ask(kind, claim=claim, refused=refused):
            try:
                driven.ask(claim.sweep_id, kind, by="ann@lab", now=110.0)
            except WrongState as error:
                refused.append(error)

        threads = [threading.Thread(target=ask, args=(kind,)) for kind in (PAUSE, CANCEL) * 4]
        for thread in threads:
            thread.start()
        service.finish(claim, SweepState.COMPLETED, None, 111.0)
        for thread in threads:
            thread.join()
        asked = service.requests(claim.sweep_id)
        assert service.sweep(claim.sweep_id).state is SweepState.COMPLETED
        assert {r.state for r in asked} <= {RequestState.VOID}
        assert len(asked) <= 2
        assert len(asked) > 0 or len(refused) == len(threads)


def test_the_first_to_read_the_data_notes_what_it_is(service):
    """A sweep that was taken in unread gets its fingerprint once; one that is known stays as it is."""
    unread = service.create(SPEC, fingerprint="", now=1.0).sweep_id
    for fingerprint in ("first", "second"):
        sweep = service.note_data(unread, fingerprint=fingerprint, base="b", now=2.0)
        assert sweep.fingerprint == "first"
    assert service.base_fingerprint(unread) == "b"
    assert [kind for kind, _ in kinds(service, unread)] == ["sweep.created", "sweep.data_read"]


def test_a_key_makes_one_sweep(service):
    """Creating again under it finds the first, and leaves no second event."""
    first = service.create(SPEC, fingerprint="", now=1.0, by="ann", key="ann\nk")
    assert service.create(SPEC, fingerprint="", now=2.0, by="ann", key="ann\nk") == first
    assert service.create(SPEC, fingerprint="", now=2.0, by="bob", key="bob\nk") != first
    (event,) = service.events(first.sweep_id)
    assert (event.kind, event.by, event.sweep_id) == ("sweep.created", "ann", first.sweep_id)


def test_what_runs_is_not_resumed_and_what_has_ended_cannot_be(service, driven, claim):
    """ALREADY, or a refusal that says what would help."""
    assert driven.resume(claim.sweep_id, by="ann", now=110.0).answer is Answer.ALREADY
    service.finish(claim, SweepState.CANCELLED, "why", 120.0)
    with pytest.raises(WrongState, match="is CANCELLED: there is nothing to go on with"):
        driven.resume(claim.sweep_id, by="ann", now=130.0)


class Seen:
    """A check as an `If-Match` is: the sweep must be as it was when it was looked at."""

    def __init__(self, sweep) -> None:
        self._state, self._epoch = sweep.state, sweep.epoch

    def __call__(self, sweep) -> None:
        if (sweep.state, sweep.epoch) != (self._state, self._epoch):
            raise WrongState("not as it was")


@pytest.mark.parametrize("kind", [PAUSE, CANCEL])
def test_who_asks_again_under_a_key_is_not_refused_for_what_they_changed(service, orphaned, claim, kind):
    """The answer was lost: the sweep is not as it was, since the request was carried out."""
    check = Seen(service.sweep(claim.sweep_id))
    first = orphaned.ask(claim.sweep_id, kind, by="ann", now=500.0, key="ann\nk", check=check)
    before = kinds(service, claim.sweep_id)
    again = orphaned.ask(claim.sweep_id, kind, by="ann", now=501.0, key="ann\nk", check=check)
    assert (first.answer, again.answer) == (Answer.DONE, Answer.ALREADY)
    assert (again.sweep, again.request) == (first.sweep, first.request)
    assert kinds(service, claim.sweep_id) == before
    with pytest.raises(WrongState, match="not as it was"):
        orphaned.ask(claim.sweep_id, kind, by="ann", now=502.0, key="ann\nother", check=check)


def test_a_pause_asked_again_under_its_key_does_not_undo_a_resume(service, orphaned, claim):
    """It was done once; neither the sweep nor who holds it is touched by a late retry."""
    for key in ("ann\nk", "ann\nalready"):  # the second finds it PAUSED, which is an answer as well
        orphaned.ask(claim.sweep_id, PAUSE, by="ann", now=500.0, key=key)
    orphaned.resume(claim.sweep_id, by="bob", now=510.0)
    again = service.claim(claim.sweep_id, 520.0)
    before = kinds(service, claim.sweep_id)
    for key in ("ann\nk", "ann\nalready"):
        reply = orphaned.ask(claim.sweep_id, PAUSE, by="ann", now=530.0, key=key)
        assert (reply.answer, reply.sweep.state) == (Answer.ALREADY, SweepState.RUNNING)
    assert kinds(service, claim.sweep_id) == before
    service.beat(again, 531.0)


def test_a_resume_asked_again_under_its_key_does_not_undo_a_later_pause(service, orphaned, claim):
    """Nor is it refused for having changed nothing of what `If-Match` names."""
    orphaned.ask(claim.sweep_id, PAUSE, by="ann", now=500.0)
    check = Seen(service.sweep(claim.sweep_id))
    first = orphaned.resume(claim.sweep_id, by="ann", now=510.0, key="ann\nk", check=check)
    assert first.answer is Answer.ASKED
    service.claim(claim.sweep_id, 520.0)
    orphaned.ask(claim.sweep_id, PAUSE, by="bob", now=530.0)
    before = kinds(service, claim.sweep_id)
    again = orphaned.resume(claim.sweep_id, by="ann", now=540.0, key="ann\nk", check=check)
    assert (again.answer, again.sweep.state) == (Answer.ALREADY, SweepState.PAUSED)
    assert kinds(service, claim.sweep_id) == before
    with writing(service.engine) as connection:
        assert find(connection, claim.sweep_id).held_by == "bob"


def test_a_request_that_waits_is_pursued_when_it_is_asked_again(service, driven, orphaned, claim):
    """Its driver has died since: the retry carries out what the first one asked for."""
    first = driven.ask(claim.sweep_id, CANCEL, by="ann", now=110.0, key="ann\nk")
    assert first.answer is Answer.ASKED
    assert driven.ask(claim.sweep_id, CANCEL, by="ann", now=111.0, key="ann\nk") == first
    again = orphaned.ask(claim.sweep_id, CANCEL, by="ann", now=500.0, key="ann\nk")
    assert (again.answer, again.sweep.state) == (Answer.DONE, SweepState.CANCELLED)


def test_what_was_refused_frees_its_key(service, driven, claim):
    """And one key names a pause, a resume and an end apart: each is another request."""
    with pytest.raises(WrongState):
        driven.ask(claim.sweep_id, PAUSE, by="ann", now=110.0, key="ann\nk", check=_never)
    assert driven.ask(claim.sweep_id, PAUSE, by="ann", now=111.0, key="ann\nk").answer is Answer.ASKED
    assert driven.ask(claim.sweep_id, CANCEL, by="ann", now=112.0, key="ann\nk").answer is Answer.ASKED


def _never(_) -> None:
    raise WrongState("not as it was")
