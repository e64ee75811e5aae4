"""Tables of schedules and of their nights: no terminal hides what matters, and a pipe has all."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import RenderableType

from sweeps.cli.columns import Column, fits, fitted_table, natural_width, noted_rows
from sweeps.schedules.nights import night_text


def schedules_table(found: Sequence[Mapping[str, Any]], width: int | None) -> RenderableType:
    """A row a schedule: its fire times and its last nights beside each other, or below each other if need be.

    Args:
        found: Documents of the API.
        width: Of the terminal, in cells; None: there is none, and a row is a line.
    """
    line = _schedules(found, ", ")
    if width is None or fits(line, width):
        return _whole(line)
    return fitted_table(_schedules(found, "\n"), width)


def nights_table(nights: Sequence[Mapping[str, Any]], width: int | None) -> RenderableType:
    """A row a night, with the reasons below it where they have no room beside it.

    Args:
        nights: Documents of the API, the latest first.
        width: Of the terminal, in cells; None: there is none, and a row is a line.
    """
    cells = {
        "night": [each["local"] for each in nights],
        "state": [each["state"] for each in nights],
        "sweep": [each["sweep_id"] or "-" for each in nights],
        "why": [each["why"] for each in nights],
        "began": [_by_its_clocks(each, each["started_at"]) if each["started_at"] else "-" for each in nights],
        "verdict": [each["verdict"] or "-" for each in nights],
    }
    reasons = tuple(_why(each) for each in nights)
    ranks = {"why": 1, "began": 2}
    columns = [Column(name, tuple(column), ranks.get(name, 0), True) for name, column in cells.items()]
    line = [*columns, Column("reason", tuple(" ".join(each.split()) for each in reasons), left=True)]
    if width is None or fits(line, width):
        return _whole(line)
    zones = [_zone(each) for each in nights]
    if len(set(zones)) > 1:  # else it is the schedule's, whose rule has it
        reasons = tuple(f"by the clocks of {zone}; {why}" for zone, why in zip(zones, reasons, strict=True))
    short = Column("night", tuple(each["local"][:16] for each in nights), left=True)
    return noted_rows([short, *columns[1:]], reasons, width)


def local_minute(schedule: Mapping[str, Any], at: float) -> str:
    """A moment by a schedule's clocks, to the minute; `at` is in seconds since the Unix epoch."""
    zone = ZoneInfo(schedule["rule"]["timezone"])
    return f"{datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M}"


def _zone(night: Mapping[str, Any]) -> str:
    return str(night["local"]).rpartition(" ")[2]


def _by_its_clocks(night: Mapping[str, Any], at: float) -> str:
    """A moment, to the minute, by the clocks that the night is called by: not by those of this machine."""
    return night_text(_zone(night), at).rpartition(" ")[0]


def _schedules(found: Sequence[Mapping[str, Any]], between: str) -> list[Column]:
    def times(each: Mapping[str, Any]) -> str:
        return between.join(local_minute(each, at) for at in each["upcoming"]) or "-"

    return [
        Column("schedule", tuple(each["name"] for each in found), left=True, folds=True),
        Column("state", tuple(each["state"] for each in found), left=True),
        Column("next", tuple(map(times, found)), left=True),
        Column("last nights", tuple(_outcomes(each["nights"], between) for each in found), left=True),
        Column("cron", tuple(each["rule"]["cron"] for each in found), 2, True),
        Column("time zone", tuple(each["rule"]["timezone"] for each in found), 1, True),
    ]


def _outcomes(nights: Sequence[Mapping[str, Any]], between: str) -> str:
    told = (f"{each['local'][5:16]} {each['verdict'] or each['state']}" for each in nights)
    return between.join(told) or "-"


def _why(night: Mapping[str, Any]) -> str:
    """Why the night is what it is, and why its best was judged as it was."""
    return "; ".join(reason for reason in (night["reason"], night["verdict_reason"]) if reason) or "-"


def _whole(columns: Sequence[Column]) -> RenderableType:
    table = fitted_table(columns, natural_width(columns))
    table.width = natural_width(columns)  # also where the console is narrower
    return table
