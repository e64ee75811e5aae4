"""The sweep of a night, checked like any that is submitted: data may have changed since the last one."""

import hashlib
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


def new_sweep(
    service: SweepService, schedule: ScheduleRecord, fire_at: float, roots: tuple[Path, ...]
) -> NewSweep:
    """What a schedule's night creates, if it begins with a new sweep; creates nothing.

    Args:
        service: On the store.
        schedule: Whose night it is.
        fire_at: The night's, in seconds since the Unix epoch.
        roots: Directories that its files must lie in; none of them: anywhere.

    Raises:
        SpecInvalid: With every problem of the data, and of what it was to start warm from.
    """
    spec = _seeded(_warmed(schedule) if schedule.rule.warm_start else schedule.spec, fire_at)
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


def is_of(sweep: SweepSpec, schedule: SweepSpec) -> bool:
    """Whether a sweep is of a schedule's spec, but for what each night has of its own."""

    def common(spec: SweepSpec) -> SweepSpec:
        sampler = spec.sampler.model_copy(update={"seed": 0})
        return spec.model_copy(update={"warm_start": None, "sampler": sampler})

    return common(sweep) == common(schedule)


def _seeded(spec: SweepSpec, fire_at: float) -> SweepSpec:
    """The spec with a seed of the night's own, from 0 to 2**31 - 1.

    With one seed, nights that do not learn from each other would all try the same, and train it alike.
    """
    digest = hashlib.sha256(f"{spec.sampler.seed}\n{fire_at:.0f}".encode()).digest()
    sampler = spec.sampler.model_copy(update={"seed": int.from_bytes(digest[:4], "big") >> 1})
    return spec.model_copy(update={"sampler": sampler})


def _warmed(schedule: ScheduleRecord) -> SweepSpec:
    """The spec, which learns from the schedule's nights beside what it names itself."""
    own, start = f"{SCHEDULE}{schedule.name}", schedule.spec.warm_start
    before = () if start is None else start.sources
    if own in before:
        return schedule.spec
    document = {"from": (*before, own), "trials": "best 20" if start is None else start.trials}
    return schedule.spec.model_copy(update={"warm_start": WarmStart.model_validate(document)})
