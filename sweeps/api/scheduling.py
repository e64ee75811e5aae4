"""Schedules for those who ask: added, shown and backfilled, on a home and on a service alike."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces.issues import SpecIssue, shown
from sweeps.api import schedule_models as models
from sweeps.api.context import Core
from sweeps.api.problems import BodyInvalid
from sweeps.api.submitting import checked_spec, gpus_of_trial
from sweeps.core.budget import gpu_limit_note
from sweeps.core.errors import SpecInvalid, UnreadableSchedule
from sweeps.core.spec import spec_document
from sweeps.schedules.backfill import backfilled
from sweeps.schedules.nights import FIRING_TRANSITIONS, FiringState, ScheduleState, Why, night_text
from sweeps.schedules.rule import read_rule
from sweeps.schedules.times import upcoming, window_note
from sweeps.store.firings import FiringRecord, Firings, check_fires
from sweeps.store.schedule_events import ScheduleEvent
from sweeps.store.schedules import ScheduleRecord, Schedules

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
SHOWN = 5
"""Fire times to come, and nights that were, of a schedule in a list."""


def add_schedule(
    core: Core, document: Mapping[str, Any], *, by: str
) -> tuple[ScheduleRecord, tuple[str, ...]]:
    """A new schedule, and what a person should know of its data.

    Args:
        core: Of the service.
        document: `name`, `spec` (YAML in a text, or an object), and the fields of a rule.
        by: Who adds it.

    Raises:
        SpecInvalid: With every problem of the name, the rule, and the spec with its data.
        BodyInvalid: The same, where the spec has none.
        WrongState: There is another schedule of that name.
    """
    given = dict(document)
    name, spec = given.pop("name", None), given.pop("spec", None)
    issues, of_spec = list[SpecIssue](), list[SpecIssue]()
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        allowed = "up to 64 letters, digits and . _ -, the first a letter or digit"
        issues.append(SpecIssue("name", f"got {shown(name)}, but needs {allowed}"))
    rule, checked = None, None
    try:
        rule = read_rule(given)
    except SpecInvalid as error:
        issues += error.issues
    if isinstance(spec, str | Mapping):
        try:
            checked = checked_spec(core, spec, adding=name if isinstance(name, str) else None)
        except SpecInvalid as error:
            of_spec = [
                SpecIssue(f"spec.{each.path}".rstrip("."), each.problem, each.hint) for each in error.issues
            ]
    else:
        got = "missing" if spec is None else f"got {shown(spec)}, but needs a spec"
        issues.append(SpecIssue("spec", got, "YAML in a text, or an object"))
    if of_spec:
        raise SpecInvalid([*issues, *of_spec])
    if issues or rule is None or checked is None:
        raise BodyInvalid(issues)
    made = Schedules(core.service.engine).add(str(name), checked.spec, rule, by=by, now=core.now)
    gpus = None if rule.gpu_hours is None else gpus_of_trial(core, checked.spec)
    idle = gpu_limit_note("gpu_hours", rule.gpu_hours, gpus, "a window")
    notes = (window_note(rule, core.now), idle)
    return made, (*checked.notes, *(note for note in notes if note))


def schedule_out(core: Core, schedule: ScheduleRecord) -> models.ScheduleOut:
    """A schedule with its next fire times and its last nights."""
    fires = schedule.state is ScheduleState.ACTIVE
    firings = Firings(core.service.engine)
    return models.ScheduleOut(
        name=schedule.name,
        state=schedule.state,
        reason=schedule.reason,
        rule=schedule.rule.document(),
        spec=json.loads(spec_document(schedule.spec)),
        revision=schedule.revision,
        created_by=schedule.created_by,
        created_at=schedule.created_at,
        upcoming=upcoming(schedule.rule, core.now, SHOWN) if fires else [],
        nights=nights_out(firings, schedule.rule.timezone, firings.of(schedule.name, limit=SHOWN)),
    )


def unreadable_out(error: UnreadableSchedule) -> models.UnreadableOut:
    """A schedule that cannot be shown."""
    return models.UnreadableOut(name=error.name, reason=error.reason)


def changed_out(
    core: Core, schedule: ScheduleRecord | UnreadableSchedule
) -> models.ScheduleOut | models.UnreadableOut:
    """A schedule that was changed; of one that cannot be read, which may be removed all the same, why."""
    if isinstance(schedule, UnreadableSchedule):
        return unreadable_out(schedule)
    return schedule_out(core, schedule)


def nights_out(firings: Firings, timezone: str, nights: Sequence[FiringRecord]) -> list[models.NightOut]:
    """Nights of one schedule, each with its verdict if there is one.

    Args:
        firings: Of the store.
        timezone: Of the schedule, for nights that are older than their own rules are kept.
        nights: To be told.
    """
    if not nights:
        return []
    told = firings.verdicts(nights[0].schedule, [night.fire_at for night in nights])
    return [_night_out(timezone, night, told.get(night.fire_at)) for night in nights]


def _night_out(timezone: str, night: FiringRecord, verdict: tuple[str, str] | None) -> models.NightOut:
    return models.NightOut(
        schedule=night.schedule,
        fire_at=night.fire_at,
        local=night_text(night.timezone or timezone, night.fire_at),
        state=night.state,
        reason=night.reason,
        why=night.why,
        decided_at=night.decided_at,
        sweep_id=night.sweep_id,
        started_at=night.started_at,
        ends_at=night.ends_at,
        ended_at=night.ended_at,
        verdict=None if verdict is None else verdict[0],
        verdict_reason=None if verdict is None else verdict[1],
    )


def event_out(event: ScheduleEvent) -> models.ScheduleEventOut:
    """An event."""
    return models.ScheduleEventOut(
        event_id=event.event_id,
        schedule=event.schedule,
        fire_at=event.fire_at,
        at=event.at,
        kind=event.kind,
        data=dict(event.data),
        by=event.by,
    )


def backfill(
    core: Core, name: str, start: str, end: str, *, dry_run: bool, by: str, key: str | None = None
) -> models.BackfilledOut:
    """Asks for nights that did not take place, or says which these are.

    Args:
        core: Of the service.
        name: Of the schedule.
        start: The first day or time, by the schedule's clocks,
        end: and the last.
        dry_run: Only says what would be asked for.
        by: Who asks.
        key: Names the request: made again, it asks for nothing more.

    Raises:
        UnknownSchedule: There is no such schedule.
        SpecInvalid: With every problem of the two times.
        WrongState: The schedule is not ACTIVE.
    """
    schedules, firings = Schedules(core.service.engine), Firings(core.service.engine)
    schedule = schedules.living(name)
    if dry_run:
        check_fires(schedule)
    rule = schedule.rule
    asked = backfilled(rule, start, end, core.now)
    times = [each.fire_at for each in asked]
    there = firings.at(name, times)
    kept = [each for each in there.values() if FiringState.DUE not in FIRING_TRANSITIONS[each.state]]
    if dry_run:
        new = set(times) - {each.fire_at for each in kept}
        nights = [
            models.NightOut(
                schedule=name,
                fire_at=at,
                local=night_text(rule.timezone, at),
                state=FiringState.DUE,
                why=Why.BACKFILL,
            )
            for at in sorted(new)
        ]
    else:
        made = firings.backfill(name, asked, by=by, now=core.now, key=key)
        nights = nights_out(firings, rule.timezone, made)
        by_this = {each.fire_at for each in made}
        kept = [each for each in kept if each.fire_at not in by_this]  # asked again under the key
    told = nights_out(firings, rule.timezone, sorted(kept, key=lambda night: night.fire_at))
    return models.BackfilledOut(dry_run=dry_run, nights=nights, kept=told)
