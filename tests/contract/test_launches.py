"""Submissions and the book of launches, on SQLite and on a real PostgreSQL."""

import threading

import pytest

from sweeps.core.errors import UnknownSweep, UserError, WrongState
from sweeps.core.requests import RequestKind
from sweeps.core.states import SweepState
from sweeps.core.supervision import LaunchState
from sweeps.core.trial import Suggestion
from sweeps.store.control import Answer, SweepControl
from sweeps.store.engine import writing
from sweeps.store.launches import LaunchBook, LeaseLost, confirm
from sweeps.store.submissions import SCHEDULER, SUPERVISOR, find, is_night, night_name, person, resume, submit
from sweeps.testing import GOES_ON, make_report, make_spec

SPEC = make_spec()


@pytest.fixture
def sweep_id(service) -> str:
    """A sweep that Ann submitted at second 2."""
    made = service.create(SPEC, fingerprint="", now=1.0).sweep_id
    with writing(service.engine) as connection:
        submit(connection, made, by="ann", now=2.0, priority=3, weight=2.0)
    return made


@pytest.fixture
def book(engine):
    """The book of a supervisor that has the lease from second 10 on."""
    book = LaunchBook(engine, "one", lease_s=30.0)
    assert book.hold(10.0)
    yield book
    book.release()


def submission(engine, sweep_id):
    with writing(engine) as connection:
        return find(connection, sweep_id)


def test_a_sweep_is_submitted_once(service, engine, sweep_id):
    """A second submission answers with the first, whatever it asks for; an event says who and what."""
    with writing(engine) as connection:
        again = submit(connection, sweep_id, by="bob", now=5.0, priority=9)
    assert (again.submitted_by, again.priority, again.weight, again.submitted_at) == ("ann", 3, 2.0, 2.0)
    *_, event = service.events(sweep_id)
    assert (event.kind, event.at) == ("sweep.submitted", 2.0)
    assert event.data == {"by": "ann", "priority": 3, "weight": 2.0}


def test_what_was_not_submitted_is_not_watched(service, book):
    """A sweep that somebody runs by hand is nobody's business."""
    made = service.create(SPEC, fingerprint="", now=1.0).sweep_id
    assert made not in [one.launch.sweep_id for one in book.watched()]
    assert book.launch(made) is None


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"priority": 1001}, "priority: got 1001, but it must be -1000 to 1000"),
        ({"weight": 0.0}, "weight: got 0, but it must be over 0 and up to 1000"),
        ({"weight": float("nan")}, "weight: got nan, but it must be over 0 and up to 1000"),
    ],
)
def test_numbers_out_of_range_are_refused(service, engine, numbers, message):
    """What was got, and what is allowed; nothing is submitted."""
    made = service.create(SPEC, fingerprint="", now=1.0).sweep_id
    with pytest.raises(UserError) as refused, writing(engine) as connection:
        submit(connection, made, by="ann", now=2.0, **numbers)
    assert str(refused.value) == message
    assert submission(engine, made) is None


def test_only_sweeps_that_exist_are_submitted_or_resumed(service, engine):
    """And only what was submitted is resumed."""
    with pytest.raises(UnknownSweep), writing(engine) as connection:
        submit(connection, "nobody", by="ann", now=2.0)
    made = service.create(SPEC, fingerprint="", now=1.0).sweep_id
    with pytest.raises(UserError, match="was not submitted to the service"), writing(engine) as connection:
        resume(connection, made, by="ann", now=2.0)


def test_who_pauses_holds_and_who_resumes_lets_go(service, engine, sweep_id):
    """A person's pause holds, also of what makes room already; the supervisor's own does not."""
    control = SweepControl(engine, is_dead=lambda _: True)
    service.claim(sweep_id, 3.0)
    control.ask(sweep_id, RequestKind.PAUSE, by=f"{SUPERVISOR}@lab", now=4.0, holds=False)
    assert service.sweep(sweep_id).state is SweepState.PAUSED
    assert submission(engine, sweep_id).held_by is None
    reply = control.ask(sweep_id, RequestKind.PAUSE, by="bob@lab", now=5.0)
    assert reply.answer is Answer.ALREADY
    assert submission(engine, sweep_id).held_by == "bob@lab"
    with writing(engine) as connection:
        assert resume(connection, sweep_id, by="ann", now=6.0).held_by is None


def test_a_person_holds_under_any_name(service, engine, sweep_id):
    """A user of the machine may have the supervisor's: who asks says whether it holds, and no name does."""
    control = SweepControl(engine, is_dead=lambda _: True)
    service.claim(sweep_id, 3.0)
    control.ask(sweep_id, RequestKind.PAUSE, by=f"{SUPERVISOR}@lab", now=4.0)
    assert submission(engine, sweep_id).held_by == f"{SUPERVISOR}@lab"


