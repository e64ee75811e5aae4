"""A spec's warm start on the command line."""

from search_spaces.issues import SpecIssue
from sweeps.bootstrap import open_service
from sweeps.core.spec import SweepSpec
from sweeps.launchers.runner import Preflight
from sweeps.service import SweepService
from sweeps.settings import Settings
from sweeps.warm.comparable import Setting
from sweeps.warm.plan import WarmPlan
from sweeps.warm.sources import find_sources, read_sources
from sweeps.warm.takeover import take_over


def warm_issues(spec: SweepSpec, settings: Settings) -> list[SpecIssue]:
    """What is wrong with the sources of a spec's warm start. Looks into the home's store, if there is one."""
    if spec.warm_start is None:
        return []
    store = open_service(settings) if settings.has_store else None
    return find_sources(store, spec.warm_start)[1]


def warm_plan(service: SweepService, spec: SweepSpec, checked: Preflight) -> WarmPlan | None:
    """What a spec without issues takes over; None if it begins cold."""
    if spec.warm_start is None:
        return None
    sweeps, _ = find_sources(service, spec.warm_start)
    if not sweeps:  # a schedule whose first night has not come
        return None
    return take_over(Setting(spec, checked.fingerprint, checked.base), read_sources(service, sweeps))


def warm_words(plan: WarmPlan, spec: SweepSpec) -> list[str]:
    """What was taken over, and a note where nothing new would be tried."""
    lines = [f"warm start: {plan.summary}"]
    if len(plan.reruns) >= spec.budget.trials:
        budget = f"the whole budget of {spec.budget.trials} trials"
        lines.append(f"note: to re-run takes {budget}: warm_start.trials can ask for fewer")
    return lines
