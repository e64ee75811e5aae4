"""Takes a spec in: reads it, keeps it within the allowed directories, and checks what can be checked here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.issues import SpecIssue
from sweeps.api.context import Core
from sweeps.core.budget import BUDGET_INSTEAD, gpu_limit_note
from sweeps.core.errors import MissingExtra, SpecInvalid, UserError
from sweeps.core.spec import SweepSpec, parse_spec
from sweeps.launchers.runner import Preflight, load_runner
from sweeps.records import SweepRecord
from sweeps.store.submissions import Rank
from sweeps.warm.comparable import Setting
from sweeps.warm.plan import WarmPlan
from sweeps.warm.sources import find_sources, read_sources
from sweeps.warm.takeover import take_over


@dataclass(frozen=True, slots=True)
class Checked:
    """A spec without problems.

    Attributes:
        spec: With the real paths of its files.
        preflight: What was found out about its data and base; None where no runner is installed.
        notes: What a person should know.
        gpus: Share of a GPU that a trial will hold; None: not known, or a limit in GPU-hours did not ask.
    """

    spec: SweepSpec
    preflight: Preflight | None
    notes: tuple[str, ...]
    gpus: float | None = None


def checked_spec(core: Core, given: str | Mapping[str, Any], *, adding: str | None = None) -> Checked:
    """The spec in a text or an object, checked as far as this service can.

    Args:
        core: Of the service.
        given: YAML, or the fields as plain data.
        adding: The schedule that it is for, which may not be there yet and may be named in it.

    Raises:
        SpecInvalid: With every problem of the spec, of the paths in it, of its data and its sources.
    """
    spec, issues = core.config.roots.confined(parse_spec(given, core.config.roots.first))
    if issues:
        raise SpecInvalid(issues)
    if spec.warm_start is not None:
        issues = list(find_sources(core.service, spec.warm_start, adding=adding)[1])
    try:
        runner = load_runner()
    except MissingExtra as error:
        if spec.warm_start is not None:
            problem = "this service cannot read the data, and so cannot tell what compares"
            issues.append(SpecIssue("warm_start", problem, "run it with `masksweep run`"))
        if issues:
            raise SpecInvalid(issues) from None
        note = f"the data set and the base are checked by the sweep's driver, not here: {error}"
        return Checked(spec, None, (note,))
    preflight = runner.preflight(spec, core.config.roots.paths)
    issues += preflight.issues
    if issues:
        raise SpecInvalid(issues)
    hours = spec.budget.gpu_hours
    gpus = None if hours is None else gpus_of_trial(core, spec)
    idle = gpu_limit_note("budget.gpu_hours", hours, gpus, BUDGET_INSTEAD)
    return Checked(spec, preflight, (*preflight.notes, *([idle] if idle else [])), gpus)


def gpus_of_trial(core: Core, spec: SweepSpec) -> float | None:
    """The share of a GPU that a trial will hold, 0 for none; None if that is known where drivers run only."""
    if spec.resources.gpus_per_trial == 0:
        return 0.0
    if not core.config.drives_here:
        return None
    try:
        return load_runner().slots(spec).gpus
    except UserError:  # no runner, or no room for a trial: their driver tells
        return None


def take_in(core: Core, checked: Checked, *, by: str, key: str | None, rank: Rank) -> SweepRecord:
    """A new sweep that waits for a driver. Under a key it is made once."""
    found, warm = checked.preflight, None
    if found is not None:
        warm = _warm_plan(core, checked.spec, found)
    return core.service.create(
        checked.spec,
        fingerprint=found.fingerprint if found else "",
        base=found.base if found else None,
        warm=warm,
        now=core.now,
        by=by,
        key=key,
        rank=rank,
    )


def _warm_plan(core: Core, spec: SweepSpec, found: Preflight) -> WarmPlan | None:
    if spec.warm_start is None:
        return None
    sweeps, _ = find_sources(core.service, spec.warm_start)
    if not sweeps:  # a schedule whose first night has not come
        return None
    setting = Setting(spec, found.fingerprint, found.base)
    return take_over(setting, read_sources(core.service, sweeps))
