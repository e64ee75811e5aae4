"""What people are told, in words: a title, and a body with ids, numbers and links."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from itertools import groupby
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sweeps.core.champion import Decision
from sweeps.core.notices import Notice, NoticeKind
from sweeps.store.happened import EndedNight, FailedSweep, LateSweep, NewChampion

BUCKET_S = 3600.0
"""Of nights that did not take place people hear once a schedule in so many seconds: after an outage there may
be thousands."""

_MOST_SAID = 600  # characters of a reason: it may hold a driver's last words


@dataclass(frozen=True, slots=True)
class SweepInShort:
    """What a message says of a sweep.

    Attributes:
        name: Of its spec.
        state: How it stands.
        ended: Trials that have ended,
        total: of so many that its budget has.
        gpu_hours: That it held so far.
        best: The leader and what it measures, in words; None: nothing is measured yet.
        link: To MLflow's comparison of its finalists, or None.
    """

    name: str
    state: str
    ended: int
    total: int
    gpu_hours: float
    best: str | None
    link: str | None

    def lines(self, sweep_id: str) -> list[str]:
        """In words."""
        told = [
            f"Sweep {sweep_id} ({self.name}) is {self.state}: {self.ended} of {self.total} trials have "
            f"ended, {self.gpu_hours:.3g} GPU-hours.",
            f"Best: {self.best}." if self.best else "Nothing has been measured yet.",
        ]
        return told + _linked(self.link)


def night_over(night: EndedNight, sweep: SweepInShort | None) -> Notice:
    """A night that took place is over."""
    lines = [f"The night of {_moment(night.fire_at, night.timezone)} is over{_because(night.reason)}."]
    if sweep is not None and night.sweep_id is not None:
        lines += sweep.lines(night.sweep_id)
    if night.decision == Decision.FIRST and night.crowned is not None:
        best = _value(night.crowned)
        lines.append(f"Verdict: {night.decision}: there was no champion, and {best} is to be beaten.")
    elif night.decision is not None:
        lines.append(f"Verdict: {night.decision}{_because(night.verdict)}.")
    subject = f"night/{night.schedule}/{night.fire_at!r}/{night.state}"
    return Notice(subject, NoticeKind.NIGHT, f"{night.schedule}: night done", _text(lines), night.ended_at)


def night_failed(night: EndedNight) -> Notice:
    """A night could not begin, or its end could not be reached; told again if a backfill fails as well."""
    line = f"The night of {_moment(night.fire_at, night.timezone)} failed{_because(night.reason)}."
    subject = f"night/{night.schedule}/{night.fire_at!r}/{night.state}/{night.decided_at!r}"
    return Notice(subject, NoticeKind.FAILED, f"{night.schedule}: night failed", line, night.ended_at)


def nights_not_held(nights: Iterable[EndedNight]) -> list[Notice]:
    """Nights that were missed, or skipped as their rule wants it: one notice a schedule and hour."""

    def bucket(night: EndedNight) -> tuple[str, str, int]:
        return night.schedule, night.state, math.floor(night.ended_at / BUCKET_S)

    return [
        _not_held(list(some), hour) for (_, _, hour), some in groupby(sorted(nights, key=bucket), key=bucket)
    ]


def _not_held(nights: list[EndedNight], hour: int) -> Notice:
    nights.sort(key=lambda night: night.fire_at)
    first, last = nights[0], nights[-1]
    word = first.state.lower()
    kind = NoticeKind.NIGHT if first.state == "SKIPPED" else NoticeKind.FAILED
    when = _moment(first.fire_at, first.timezone)
    if len(nights) == 1:
        title = f"{first.schedule}: night {word}"
        lines = [f"The night of {when} was {word}{_because(first.reason)}."]
    else:
        title = f"{first.schedule}: {len(nights)} nights {word}"
        lines = [f"The nights from {when} to {_moment(last.fire_at, last.timezone)} were {word}."]
        lines += [f"The last one{_because(last.reason)}."] if last.reason else []
    lines.append("Further ones within the hour are not told apart.")
    at = max(night.ended_at for night in nights)
    return Notice(f"{word}/{first.schedule}/{hour}", kind, title, _text(lines), at)


def champion_changed(champion: NewChampion, link: str | None) -> Notice:
    """A schedule has its first champion, or another one."""
    title = f"{champion.schedule}: champion v{champion.version}"
    trial = f"Trial {champion.number} of sweep {champion.sweep_id}"
    if champion.version == 1 and champion.measured is not None:  # there is no difference to be told
        told = f"{trial} is the first champion of {champion.schedule}, with {_value(champion.measured)}."
    else:
        told = (
            f"{trial} is the champion of {champion.schedule} from now on, version {champion.version}"
            f"{_because(champion.reason)}."
        )
    lines = [
        told,
        f"Model: {champion.directory}",
        *_linked(link),
    ]
    subject = f"champion/{champion.schedule}/{champion.version}"
    return Notice(subject, NoticeKind.CHAMPION, title, _text(lines), champion.promoted_at)


def sweep_failed(sweep: FailedSweep, link: str | None) -> Notice:
    """A sweep failed."""
    of = f" of {sweep.schedule}" if sweep.schedule else ""
    lines = [f"Sweep {sweep.sweep_id} ({sweep.name}){of} FAILED{_because(sweep.reason)}.", *_linked(link)]
    title = f"{sweep.schedule or sweep.name}: sweep {sweep.sweep_id} failed"
    subject = f"failed/{sweep.sweep_id}/{sweep.epoch}"
    return Notice(subject, NoticeKind.FAILED, title, _text(lines), sweep.ended_at)


def deadline_at_risk(sweep: LateSweep, now: float) -> Notice:
    """A sweep will be cut off; told once for each deadline that it has."""
    title = f"{sweep.name}: deadline of sweep {sweep.sweep_id} at risk"
    line = f"Sweep {sweep.sweep_id} ({sweep.name}){_because(sweep.note)}."
    subject = f"deadline/{sweep.sweep_id}/{sweep.deadline_at!r}"
    return Notice(subject, NoticeKind.DEADLINE, title, line, now)


def _value(measured: tuple[str, float]) -> str:
    metric, value = measured
    return f"{metric} {value:.4g}"


def _linked(link: str | None) -> list[str]:
    return [] if link is None else [f"Compare: {link}"]


def _because(reason: str | None) -> str:
    if not reason:
        return ""
    said = " ".join(reason.split()).rstrip(".")
    return f": {said if len(said) <= _MOST_SAID else said[: _MOST_SAID - 4] + ' ...'}"


def _moment(at: float, timezone: str) -> str:
    """By the clocks of the schedule's place, and the difference to UTC, which tells two nights of October."""
    zone: tzinfo = UTC
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a zone that this machine does not know
        timezone = "UTC"
    return f"{datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M %z} ({timezone})"


def _text(lines: list[str]) -> str:
    return "\n".join(lines)
