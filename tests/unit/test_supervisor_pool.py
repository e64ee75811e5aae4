"""Sweeps that share a pool, through the supervisor and the store."""

from sweeps.core.deadline import deadline_note
from sweeps.core.requests import RequestKind
from sweeps.core.states import SweepState
from sweeps.core.supervision import LaunchState
from sweeps.core.trial import Suggestion
from sweeps.store.control import SweepControl
from sweeps.store.engine import writing
from sweeps.store.submissions import Rank, find, submit
from sweeps.supervisor.supervisor import Supervisor
from sweeps.testing import GOES_ON, make_report, make_spec
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


def test_a_sweep_keeps_its_place_for_a_quantum_of_the_whole_pool(tmp_path):
    """On four GPUs that is four times as many GPU-seconds as on one."""
    world = World(f"sqlite:///{tmp_path}/store.db")
    service, full = world.service, {"gpus_per_trial": 1, "max_concurrent": 4}
    supervisor = Supervisor(
        service, world.processes, world.clock, pool_gpus=4, quantum_s=900.0, is_dead=lambda _: False
    )
    control = SweepControl(service.engine)
    control.ask(world.sweep_id, RequestKind.CANCEL, by="bob", now=world.clock())
    first, second = (
        service.create(make_spec(resources=full), fingerprint="", now=world.clock(), rank=Rank()).sweep_id
        for _ in range(2)
    )
    supervisor.tick()
    supervisor.tick()
    (running,) = [handle for handle, lives in world.processes.living.items() if lives]
    holder, waiting = (first, second) if running.startswith(first) else (second, first)
    claim = service.claim(holder, world.clock())
    service.add_trial(claim, Suggestion(0, {"mask_head.num_conv": 4}, 5), {}, world.clock())

    def used(gpu_s: float, rung: int) -> list[str]:
        """Why the holder is asked to pause once its trials have held so many GPU-seconds more."""
        report = make_report(iteration=rung, metrics={"segm/AP": 1.0}, worker_s=gpu_s, at=world.clock())
        service.record(claim, report, outcome=GOES_ON, sampler_attrs=None, now=world.clock())
        supervisor.tick()
        return [request.reason for request in service.open_requests(holder)]

    assert used(3590.0, 75) == []
    assert used(20.0, 150) == [f"makes room for sweep {waiting}"]
    service.engine.dispose()


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
