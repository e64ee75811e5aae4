"""Notifications from rows to a real webhook, on SQLite and on a real PostgreSQL."""

import threading

import pytest
import sqlalchemy as sa

from sweeps.core.notices import DeliveryState, Notice, NoticeKind
from sweeps.core.states import SweepState
from sweeps.core.trial import Suggestion
from sweeps.notify.finder import LOOK_BACK_S, NEW_PLACE_S, VERDICT_S, Finder
from sweeps.notify.notifier import HOLD_S, Notifier, Sender
from sweeps.notify.places import read_places
from sweeps.notify.send import send_apart, send_here
from sweeps.schedules.backfill import backfilled
from sweeps.schedules.nights import night_text
from sweeps.schedules.rule import read_rule
from sweeps.store.engine import reading, writing
from sweeps.store.firings import Firings
from sweeps.store.outbox import GIVE_UP_S, GIVE_UP_TRIES, LAST_RETRY_S, Outbox, last_deliveries
from sweeps.store.outbox_upkeep import KEEP_S, MOST_PRUNED, ORPHAN_S
from sweeps.store.schedules import Schedules
from sweeps.store.submissions import submit
from sweeps.store.tables import metadata, submissions, sweeps
from sweeps.store.tables_night import champions, deliveries, firings, notifications, schedules, verdicts
from sweeps.supervisor.scheduler import Scheduler
from sweeps.testing import FakeClock, make_spec
from tests.service_client import problem, served
from tests.webhook import SECRET, webhook

STOP = threading.Event()  # that nobody sets


def here(place, kind, title, body, stop):
    """Apprise itself, without a process of its own."""
    return send_here(place.url, title, body, kind)


@pytest.fixture(autouse=True)
def empty(engine):
    """Each test begins with an empty store."""
    with writing(engine) as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(sa.delete(table))


@pytest.fixture
def hook():
    with webhook() as made:
        yield made


@pytest.fixture
def clock():
    return FakeClock()


def places_of(*entries):
    return read_places({"MASKSWEEP_NOTIFY_URLS": " ".join(entries)})


class Desk:
    """One service's finder and senders, with an injected clock."""

    def __init__(self, service, clock, *entries, by="one", send=here):
        self.places, self.clock, self.engine = places_of(*entries), clock, service.engine
        self.outbox = Outbox(service.engine, by)
        self.finder = Finder(service, self.outbox, self.places, lambda sweep_id: f"http://ml/{sweep_id}")
        self.senders = [Sender(place, self.outbox, clock, send) for place in self.places]

    def look(self):
        return self.finder.look(self.clock())

    def send(self):
        return sum(sender.send_due(STOP) for sender in self.senders)

    def tell(self, *subjects, kind=NoticeKind.NIGHT):
        self.outbox.add([Notice(s, kind, f"title {s}", "body", self.clock()) for s in subjects], self.clock())
        return self.look()

    def last(self, limit):
        return last_deliveries(self.engine, limit)

    def states(self):
        return [(each.state, each.attempts) for each in self.last(100)]


def insert(engine, table, **row):
    with writing(engine) as connection:
        connection.execute(sa.insert(table), row)


def fail(service, at):
    """A sweep that failed at that time; its id."""
    sweep_id = service.create(make_spec(), fingerprint="", now=at - 10.0).sweep_id
    claim = service.claim(sweep_id, at - 5.0, stale_after_s=60.0)
    service.finish(claim, SweepState.FAILED, "the first 3 trials failed: error: planned", at)
    return sweep_id


