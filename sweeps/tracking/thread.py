"""Mirrors a sweep beside its driver, and keeps all trouble with MLflow away from it."""

import logging
import threading
from collections.abc import Callable

from sweeps.tracking.errors import MirrorUnavailable
from sweeps.tracking.mirror import Mirror

_logger = logging.getLogger(__name__)

MAX_BACKOFF_S = 60.0


class MirrorThread:
    """A daemon thread that syncs after `notify`, at most once an interval.

    It imports MLflow at the first `notify`, not before, so as not to slow the start of a driver, and not
    while the main thread imports. An MLflow that is down is tried again, ever more rarely, at least once a
    minute; going down and coming back are logged once each.

    Args:
        mirror_factory: Makes the mirror, inside the thread.
        sweep_id: The sweep.
        interval_s: Seconds from the end of a sync to the beginning of the next.
    """

    def __init__(self, mirror_factory: Callable[[], Mirror], sweep_id: str, interval_s: float = 5.0) -> None:
        self._factory, self._sweep_id, self._interval_s = mirror_factory, sweep_id, interval_s
        self._news, self._stopping, self._given_up = threading.Event(), threading.Event(), threading.Event()
        self._mirror: Mirror | None = None
        self._problem: str | None = None
        self._failures = 0
        self._complete = False
        self._thread = threading.Thread(target=self._run, name="mlflow-mirror", daemon=True)

    @property
    def problem(self) -> str | None:
        """Why the last sync failed, or None."""
        return self._problem

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def notify(self) -> None:
        """Says that the store has something new. Costs nothing; may be called from anywhere."""
        self._news.set()

    def stop(self, timeout_s: float) -> bool:
        """Ships the rest, for `timeout_s` seconds at most.

        Returns:
            Whether MLflow shows all that the store held when this was called. If not, nothing is lost: the
            next sync ships it.
        """
        self._stopping.set()
        self._news.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        self._given_up.set()
        return self._complete and not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            last = self._stopping.is_set()
            complete = self._sync()
            if last:
                self._complete = complete
                return
            if complete:
                pause_s = self._interval_s
            else:
                self._news.set()  # what failed is tried again without news
                pause_s = min(MAX_BACKOFF_S, max(self._interval_s, 1.0) * 2.0 ** min(self._failures, 8))
            self._stopping.wait(pause_s)

    def _sync(self) -> bool:
        try:
            if self._mirror is None:
                self._mirror = self._factory()
            self._mirror.sync(self._sweep_id, before_step=self._go_on)
        except _GivenUp:
            return False
        except Exception as error:  # a display's trouble is never the driver's
            self._failures += 1
            expected = isinstance(error, MirrorUnavailable)
            problem = str(error) if expected else f"{type(error).__name__}: {error}"
            if self._problem is None:
                _logger.warning("the mirror waits: %s; the sweep goes on", problem)
                _logger.debug("the mirror's failure", exc_info=not expected)
            self._problem = problem
            return False
        if self._problem is not None:
            _logger.warning("the mirror is back")
        self._problem, self._failures = None, 0
        return True

    def _go_on(self, step: str) -> None:
        if self._given_up.is_set():
            raise _GivenUp(step)


class _GivenUp(Exception):
    """`stop` no longer waits: the process is about to end."""
