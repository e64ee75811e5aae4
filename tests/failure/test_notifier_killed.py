"""A service that is killed while it tells people."""

import os
import subprocess
import sys
import threading
import time

from sweeps.bootstrap import open_service
from sweeps.core.notices import DeliveryState
from sweeps.core.states import SweepState
from sweeps.notify.notifier import HOLD_S, Sender
from sweeps.notify.places import read_places
from sweeps.settings import Settings
from sweeps.store.outbox import Outbox, last_deliveries
from sweeps.testing import FakeClock, make_spec
from tests.webhook import webhook


def test_a_message_of_a_killed_service_is_sent_by_the_next_under_its_id(tmp_path):
    """The place had it already, so that it comes twice, and the number says so; it is not lost."""
    settings = Settings.load(tmp_path, environ={})
    service = open_service(settings, create=True)
    now = time.time()
    sweep_id = service.create(make_spec(), fingerprint="", now=now).sweep_id
    claim = service.claim(sweep_id, now, stale_after_s=60.0)
    service.finish(claim, SweepState.FAILED, "planned", now)
    with webhook() as hook:
        hook.mute.clear()  # it takes a message and does not say so
        command = [sys.executable, "-m", "sweeps.cli", "serve", "--port", "0", "--no-supervise"]
        environ = {**os.environ, "MASKSWEEP_NOTIFY_URLS": hook.url}
        process = subprocess.Popen(
            [*command, "--home", str(tmp_path)], stderr=subprocess.DEVNULL, env=environ
        )
        try:
            first = hook.next()
        finally:
            process.kill()
            process.wait()
        hook.mute.set()
        (place,) = read_places(environ)
        outbox, clock = Outbox(service.engine, "next"), FakeClock(time.time())
        sender, stop = Sender(place, outbox, clock), threading.Event()
        assert sender.send_due(stop) == 0
        clock.tick(HOLD_S)
        assert sender.send_due(stop) == 1
        assert hook.next() == first
        assert first["message"].endswith("masksweep notification 1")
        (delivery,) = last_deliveries(service.engine, 10)
        assert (delivery.state, delivery.attempts, delivery.by) == (DeliveryState.SENT, 2, "next")
        assert hook.all() == []
    service.engine.dispose()