@pytest.mark.parametrize("by", [SCHEDULER, f"{SCHEDULER}@lab", "ann@lab"])
def test_only_a_nights_pause_is_a_nights(by):
    """Its name has a slash, which no other one has."""
    assert (is_night(by), person(by)) == (False, by)
    assert (is_night(night_name("nightly")), person(night_name("nightly"))) == (True, None)


def watched(book, sweep_id):
    (found,) = (one for one in book.watched() if one.launch.sweep_id == sweep_id)
    return found


def test_a_pause_reaches_the_driver_that_is_about_to_claim(service, engine, book, sweep_id):
    """Its process was started, and reads its data: the sweep that it will claim is not PAUSED for long."""
    control = SweepControl(engine, is_dead=lambda _: False)
    service.finish(service.claim(sweep_id, 3.0), SweepState.PAUSED, "interrupted", 4.0)
    assert book.write_down(book.launch(sweep_id), 11.0)
    reply = control.ask(sweep_id, RequestKind.PAUSE, by="bob@lab", now=12.0)
    assert (reply.answer, reply.sweep.state) == (Answer.ASKED, SweepState.PAUSED)
    claim = service.claim(sweep_id, 13.0)
    (request,) = service.open_requests(sweep_id)
    assert (request.kind, request.by) == (RequestKind.PAUSE, "bob@lab")
    service.finish(claim, SweepState.PAUSED, request.reason, 14.0)
    assert service.open_requests(sweep_id) == []
    assert submission(engine, sweep_id).held_by == "bob@lab"


def test_a_pause_is_carried_out_where_that_driver_dies(service, engine, book, sweep_id):
    """Before it claims: the request is answered, and the sweep is PAUSED, once."""
    control = SweepControl(engine, is_dead=lambda _: False)
    service.finish(service.claim(sweep_id, 3.0), SweepState.PAUSED, "interrupted", 4.0)
    assert book.write_down(book.launch(sweep_id), 11.0)
    reply = control.ask(sweep_id, RequestKind.PAUSE, by="bob@lab", now=12.0)
    assert control.look(reply.request, 13.0).answer is Answer.DONE
    assert (service.sweep(sweep_id).state, service.open_requests(sweep_id)) == (SweepState.PAUSED, [])


def test_a_resumption_takes_back_a_pause_that_waits(service, engine, sweep_id):
    """And what it held is let go, so that another driver follows one that has seen the pause."""
    control = SweepControl(engine, stale_after_s=1e9, is_dead=lambda _: False)
    claim = service.claim(sweep_id, 3.0)
    assert control.ask(sweep_id, RequestKind.PAUSE, by="bob@lab", now=4.0).answer is Answer.ASKED
    reply = control.resume(sweep_id, by="ann@lab", now=5.0)
    assert (reply.answer, reply.sweep.state) == (Answer.DONE, SweepState.RUNNING)
    assert service.open_requests(sweep_id) == []
    assert submission(engine, sweep_id).held_by is None
    service.finish(claim, SweepState.PAUSED, "paused by bob@lab", 6.0)
    assert submission(engine, sweep_id).held_by is None
    assert control.resume(sweep_id, by="ann@lab", now=7.0).answer is Answer.ASKED


def test_a_cancellation_is_seen_before_a_pause_that_waits(service, engine, book, sweep_id):
    """Its driver is stopped if it does not carry it out, whatever was asked first."""
    control = SweepControl(engine, stale_after_s=1e9, is_dead=lambda _: False)
    service.claim(sweep_id, 3.0)
    control.ask(sweep_id, RequestKind.PAUSE, by="bob@lab", now=4.0)
    assert watched(book, sweep_id).open_request[1:] == (RequestKind.PAUSE, 4.0)
    control.ask(sweep_id, RequestKind.CANCEL, by="ann@lab", now=5.0)
    assert watched(book, sweep_id).open_request[1:] == (RequestKind.CANCEL, 5.0)


def test_who_gave_way_keeps_its_account_when_it_is_resumed(service, engine, book, sweep_id):
    """Else who resumes it after the supervisor's pauses would get the pool; after a person's it rejoins."""
    control = SweepControl(engine, is_dead=lambda _: True)
    service.claim(sweep_id, 3.0)
    book.put(sweep_id, share_from=7.5)
    control.ask(sweep_id, RequestKind.PAUSE, by=f"{SUPERVISOR}@lab", now=4.0, holds=False)
    control.resume(sweep_id, by="ann@lab", now=5.0)
    assert (watched(book, sweep_id).share_from, watched(book, sweep_id).rejoins) == (7.5, False)
    control.ask(sweep_id, RequestKind.PAUSE, by="bob@lab", now=6.0)
    control.resume(sweep_id, by="ann@lab", now=7.0)
    back = watched(book, sweep_id)
    assert (back.share_from, back.rejoins) == (7.5, True)


