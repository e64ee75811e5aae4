"""When schedules fire: cron by the clocks of a time zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from sweeps.core.errors import SpecInvalid
from sweeps.schedules.rule import read_rule
from sweeps.schedules.times import fire_times, jitter_of, moment, upcoming, window_closes, window_note


def at(text: str) -> float:
    """Seconds since the Unix epoch of a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def utc(times) -> list[str]:
    return [datetime.fromtimestamp(each, UTC).strftime("%m-%d %H:%M") for each in times]


def fired(cron: str, timezone: str, after: str, count: int) -> list[str]:
    """The next fire times, in UTC."""
    return utc(upcoming(read_rule({"cron": cron, "timezone": timezone}), at(after), count))


@pytest.mark.parametrize(
    ("cron", "timezone", "after", "expected"),
    [  # the clocks go forward
        ("30 2 * * *", "Europe/Berlin", "2026-03-28", ["03-28 01:30", "03-29 01:00", "03-30 00:30"]),
        ("30 2 * * *", "America/New_York", "2026-03-07", ["03-07 07:30", "03-08 07:00", "03-09 06:30"]),
        ("30 2 * * *", "Asia/Kolkata", "2026-03-28 12:00", ["03-28 21:00", "03-29 21:00"]),
        ("0 2,3 * * *", "Europe/Berlin", "2026-03-29", ["03-29 01:00", "03-30 00:00", "03-30 01:00"]),
        ("*/20 2 * * *", "Europe/Berlin", "2026-03-29", ["03-29 01:00", "03-30 00:00", "03-30 00:20"]),
        ("0 */2 * * *", "Europe/Berlin", "2026-03-28 23:30", ["03-29 01:00", "03-29 02:00"]),
        ("15 * * * *", "Europe/Berlin", "2026-03-29", ["03-29 00:15", "03-29 01:15", "03-29 02:15"]),
        ("0 0 * * *", "Asia/Beirut", "2026-03-27 23:00", ["03-28 22:00", "03-29 21:00"]),
        # and back
        ("30 2 * * *", "Europe/Berlin", "2026-10-24 12:00", ["10-25 00:30", "10-26 01:30"]),
        ("30 1 * * *", "America/New_York", "2026-10-31 12:00", ["11-01 05:30", "11-02 06:30"]),
        ("0 */2 * * *", "Europe/Berlin", "2026-10-25 00:00", ["10-25 03:00", "10-25 05:00"]),
        ("*/30 2 * * *", "Europe/Berlin", "2026-10-25 00:10", ["10-25 00:30", "10-26 01:00"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25 01:10", ["10-26 01:30"]),
        ("*/30 * * * *", "Europe/Berlin", "2026-10-25 00:10", ["10-25 00:30", "10-25 01:00", "10-25 01:30"]),
        ("50 * * * *", "Europe/Berlin", "2026-10-25 00:55", ["10-25 01:50", "10-25 02:50"]),
    ],
)
def test_clocks_that_are_set_lose_and_double_no_night(cron, timezone, after, expected):
    """A time that is passed over fires when the gap closes, one that comes twice at the first, hours pass."""
    assert fired(cron, timezone, after, len(expected)) == expected


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
def test_every_day_has_its_night_and_every_hour_its_firing(zone):
    """Over a year, at any half hour: one firing a local day; and one an hour that passes."""
    start, days = at("2026-01-01 12:00"), 365
    for half in (*range(8), 46, 47):
        rule = read_rule({"cron": f"{half % 2 * 30} {half // 2} * * *", "timezone": zone})
        local = [datetime.fromtimestamp(each, ZoneInfo(zone)) for each in upcoming(rule, start, days)]
        first = local[0].date()
        assert [each.date() for each in local] == [first + timedelta(days=n) for n in range(days)]
    hourly = upcoming(read_rule({"cron": "0 * * * *", "timezone": "Europe/Berlin"}), start, 8760)
    assert hourly == [start + 3600.0 * n for n in range(1, 8761)]


def test_fire_times_after_any_moment_are_the_rest_of_the_same_ones():
    """Wherever it is begun, within a gap's or a fold's hour as well."""
    for cron in ("*/20 2 * * *", "*/20 * * * *", "10 1-3 * * *"):
        rule = read_rule({"cron": cron, "timezone": "Europe/Berlin"})
        for day in ("2026-03-29", "2026-10-25"):
            whole = upcoming(rule, at(day) - 3600.0, 40)
            for minute in range(0, 240, 7):
                after = at(day) + 60.0 * minute
                assert upcoming(rule, after, 3) == [each for each in whole if each > after][:3]


def test_a_gap_closes_to_the_second():
    """Monrovia's clocks were set forward by 44 minutes and 30 seconds in 1972."""
    monrovia = ZoneInfo("Africa/Monrovia")
    assert moment(datetime(1972, 1, 7, 0, 20), monrovia) == at("1972-01-07 00:44:30")


def test_jitter_is_the_same_for_all_who_ask_and_spreads():
    """It depends on the schedule and the fire time alone, and stays within its bound."""
    rule = read_rule({"cron": "0 22 * * *", "jitter": "10m"})
    times = upcoming(rule, at("2026-01-01"), 50)
    jitter = [jitter_of(rule, "nightly", each) for each in times]
    assert jitter == [jitter_of(rule, "nightly", each) for each in times]
    assert all(0.0 <= each < 600.0 for each in jitter)
    assert max(jitter) - min(jitter) > 300.0
    assert jitter != [jitter_of(rule, "other", each) for each in times]


def test_all_problems_of_a_rule_are_told_at_once():
    """What was got, what is allowed, and a hint."""
    wrong = {"cron": "0 25 * * *", "timezone": "Europe/Berln", "window": "9", "overlap": "skpi"}
    with pytest.raises(SpecInvalid) as refused:
        read_rule({**wrong, "gpu_hours": 0, "jiter": "1m", "confidence": 1})
    assert sorted(map(str, refused.value.issues)) == [
        "confidence: got 1, but needs a number from 0.5 to below 1",
        "cron: got 0 25 * * *: bad hour "
        "(hint: minute hour day-of-month month day-of-week, such as `0 22 * * *`)",
        "gpu_hours: got 0, but needs a number above 0",
        "jiter: unknown field, allowed: cron, timezone, window, jitter, overlap, catch_up, catch_up_limit, "
        "gpu_hours, warm_start, confidence, priority, weight (hint: did you mean jitter?)",
        "overlap: skpi is not one of skip, queue, cancel, continue (hint: did you mean skip?)",
        "timezone: Europe/Berln is not a time zone (hint: did you mean Europe/Berlin?)",
        "window: got 9, but needs a duration such as 2h, 90m or 1h30m (hint: say the unit: h, m or s)",
    ]


@pytest.mark.parametrize("cron", ["", "0 22 * *", "0 0 30 2 *", "0 0 0 22 * *", "@often", None, 7])
def test_a_rule_without_a_time_is_refused(cron):
    """Too few fields, too many, or a day that never comes."""
    with pytest.raises(SpecInvalid, match="cron"):
        read_rule({"cron": cron})


def test_a_rule_is_read_again_from_its_document():
    """With durations in words; shorthands of cron are written out."""
    rule = read_rule({"cron": "@daily", "window": "9h", "jitter": "90s", "catch_up": "all", "gpu_hours": 12})
    assert (rule.cron, rule.document()["window"], rule.document()["jitter"]) == ("0 0 * * *", "9h", "1m30s")
    assert read_rule(rule.document()) == rule


def test_a_year_that_never_comes_ends_the_fire_times():
    """Cron that no day of 50 years fulfils is refused; what is rare is found."""
    rule = read_rule({"cron": "0 0 * 2 MON#5"})
    assert utc([next(fire_times(rule, at("2026-01-01")))]) == ["02-29 00:00"]


@pytest.mark.parametrize("zone", ["localtime", "Factory"])
def test_a_zone_that_differs_between_machines_is_refused(zone):
    """Services of one store would fire at different times."""
    with pytest.raises(SpecInvalid, match=f"{zone} is not a time zone"):
        read_rule({"cron": "0 22 * * *", "timezone": zone})


@pytest.mark.parametrize(("window", "told"), [("59m", False), ("1h", True), (None, False)])
def test_a_window_that_is_not_shorter_than_the_period_is_told(window, told):
    """A night may then find the one before it at work."""
    note = window_note(read_rule({"cron": "0 * * * *", "window": window}), at("2026-01-07"))
    assert (note is not None) == told


@pytest.mark.parametrize(
    ("cron", "window", "fire_at", "closes_at"),
    [  # the clocks of Berlin go forward on 29 March: that night's day has 23 hours
        ("0 22 * * *", "24h", "2026-03-28 21:00", "2026-03-29 20:00"),
        ("0 22 * * *", "23h30m", "2026-03-28 21:00", "2026-03-29 20:00"),
        ("0 22 * * *", "9h", "2026-03-28 21:00", "2026-03-29 06:00"),
        ("0 22 * * *", "30h", "2026-03-28 21:00", "2026-03-30 03:00"),
        ("30 1 * * *", "1h", "2026-03-29 00:30", "2026-03-29 01:30"),
        ("0 2,4 * * *", "2h", "2026-03-29 01:00", "2026-03-29 02:00"),
        # and back on 25 October: 25 hours
        ("0 22 * * *", "24h", "2026-10-24 20:00", "2026-10-25 20:00"),
        ("0 22 * * *", "25h", "2026-10-24 20:00", "2026-10-25 21:00"),
        ("30 2 * * *", "1h", "2026-10-25 00:30", "2026-10-25 01:30"),
        # an hour that passes is an hour
        ("0 * * * *", "1h", "2026-03-29 00:00", "2026-03-29 01:00"),
        ("0 * * * *", "2h", "2026-10-25 00:00", "2026-10-25 02:00"),
    ],
)
def test_a_window_that_ends_by_the_next_night_does_so_when_clocks_are_set(cron, window, fire_at, closes_at):
    """A day may be an hour shorter: no night runs into the next one by that. Else hours are hours."""
    rule = read_rule({"cron": cron, "timezone": "Europe/Berlin", "window": window})
    assert utc([window_closes(rule, at(fire_at))]) == [closes_at[5:]]
