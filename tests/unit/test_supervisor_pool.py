"""Sweeps that share a pool, through the supervisor and the store."""

from sweeps.core.deadline import deadline_note
from sweeps.core.states import SweepState
from sweeps.core.supervision import LaunchState
from sweeps.store.engine import writing
from sweeps.store.submissions import find, submit
from sweeps.testing import make_spec
from tests.property.test_supervision import World


def test_a_higher_priority_takes_the_pool_and_gives_it_back(tmp_path):
    """The lower sweep is asked to pause, no person holds it, and it is launched again afterwards."""
    world = World(f"sqlite:///{tmp_path}/store.db")
    low = world.sweep_id
    world.tick(0)
    world.confirm()
    handle, claim = next(iter(world.drivers.items()))
    high = world.service.create(make_spec(), fingerprint="", now=world.clock()).sweep_id
    with writing(world.service.engine) as connection:
        submit(connection, high, by="bob", now=world.clock(), priority=1)
    world.tick(0)
    (request,) = world.service.open_requests(low)
    assert request.reason == f"makes room for sweep {high}"
    assert not any(name.startswith(high) for name in world.processes.living)
    world.service.finish(claim, SweepState.PAUSED, request.reason, world.clock())
    world.processes.living[handle] = False
    world.tick(0)
    world.tick(0)
    assert world.processes.living[f"{high}|1"]
    with writing(world.service.engine) as connection:
        assert find(connection, low).held_by is None
    over = world.service.claim(high, world.clock())
    world.service.finish(over, SweepState.COMPLETED, None, world.clock())
    world.processes.living[f"{high}|1"] = False
    world.tick(0)
    world.tick(0)
    assert world.processes.living[f"{low}|2"]
    assert world.supervisors[0]._book.launch(high).state is LaunchState.ENDED
    world.service.engine.dispose()


def test_a_deadline_that_will_be_missed_is_told():
    """With what is left, and by how much it is too long; one that is kept is not."""
    told = {"deadline": "07:00 UTC", "now": 1000.0, "done": 12, "total": 40}
    note = deadline_note(deadline_at=8200.0, left_s=10800.0, **told)
    assert note == (
        "the deadline 07:00 UTC will cut it off: 12 of 40 trials have ended, and the rest needs about 3h at "
        "this pace, 1h too long"
    )
    assert deadline_note(deadline_at=20_000.0, left_s=10800.0, **told) is None
    assert deadline_note(deadline_at=8200.0, left_s=None, **told) is None
