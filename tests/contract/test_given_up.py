"""Sweeps that nothing could drive: FAILED with the reason, and taken up again by whoever mended it."""

import pytest

from sweeps.core.errors import WrongState
from sweeps.core.extension import read_extension
from sweeps.core.states import SweepState, TrialState
from sweeps.core.supervision import LaunchState
from sweeps.core.trial import Suggestion
from sweeps.store.control import Answer, SweepControl
from sweeps.store.engine import writing
from sweeps.store.given_up import GIVEN_UP, give_up
from sweeps.store.launches import LaunchBook
from sweeps.store.submissions import submit
from sweeps.supervisor.supervisor import Supervisor
from sweeps.testing import FakeClock, make_spec
from tests.property.test_supervision import Processes

REASON = "its driver died 5 times in a row without progress: bad luck"


@pytest.fixture
def given_up(service, engine) -> str:
    """A submitted sweep with an open trial, given up at second 5."""
    sweep_id = service.create(make_spec(), fingerprint="", now=1.0).sweep_id
    with writing(engine) as connection:
        submit(connection, sweep_id, by="ann", now=2.0)
    first = service.claim(sweep_id, 3.0)
    service.add_trial(first, Suggestion(0, {"mask_head.num_conv": 4}, 5), {}, 3.0)
    claim = service.claim(sweep_id, 4.0, is_dead=lambda _: True)
    assert give_up(engine, claim, REASON, 5.0) is SweepState.FAILED
    return sweep_id


@pytest.mark.parametrize("how", ["resume", "extend", "take up"])
def test_what_was_given_up_goes_on(service, engine, given_up, how):
    """By resuming, by more of its budget, or by hand; what was open goes on, deaths are counted anew."""
    sweep = service.sweep(given_up)
    assert (sweep.state, sweep.reason) == (SweepState.FAILED, REASON)
    assert [event.kind for event in service.events(given_up)][-2:] == ["sweep.failed", GIVEN_UP]
    control, clock = SweepControl(engine), FakeClock()
    assert control.was_given_up(given_up)
    processes = Processes()
    supervisor = Supervisor(service, processes, clock, holder=how, is_dead=lambda _: True)
    supervisor.tick()  # the launch has ended with the sweep
    match how:
        case "resume":
            reply = control.resume(given_up, by="bob", now=6.0)
            assert (reply.answer, reply.sweep.state) == (Answer.ASKED, SweepState.PAUSED)
        case "extend":
            control.extend(given_up, read_extension({"trials": 1}), by="bob", now=6.0)
        case _:
            assert control.take_up(given_up, by="bob", now=6.0).state is SweepState.PAUSED
    assert [each.by for each in service.events(given_up) if each.kind == "sweep.reopened"] == ["bob"]
    (trial,) = service.trials(given_up)
    assert trial.state is TrialState.QUEUED
    supervisor.tick()
    supervisor.tick()
    launch = LaunchBook(engine, how, 0.0).launch(given_up)
    assert (launch.state, launch.failures) == (LaunchState.RUNNING, 0)
    assert processes.alive(launch.handle)
    assert not control.was_given_up(given_up)
    supervisor._book.release()


def test_a_search_that_failed_by_itself_is_not_taken_up(service, engine):
    """Also where an earlier epoch of it was given up."""
    sweep_id = service.create(make_spec(), fingerprint="", now=1.0).sweep_id
    control = SweepControl(engine)
    give_up(engine, service.claim(sweep_id, 2.0), REASON, 3.0)
    control.take_up(sweep_id, by="bob", now=4.0)
    service.finish(service.claim(sweep_id, 5.0), SweepState.FAILED, "the first 3 trials failed", 6.0)
    assert not control.was_given_up(sweep_id)
    assert control.take_up(sweep_id, by="bob", now=7.0).state is SweepState.FAILED
    with pytest.raises(WrongState, match="is FAILED: there is nothing to go on with"):
        control.resume(sweep_id, by="bob", now=7.0)
