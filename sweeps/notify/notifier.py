"""The notifier of a service: a thread that finds what to tell, and one for each place that sends.

None of them is waited for by whatever drives sweeps, and a place that hangs keeps no other one waiting.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from sweeps.core.errors import StoreUnavailable
from sweeps.notify.finder import Finder
from sweeps.notify.places import Place
from sweeps.notify.send import SEND_S, Send, send_apart
from sweeps.service import SweepService
from sweeps.store.outbox import Outbox

EVERY_S = 5.0
"""Between two looks."""

HOLD_S = SEND_S + 60.0
"""Seconds after which a delivery is another service's, if the one that had it has not said how it went."""

_log = logging.getLogger(__name__)


class Sender:
    """Sends what is waiting for one place, one message at a time.

    Args:
        place: Where to.
        outbox: Of the store.
        clock: Seconds since the Unix epoch.
        send: Sends one message.
    """

    def __init__(
        self, place: Place, outbox: Outbox, clock: Callable[[], float], send: Send = send_apart
    ) -> None:
        self._place, self._outbox, self._clock, self._send = place, outbox, clock, send

    def send_due(self, stop: threading.Event) -> int:
        """Sends all that is due, until told to stop; returns how many messages were taken.

        Raises:
            StoreUnavailable: The store does not answer. A message that was sent by then is sent again.
        """
        taken = 0
        while not stop.is_set():
            delivery = self._outbox.claim(self._place.place_id, self._clock(), hold_s=HOLD_S)
            if delivery is None:
                break
            body = f"{delivery.body}\n\nmasksweep notification {delivery.notification_id}"
            error = self._send(self._place, delivery.kind, delivery.title, body, stop)
            named = f"notification {delivery.notification_id} to {self._place.place_id}"
            if error is None:
                self._outbox.sent(delivery, self._clock())
                _log.info("%s: sent", named)
                taken += 1
            else:
                self._outbox.failed(delivery, error, self._clock())
                _log.warning("%s: attempt %d failed: %s", named, delivery.attempts, error)
        return taken


class Notifier:
    """Tells people what happens in a store, until it is stopped.

    Args:
        service: On the store.
        places: Of the settings; none: nothing is done.
        link: A sweep's comparison in MLflow, or None.
        by: Names this service in the store.
        clock: Seconds since the Unix epoch; on several machines, to be the same within some seconds.
        send: Sends one message.
        every_s: Seconds between two looks.
    """

    def __init__(
        self,
        service: SweepService,
        places: Sequence[Place],
        link: Callable[[str], str | None],
        *,
        by: str,
        clock: Callable[[], float] = time.time,
        send: Send = send_apart,
        every_s: float = EVERY_S,
    ) -> None:
        outbox = Outbox(service.engine, by)
        finder = Finder(service, outbox, places, link)
        self._stop, self._every_s = threading.Event(), every_s
        wakes = [threading.Event() for _ in places]

        def find(_: threading.Event) -> None:
            if finder.look(clock()):
                for wake in wakes:
                    wake.set()

        senders = [Sender(place, outbox, clock, send) for place in places]
        works: list[tuple[Callable[[threading.Event], object], threading.Event]] = [
            (sender.send_due, wake) for sender, wake in zip(senders, wakes, strict=True)
        ]
        if places:
            works.append((find, threading.Event()))
        self._wake = [wake for _, wake in works]
        self._threads = [
            threading.Thread(target=self._run, args=work, name="notifier", daemon=True) for work in works
        ]

    def start(self) -> None:
        """Begins."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends within some seconds; what is being sent by then is sent again by whoever comes next."""
        self._stop.set()
        for wake in self._wake:
            wake.set()
        for thread in self._threads:
            thread.join()

    def _run(self, work: Callable[[threading.Event], object], wake: threading.Event) -> None:
        while not self._stop.is_set():
            wake.clear()
            try:
                work(self._stop)
            except StoreUnavailable as error:  # restarted, or away: it is asked again
                _log.warning("the store does not answer: %s", error)
            except Exception:
                _log.exception("notifications go on after an error")
            if not self._stop.is_set():
                wake.wait(self._every_s)