def test_two_services_send_each_message_once(service, hook, clock):
    """Both look and both send at the same time, each with its own connections."""
    desks = [Desk(service, clock, hook.url, by=by) for by in ("one", "two")]
    begin = threading.Barrier(2)
    subjects = [f"s{number}" for number in range(8)]

    def work(desk):
        begin.wait()
        desk.tell(*subjects)
        desk.send()

    threads = [threading.Thread(target=work, args=(desk,)) for desk in desks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    messages = hook.all()
    assert sorted(message["title"] for message in messages) == [f"title {s}" for s in subjects]
    ids = [message["message"].rpartition(" ")[2] for message in messages]
    assert sorted(ids, key=int) == [str(each.notification_id) for each in reversed(desks[0].last(100))]
    assert set(desks[0].states()) == {(DeliveryState.SENT, 1)}
    assert [desk.send() for desk in desks] == [0, 0]


def test_a_place_that_is_down_is_asked_again(service, hook, clock):
    """After half a minute, then after twice as long; once it is up it has the message."""
    desk = Desk(service, clock, hook.url)
    hook.status = 503
    desk.tell("s")
    assert (desk.send(), desk.states()) == (0, [(DeliveryState.WAITING, 1)])
    for wait_s in (30.0, 60.0):
        clock.tick(wait_s - 1.0)
        attempts = desk.states()[0][1]
        desk.send()
        assert desk.states()[0][1] == attempts
        clock.tick(1.0)
        desk.send()
        assert desk.states()[0][1] == attempts + 1
    assert "503" in desk.last(1)[0].error
    hook.status = 200
    clock.tick(120.0)
    assert (desk.send(), desk.states(), hook.next()["title"]) == (1, [(DeliveryState.SENT, 4)], "title s")


def test_after_a_day_a_message_is_given_up_with_its_last_error(service, hook, clock):
    """It is not tried for ever, but often enough."""
    desk = Desk(service, clock, hook.url)
    hook.status = 404
    desk.tell("s")
    began = clock()
    while desk.states()[0][0] is DeliveryState.WAITING:
        desk.send()
        clock.tick(LAST_RETRY_S)
    (last,) = desk.last(1)
    assert (last.state, "404" in last.error) == (DeliveryState.GIVEN_UP, True)
    assert GIVE_UP_S - LAST_RETRY_S <= last.ended_at - began <= GIVE_UP_S
    assert last.attempts >= GIVE_UP_TRIES


def test_a_weekends_outage_loses_no_message(service, hook, clock):
    """What waited is sent afterwards, also if the place is down for some more hours."""
    desk = Desk(service, clock, hook.url)
    hook.status = 503
    desk.tell("s")
    desk.send()
    clock.tick(63 * 3600.0)
    other, again = Desk(service, clock, "json://127.0.0.1:1/other", by="two"), Desk(service, clock, hook.url)
    for _ in range(8):
        for each in (other, again):
            each.look()
        again.send()
        assert again.states()[-1][0] is DeliveryState.WAITING
        clock.tick(LAST_RETRY_S)
    hook.status = 200
    assert (again.send(), hook.next()["title"]) == (1, "title s")


def test_a_place_that_no_service_has_any_more_is_given_up(service, hook, clock):
    """After a week without an attempt, by a service that was up for a day; it says why."""
    Desk(service, clock, hook.url).tell("s")
    clock.tick(ORPHAN_S + 1.0)
    desk = Desk(service, clock, "json://127.0.0.1:1/other", by="two")
    for _ in range(24):
        desk.look()
        assert desk.last(10)[0].state is DeliveryState.WAITING
        clock.tick(3600.0)
    desk.look()
    (gone,) = (each for each in desk.last(10) if each.place == places_of(hook.url)[0].place_id)
    why = "no service has this place in its settings any more"
    assert (gone.state, gone.error) == (DeliveryState.GIVEN_UP, why)


def test_what_waits_for_a_place_of_the_service_is_never_an_orphan(service, hook, clock):
    """However long nobody tried: its own sender does."""
    desk = Desk(service, clock, hook.url)
    desk.tell("s")
    clock.tick(ORPHAN_S)
    for _ in range(26):
        clock.tick(3600.0)
        desk.look()
    assert (desk.send(), desk.states()) == (1, [(DeliveryState.SENT, 1)])


def test_what_is_done_is_deleted_after_90_days(service, engine, hook, clock):
    """Some at a look, the oldest first; what waits stays, and what is still so: it would be told again."""
    sweep_id = service.create(make_spec(), fingerprint="", now=clock()).sweep_id
    service.claim(sweep_id, clock(), stale_after_s=60.0)
    with writing(engine) as connection:
        submit(connection, sweep_id, by="ann", now=clock())
        connection.execute(sa.update(submissions).values(note="the deadline 06:00 will cut it off"))
        connection.execute(sa.update(sweeps).values(deadline_at=clock() + 60.0))
    desk = Desk(service, clock, f"night,deadline={hook.url}")
    desk.tell(*(f"s{number:03}" for number in range(MOST_PRUNED + 1)))
    desk.look()  # a look makes so many deliveries at most
    with writing(engine) as connection:
        connection.execute(sa.update(deliveries).values(state=DeliveryState.SENT.value, ended_at=clock()))
    desk.tell("untold", kind=NoticeKind.FAILED)
    desk.tell("waits")
    clock.tick(KEEP_S - 3600.0)
    desk.tell("new")

    def kept():
        with reading(engine) as connection:
            return set(connection.execute(sa.select(notifications.c.title)).scalars())

    assert len(kept()) == MOST_PRUNED + 5
    clock.tick(3600.0 + 1.0)
    desk.look()
    assert len(kept()) == 5
    desk.look()
    assert kept() == {"title waits", "title new", f"parts: deadline of sweep {sweep_id} at risk"}
    assert len(desk.last(1000)) == 3


def test_an_admin_reads_from_a_service_what_was_told_where(service, hook, clock):
    """Page by page and by state, with names of places and without their URLs."""
    desk = Desk(service, clock, hook.url)
    desk.tell("sent")
    desk.send()
    desk.tell("waits", "waits too")
    with served(service, prefix="notifications") as api:

        def listed(**params):
            answer = api("GET", "/notifications", scope="admin", params=params)
            assert (answer.status_code, SECRET in answer.text) == (200, False)
            return answer.json()

        first = listed(limit=2)
        last = listed(limit=2, cursor=first["next"])
        told = [each["title"] for each in (*first["deliveries"], *last["deliveries"])]
        assert (told, last["next"]) == (["title waits too", "title waits", "title sent"], None)
        (sent,) = listed(state="SENT")["deliveries"]
        assert (sent["place"], sent["attempts"], sent["next_at"]) == (desk.places[0].place_id, 1, None)
        problem(api("GET", "/notifications", scope="operator"), 403, "forbidden")
        problem(api("GET", "/notifications", scope="admin", params={"state": "LOST"}), 422, "invalid")


def test_a_sender_that_died_is_followed_by_another(service, hook, clock):
    """Its claim runs out; the message keeps its id, and what the first one says later changes nothing."""
    one, two = Desk(service, clock, hook.url), Desk(service, clock, hook.url, by="two")
    one.tell("s")
    lost = one.outbox.claim(one.places[0].place_id, clock(), hold_s=HOLD_S)
    assert two.send() == 0
    clock.tick(HOLD_S)
    assert two.send() == 1
    assert hook.next()["message"] == f"body\n\nmasksweep notification {lost.notification_id}"
    assert not one.outbox.failed(lost, "late", clock())
    assert two.states() == [(DeliveryState.SENT, 2)]
    assert two.last(1)[0].by == "two"


def test_a_place_that_hangs_blocks_no_other_and_no_end(service, clock):
    """The other place has its message while the first does not answer; the notifier then stops at once."""
    with webhook() as slow, webhook() as quick:
        slow.mute.clear()
        notifier = Notifier(
            service, places_of(slow.url, quick.url), lambda _: None, by="one", clock=clock, every_s=0.05
        )
        notifier.start()
        fail(service, clock())
        slow.next()  # it hangs from here on
        assert quick.next()["title"].startswith("parts: sweep")
        notifier.stop()
    states = {each.place: each for each in last_deliveries(service.engine, 10)}
    told = {place: states[place.place_id] for place in places_of(slow.url, quick.url)}
    assert [each.error for each in told.values()] == ["the service stopped meanwhile", None]


def test_a_message_has_so_many_seconds(hook):
    """Then its process is killed, and what is known is said."""
    hook.mute.clear()
    (place,) = places_of(f"{hook.url}?rto=60")
    error = send_apart(place, NoticeKind.NIGHT, "title", "body", STOP, limit_s=1.5)
    assert error == "no answer within 1.5 s"


def test_secrets_are_nowhere(service, engine, hook, clock, caplog):
    """Neither in the store, nor in what is logged, nor in errors, nor in the repr of a place."""
    caplog.set_level("DEBUG")
    gone = f"json://ann:{SECRET}@127.0.0.1:1/{SECRET}/{SECRET}"
    desk = Desk(service, clock, hook.url, gone, send=send_apart)
    desk.tell("s")
    desk.send()
    with engine.connect() as connection:
        rows = [repr(connection.execute(sa.select(table)).fetchall()) for table in metadata.sorted_tables]
    assert hook.all()
    assert "attempt 1 failed: A Connection error" in caplog.text
    assert SECRET not in "\n".join([*rows, caplog.text, repr(desk.places)])


def test_a_new_place_is_not_told_the_stores_history(service, hook, clock):
    """Of an old store it hears the last three hours, and the same after it was given other kinds."""
    fail(service, clock() - NEW_PLACE_S - 60.0)
    late = fail(service, clock() - NEW_PLACE_S + 60.0)
    desk = Desk(service, clock, f"failed={hook.url}")
    desk.look()
    assert (desk.send(), late in hook.next()["title"]) == (1, True)
    desk.tell("night")
    clock.tick(NEW_PLACE_S + 1.0)
    desk.tell("later")
    wider = Desk(service, clock, hook.url, by="two")
    wider.look()
    assert (wider.send(), hook.next()["title"]) == (1, "title later")


def test_what_happened_while_all_services_were_away_is_told(service, hook, clock):
    """A weekend later, but not a week."""
    Desk(service, clock, hook.url).look()
    clock.tick(LOOK_BACK_S + 100.0)
    fail(service, clock() - LOOK_BACK_S - 50.0)
    found = fail(service, clock() - LOOK_BACK_S + 50.0)
    desk = Desk(service, clock, hook.url, by="two")
    desk.look()
    assert (desk.send(), found in hook.next()["title"]) == (1, True)


def test_places_hear_of_their_kinds(service, hook, clock):
    """An entry may name them."""
    with webhook() as other:
        desk = Desk(service, clock, f"failed,deadline={hook.url}", other.url)
        desk.tell("n", kind=NoticeKind.NIGHT)
        desk.tell("f", kind=NoticeKind.FAILED)
        desk.send()
        assert [message["title"] for message in hook.all()] == ["title f"]
        assert [message["title"] for message in other.all()] == ["title n", "title f"]
        assert [each.kind for each in desk.last(1)] == [NoticeKind.FAILED]


def test_a_night_whose_sweep_was_paused_is_told_with_its_verdict(service, engine, hook, clock):
    """The driver judges it once it has paused; without a verdict it is told after some minutes."""
    schedule = {"name": "parts", "state": "ACTIVE", "spec": {}, "rule": {}, "revision": 1}
    insert(engine, schedules, **schedule, created_by="ann", created_at=clock())
    night = {"schedule": "parts", "why": "time", "decided_at": clock(), "state": "CLOSED"}
    for fire_at in (1.0, 2.0):
        sweep_id = service.create(make_spec(), fingerprint="", now=clock()).sweep_id
        service.claim(sweep_id, clock(), stale_after_s=60.0)
        insert(engine, firings, fire_at=fire_at, sweep_id=sweep_id, ended_at=clock(), **night)
    desk = Desk(service, clock, hook.url)
    assert desk.look() == 0
    verdict = {"schedule": "parts", "fire_at": 2.0, "sweep_id": sweep_id, "at": clock(), "document": {}}
    insert(engine, verdicts, decision="KEPT", reason="not surely better", **verdict)
    clock.tick(60.0)
    assert (desk.look(), desk.send()) == (1, 1)
    assert hook.next()["message"].splitlines()[4] == "Verdict: KEPT: not surely better."
    clock.tick(VERDICT_S)
    assert (desk.look(), desk.send()) == (1, 1)
    assert "Verdict" not in hook.next()["message"]


def test_a_night_that_fails_again_when_it_is_backfilled_is_told_again(service, engine, hook, clock):
    """Each time once."""
    Schedules(engine).add("parts", make_spec(), read_rule({"cron": "0 22 * * *"}), by="ann", now=clock())
    desk, scheduler = Desk(service, clock, hook.url), Scheduler(service, clock)
    clock.tick(24 * 3600.0)
    scheduler.tick()  # the spec's data set is nowhere
    rule, (night,) = Schedules(engine).get("parts").rule, Firings(engine).of("parts")
    day = night_text(rule.timezone, night.fire_at)[:10]
    for _ in range(2):
        assert [desk.look(), desk.look(), desk.send()] == [1, 0, 1]
        assert hook.next()["title"] == "parts: night failed"
        clock.tick(3600.0)
        Firings(engine).backfill("parts", backfilled(rule, day, day, clock()), by="ann", now=clock())
        scheduler.tick()


def test_the_first_champions_value_is_told_in_words(service, engine, hook, clock):
    """There is no difference to tell yet: of the night and of the champion."""
    now = clock()
    sweep_id = service.create(make_spec(), fingerprint="", now=now).sweep_id
    claim = service.claim(sweep_id, now, stale_after_s=60.0)
    service.add_trial(claim, Suggestion(7, {"solver.base_lr": 0.01}, 1), {}, now)
    Schedules(engine).add("parts", make_spec(), read_rule({"cron": "0 22 * * *"}), by="ann", now=now)
    about = {"schedule": "parts", "sweep_id": sweep_id}
    night = {"fire_at": now, "why": "time", "decided_at": now, "state": "CLOSED", "ended_at": now}
    insert(engine, firings, **about, **night)
    verdict = {"decision": "FIRST", "reason": "segm/AP 41.23: there was no champion", "at": now}
    insert(engine, verdicts, fire_at=now, number=7, document={}, **verdict, **about)
    portrait = {"metric": "segm/AP", "value": 41.234}
    champion = {"version": 1, "promoted_at": now, "directory": "/champions/parts/v1", "document": portrait}
    insert(engine, champions, number=7, **champion, **about)
    desk = Desk(service, clock, hook.url)
    assert (desk.look(), desk.send()) == (2, 2)
    told = {message["title"]: message["message"].splitlines() for message in hook.all()}
    verdict = "Verdict: FIRST: there was no champion, and segm/AP 41.23 is to be beaten."
    assert verdict in told["parts: night done"]
    first = f"Trial 7 of sweep {sweep_id} is the first champion of parts, with segm/AP 41.23."
    assert told["parts: champion v1"][0] == first


def test_nights_champions_failures_and_deadlines_are_told_from_their_rows(service, engine, hook, clock):
    """Each in words with its ids; what is found again is not told again."""
    now = clock()
    sweep_id = service.create(make_spec(), fingerprint="", now=now - 3600.0).sweep_id
    claim = service.claim(sweep_id, now - 3000.0, stale_after_s=60.0)
    service.add_trial(claim, Suggestion(0, {"solver.base_lr": 0.01}, 1), {}, now - 2900.0)
    schedule = {"name": "parts", "state": "ACTIVE", "spec": {}, "revision": 1, "created_by": "ann"}
    insert(engine, schedules, rule={"timezone": "Europe/Berlin"}, created_at=now, **schedule)
    night = {"schedule": "parts", "why": "time", "decided_at": now - 7200.0}
    fire_at = now - 7200.0
    insert(
        engine, firings, fire_at=fire_at, state="CLOSED", reason="its window ended", sweep_id=sweep_id,
        ended_at=now - 60.0, **night,
    )  # fmt: skip
    for number in range(5):
        insert(
            engine, firings, fire_at=fire_at - 86400.0 * (1 + number), state="MISSED",
            reason="no service ran", ended_at=now - 30.0, **night,
        )  # fmt: skip
    insert(
        engine, firings, fire_at=now - 10.0, state="FAILED", reason="its spec is wrong", ended_at=now - 5.0,
        **night,
    )  # fmt: skip
    about = {"schedule": "parts", "sweep_id": sweep_id, "number": 0}
    insert(
        engine, verdicts, fire_at=fire_at, decision="PROMOTED", reason="1.2 AP better, at least 0.4",
        against=1, at=now - 100.0, document={}, **about,
    )  # fmt: skip
    insert(
        engine, champions, version=2, promoted_at=now - 100.0, directory="/champions/parts/v2",
        document={}, **about,
    )  # fmt: skip
    with writing(engine) as connection:
        submit(connection, sweep_id, by="ann", now=now)
        late = {"note": "the deadline 06:00 will cut it off: 3 of 20 trials have ended"}
        connection.execute(sa.update(submissions).values(**late))
        connection.execute(sa.update(sweeps).values(deadline_at=now + 60.0))
    failed = fail(service, now - 1.0)
    desk = Desk(service, clock, hook.url)
    for _ in range(2):
        desk.look()
        desk.send()
        clock.tick(1000.0)
    told = {message["title"]: message for message in hook.all()}
    assert sorted(told) == sorted(
        [
            "parts: night done",
            "parts: 5 nights missed",
            "parts: night failed",
            "parts: champion v2",
            f"parts: sweep {failed} failed",
            f"parts: deadline of sweep {sweep_id} at risk",
        ]
    )
    done = told["parts: night done"]["message"].splitlines()
    assert done[0] == "The night of 2027-01-15 07:00 +0100 (Europe/Berlin) is over: its window ended."
    assert done[1].startswith(f"Sweep {sweep_id} (parts) is RUNNING: 0 of ")
    assert done[2:5] == [
        "Nothing has been measured yet.",
        f"Compare: http://ml/{sweep_id}",
        "Verdict: PROMOTED: 1.2 AP better, at least 0.4.",
    ]
    champion = told["parts: champion v2"]
    assert f"Trial 0 of sweep {sweep_id} is the champion of parts" in champion["message"]
    assert champion["type"] == "success"
    assert told["parts: 5 nights missed"]["message"].splitlines()[1] == "The last one: no service ran."
    assert "FAILED: the first 3 trials failed" in told[f"parts: sweep {failed} failed"]["message"]
    assert "3 of 20 trials" in told[f"parts: deadline of sweep {sweep_id} at risk"]["message"]
