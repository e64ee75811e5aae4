"""A search without an executor: the test hands out, measures and fails."""

from sweeps.bootstrap import open_service
from sweeps.core.extension import read_extension
from sweeps.records import Claim
from sweeps.search import Search
from sweeps.settings import Settings
from sweeps.store.control import SweepControl
from sweeps.testing import FakeClock, make_report, make_spec


class Driver:
    """A search with the store and the clock behind it."""

    def __init__(self, directory, *, workers=2, devices=1.0, beside=None, warm=None, **sections):
        self.clock = FakeClock()
        self.service = open_service(Settings.load(directory, environ={}), create=True)
        spec = make_spec(**{"pruner": {"type": "none"}, "budget": {"trials": 3}, **sections})
        made = self.service.create(spec, fingerprint="0" * 64, now=self.clock(), warm=warm)
        self.sweep_id = made.sweep_id
        self.options = {
            "directory": directory,
            "workers": workers,
            "devices": devices,
            "beside": beside,
            "clock": self.clock,
        }
        self.search = self.claimed()

    def claimed(self):
        """A new epoch's search."""
        return Search(self.service, self.service.claim(self.sweep_id, self.clock.tick()), **self.options)

    def leave(self):
        """What a driver does at its end; the sweep's state afterwards."""
        ending = self.search.ending()
        held = Claim(self.sweep_id, self.service.sweep(self.sweep_id).epoch)
        return self.service.finish(held, ending.state, ending.reason, self.clock())

    def extend(self, **more):
        """Adds to the budget from outside."""
        control = SweepControl(self.service.engine, is_dead=lambda _: False)
        return control.extend(self.sweep_id, read_extension(more), by="ann@lab", now=self.clock.tick())

    def measure(self, assignment, iteration, ap=10.0, **fields):
        fields = {
            "metrics": {"segm/AP": ap},
            "checkpoint": f"/c/{iteration}",
            "at": self.clock.tick(),
            **fields,
        }
        return self.search.report(make_report(assignment.number, assignment.attempt, iteration, **fields))

    def states(self):
        return [t.state for t in self.service.trials(self.sweep_id)]
