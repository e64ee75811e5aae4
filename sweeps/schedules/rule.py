"""The rule of a schedule: when it fires, how long a night is, and what happens when things go wrong."""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from search_spaces.issues import SpecIssue, did_you_mean, shown
from sweeps.core.errors import SpecInvalid
from sweeps.core.spec_fields import PROBLEM, duration, number, one_of, problem, seconds, truth, whole

MOST_CAUGHT_UP = 100
"""Missed nights that may be made up after one outage."""


class Overlap(StrEnum):
    """What happens when a schedule fires while its last night still runs."""

    SKIP = "skip"  # this night does not take place
    QUEUE = "queue"  # it waits for the other to end
    CANCEL = "cancel"  # the other's sweep is cancelled, then this one begins
    CONTINUE = "continue"  # the other's sweep goes on, as this night's


class CatchUp(StrEnum):
    """What happens to nights whose time passed while no service ran."""

    SKIP = "skip"  # all are MISSED
    LATEST = "latest"  # the last one is made up, if its window is still open
    ALL = "all"  # the last few are made up, one after another, each with a whole window


_SHORTHANDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
_CRON_HINT = "minute hour day-of-month month day-of-week, such as `0 22 * * *`"
_SOME_DAY = datetime(2024, 1, 1)


def cron_value(raw: object) -> str:
    """A cron expression of five fields that some day fulfils."""
    text = " ".join(raw.split()) if isinstance(raw, str) else ""
    text = _SHORTHANDS.get(text.lower(), text)
    if len(text.split()) != 5:
        raise problem(f"got {shown(raw)}, but needs the five fields of cron", _CRON_HINT)
    try:
        next(CronSim(text, _SOME_DAY))
    except CronSimError as error:
        raise problem(f"got {shown(raw)}: {str(error).lower()}", _CRON_HINT) from None
    except StopIteration:
        raise problem(f"got {shown(raw)}, which no day of 50 years fulfils", _CRON_HINT) from None
    return text


_OF_MACHINES = frozenset({"localtime", "Factory"})
"""What some systems have among the zones: the machine's own, and none. Services of one store would differ."""


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones()) - _OF_MACHINES


def zone_value(raw: object) -> str:
    """A time zone of the IANA database: `Europe/Berlin`."""
    text = raw.strip() if isinstance(raw, str) else ""
    if text not in _zones():
        near = did_you_mean(text, _zones()) or "one such as Europe/Berlin"
        raise problem(f"{shown(raw)} is not a time zone", near) from None
    return text


Seconds = Annotated[
    float | None, BeforeValidator(seconds), PlainSerializer(duration, when_used="unless-none")
]


class Rule(BaseModel):
    """A schedule's rule.

    Attributes:
        cron: Five fields.
        timezone: By whose clocks, of the IANA database.
        window_s: Seconds after the fire time at which the night's sweep pauses; None: it runs to its end.
            `window` in a document, as the next without its `_s`.
        jitter_s: The firing is up to so many seconds late, each by a part of its own; None: it is on time.
        overlap: What happens when the last night still runs.
        catch_up: What happens to missed nights.
        catch_up_limit: How many nights `all` makes up, 1 to 100: the last ones.
        gpu_hours: Of a night, after which its sweep pauses; None: no limit.
        warm_start: Whether a night's new sweep learns from earlier nights.
        confidence: At which a night's best must be better to become champion, 0.5 to below 1; None: as
            `sweeps.core.champion` has it.
        priority: Of its sweeps, -1000 to 1000.
        weight: Of its sweeps, over 0 to 1000.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cron: Annotated[str, BeforeValidator(cron_value)]
    timezone: Annotated[str, BeforeValidator(zone_value)] = "UTC"
    window_s: Seconds = Field(default=None, alias="window")
    jitter_s: Seconds = Field(default=None, alias="jitter")
    overlap: Annotated[Overlap, one_of(*Overlap)] = Overlap.SKIP
    catch_up: Annotated[CatchUp, one_of(*CatchUp)] = CatchUp.LATEST
    catch_up_limit: Annotated[int, whole(1, MOST_CAUGHT_UP)] = 3
    gpu_hours: Annotated[float | None, number(" above 0", lambda value: value > 0)] = None
    warm_start: Annotated[bool, truth()] = True
    confidence: Annotated[float | None, number(" from 0.5 to below 1", lambda value: 0.5 <= value < 1)] = None
    priority: Annotated[int, whole(-1000, 1000)] = 0
    weight: Annotated[float, number(" above 0, up to 1000", lambda value: 0 < value <= 1000)] = 1.0

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.timezone)

    def document(self) -> dict[str, Any]:
        """As JSON; `read_rule` makes it again."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def rule_timezone(document: Mapping[str, Any]) -> str:
    """The time zone of a rule's document, also of one that cannot be read as a whole."""
    return str(document.get("timezone") or "UTC")


def read_rule(document: Mapping[str, Any], name_of: Callable[[str], str] = str) -> Rule:
    """A rule from what a user, or the store, has of it.

    Args:
        document: Fields by their names; those that are None are as if they were not there.
        name_of: What a field is called where the document comes from.

    Raises:
        SpecInvalid: With every problem, each under the name of its field.
    """
    given = {name: value for name, value in document.items() if value is not None}
    allowed = [field.alias or name for name, field in Rule.model_fields.items()]
    issues = []
    try:
        rule = Rule.model_validate(given)
    except ValidationError as error:
        for each in error.errors(include_url=False):
            path = name_of(str(each["loc"][0]) if each["loc"] else "")
            match each["type"]:
                case kind if kind == PROBLEM:
                    issues.append(SpecIssue(path, each["ctx"]["text"], each["ctx"]["hint"]))
                case "missing":
                    issues.append(SpecIssue(path, "missing", _CRON_HINT))
                case "extra_forbidden":
                    near = did_you_mean(str(each["loc"][0]), allowed)
                    issues.append(SpecIssue(path, f"unknown field, allowed: {', '.join(allowed)}", near))
                case _:
                    issues.append(SpecIssue(path, f"got {shown(each['input'])}: {each['msg']}"))
        raise SpecInvalid(issues) from None
    if rule.jitter_s and rule.window_s and rule.jitter_s >= rule.window_s:
        got, most = duration(rule.jitter_s), duration(rule.window_s)
        raise SpecInvalid([SpecIssue(name_of("jitter"), f"got {got}, but the window closes after {most}")])
    return rule
