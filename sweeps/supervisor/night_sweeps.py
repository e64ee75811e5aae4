"""The sweep of a night, checked like any that is submitted: data may have changed since the last one."""

from functools import lru_cache
from pathlib import Path

from sweeps.core.errors import MissingExtra, SpecInvalid
from sweeps.core.spec import SweepSpec
from sweeps.core.warm_start import SCHEDULE, WarmStart
from sweeps.launchers.runner import load_runner
from sweeps.records import SweepRecord
from sweeps.service import SweepService
from sweeps.store.nights import NewSweep
from sweeps.store.schedules import ScheduleRecord
from sweeps.warm.comparable import Setting
from sweeps.warm.sources import find_sources, read_sources
from sweeps.warm.takeover import take_over

_runner = lru_cache(maxsize=1)(load_runner)
"""Found once: to look through all that is installed takes longer than the rest of a night's beginning. That
there is none is not remembered."""


def new_sweep(service: SweepService, schedule: ScheduleRecord, roots: tuple[Path, ...]) -> NewSweep:
    """What a schedule's next night creates, if it begins with a new sweep; creates nothing.

    Args:
        service: On the store.
        schedule: Whose night it is.
        roots: Directories that its files must lie in; none of them: anywhere.

    Raises:
        SpecInvalid: With every problem of the data, and of what it was to start warm from.
    """
    spec = _warmed(schedule) if schedule.rule.warm_start else schedule.spec
    try:
        runner = _runner()
    except MissingExtra as error:
        cold = spec.model_copy(update={"warm_start": None})
        note = f"its data is checked by its driver, and it starts cold: {error}"
        return NewSweep(cold, "", note=note)
    found = runner.preflight(spec, roots)
    issues = list(found.issues)
    sources: list[SweepRecord] = []
    if spec.warm_start is not None:
        sources, problems = find_sources(service, spec.warm_start)
        issues += problems
    if issues:
        raise SpecInvalid(issues)
    warm = None
    if sources:
        warm = take_over(Setting(spec, found.fingerprint, found.base), read_sources(service, sources))
    return NewSweep(spec, found.fingerprint, base=found.base, warm=warm)


def _warmed(schedule: ScheduleRecord) -> SweepSpec:
    """The spec, which learns from the schedule's nights beside what it names itself."""
    own, start = f"{SCHEDULE}{schedule.name}", schedule.spec.warm_start
    before = () if start is None else start.sources
    if own in before:
        return schedule.spec
    document = {"from": (*before, own), "trials": "best 20" if start is None else start.trials}
    return schedule.spec.model_copy(update={"warm_start": WarmStart.model_validate(document)})
