"""A driver whose workers' first evaluation takes until a test lets it end.

python -m tests.integration.drive_held SWEEP_ID NUMBER --ray-address ADDRESS

All else is what `masksweep drive` does. Each iteration that is trained goes to `iterations.log` of the home,
as `number attempt epoch iteration`.
"""

from __future__ import annotations  # workers get what is below by value, without what annotations name

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from runners import plugin
from runners.testing import CurveWorker
from search_spaces.parameters import Value
from sweeps.cli.drive import drive_launch
from sweeps.core.spec import spec_from_document
from sweeps.core.trial import Report, TrialWorker
from sweeps.settings import Settings


def held_command(sweep_id: str, number: int, python: str) -> list[str]:
    """As `sweeps.launchers.local.drive_command`, of this driver."""
    return [python, "-m", "tests.integration.drive_held", sweep_id, str(number)]


def gate_of(home: Path) -> Path:
    """A named pipe: as long as it is there, an evaluation lasts until somebody opens it to write."""
    return home / "gate"


def begun_of(home: Path) -> Path:
    """A file that appears when an evaluation that is to last has begun."""
    return home / "evaluating"


def held_worker(document: str, home: Path) -> TrialWorker:
    """As `runners.plugin.make_worker`; of a synthetic base one whose values depend on each iteration."""
    log, gate = home / "iterations.log", gate_of(home)

    def hold() -> None:
        if gate.exists():
            begun_of(home).touch()
            gate.open().close()

    spec = spec_from_document(document)
    if spec.base.synthetic is not None:

        class HeldCurves(CurveWorker):
            def _value(self, params: Mapping[str, Value]) -> float:
                hold()
                return super()._value(params)

        return HeldCurves(log=log)

    from runners.detectron.worker import DetectronWorker  # torch, only in workers

    class HeldDetectron(DetectronWorker):
        def _advance(self, assignment, run) -> Report:
            before = run.trainer.iteration
            report = super()._advance(assignment, run)
            what = f"{assignment.number} {assignment.attempt} {assignment.epoch}"
            with log.open("a") as lines:
                lines.writelines(f"{what} {each}\n" for each in range(before + 1, run.trainer.iteration + 1))
            return report

        def _evaluate(self, run, *, last: bool):
            hold()
            return super()._evaluate(run, last=last)

    return HeldDetectron(spec)


if __name__ == "__main__":
    settings = Settings.load()
    plugin.make_worker = partial(held_worker, home=settings.home)
    sweep_id, number, address = sys.argv[1], int(sys.argv[2]), sys.argv[4]
    sys.exit(drive_launch(sweep_id, number, settings, ray_address=address, handle=None))
