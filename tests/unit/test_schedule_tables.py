"""What `masksweep schedule ls` and `show` print on terminals of several widths, and in a pipe."""

import pytest
from rich.console import Console

from sweeps.cli.schedule_tables import nights_table, schedules_table

WHY = (
    "segm/AP 41.2 against 41.1: +0.1, at least -0.4 at 95% confidence over 500 images, 12 candidates; "
    "not surely better"
)


def night(day, verdict):
    """A row of the API; a reason may have several lines."""
    return {
        "local": f"2026-11-{day} 22:00 America/Argentina/Buenos_Aires",
        "state": "CLOSED",
        "sweep_id": "parts-dmxiyh2qzky5mpqn",
        "why": "time",
        "started_at": 1.8e9,
        "verdict": verdict,
        "reason": "the night's window\nhas closed",
        "verdict_reason": WHY,
    }


NIGHTS = [night(24 - number, verdict) for number, verdict in enumerate(("KEPT", "NO_CANDIDATE", "PROMOTED"))]


def schedule(name):
    rule = {"cron": "0 22 * * *", "timezone": "Europe/Berlin"}
    upcoming = [1.8e9 + number * 86400.0 for number in range(5)]
    return {"name": name, "state": "ACTIVE", "upcoming": upcoming, "rule": rule, "nights": NIGHTS}


def printed(table, width):
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(table, crop=False)
    return [line.rstrip() for line in captured.get().splitlines()]


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("name", ["nightly", "nightly-mitochondria-of-the-second-microscope"])
def test_a_terminal_shows_name_state_times_and_outcomes(width, name):
    """No line is longer than the terminal, and a long name is folded, not dropped."""
    lines = printed(schedules_table([schedule(name), schedule("other")], width), width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for told in (
        "ACTIVE", *(f"2027-01-{day} 09:00" for day in (15, 16, 17, 18, 19)),
        "11-24 22:00 KEPT", "11-23 22:00 NO_CANDIDATE", "11-22 22:00 PROMOTED",
    ):  # fmt: skip
        assert text.count(told) == 2
    # the folded name stands in the first column, whose rows are as many as fire times
    width_of_name = lines[0].index("state")
    assert "".join(line[:width_of_name].strip() for line in lines[1:6]) == name
    assert lines[6].startswith("other ")


@pytest.mark.parametrize("width", [80, 160])
def test_a_terminal_shows_what_became_of_each_night(width):
    """State, sweep and verdict stand on the night's line, and the reason, whole, below it."""
    lines = printed(nights_table(NIGHTS, width), width)
    assert max(map(len, lines)) <= width
    nights = [line.split() for line in lines if line.startswith("2026")]
    assert [(row[0], row[2], row[3], row[-1]) for row in nights] == [
        ("2026-11-24", "CLOSED", "parts-dmxiyh2qzky5mpqn", "KEPT"),
        ("2026-11-23", "CLOSED", "parts-dmxiyh2qzky5mpqn", "NO_CANDIDATE"),
        ("2026-11-22", "CLOSED", "parts-dmxiyh2qzky5mpqn", "PROMOTED"),
    ]
    told = " ".join(line.strip() for line in lines if line.startswith("    "))
    assert told == " ".join([f"the night's window has closed; {WHY}"] * 3)


def test_a_pipe_has_a_line_a_row_and_all_of_it():
    """However long a line becomes, and however narrow rich thinks that a pipe is."""
    lines = printed(nights_table(NIGHTS, None), 80)
    assert [line.endswith(f"KEPT          the night's window has closed; {WHY}") for line in lines[:2]] == [
        False, True,
    ]  # fmt: skip
    assert len(lines) == 4
    head, row = printed(schedules_table([schedule("nightly")], None), 80)
    assert head.split() == ["schedule", "state", "next", "last", "nights", "cron", "time", "zone"]
    assert row.startswith("nightly   ACTIVE  2027-01-15 09:00, 2027-01-16 09:00")
    assert row.endswith("11-22 22:00 PROMOTED  0 22 * * *  Europe/Berlin")


def test_when_a_night_began_is_told_by_its_own_clocks():
    """Not by those of the machine that prints it, beside the night's name by the schedule's."""
    (_, row) = printed(nights_table([night(24, "KEPT")], None), 80)
    assert "2027-01-15 05:00" in row  # 08:00 in UTC


def test_nights_of_several_zones_say_which_one_is_meant():
    """The schedule was replaced: a narrow terminal has no room for the zone in each night's name."""
    here = {**night(24, "KEPT"), "local": "2026-11-24 22:00 Asia/Kolkata"}
    told = " ".join(line.strip() for line in printed(nights_table([here, night(23, "KEPT")], 80), 80))
    assert "by the clocks of Asia/Kolkata; the night's window" in told
    assert "by the clocks of America/Argentina/Buenos_Aires; the night's window" in told
