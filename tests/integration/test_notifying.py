"""A service that tells people: its process, a sweep that fails in it, a real webhook."""

import json
import os
import signal
import subprocess
import time

import pytest

from sweeps.bootstrap import open_service
from sweeps.core.states import SweepState
from sweeps.launchers.local import driver_environment
from sweeps.settings import Settings
from sweeps.store.submissions import Rank
from sweeps.testing import make_spec
from tests.forked import Forked
from tests.integration.command import masksweep
from tests.webhook import SECRET, webhook


def cli(*words, urls, code=0):
    """A command with those places in its environment."""
    done = masksweep(*words, MASKSWEEP_NOTIFY_URLS=urls)
    assert done.returncode == code, done.stderr
    assert SECRET not in done.stdout + done.stderr
    return done


@pytest.mark.slow
def test_a_sweep_that_fails_in_a_service_is_told_once(tmp_path):
    """Its data is not there, so that its driver fails it; the webhook's secret is in no file."""
    settings = Settings.load(tmp_path, environ={})
    service = open_service(settings, create=True)
    sweep_id = service.create(make_spec(), fingerprint="", now=time.time(), rank=Rank()).sweep_id
    with webhook() as hook:
        environ = {**os.environ, "MASKSWEEP_NOTIFY_URLS": hook.url}
        command = ["-m", "sweeps.cli", "serve", "--port", "0", "--home", str(tmp_path)]
        both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process = Forked(command, env=environ, **both)
        try:
            message = hook.next()
        finally:
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said
        sweep = service.sweep(sweep_id)
        assert sweep.state is SweepState.FAILED
        assert message["title"] == f"parts: sweep {sweep_id} failed"
        assert message["message"].startswith(f"Sweep {sweep_id} (parts) FAILED: ")
        listed = json.loads(cli("notify", "ls", "--json", "--home", str(tmp_path), urls=hook.url).stdout)
        (delivery,) = listed["deliveries"]
        assert (delivery["state"], delivery["attempts"], delivery["kind"]) == ("SENT", 1, "failed")
        shown = cli("notify", "ls", "--home", str(tmp_path), urls=hook.url).stdout
        assert f"sweep {sweep_id} failed" in shown
        assert hook.all() == []
    assert SECRET not in said
    service.engine.dispose()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def test_drivers_are_not_told_of_places(tmp_path, monkeypatch):
    """Neither the URLs nor where they are: a training may print its environment."""
    monkeypatch.setenv("MASKSWEEP_NOTIFY_URLS", f"json://127.0.0.1/{SECRET}")
    monkeypatch.setenv("MASKSWEEP_NOTIFY_FILE", "/run/secrets/notify")
    told = driver_environment(Settings.load(tmp_path))
    assert not {name for name in told if "NOTIFY" in name}


def test_places_are_tried_and_mistakes_are_told_all_at_once(tmp_path):
    """A test message reaches what takes it, and who does not is named; serve begins with no wrong entry."""
    with webhook() as hook:
        urls = f"{hook.url} failed=json://127.0.0.1:1/{SECRET}"
        done = cli("notify", "test", "--json", urls=urls, code=1)
        good, bad = json.loads(done.stdout)["places"]
        assert (good["error"], hook.next()["title"]) == (None, "masksweep: a test message")
        assert (bad["kinds"], "Connection error" in bad["error"]) == (["failed"], True)
    wrong = f"fail=slack://x slack://{SECRET} {SECRET} jsn://{SECRET}"
    told = cli("serve", "--home", str(tmp_path), urls=wrong, code=2).stderr.splitlines()
    assert told[:5] == [
        "error: MASKSWEEP_NOTIFY_URLS: 4 problems",
        "  entry 1 of 4: got kinds 'fail', but there are night, champion, failed, deadline; "
        "did you mean failed?",
        "  entry 2 of 4: it is no slack:// URL as that service needs it: something is missing, or too much",
        "  entry 3 of 4: it is no URL",
        "  entry 4 of 4: no service has URLs of its scheme; did you mean json?",
    ]
    assert "MASKSWEEP_NOTIFY_URLS is not set" in cli("notify", "test", urls="", code=2).stderr
