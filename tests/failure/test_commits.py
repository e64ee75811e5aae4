"""kill -9 of a driver before and after each of its commits, on both kinds of store."""

import time

import pytest

from sweeps.core.states import SweepState
from sweeps.service import SweepService
from sweeps.store.engine import open_engine
from sweeps.store.migrations import upgrade
from sweeps.testing import make_spec, store_url
from tests.failure.lives import Kill, lives
from tests.failure.verdict import assert_nothing_lost, course
from tests.store_rows import check_rows

pytestmark = pytest.mark.slow  # some hundred processes

SPEC = make_spec(
    fidelity={"iterations": 8, "rungs": [2, 4, 8]},
    budget={"trials": 4},
    sampler={"type": "tpe", "seed": 7, "startup_trials": 2},
    pruner={"type": "median", "startup_trials": 1},
)


@pytest.fixture(scope="module")
def source():
    with lives() as source:
        yield source


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request, tmp_path_factory) -> str:
    return store_url(request.param, tmp_path_factory.mktemp("store"), "commits")


@pytest.fixture(scope="module")
def service(url):
    engine = open_engine(url)
    upgrade(engine)
    yield SweepService(engine)
    engine.dispose()


class Sweeps:
    """Sweeps of one spec in one store, and the course that they take if nothing happens to them."""

    def __init__(self, source, service, url, directory):
        self._source, self._service, self._url, self._directory = source, service, url, directory
        sweep_id = self.create()
        life = self.live(sweep_id, "undisturbed")
        assert life.code == 0
        assert_nothing_lost(service, sweep_id, self.log("undisturbed"))
        self.commits, self.course = life.commits, course(service, sweep_id)
        assert self.commits > 10
        assert len({state for state, _, _ in self.course.ends}) == 2, "some are pruned, and some are not"

    def create(self):
        return self._service.create(SPEC, fingerprint="0" * 64, now=time.time()).sweep_id

    def log(self, name):
        return self._directory / name / "iterations.log"

    def live(self, sweep_id, name, kill=None):
        return self._source.live(self._url, sweep_id, self._directory / name, kill)


@pytest.fixture(scope="module")
def undisturbed(source, service, url, tmp_path_factory):
    return Sweeps(source, service, url, tmp_path_factory.mktemp("sweeps"))


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_driver_killed_at_a_commit_loses_nothing(undisturbed, service, when):
    """Whichever commit it is, the next driver ends with the same trials, rungs and decisions."""
    for commit in range(1, undisturbed.commits + 1):
        sweep_id, name = undisturbed.create(), f"{when}-{commit}"
        assert undisturbed.live(sweep_id, name, Kill(when, commit)).code == -9
        check_rows(service, sweep_id)
        if when == "after" and commit == undisturbed.commits:
            assert service.sweep(sweep_id).state is SweepState.COMPLETED
        else:
            assert undisturbed.live(sweep_id, name).code == 0
        assert_nothing_lost(service, sweep_id, undisturbed.log(name), undisturbed=undisturbed.course)


def test_drivers_that_die_after_each_report_get_there(undisturbed, service):
    """Each claims, starts an attempt, stores one report and dies, which is not the trial's fault."""
    sweep_id, lived = undisturbed.create(), 0
    while undisturbed.live(sweep_id, "again", Kill("after", 3)).code == -9:
        lived += 1
        check_rows(service, sweep_id)
    assert lived >= len(undisturbed.course.measured)
    assert {t.failures for t in service.trials(sweep_id)} == {0}
    assert_nothing_lost(service, sweep_id, undisturbed.log("again"), undisturbed=undisturbed.course)
