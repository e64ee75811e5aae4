"""What a service says of a submitted sweep beside its state."""

import json

from sweeps.api.documents import sweep_out
from sweeps.cli.show import list_sweeps, show_sweep
from sweeps.core.states import SweepState
from sweeps.core.stops import Limit
from sweeps.core.trial import Suggestion
from sweeps.settings import Settings
from sweeps.store.engine import writing
from sweeps.store.overview import overview
from sweeps.store.submissions import submit
from sweeps.supervisor.supervisor import Supervisor
from sweeps.testing import COMPLETED, make_report, make_spec
from tests.property.test_supervision import Processes, World


def told(world: World, sweep_id: str) -> list[str | None]:
    """What the events say was noted."""
    return [each.data["note"] for each in world.service.events(sweep_id) if each.kind == "sweep.noted"]


def submitted(world: World, launcher: str | None = None, **sections: object) -> str:
    made = world.service.create(make_spec(**sections), fingerprint="", now=world.clock()).sweep_id
    with writing(world.service.engine) as connection:
        submit(connection, made, by="bob", now=world.clock(), launcher=launcher)
    return made


def test_a_deadline_that_will_be_missed_is_shown_while_it_will(tmp_path, capsys):
    """In `show`, `ls` and the API; an event tells when it came and when it went, not each new estimate."""
    world = World(f"sqlite:///{tmp_path}/store.db")
    service = world.service
    sweep_id = submitted(world, budget={"trials": 40, "deadline": "07:00 UTC"})
    claim = service.claim(sweep_id, world.clock())
    service.add_trial(claim, Suggestion(0, {"mask_head.num_conv": 4}, 5), {}, world.clock())
    world.clock.tick(3600.0)
    report = make_report(iteration=300, metrics={"segm/AP": 1.0}, worker_s=3600.0, at=world.clock())
    service.record(claim, report, outcome=COMPLETED, sampler_attrs=None, now=world.clock())
    world.tick(0)
    (note,) = service.notes().values()
    assert note.startswith("the deadline 07:00 UTC will cut it off: 1 of 40 trials have ended")
    assert sweep_out(overview(service.engine, sweep_id)).note == note
    settings = Settings.load(tmp_path, environ={})
    show_sweep(service, settings, sweep_id, as_json=False)
    assert f"note: {note}"[:60] in capsys.readouterr().out
    list_sweeps(service, as_json=True)
    notes = {row["sweep_id"]: row["note"] for row in json.loads(capsys.readouterr().out)["sweeps"]}
    assert notes == {sweep_id: note, world.sweep_id: None}
    world.clock.tick(600.0)
    world.tick(0)
    assert service.notes()[sweep_id] != note
    assert told(world, sweep_id) == [note]
    service.finish(claim, SweepState.STOPPING, "enough", world.clock(), limit=Limit.WALL)
    world.clock.tick(61.0)
    world.tick(0)
    assert service.notes() == {}
    assert told(world, sweep_id) == [note, None]
    service.engine.dispose()


def test_a_sweep_of_another_launcher_says_why_it_waits(tmp_path):
    """Once, and no longer when a service comes that runs it."""
    world = World(f"sqlite:///{tmp_path}/store.db")
    sweep_id = submitted(world, "ray:http://head:8265")
    for _ in range(3):
        world.clock.tick(61.0)
        world.tick(0)
    note = "it waits for a service that runs sweeps on ray:http://head:8265: this one has local"
    assert world.service.notes() == {sweep_id: note}
    assert told(world, sweep_id) == [note]
    world.supervisors[0]._book.release()
    ray = Supervisor(
        world.service, Processes(), world.clock, launcher_name="ray:http://head:8265", holder="other"
    )
    ray.tick()
    assert sweep_id not in world.service.notes()
    assert told(world, sweep_id) == [note, None]
    world.service.engine.dispose()
