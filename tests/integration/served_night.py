"""A schedule's nights, and what serves them, in the test's own process; their drivers are processes."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from sweeps.bootstrap import open_service
from sweeps.core.spec import SweepSpec, spec_document
from sweeps.launchers.local import LocalLauncher
from sweeps.schedules.backfill import backfilled
from sweeps.schedules.rule import read_rule
from sweeps.service import SweepService
from sweeps.settings import Settings
from sweeps.store import tables_night as tables
from sweeps.store.engine import writing
from sweeps.store.firings import FiringRecord, Firings
from sweeps.store.launches import LaunchBook
from sweeps.store.schedules import Schedules
from sweeps.supervisor.scheduler import Scheduler
from sweeps.supervisor.supervisor import Supervisor
from tests.failure.drive_night import drive
from tests.integration.drive_held import held_worker
from tests.waiting import until


class ServedNight:
    """A home with a schedule, and the service that fires it and drives its sweep, tick by tick.

    Args:
        settings: Of the home.
        spec: Of the schedule.
        ray_address: What drivers join.
    """

    def __init__(self, settings: Settings, spec: SweepSpec, ray_address: str) -> None:
        self.spec, self.settings = spec, settings
        self.service = open_service(settings, create=True)
        self.rule = read_rule({"cron": "0 0 * * *", "window": "1h"})
        self.schedules, self.firings = Schedules(self.service.engine), Firings(self.service.engine)
        self.schedules.add("nightly", spec, self.rule, by="ann", now=time.time())
        self.launcher = LocalLauncher(settings, ray_address)
        self._scheduler = Scheduler(self.service)
        self._supervisor = Supervisor(self.service, self.launcher)
        self._book = LaunchBook(self.service.engine, "test", 0.0)

    def fire(self, days_ago: int) -> None:
        """The night of that day is asked for, and its window begins when it does."""
        night, now = str(datetime.now(UTC).date() - timedelta(days=days_ago)), time.time()
        self.firings.backfill("nightly", backfilled(self.rule, night, night, now), by="ann", now=now)

    def close(self) -> None:
        """The window of the night that runs ends now, however long its driver took to start."""
        with writing(self.service.engine) as connection:
            connection.execute(sa.update(tables.firings).values(ends_at=time.time()))

    def tick(self) -> None:
        self._scheduler.tick()
        self._supervisor.tick()

    def comes_to(self, true: Callable[[], object]) -> None:
        """Ticks until something is so."""

        def look() -> bool:
            self.tick()
            return bool(true())

        until(look)

    def last(self) -> FiringRecord:
        return self.firings.of("nightly")[0]

    def launch(self):
        return self._book.launch(self.last().sweep_id)

    def pause_file(self, sweep_id: str) -> Path:
        """What calls the workers of its first driver in."""
        return self.settings.sweep_directory(sweep_id) / "pause-e1"

    def undisturbed(self, sweep_id: str, home: Path) -> dict[tuple[int, int], float]:
        """What a sweep of the same spec measures whose workers nothing disturbs."""
        sweep = self.service.sweep(sweep_id)
        twin = self.service.create(sweep.spec, fingerprint=sweep.fingerprint, now=time.time()).sweep_id
        drive(self.service, twin, self.settings, held_worker(spec_document(sweep.spec), home))
        return values(self.service, twin)


def values(service: SweepService, sweep_id: str) -> dict[tuple[int, int], float]:
    """By trial and rung."""
    return {(m.number, m.iteration): m.metrics["segm/AP"] for m in service.measurements(sweep_id)}
