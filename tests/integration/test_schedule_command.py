"""`masksweep schedule` on a home of this machine; on a service it is a part of `test_service.py`."""

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml
from typer.testing import CliRunner

from sweeps.cli.app import app
from sweeps.service import SweepService
from sweeps.store.engine import open_engine, writing
from sweeps.store.tables_night import schedules
from sweeps.supervisor.scheduler import Scheduler
from tests.service_client import CURVES


class Command:
    """Runs `masksweep schedule` on a home."""

    def __init__(self, home: Path, spec: Path) -> None:
        self.home, self.spec = home, spec

    def __call__(self, *words: str, code: int = 0) -> str:
        """What it printed on stdout, or on stderr where it is to fail."""
        done = CliRunner().invoke(app, ["schedule", *words, "--home", str(self.home)])
        assert done.exit_code == code, done.output
        return done.stderr if code else done.stdout

    def json(self, *words: str):
        return json.loads(self(*words, "--json"))


@pytest.fixture
def command(tmp_path) -> Command:
    """On a home of this machine."""
    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump(CURVES))
    return Command(tmp_path / "home", spec)


def test_a_schedule_from_its_addition_to_its_removal(command, tmp_path):
    """`ls` has the next five fire times and the last outcomes; the nights say why they are what they are."""
    rule = ["--cron", "0 22 * * *", "--tz", "Europe/Berlin", "--window", "9h"]
    made = command.json("add", "nightly", str(command.spec), *rule)
    assert (made["state"], made["rule"]["window"], len(made["upcoming"])) == ("ACTIVE", "9h", 5)
    asked = command.json("backfill", "nightly", "2026-01-05", "2026-01-06", "--dry-run")
    assert [night["state"] for night in asked["nights"]] == ["DUE", "DUE"]
    assert "night " not in command("show", "nightly")
    assert "2026-01-05 22:00 Europe/Berlin" in command("backfill", "nightly", "2026-01-05", "2026-01-06")
    engine = open_engine(f"sqlite:///{tmp_path}/home/masksweep.db")
    Scheduler(SweepService(engine)).tick()
    engine.dispose()
    (listed,) = command.json("ls")["schedules"]
    assert [night["state"] for night in listed["nights"]] == ["QUEUED", "RUNNING"]
    assert "01-06 22:00 QUEUED, 01-05 22:00 RUNNING" in command("ls")
    assert "waits for the night of 2026-01-05 22:00 Europe/Berlin" in command("show", "nightly")
    assert "is PAUSED: holidays" in command("pause", "nightly", "--reason", "holidays")
    assert command.json("resume", "nightly")["state"] == "ACTIVE"
    assert command.json("rm", "nightly")["state"] == "REMOVED"
    assert command.json("ls") == {"schedules": [], "unreadable": []}


def test_a_schedule_that_cannot_be_read_is_removed(command, tmp_path):
    """Which one it is and why is told before; its name may be taken again."""
    rule = ["--cron", "0 22 * * *"]
    command("add", "nightly", str(command.spec), *rule)
    engine = open_engine(f"sqlite:///{tmp_path}/home/masksweep.db")
    with writing(engine) as connection:
        connection.execute(sa.update(schedules).values(rule={"cron": "0 22 * * *", "of_a_newer_version": 1}))
    engine.dispose()
    (unreadable,) = command.json("ls")["unreadable"]
    assert unreadable["name"] == "nightly"
    assert "schedule nightly is REMOVED" in command("rm", "nightly")
    assert command.json("ls") == {"schedules": [], "unreadable": []}
    assert command.json("add", "nightly", str(command.spec), *rule)["state"] == "ACTIVE"


def test_every_problem_is_told_at_once_and_nothing_is_added(command):
    """Of the name, the rule and the spec, each with a hint where there is one."""
    command.spec.write_text(yaml.safe_dump({**CURVES, "colour": "red"}))
    words = command("add", "a/b", str(command.spec), "--cron", "0 22 * *", "--tz", "Berlin", code=2)
    assert "schedule a/b: 4 problems" in words
    told = ("name: got a/b", "cron: got 0 22 * *", "timezone: Berlin is not", "spec.colour: unknown field")
    assert [each for each in told if each not in words] == []
    assert command.json("ls") == {"schedules": [], "unreadable": []}


@pytest.mark.parametrize(("launcher", "told"), [("local", True), ("ray:http://head:8265", False)])
def test_gpu_hours_of_a_machine_without_gpus_are_told(command, monkeypatch, launcher, told):
    """By `schedule add` and `submit`, where drivers run here; a cluster may have GPUs that are not here."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("MASKSWEEP_LAUNCHER", launcher)
    spec, home, hours = str(command.spec), ("--home", str(command.home)), ("--gpu-hours", "2")
    added = CliRunner().invoke(app, ["schedule", "add", "n", spec, "--cron", "0 1 * * *", *hours, *home])
    submitted = CliRunner().invoke(app, ["submit", spec, *home])
    assert (added.exit_code, submitted.exit_code) == (0, 0)
    assert ("note: gpu_hours 2 limits nothing" in added.stderr) is told
    for done in (added, submitted):
        assert ("note: budget.gpu_hours 1 limits nothing" in done.stderr) is told
