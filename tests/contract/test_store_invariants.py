"""What stays true of a store whatever drivers do to it, and wherever they die."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeps.core.errors import StaleEpoch, WrongState
from sweeps.core.states import SweepState, TrialState
from sweeps.core.trial import Decision, Suggestion
from sweeps.records import Outcome
from sweeps.service import SweepService
from sweeps.store.engine import open_engine
from sweeps.store.migrations import upgrade
from sweeps.testing import GOES_ON, LOST, PAUSED, PRUNED, RETRIED, make_report, make_spec, store_url
from tests.store_rows import check_rows

SPEC = make_spec()
ENDS = [Outcome(state, "over", Decision.STOP) for state in TrialState if state.terminal]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request, tmp_path_factory) -> str:
    return store_url(request.param, tmp_path_factory.mktemp("store"), "invariants")


@pytest.fixture(scope="module")
def engine(url) -> Iterator[sa.Engine]:
    engine = open_engine(url)
    upgrade(engine)
    yield engine
    engine.dispose()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["claim", "add", "add", "start", "report", "measure", "save", "pause", "lose", "end", "leave"]
        ),
        st.integers(0, 3),  # which trial
        st.integers(0, 1),  # which driver: the newest, or the one before
        st.integers(0, len(ENDS) - 1),
    ),
    min_size=5,
    max_size=25,
)


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(STEPS)
def test_no_order_of_steps_breaks_the_rows(engine, steps):
    """Two drivers do anything in any order: rows agree with each other, and what is final never changes."""
    service = SweepService(engine)
    sweep_id = service.create(SPEC, fingerprint="", now=0.0).sweep_id
    claims = [service.claim(sweep_id, 0.0)]
    ended, measured = {}, {}
    for now, (verb, number, older, end) in enumerate(steps, start=1):
        claim = claims[-1 - older * (len(claims) > 1)]
        before = service.trials(sweep_id)
        attempt = before[number].attempt if number < len(before) else 1
        try:
            match verb:
                case "claim":
                    claims.append(service.claim(sweep_id, now))
                case "add":
                    service.add_trial(claim, Suggestion(len(before), {"x": now}, 1), {}, now)
                case "start":
                    service.start_attempt(claim, number, now)
                case "leave":
                    service.finish(claim, (SweepState.PAUSED, SweepState.COMPLETED)[number == 3], None, now)
                case _:
                    fields, outcome = {
                        "report": ({}, GOES_ON),
                        "measure": ({"metrics": {"segm/AP": float(now)}}, PRUNED if end == 0 else GOES_ON),
                        "save": ({"checkpoint": f"/c/{now}"}, GOES_ON),
                        "pause": ({"paused": True, "checkpoint": f"/c/{now}"}, PAUSED),
                        "lose": ({"failure": LOST}, RETRIED),
                        "end": ({}, ENDS[end]),
                    }[verb]
                    report = make_report(number, attempt, iteration=now % 5 * 75, **fields)
                    taken = service.record(claim, report, outcome=outcome, sampler_attrs=None, now=now)
                    runs = number < len(before) and before[number].state is TrialState.RUNNING
                    assert taken == runs
        except (StaleEpoch, WrongState, sa.exc.IntegrityError):
            assert service.trials(sweep_id) == before
        if now % 4 == 0 or now == len(steps):
            check_rows(service, sweep_id)
        now_ended = {t.number: t for t in service.trials(sweep_id) if t.state.terminal}
        assert {n: now_ended[n] for n in ended} == ended
        now_measured = {(m.number, m.iteration): m for m in service.measurements(sweep_id)}
        assert {key: now_measured[key] for key in measured} == measured
        ended, measured = now_ended, now_measured


DRIVER = """
    import itertools, sys
    from sweeps.core.trial import Suggestion
    from sweeps.service import SweepService
    from sweeps.store.engine import open_engine
    from sweeps.testing import COMPLETED, GOES_ON, make_report
    service = SweepService(open_engine(sys.argv[1]))
    claim = service.claim(sys.argv[2], 1.0)
    for number in itertools.count(len(service.trials(claim.sweep_id))):
        service.add_trial(claim, Suggestion(number, {"x": number}, 1), {}, 2.0)
        for iteration, outcome in ((75, GOES_ON), (300, COMPLETED)):
            report = make_report(number, 1, iteration, metrics={"segm/AP": float(iteration)})
            service.record(claim, report, outcome=outcome, sampler_attrs={"at": iteration}, now=3.0)
        print(number, flush=True)
"""


def test_a_killed_driver_leaves_whole_transactions(engine, url):
    """kill -9 in the middle of writing, three times: what was reported done is there, and rows agree."""
    service = SweepService(engine)
    sweep_id = service.create(SPEC, fingerprint="", now=0.0).sweep_id
    for life in range(1, 4):
        command = [sys.executable, "-c", textwrap.dedent(DRIVER), url, sweep_id]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
            assert driver.stdout is not None
            done = [int(driver.stdout.readline()) for _ in range(20)]
            os.kill(driver.pid, signal.SIGKILL)
            done += [int(line) for line in driver.stdout.read().splitlines()]
        check_rows(service, sweep_id)
        trials = service.trials(sweep_id)
        assert {trials[number].state for number in done} == {TrialState.COMPLETED}
        assert service.sweep(sweep_id).epoch == life
    service.finish(service.claim(sweep_id, 9.0), SweepState.COMPLETED, None, 9.0)
    check_rows(service, sweep_id)