def test_a_refused_pause_holds_nothing(engine, sweep_id):
    """What has not started cannot be paused."""
    with pytest.raises(WrongState):
        SweepControl(engine).ask(sweep_id, RequestKind.PAUSE, by="bob@lab", now=5.0)
    assert submission(engine, sweep_id).held_by is None


def test_one_supervisor_has_the_lease(engine, book):
    """Another one gets it when it has run out, or was given back; the first then can do nothing."""
    other = LaunchBook(engine, "two", lease_s=30.0)
    assert not other.hold(39.0)
    assert book.hold(39.0)
    assert not other.hold(68.0)
    assert other.hold(69.0)
    assert not book.hold(70.0)
    other.release()
    assert book.hold(71.0)


def test_a_supervisor_that_lost_the_lease_changes_nothing(engine, book, sweep_id):
    """It finds out in the transaction in which it would act."""
    launch = book.launch(sweep_id)
    other = LaunchBook(engine, "two", lease_s=30.0)
    assert other.hold(100.0)
    with pytest.raises(LeaseLost):
        book.write_down(launch, 101.0)
    assert book.launch(sweep_id) == launch
    other.release()


def test_of_two_supervisors_that_launch_at_once_one_does(engine, sweep_id):
    """Both read the same row; one gets the next number, whoever has the lease."""
    books = [LaunchBook(engine, name, lease_s=0.0) for name in ("one", "two")]  # a lease that stops nobody
    launch, gate, got = books[0].launch(sweep_id), threading.Barrier(2), []

    def race(book: LaunchBook) -> None:
        gate.wait()
        try:
            got.append(book.write_down(launch, 10.0))
        except LeaseLost:
            got.append(None)

    threads = [threading.Thread(target=race, args=(book,)) for book in books]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.number for one in got if one) == [1]
    books[0].release()
    books[1].release()


def test_a_launch_is_confirmed_by_one_process(engine, book, sweep_id):
    """A second process of it, and one that comes after it was given up, are told no."""
    launch = book.write_down(book.launch(sweep_id), 11.0)
    assert confirm(engine, sweep_id, 1, 12.0, handle="h")
    assert not confirm(engine, sweep_id, 1, 12.5, handle="other")
    assert not book.move(launch, LaunchState.WAITING, 13.0, kind=None), "it was read before the confirmation"
    found = book.launch(sweep_id)
    assert (found.handle, found.confirmed_at, found.state) == ("h", 12.0, LaunchState.STARTING)
    assert book.move(found, LaunchState.WAITING, 14.0, kind="driver.left", handle=None)
    assert not confirm(engine, sweep_id, 1, 15.0, handle="h")


def test_a_launch_that_was_given_up_cannot_be_confirmed(engine, book, sweep_id):
    """The next one can."""
    launch = book.write_down(book.launch(sweep_id), 11.0)
    assert book.move(launch, LaunchState.WAITING, 12.0, kind="driver.dropped")
    book.write_down(book.launch(sweep_id), 13.0)
    assert not confirm(engine, sweep_id, 1, 14.0, handle="late")
    assert confirm(engine, sweep_id, 2, 14.0, handle="next")


def test_deaths_are_counted_from_the_last_progress(service, engine, book, sweep_id):
    """In a row without a measurement or a trial's end between them; the event tells what was said."""
    deaths = []
    for death in range(4):
        launch = book.write_down(book.launch(sweep_id), 20.0 + death)
        if death == 2:
            claim = service.claim(sweep_id, 20.0)
            service.add_trial(claim, Suggestion(0, {"mask_head.num_conv": 4}, 5), {}, 20.0)
            report = make_report(iteration=75, metrics={"segm/AP": 1.0})
            service.record(claim, report, outcome=GOES_ON, sampler_attrs=None, now=21.0)
        deaths.append(book.bury(launch, 30.0 + death, "out of luck", lambda failures: 10.0 * failures))
    assert deaths == [1, 2, 1, 2]
    found = book.launch(sweep_id)
    assert (found.state, found.retry_at, found.reason) == (LaunchState.WAITING, 53.0, "out of luck")
    *_, event = service.events(sweep_id)
    assert event.kind == "driver.died"
    assert event.data == {"launch": 4, "reason": "out of luck", "failures": 2, "retry_at": 53.0}
