"""A service that a team shares, end to end: its process, its token, commands against it, its events."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
import sqlalchemy as sa
import yaml

from sweeps.bootstrap import open_service
from sweeps.client import Client
from sweeps.core.spec import parse_spec
from sweeps.core.trial import Suggestion
from sweeps.service import SweepService
from sweeps.settings import Settings
from sweeps.store.engine import writing
from sweeps.store.tables_night import firings, schedules
from sweeps.testing import GOES_ON, make_report
from sweeps.tracking.mirror import Mirror
from tests.forked import Forked
from tests.integration.command import masksweep, succeeding
from tests.service_client import CURVES


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def token(home) -> str:
    return succeeding("token", "create", "ann", "--scope", "operator", "--home", home).strip()


@pytest.fixture(scope="module")
def url(home, token) -> Iterator[str]:
    """A service in a process of its own; asked to stop, it does."""
    command = ["-m", "sweeps.cli", "serve", "--port", "0", "--no-supervise", "--home", str(home)]
    process = Forked(command, stderr=subprocess.PIPE)
    assert process.stderr is not None
    line = next(line for line in process.stderr if line.startswith("masksweep serves"))
    yield line.split()[2].rstrip(",")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.fixture
def run(url, token) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A command against the service."""

    def run(*words: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
        done = masksweep(*words, MASKSWEEP_SERVER=url, MASKSWEEP_TOKEN=token)
        assert (done.returncode != 0) == fails, done.stderr
        return done

    return run


@pytest.fixture
def spec(tmp_path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(CURVES))
    return path


def test_a_sweep_through_a_service(run, url, token, spec, home):
    """Submitted once under its key, listed, shown, extended and cancelled; who did it is told."""
    sweep_id = run("submit", str(spec), "--key", "once").stdout.strip()
    assert run("submit", str(spec), "--key", "once").stdout.strip() == sweep_id
    (row,) = json.loads(run("ls", "--json").stdout)["sweeps"]
    assert (row["sweep_id"], row["state"], row["budget_trials"]) == (sweep_id, "PENDING", 20)
    assert sweep_id in run("ls").stdout
    assert f"{sweep_id}  PENDING" in run("show", sweep_id).stdout
    run("extend", sweep_id, "--trials", "5")
    assert json.loads(run("show", sweep_id, "--json").stdout)["budget"]["trials"] == 25
    assert "is PENDING: it has not started" in run("pause", sweep_id, fails=True).stderr
    run("cancel", sweep_id, "--reason", "too slow", "--wait")
    events = [json.loads(line) for line in run("events", sweep_id, "--json").stdout.splitlines()]
    told = [(event["kind"], event["by"]) for event in events]
    kinds = ("sweep.created", "sweep.submitted", "sweep.extended", "sweep.cancel_asked", "sweep.cancelled")
    assert told == [(kind, "ann") for kind in kinds]
    followed = Client(url, token).follow(f"/sweeps/{sweep_id}/events/stream", events[2]["event_id"])
    assert [next(followed), next(followed)] == events[3:]
    assert "sweep.cancelled by ann" in succeeding("events", "--home", home)


def test_what_a_sweep_showed_is_asked_of_the_service(run, url, spec, home):
    """Plan, importance, mirror, knobs, metrics and tokens through --server, each as from a home."""
    sweep_id = run("submit", str(spec)).stdout.strip()
    plan = run("plan", str(spec), "--workers", "4")
    assert "trials, 4 at a time" in plan.stdout
    assert "a service trains nothing to plan" in plan.stderr
    assert json.loads(run("plan", str(spec), "--json").stdout)["trials"]["likely"] == 20
    found = json.loads(run("importance", sweep_id, "--json").stdout)
    assert (found["sweep_id"], found["objectives"][0]["knobs"]) == (sweep_id, [])
    assert "segm/AP" in run("importance", sweep_id).stderr
    assert (
        "not evaluated at 7 iterations" in run("importance", sweep_id, "--iterations", "7", fails=True).stderr
    )
    assert json.loads(run("mirror", sweep_id, "--json").stdout)["parent_run_id"]
    assert (home / "mlflow.db").exists()
    for command in ("knobs", "metrics"):
        assert run("--server", url, command).stdout == run(command).stdout
        assert run("--server", url, command, "--json").stdout == run(command, "--json").stdout
    assert "scope admin" in run("--server", url, "token", "ls", fails=True).stderr


def test_schedules_through_a_service(run, spec):
    """Added, listed, paused, backfilled and removed as on a home, with all problems of a mistake at once."""

    def schedule(*words: str):
        return json.loads(run("schedule", *words, "--json").stdout)

    made = schedule("add", "nightly", str(spec), "--cron", "0 22 * * *", "--tz", "Asia/Kolkata")
    assert (made["created_by"], made["rule"]["timezone"]) == ("ann", "Asia/Kolkata")
    wrong = run("schedule", "add", "a/b", str(spec), "--cron", "0 22 * *", fails=True).stderr
    assert "schedule a/b: 2 problems" in wrong
    asked = ("backfill", "nightly", "2026-01-05", "2026-01-06")
    assert len(schedule(*asked, "--dry-run")["nights"]) == 2
    assert [night["state"] for night in schedule("show", "nightly")["nights"]] == []
    assert schedule("pause", "nightly", "--reason", "holidays")["reason"] == "holidays"
    assert "is PAUSED: no night of it would begin" in run("schedule", *asked, fails=True).stderr
    assert schedule("resume", "nightly")["state"] == "ACTIVE"
    assert [each["name"] for each in schedule("ls")["schedules"]] == ["nightly"]
    assert schedule("rm", "nightly")["state"] == "REMOVED"
    assert schedule("rm", "nightly")["state"] == "REMOVED", "asked for again, since an answer was lost"


def test_mistakes_are_told_in_the_services_words(run, spec, tmp_path):
    """Every problem of a spec with its path; a token that is none; a service that is not there."""
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(yaml.safe_dump({**CURVES, "colour": "red"}))
    assert "colour: unknown field" in run("submit", str(wrong), fails=True).stderr
    assert "no sweep 'nobody'" in run("show", "nobody", fails=True).stderr
    refused = run("--server", "http://127.0.0.1:1", "ls", fails=True).stderr
    assert "http://127.0.0.1:1 does not answer" in refused
    assert "Traceback" not in refused
    here = run("--server", "http://127.0.0.1:1", "run", "x", fails=True).stderr
    assert "run works on this machine: it trains here; submit gives" in here


def test_a_stream_tells_what_happens_while_it_is_open(run, url, token, spec):
    """An event reaches who listens, once, without its being asked for."""
    client = Client(url, token)
    last = client.get("/events", limit=1000)["events"][-1]["event_id"]
    followed = client.follow("/events/stream", last)
    sweep_id = run("submit", str(spec)).stdout.strip()
    first = next(followed)
    assert (first["sweep_id"], first["kind"]) == (sweep_id, "sweep.created")
    run("cancel", sweep_id)
    told = [next(followed)["kind"] for _ in range(3)]
    assert told == ["sweep.submitted", "sweep.cancel_asked", "sweep.cancelled"]


def test_sweeps_are_compared_side_by_side(run, home):
    """Metrics with differences, parameters, specs, nights: the same from the home and from the service."""
    settings = Settings.load(home, environ={})
    service = open_service(settings)
    first, second = (_measured(service, lr, trials) for lr, trials in ((0.001, 20), (0.002, 40)))
    night = {"schedule": "parts", "why": "time", "decided_at": 1.0, "state": "CLOSED"}
    with writing(service.engine) as connection:
        row = {"name": "parts", "state": "ACTIVE", "spec": {}, "rule": {}, "revision": 1}
        connection.execute(sa.insert(schedules), {**row, "created_by": "ann", "created_at": 1.0})
        for fire_at, began, ended in ((10.0, 10.0, 20.0), (30.0, 105.0, 200.0)):
            held = {"fire_at": fire_at, "started_at": began, "ended_at": ended, "sweep_id": second}
            connection.execute(sa.insert(firings), {**night, **held})
    Mirror(service, settings.tracking_uri, artifact_root=settings.artifact_root).sync(second)
    service.engine.dispose()
    here = json.loads(run("show", second, "--json", "--home", str(home)).stdout)
    there = json.loads(run("show", second, "--json").stdout)
    for same in ("trials", "best", "front", "budget", "objectives", "state"):
        assert there[same] == here[same], same
    assert there["best"]["number"] == 0
    assert there["mlflow"]["compare_url"] == here["mlflow"]["compare_url"]
    assert f"compare: {here['mlflow']['compare_url']}" in run("show", second).stdout
    assert "segm/AP 2 (trial 0)" in run("ls").stdout
    compared = run("compare", first, f"{second}/0", "--json")
    assert compared.stdout == run("compare", first, f"{second}/0", "--json", "--home", str(home)).stdout
    found = json.loads(compared.stdout)
    assert [each["name"] for each in found["compared"]] == [first, f"{second}/0"]
    assert found["spec"] == [{"name": "budget.trials", "values": [20, 40]}]
    assert found["params"] == [{"name": "solver.base_lr", "values": [0.001, 0.002]}]
    (ap,) = found["metrics"]
    assert (ap["name"], ap["values"], ap["differences"]) == ("segm/AP", [1.0, 2.0], [0.0, 1.0])
    assert (ap["goal"], ap["better"]) == ("maximize", [1])
    empty, full = found["compared"][1]["nights"]
    assert (empty["fire_at"], empty["compare_url"]) == (10.0, None)
    assert full["compare_url"] == found["compared"][1]["compare_url"]
    assert full["compare_url"].startswith("http://127.0.0.1:5000/#/compare-runs?runs=")
    for told in (run("compare", first, second), run("compare", first, second, "--home", str(home))):
        assert "* 2.00 (+1.00)" in told.stdout
        assert full["compare_url"] in told.stdout
    wrong = run("compare", "nobody", f"{first}/9", first, fails=True).stderr
    assert "no sweep 'nobody'" in wrong
    assert f"sweep {first} has no trial 9" in wrong
    assert "got 1 to compare, but needs two or more" in run("compare", first, fails=True).stderr


def test_a_client_is_the_address_that_connects(url):
    """Whoever it says that it asks for: guesses are counted together, unless a proxy is named."""
    guess = {"Authorization": "Bearer no"}
    with httpx2.Client(base_url=url, headers=guess) as client:
        answers = [
            client.get("/api/v1/knobs", headers={"X-Forwarded-For": f"10.0.0.{n}"}).status_code
            for n in range(40)
        ]
    assert answers.count(429) >= 10


def _measured(service: SweepService, lr: float, trials: int) -> str:
    """A sweep with one trial that was measured, from second 100 on; its id."""
    spec = parse_spec(yaml.safe_dump({**CURVES, "budget": {"trials": trials}}), Path("/nowhere"))
    sweep_id = service.create(spec, fingerprint="", now=1.0).sweep_id
    claim = service.claim(sweep_id, 90.0, stale_after_s=60.0)
    service.add_trial(claim, Suggestion(0, {"solver.base_lr": lr}, 1), {}, 100.0)
    report = make_report(iteration=100, at=110.0, metrics={"segm/AP": lr * 1000.0})
    service.record(claim, report, outcome=GOES_ON, sampler_attrs=None, now=110.0)
    return sweep_id
