"""Schedules over the API, and over `masksweep --server`, on SQLite and on a real PostgreSQL."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
import yaml

from sweeps.store.engine import writing
from sweeps.store.firings import Firings
from sweeps.store.tables_night import schedules, verdicts
from sweeps.supervisor.scheduler import Scheduler
from tests.contract.test_api import pages, problem
from tests.service_client import CURVES, Service, served

_made = iter(range(10_000))


@pytest.fixture
def api(service) -> Iterator[Service]:
    with served(service, prefix=f"s{next(_made)}") as api:
        yield api


@pytest.fixture
def name() -> str:
    return f"nightly-{next(_made)}"


def body(name: str, **fields) -> dict:
    return {"name": name, "spec": CURVES, "cron": "0 22 * * *", "timezone": "Europe/Berlin", **fields}


def test_a_schedule_is_added_looked_at_and_listed(api, name):
    """Its spec as an object or as YAML; the same again is the same, another one of that name is refused."""
    answer = api("POST", "/schedules", json=body(name, window="9h"))
    made = answer.json()["schedule"]
    assert (answer.status_code, made["state"], made["nights"]) == (201, "ACTIVE", [])
    assert answer.headers["Location"] == f"/api/v1/schedules/{name}"
    assert (made["rule"]["window"], len(made["upcoming"])) == ("9h", 5)
    assert made["created_by"].endswith("-operator")
    again = api("POST", "/schedules", json=body(name, window="540m", spec=yaml.safe_dump(CURVES)))
    assert again.json()["schedule"]["revision"] == 1
    problem(api("POST", "/schedules", json=body(name)), 409, "wrong-state")
    assert api("GET", f"/schedules/{name}").json()["spec"]["name"] == "curves"
    api("POST", "/schedules", json=body(f"{name}-b"))
    api("POST", "/schedules", json=body(f"{name}-c"))
    listed = [each["name"] for each in pages(api, "/schedules", "schedules")]
    assert listed == sorted(listed)
    assert {name, f"{name}-b", f"{name}-c"} <= set(listed)


def test_every_problem_of_name_rule_and_spec_is_told_at_once(api):
    """Each under its path; nothing is added."""
    wrong = body("no/name", cron="0 22 * *", jiter="1m", spec={**CURVES, "colour": "red"})
    issues = problem(api("POST", "/schedules", json=wrong), 422, "spec-invalid")["issues"]
    assert {issue["path"] for issue in issues} == {"name", "cron", "jiter", "spec.colour"}
    missing = problem(api("POST", "/schedules", json={}), 422, "invalid-body")["issues"]
    assert {issue["path"] for issue in missing} == {"name", "cron", "spec"}


def test_a_spec_may_start_warm_from_a_schedule(api, name):
    """From its own, which is about to be added; from another before its first night, which gives nothing."""
    start = {"from": [f"schedule:{name}"], "trials": "best 5"}
    unknown = problem(api("POST", "/sweeps", json={**CURVES, "warm_start": start}), 422, "spec-invalid")
    assert [issue["problem"] for issue in unknown["issues"]] == [f"no schedule named {name}"]
    answer = api("POST", "/schedules", json=body(name, spec={**CURVES, "warm_start": start}))
    assert answer.status_code == 201, answer.text
    cold = api.submit(warm_start=start)
    assert api("GET", f"/sweeps/{cold}").json()["warm_start"] is None
    api("POST", f"/schedules/{name}/backfill", json={"from": "2026-01-05", "to": "2026-01-05"})
    scheduler = Scheduler(api.core, api.clock)
    scheduler.tick()
    (night,) = api("GET", f"/schedules/{name}/nights").json()["nights"]
    warm = api.submit(warm_start=start)
    assert api.core.warm_summary(warm).sources == (night["sweep_id"],)


def test_a_schedule_is_paused_resumed_and_removed(api, name):
    """By whom and when is told; one that was removed is still there, and is changed no more."""
    api("POST", "/schedules", json=body(name))
    paused = api("POST", f"/schedules/{name}/pause", json={"reason": "holidays"}).json()
    assert (paused["state"], paused["reason"], paused["upcoming"]) == ("PAUSED", "holidays", [])
    assert api("POST", f"/schedules/{name}/resume").json()["state"] == "ACTIVE"
    assert api("POST", f"/schedules/{name}/remove").json()["state"] == "REMOVED"
    assert api("GET", f"/schedules/{name}").json()["state"] == "REMOVED"
    problem(api("POST", f"/schedules/{name}/pause"), 404, "unknown-schedule")
    problem(api("GET", "/schedules/nobody"), 404, "unknown-schedule")
    events = pages(api, f"/schedules/{name}/events", "events")
    kinds = [event["kind"] for event in events]
    assert kinds == [f"schedule.{done}" for done in ("added", "paused", "resumed", "removed")]
    assert {event["by"].partition("-")[2] for event in events} == {"operator"}


def test_a_viewer_changes_no_schedule(api, name):
    """And whoever has no token sees none."""
    problem(api("POST", "/schedules", json=body(name), scope="viewer"), 403, "forbidden")


def test_nights_that_did_not_take_place_are_backfilled_once(api, name):
    """A dry run makes nothing; under one key the same answer; then one night runs and the rest waits."""
    api("POST", "/schedules", json=body(name))
    asked = {"from": "2026-01-05", "to": "2026-01-07"}
    path = f"/schedules/{name}/backfill"
    dry = api("POST", path, json={**asked, "dry_run": True}).json()
    assert [night["local"] for night in dry["nights"]] == [
        f"2026-01-0{day} 22:00 Europe/Berlin" for day in (5, 6, 7)
    ]
    assert api("GET", f"/schedules/{name}/nights").json()["nights"] == []
    made = api("POST", path, json=asked, headers={"Idempotency-Key": name}).json()
    assert [night["state"] for night in made["nights"]] == ["DUE"] * 3
    assert api("POST", path, json=asked, headers={"Idempotency-Key": name}).json() == made
    again = api("POST", path, json=asked).json()
    assert (again["nights"], len(again["kept"])) == ([], 3)
    Scheduler(api.core, api.clock).tick()
    nights = pages(api, f"/schedules/{name}/nights", "nights")
    assert [night["state"] for night in nights] == ["QUEUED", "QUEUED", "RUNNING"]
    assert [night["why"] for night in nights] == ["backfill"] * 3
    verdict = {"schedule": name, "fire_at": nights[-1]["fire_at"], "sweep_id": nights[-1]["sweep_id"]}
    verdict |= {"decision": "KEPT", "reason": "not proved better", "at": 1.0, "document": {}}
    with writing(api.core.engine) as connection:
        connection.execute(sa.insert(verdicts), verdict)
    judged = api("GET", f"/schedules/{name}").json()["nights"]
    assert [(each["verdict"], each["verdict_reason"]) for each in judged] == [
        (None, None),
        (None, None),
        ("KEPT", "not proved better"),
    ]
    assert Firings(api.core.engine).of(name)[-1].sweep_id == nights[-1]["sweep_id"]


@pytest.mark.parametrize(
    ("asked", "paths"),
    [
        ({"from": "monday", "to": "2026-13-01"}, {"from", "to"}),
        ({"from": "2026-01-07", "to": "2026-01-05"}, {"to"}),
        ({"from": "2020-01-01", "to": "2026-01-01"}, {"to"}),
        ({"from": "2999-01-01", "to": "2999-01-01"}, {"from"}),
        ({"from": "2026-01-05T23:00", "to": "2026-01-06T21:00"}, {"to"}),
        ({"to": "2026-01-05", "dry": True}, {"from", "dry"}),
    ],
)
def test_a_backfill_of_no_nights_or_too_many_is_refused(api, name, asked, paths):
    """No such time, an end before the start, over a hundred nights, none, or nights to come."""
    api("POST", "/schedules", json=body(name))
    issues = problem(api("POST", f"/schedules/{name}/backfill", json=asked), 422, "invalid-body")["issues"]
    assert {issue["path"] for issue in issues} == paths


def test_the_numbers_tell_how_late_schedules_are_and_what_was_missed(api, name):
    """For Prometheus: by state, and the lag of what is due and not decided."""
    api("POST", "/schedules", json=body(name, catch_up="skip"))

    def number(line: str) -> float:
        text = api.client.get("/metrics", headers={"Authorization": f"Bearer {api.tokens['viewer']}"}).text
        return next(float(each.rpartition(" ")[2]) for each in text.splitlines() if each.startswith(line))

    missed = number('masksweep_schedule_nights{state="MISSED"}')
    api.clock.tick(49 * 3600.0)
    assert number("masksweep_schedule_lag_seconds") > 3600.0
    Scheduler(api.core, api.clock).tick()
    assert number("masksweep_schedule_lag_seconds") == 0.0
    assert number('masksweep_schedule_nights{state="MISSED"}') >= missed + 1
    assert number('masksweep_schedules{state="ACTIVE"}') >= 1


def test_a_schedule_that_cannot_be_read_is_listed_and_removed(api, name):
    """With the reason; its nights are still told, by its clocks."""
    api("POST", "/schedules", json=body(name))
    asked = {"from": "2026-01-05", "to": "2026-01-05"}
    api("POST", f"/schedules/{name}/backfill", json=asked)
    with writing(api.core.engine) as connection:
        mine = schedules.c.name == name
        rule = {"cron": "0 22 * * *", "timezone": "Europe/Berlin", "of_a_newer_version": 1}
        connection.execute(sa.update(schedules).where(mine).values(rule=rule))
    listed = pages(api, "/schedules", "unreadable")
    assert name in [each["name"] for each in listed]
    (night,) = api("GET", f"/schedules/{name}/nights").json()["nights"]
    assert night["local"] == "2026-01-05 22:00 Europe/Berlin"
    for _ in range(2):
        answer = api("POST", f"/schedules/{name}/remove")
        assert (answer.status_code, answer.json()["name"]) == (200, name)
        assert answer.json()["reason"].startswith("of_a_newer_version: unknown field")
    assert name not in [each["name"] for each in pages(api, "/schedules", "unreadable")]
    (night,) = api("GET", f"/schedules/{name}/nights").json()["nights"]
    assert night["state"] == "SKIPPED"


def test_a_backfill_of_a_paused_schedule_is_refused_also_as_a_dry_run(api, name):
    """None of its nights would begin: a dry run says so as well."""
    api("POST", "/schedules", json=body(name))
    api("POST", f"/schedules/{name}/pause")
    asked = {"from": "2026-01-05", "to": "2026-01-06"}
    for dry_run in (True, False):
        answer = api("POST", f"/schedules/{name}/backfill", json={**asked, "dry_run": dry_run})
        assert "is PAUSED: no night of it would begin" in problem(answer, 409, "wrong-state")["detail"]
    assert api("GET", f"/schedules/{name}/nights").json()["nights"] == []


def test_a_night_is_called_by_the_clocks_that_it_fired_by(api, name):
    """Also after its schedule was replaced by one of another zone, whether it took place or not."""
    api("POST", "/schedules", json=body(name))
    api("POST", f"/schedules/{name}/backfill", json={"from": "2026-01-05", "to": "2026-01-05"})
    api("POST", f"/schedules/{name}/remove")
    api("POST", "/schedules", json=body(name, timezone="Asia/Kolkata"))
    api("POST", f"/schedules/{name}/backfill", json={"from": "2026-01-05", "to": "2026-01-05"})
    Scheduler(api.core, api.clock).tick()
    told = {night["state"]: night for night in api("GET", f"/schedules/{name}/nights").json()["nights"]}
    assert told["SKIPPED"]["local"] == "2026-01-05 22:00 Europe/Berlin"
    assert told["RUNNING"]["local"] == "2026-01-05 22:00 Asia/Kolkata"
    (night,) = api("GET", f"/sweeps/{told['RUNNING']['sweep_id']}/nights").json()["nights"]
    assert night["local"] == "2026-01-05 22:00 Asia/Kolkata"


def test_gpu_hours_that_limit_nothing_are_told(api, name):
    """Of a sweep and of a night, where trials hold no GPU; where that is not known nothing is said."""
    on_cpu = {**CURVES, "resources": {"gpus_per_trial": 0}}
    told = "limits nothing: trials run on the CPU and hold no GPU"
    of_sweep = f"budget.gpu_hours 1 {told}; give budget.wall or budget.deadline instead"
    assert api("POST", "/sweeps", json=on_cpu).json()["notes"] == [of_sweep]
    assert of_sweep in api("POST", "/plan", json=on_cpu).json()["notes"]
    added = api("POST", "/schedules", json=body(name, spec=on_cpu, gpu_hours=3))
    assert added.json()["notes"] == [of_sweep, f"gpu_hours 3 {told}; give a window instead"]
    assert api("POST", "/sweeps", json=CURVES).json()["notes"] == []
